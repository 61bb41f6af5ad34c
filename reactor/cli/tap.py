"""`violet tap`: what one lane gave, live or at any scan, from the journal or from its tap topic."""

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, dropwhile
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from journal.ledger import run as runs
from journal.refusal import Refusal
from journal.store import JournalAway
from lanes.registry import LANES
from reactor.cli import value
from reactor.cli.common import broker, data_option, err, journal
from reactor.cli.grouped import Grouped
from reactor.evaluate.chunk import Chunk
from reactor.log.kafka import KafkaLog
from reactor.run.settings import instant, span_s
from reactor.tap.history import History
from reactor.tap.reading import Reading, decode, encode

LAST: Final = 20  # readings shown where nobody says from where
FOLLOW_S: Final = 0.5
AGAIN: Final = 3  # times that a follower finds the engine gone in a row: with the soak that began it
_OVER: Final = ("ENDED", "HALTED")


@dataclass(frozen=True, slots=True)
class Point:
    """Where to begin: an event time back from the latest, an offset, a scan id, or an event time."""

    text: str
    back_ms: int | None = None
    offset: int | None = None
    scan_id: int | None = None
    ts_ms: int | None = None

    @classmethod
    def of(cls, text: str) -> "Point":
        """The point that a text names. Raises Refusal with the four forms."""
        if text[1:].isdecimal() and text[0] == "@":
            return cls(text, offset=int(text[1:]))
        if text.isdecimal():
            return cls(text, scan_id=int(text))
        with suppress(ValueError):
            if text.startswith("-"):
                return cls(text, back_ms=int(span_s(text[1:]) * 1e3))
            return cls(text, ts_ms=int(instant(text).timestamp() * 1e3))
        raise Refusal(
            f"{text!r}: must be a span back such as -5m, an offset such as @5678, a scan id such as 1234, "
            "or an event time such as 2025-05-04T15:33Z"
        )

    def begins(self, reading: Reading, latest_ms: int) -> bool:
        """Whether a reading is the first to show."""
        if self.scan_id is not None:
            return reading.scan_id == self.scan_id
        if self.offset is not None:
            return reading.offset >= self.offset
        return reading.ts_ms >= (latest_ms - self.back_ms if self.back_ms is not None else self.ts_ms or 0)


@click.command("tap", cls=Grouped, groups={
    "Which readings": ("from_", "at", "where", "stream", "follow", "limit", "run_id"),
    "From a topic, not the journal": ("topic", "bootstrap_servers"),
})  # fmt: skip
@click.argument("lane", type=click.Choice([lane.name for lane in LANES]), metavar="LANE")
@data_option
@click.option(
    "--from", "from_", metavar="POINT",
    help=f"Where to begin: -5m, @OFFSET, SCAN_ID or TIME.  [default: the last {LAST}]",
)  # fmt: skip
@click.option("--at", metavar="SCAN_ID|@OFFSET", help="Only this scan, whether it decided or not.")
@click.option("--where", metavar="SQL", help="Only readings that meet this condition on columns of lane_readings.")
@click.option("--stream", help="Only this stream; needed where several streams have the scan id.")
@click.option("--follow", is_flag=True, help="Go on as readings come, until the run ends or Ctrl-C.")
@click.option(
    "--limit", type=click.IntRange(1),
    help="Show at most so many readings: the first after --from, else the last of each partition.",
)  # fmt: skip
@click.option(
    "--run", "run_id", shell_complete=value.runs, help="Run, by id, prefix or name.  [default: the latest run]"
)
@click.option("--topic", help="Read this tap topic instead of the journal.")
@click.option("--bootstrap-servers", help="Broker of --topic, HOST:PORT.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: the record of the tap topic.")
def command(**asked: Any) -> None:
    """Show what one lane gave at every scan: its value, its components, and the inputs that it used.

    It reads the journal, so it answers for any scan of any run, while the run goes on and after. Times are event time;
    -5m is five minutes before the latest scan. An offset is that of the scan in its topic. Ctrl-C ends it with exit
    code 0.

    \b
    violet tap acb --at 1234
    violet tap ob --from -5m --follow --json | jq .value
    violet tap esof --from 2025-05-04T15:33Z --where 'value < 1' --limit 50
    violet tap acb --topic violet.violet.lanes.acb --bootstrap-servers 127.0.0.1:9092 --follow
    """  # noqa: D301 - click's mark for lines that are not to be filled
    ask = Ask(**asked)
    with suppress(KeyboardInterrupt):
        ask.show(_of_topic(ask) if ask.topic is not None else _of_journal(ask))


class Ask:
    """What was asked, checked."""

    def __init__(
        self, *, lane: str, data: Path, from_: str | None, at: str | None, where: str | None, stream: str | None,
        follow: bool, limit: int | None, run_id: str | None, topic: str | None, bootstrap_servers: str | None,
        as_json: bool,
    ) -> None:  # fmt: skip
        self.lane, self.data, self.where, self.stream, self.follow = lane, data, where, stream, follow
        self.run_id, self.topic, self.broker, self.as_json = run_id, topic, broker(bootstrap_servers), as_json
        if (topic is None and bootstrap_servers) or (topic is not None and not self.broker.bootstrap_servers):
            raise Refusal("--topic and --bootstrap-servers go together; fix: give both, or none for the journal")
        if topic is not None and (where is not None or run_id is not None):
            raise Refusal("--where and --run ask the journal, --topic does not; fix: leave one of them out")
        if at is not None and (from_ is not None or follow):
            raise Refusal("--at is one scan, --from and --follow are many; fix: leave one of them out")
        self.at, self.begin = (Point.of(text) if text is not None else None for text in (at, from_))
        if self.at is not None and self.at.offset is None and self.at.scan_id is None:
            raise Refusal(f"--at {at}: must be a scan id such as 1234, or @OFFSET such as @5678")
        self._warned = False
        last = self.at is None and self.begin is None and (limit is None or not follow)
        self.last = (limit or LAST) if last else 0
        self.limit = None if last else limit

    def warned(self, history: History, pages: Iterator[list[Reading]]) -> Iterator[list[Reading]]:
        """The pages; once in words where what a lane read is known no more."""
        for page in pages:
            if not self._warned and any(map(history.dropped, page)):
                err.print("planes were dropped by age: what the lane read of them is left out", style="yellow")
                self._warned = True
            yield page

    def show(self, pages: Iterable[list[Reading]]) -> None:
        """Write readings as they come, up to the limit; quietly until whoever reads goes away."""
        left = self.limit
        line = _record if self.as_json else _words
        for page in pages:
            some = page[:left]
            sys.stdout.write("".join(map(line, some)))
            sys.stdout.flush()
            if left is not None and not (left := left - len(some)):
                return


def _record(reading: Reading) -> str:
    return encode(reading).decode() + "\n"


def _words(reading: Reading) -> str:
    at = datetime.fromtimestamp(reading.ts_ms / 1e3, UTC)
    parts = ", ".join(f"{name} {value!r}" for name, value in reading.components.items())
    read = ", ".join(f"{name} {value}" for name, value in reading.inputs.items()) or "nothing"
    age = "" if reading.age_ms is None else f", age {reading.age_ms / 1e3:g} s"
    where = f"{reading.stream} #{reading.scan_id} @{reading.offset}"
    return f"{at:%Y-%m-%d %H:%M:%S}  {where}  {reading.lane} {reading.value!r}  = {parts}  <- {read}{age}\n"


# -- the journal -----------------------------------------------------------------------------------------------------


def _of_journal(ask: Ask) -> Iterator[list[Reading]]:
    """Pages out of the journal; a follower looks again every FOLLOW_S, also when the engine went with its soak."""
    starts: dict[int, int] | None = None
    run_id, gone = ask.run_id, 0
    while True:
        try:
            with journal(ask.data, reads=True) as store:
                run_id = runs.pick(store, run_id).run_id
                history = History(store, run_id, ask.lane, ask.where, ask.stream)
                if ask.at is not None:
                    for place in _places(history, run_id, ask.at):
                        at = {place["partition"]: place["log_offset"]}
                        yield from ask.warned(history, history.pages(at, {p: offset + 1 for p, offset in at.items()}))
                    return
                starts = _starts(ask, history, run_id) if starts is None else starts
                while True:
                    over = runs.pick(store, run_id).state in _OVER  # asked first: what it left is shown
                    ends = history.ends()
                    for page in ask.warned(history, history.pages(starts, ends)):
                        yield page
                        starts[page[-1].partition], gone = page[-1].offset + 1, 0  # the engine may go before the next
                    starts, gone = {p: max(at, ends.get(p, at)) for p, at in starts.items()}, 0
                    if over or not ask.follow:
                        return
                    time.sleep(FOLLOW_S)
        except JournalAway:
            gone += 1
            if not ask.follow or gone > AGAIN:
                raise
            time.sleep(FOLLOW_S)


def _starts(ask: Ask, history: History, run_id: str) -> dict[int, int]:
    """Offset of each partition to begin at."""
    point = ask.begin
    if point is None:
        return history.last(ask.last)
    if point.offset is not None:
        return dict.fromkeys(history.partitions, point.offset)
    if point.scan_id is not None:
        first = _places(history, run_id, point)[0]
        return {first["partition"]: first["log_offset"]}
    ts_ms = history.places.latest_ms() - point.back_ms if point.back_ms is not None else point.ts_ms or 0
    return dict.fromkeys(history.partitions, 0) | history.ends() | history.places.since(ts_ms)


def _places(history: History, run_id: str, point: Point) -> list[dict[str, Any]]:
    """Where the scans of an id or at an offset are. Raises Refusal where there is none, or they are of two streams."""
    places = history.places.at(point.offset) if point.offset is not None else history.places.of_scan(point.scan_id or 0)
    if not places:
        scan, offset = "a scan's, not a plane's or a reject's", f"@{point.text} if it is an offset"
        other = scan if point.scan_id is None else offset
        raise Refusal(f"run {run_id} has no reading at {point.text}; fix: {other}, or look it up in lane_readings")
    streams = sorted({place["stream"] for place in places})
    if point.scan_id is not None and len(streams) > 1:
        raise Refusal(f"scan {point.text} is in the streams {', '.join(streams)}; fix: --stream NAME")
    return places


# -- a tap topic -----------------------------------------------------------------------------------------------------


def _of_topic(ask: Ask) -> Iterator[list[Reading]]:
    """Pages out of a tap topic, from its beginning, as it keeps no index; a follower goes on with what comes."""
    with closing(KafkaLog(ask.broker, ask.topic or "", "violet-tap")) as log:
        partitions = range(log.describe().partitions)
        lows, ends = log.lows(partitions), log.ends(partitions)

        def stored() -> Iterator[tuple[int, list[Reading]]]:
            for p in partitions:
                for chunk in log.range(p, lows[p], ends[p]):
                    yield p, _readings(ask, chunk)

        latest_ms, begun = 0, set[int]()
        if (point := ask.at or ask.begin) is not None:
            if point.back_ms is not None:
                latest_ms = max((r.ts_ms for _, some in stored() for r in some), default=0)
            yield from _chosen(ask, point, stored(), latest_ms, begun)
        else:
            last: dict[int, deque[Reading]] = {p: deque(maxlen=ask.last) for p in partitions}
            for p, some in stored():
                last[p] += some
            yield list(chain.from_iterable(last.values()))
        if ask.follow:
            log.assign(ends)
        while ask.follow:
            for chunk in log.poll(10_000, FOLLOW_S):
                some = _readings(ask, chunk)
                yield some if point is None else _since(point, latest_ms, begun, chunk.partition, some)


def _chosen(
    ask: Ask, point: Point, stored: Iterator[tuple[int, list[Reading]]], latest_ms: int, begun: set[int]
) -> Iterator[list[Reading]]:
    """Readings of the scan that was asked for, or from where one was asked for on."""
    found = False
    for partition, some in stored:
        if ask.at is not None:
            page = [r for r in some if point.scan_id == r.scan_id or point.offset == r.offset]
        else:
            page = _since(point, latest_ms, begun, partition, some)
        found = found or bool(page)
        yield page
    if not found and (ask.at is not None or point.scan_id is not None):
        raise Refusal(f"topic {ask.topic} has no reading at {point.text}; fix: leave out --topic to ask the journal")


def _since(point: Point, latest_ms: int, begun: set[int], partition: int, some: list[Reading]) -> list[Reading]:
    """Readings of a partition from a point on; it is one of those that have begun once it came to the point."""
    if partition not in begun and (some := list(dropwhile(lambda r: not point.begins(r, latest_ms), some))):
        begun.add(partition)
    return some


def _readings(ask: Ask, chunk: Chunk) -> list[Reading]:
    try:
        found = [decode(value or b"") for value in chunk.values]
    except msgspec.MsgspecError as error:
        raise Refusal(
            f"topic {ask.topic} holds something else than readings ({error}); fix: name a tap topic"
        ) from None
    if others := {reading.lane for reading in found} - {ask.lane}:
        other = min(others)
        raise Refusal(f"topic {ask.topic} holds readings of {other}; fix: `violet tap {other} --topic {ask.topic}`")
    return [reading for reading in found if ask.stream in (None, reading.stream)]
