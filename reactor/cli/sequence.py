"""violet sequence: foreign scan and plane feeds in, by a mapping file; the one ordered log out."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any, Final

import click
import msgspec

from journal.refusal import Refusal
from reactor.cli.common import PATH, err, json_option, out, print_json
from reactor.cli.grouped import Grouped
from reactor.evaluate.record import MAX_BYTES
from reactor.feed import archive_writer, live, mapped, mapping, sequence, table
from reactor.feed.alone import alone
from reactor.feed.convert import walk
from reactor.log.connection import Connection
from reactor.log.kafka import BrokerFailed, KafkaLog, LogGap, NotAlone
from reactor.log.outlet import KafkaWriter
from reactor.log.scout import LogChanged, Mark
from reactor.log.topic import LogGrown
from reactor.run.settings import broker
from reactor.standin.bars import utc
from reactor.standin.enrich import PARTS, Enricher

PROBE: Final = 10_000  # rows of a source that a dry run looks at
LOOK_S: Final = 5.0  # between looks at the topics that are followed
SHOWN: Final = 3  # records and bad rows of a source that it prints


@click.command("sequence", cls=Grouped, groups={
    "What is read": ("config", "bootstrap_servers", "lateness_ms", "enrich"),
    "What is written": ("target", "topic", "set_aside", "dry_run", "force"),
})  # fmt: skip
@click.option("--config", required=True, type=PATH, help="Mapping file, TOML.")
@click.option("--out", "target", type=PATH, help="Archive: .jsonl or .jsonl.zst.")
@click.option(
    "--enrich", default="", metavar="irp,dc",
    help="Compute from the prices what the scans lack: irp, dc or both. A stand-in.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True,
    help="Write nothing; print the first records of each source, and which of its fields are unmapped.",
)  # fmt: skip
@click.option(
    "--set-aside", type=PATH, help="Keep rows that do not fit in this JSONL file; without it they are refused."
)
@click.option("--bootstrap-servers", help="Broker, HOST:PORT, where the sources are topics.")
@click.option("--topic", help="Topic that becomes the log; created where it is missing.")
@click.option(
    "--lateness-ms", type=click.IntRange(0, 600_000), default=1_000, show_default=True,
    help="How long a topic's record is held for earlier ones.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace files that exist.")
@json_option
def command(
    *, config: Path, target: Path | None, enrich: str, dry_run: bool, set_aside: Path | None,
    bootstrap_servers: str | None, topic: str | None, lateness_ms: int, force: bool, as_json: bool,
) -> None:  # fmt: skip
    """Merge scans and planes of other forms into one ordered log: an archive or a topic.

    The order is by event time, then the source's place in the mapping, then the row's place in its source. Files are
    JSON, CSV, Parquet, Feather or SQLite, plain or packed; a path is relative to the mapping file's folder. A row that
    does not fit is refused with its line and the fix, or kept in --set-aside. Sources that are topics are followed
    until Ctrl-C, in the order of arrival within --lateness-ms; after that the same command goes on.

    \b
    violet sequence --config map.toml --dry-run
    violet sequence --config map.toml --out scans.jsonl.zst
    violet sequence --config live.toml --bootstrap-servers HOST:9092 --topic scans
    """  # noqa: D301 - click reads \b, so the text is not raw
    parts = _parts(enrich)
    sources = _sources(config)
    if any(source.topic for source in sources):
        connection = broker(config, bootstrap_servers)
        if dry_run or target or set_aside or not (connection.bootstrap_servers and topic):
            raise Refusal(
                "topics are followed into a topic; fix: --bootstrap-servers HOST:PORT --topic OUT, and no other"
            )
        _follow(sources, connection, topic, lateness_ms, Enricher(parts) if parts else None, as_json)
        return
    if bootstrap_servers or topic:
        raise Refusal("files become an archive; fix: --out, then `violet publish` fills a topic with it")
    with ExitStack() as stack:
        rows = _rows(config.parent, sources)
        if dry_run:
            raise SystemExit(_dry_run(sources, rows, as_json))
        if target is None:
            raise Refusal("--out must name the archive; fix: --out scans.jsonl.zst, or --dry-run to look first")
        archive_writer.check_target(target, force=force)
        on_bad = _refusing(sources)
        if set_aside is not None:
            if os.path.realpath(set_aside) == os.path.realpath(target):
                raise Refusal("--set-aside must be another file than --out, was the same; fix: name another")
            archive_writer.check_target(set_aside, force=force)
            on_bad = _keep(stack.enter_context(archive_writer.writing(set_aside)))
        sequencer, enricher = sequence.Sequencer(on_bad), Enricher(parts)
        with archive_writer.writing(target) as put:
            for line in sequence.log(sources, rows, sequencer, target.parent, enricher if parts else None):
                put(line)
    _report(target, sources, sequencer, enricher, as_json)


def _parts(enrich: str) -> frozenset[str]:
    parts = frozenset(filter(None, enrich.split(",")))
    if wrong := sorted(parts.difference(PARTS)):
        raise Refusal(f"--enrich must be of {', '.join(PARTS)}, was {wrong[0]!r}; fix: --enrich {','.join(PARTS)}")
    return parts


def _sources(config: Path) -> list[mapped.MappedSource]:
    try:
        return mapping.parse(config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"--config {config} cannot be read ({error}); fix: name a mapping file") from None


def _rows(folder: Path, sources: Sequence[mapped.MappedSource]) -> sequence.Rows:
    """What reads a source's file, each checked for being there before any is read."""
    paths = {source.name: folder / str(source.file) for source in sources}
    for name, path in paths.items():
        if not path.exists() or path.is_dir():
            raise Refusal(
                f"source {name!r}: {path} is {'a folder' if path.is_dir() else 'no file'}; fix: check the path"
            )
    return lambda source: table.rows(paths[source.name], source.layout)


def _refusing(sources: Sequence[mapped.MappedSource]) -> Callable[[sequence.Bad], None]:
    files = {source.name: source.file for source in sources}

    def refuse(bad: sequence.Bad) -> None:
        raise Refusal(
            f"source {bad.source!r}, {files[bad.source]} {bad.place}: {bad.said}; "
            "--set-aside FILE would go on without such rows"
        )

    return refuse


def _keep(put: Callable[[bytes], None]) -> Callable[[sequence.Bad], None]:
    def keep(bad: sequence.Bad) -> None:
        raw = bad.raw[:MAX_BYTES].decode("utf-8", "replace")
        put(archive_writer.encode({"source": bad.source, "line": bad.line, "said": bad.said, "raw": raw}))

    return keep


def _dry_run(sources: Sequence[mapped.MappedSource], rows: sequence.Rows, as_json: bool) -> int:
    """Look at the first rows of each source; 3 where a row does not fit or a mapped field is nowhere."""
    bad: list[sequence.Bad] = []
    sequencer = sequence.Sequencer(bad.append)
    looks = []
    for source in sources:
        looked = list(islice(rows(source), PROBE))
        items = sorted(sequencer.items(source, looked))
        records = [msgspec.json.decode(item[3]) for item in sequencer.grouped(source, items)]
        fields = [row.fields for row in looked if not row.fault and source.takes(row.fields)]
        tally = sequencer.tallies[source.name]
        looks.append(
            {
                "source": source.name,
                "file": source.file,
                "feeds": source.feeds,
                **asdict(tally),
                "nothing": "" if tally.records else sequence.nothing(tally),
                "whole": len(looked) < PROBE,
                "records_shown": records[:SHOWN],
                "unmapped": {name: _sample(fields, name) for name in _unmapped(source, fields)},
                "never_found": source.never_found() if tally.records else [],
                "bad": [{"place": b.place, "said": b.said} for b in bad if b.source == source.name][:SHOWN],
            }
        )
    notes = sequence.notes(sources, sequencer.tallies) if all(look["whole"] for look in looks) else []
    if as_json:
        print_json({"sources": looks, "notes": notes})
    else:
        for look in looks:
            out.print("\n".join(_look(look)), markup=False)
        _note(notes)
    return 3 if any(look["bad"] or look["never_found"] or not look["records"] for look in looks) else 0


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        out.print(f"NOTE: {note}", markup=False)


def _unmapped(source: mapped.MappedSource, rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows[:100] for name in source.unmapped(row)))


def _sample(rows: Sequence[dict[str, Any]], name: str) -> Any:
    """The first value of an unmapped field; of several columns of one name there is none to show."""
    found = (row[name] if name in row else walk(row, tuple(name.split("."))) for row in rows[:100])
    return next((value for value in found if value is not None), None)


def _left_out(count: int, first: str) -> list[str]:
    """What is said of entries of maps that a scan goes without."""
    return [f"{count} entries of maps left out, the first at {first}"] if count else []


def _look(look: dict[str, Any]) -> Iterator[str]:
    yield f"{look['source']}: {look['file']} feeds {look['feeds']}"
    over = f", {look['passed_over']} passed over" if look["passed_over"] else ""
    mapped = look["rows"] - look["set_aside"] - look["passed_over"]
    yield (
        f"  {look['rows']} rows looked at{'' if look['whole'] else ', not all'}: {mapped} map, "
        f"{look['set_aside']} do not{over}"
    )
    if look["records"]:
        yield f"  {look['records']} records, {utc(look['first_ms'])} to {utc(look['last_ms'])}"
    else:
        yield f"  NOTHING: {look['nothing']}"
    yield from (f"  {words}" for words in _left_out(look["left_out"], look["first_left_out"]))
    for found in look["records_shown"]:
        yield f"  {utc(found['ts_ms'])}  {archive_writer.encode(found).decode()[:400]}"
    for name, sample in look["unmapped"].items():
        yield f"  unmapped: {name} (such as {str(sample)[:60]})"
    for name in look["never_found"]:
        yield f"  NOT FOUND: fields.{name}; no row has what it is mapped to; fix: correct the path, or drop the line"
    for row in look["bad"]:
        yield f"  {row['place']}: {row['said']}"


def _report(
    target: Path, sources: Sequence[mapped.MappedSource], sequencer: sequence.Sequencer, enricher: Enricher,
    as_json: bool,
) -> None:  # fmt: skip
    tallies = sequencer.tallies
    found: dict[str, Any] = {
        "out": str(target),
        "records": sum(t.records for t in tallies.values()),
        "set_aside": sum(t.set_aside for t in tallies.values()),
        "enriched": {part: n for part, n in enricher.counts.items() if n},
        "sources": [{"source": s.name, "feeds": s.feeds, **asdict(tallies[s.name])} for s in sources],
        "notes": sequence.notes(sources, tallies),
    }
    if as_json:
        print_json(found)
        return
    for source in sources:
        t = tallies[source.name]
        out.print(
            f"{source.name}: {t.records} records of {t.rows} rows, {utc(t.first_ms)} to {utc(t.last_ms)}; "
            f"{t.passed_over} passed over, {t.set_aside} set aside, {t.backwards} out of order",
            markup=False,
        )
        for words in _left_out(t.left_out, t.first_left_out):
            out.print(f"{source.name}: {words}", markup=False)
    for part, n in found["enriched"].items():
        out.print(f"{part}: computed for {n} scans by the project's own stand-in, and marked so")
    _note(found["notes"])
    out.print(f"{target}: {found['records']} records", markup=False)


def _follow(
    sources: Sequence[mapped.MappedSource], connection: Connection, topic: str, lateness_ms: int,
    enricher: Enricher | None, as_json: bool,
) -> None:  # fmt: skip
    """Follow topics into a topic until a signal."""
    for source in sources:
        if source.topic is None or source.topic == topic or source.group:
            raise Refusal(
                f"source {source.name!r} must be a topic other than the output, without `group`; fix: change it"
            )
    writer = KafkaWriter(connection, topic, "violet-sequence")
    writer.create(1)
    stopped = Event()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: stopped.set()))
        stack.enter_context(alone(connection.bootstrap_servers, topic))
        feeds, watched, resumed = _feeds(sources, connection, topic, enricher, stack)
        writer.expect({0: resumed.next})
        merger = live.Merger(feeds, lateness_ms, enricher)
        if not as_json:
            twice = f", {resumed.doubled} of them twice (a second writer's)" if resumed.doubled else ""
            err.print(f"{topic}: {resumed.records} records there{twice}; following {len(feeds)} feeds until Ctrl-C")
        try:
            live.follow(
                feeds, merger, lambda each: writer.write(each.line, each.key, 0, {live.STAMP_HEADER: each.stamp}),
                lambda: time.time_ns() // 1_000_000, lambda: watched.look() or stopped.is_set(),
            )  # fmt: skip
            writer.flush()
        except NotAlone as error:
            raise Refusal(
                f"{error}: what came since may be there twice (the soak marks scans that repeat DUP_SCAN); fix: end "
                "all but one, then the same command goes on, or give it a fresh --topic"
            ) from error
        except LogChanged as error:
            raise Refusal(f"{error}; what is in {topic!r} is whole, and ends where the other log begins") from error
        except (LogGap, LogGrown, BrokerFailed) as error:
            raise Refusal(f"{error}; what is in {topic!r} is whole, and the same command goes on") from error
    tallies = merger.sequencer.tallies
    shown = [{"source": s.name, "late": merger.late[s.name], **asdict(tallies[s.name])} for s in sources]
    if as_json:
        print_json({"topic": topic, "there": resumed.records, "doubled": resumed.doubled, "sources": shown})
        return
    for each in shown:
        out.print(
            f"{each['source']}: {each['records']} records of {each['rows']}; {each['passed_over']} passed over, "
            f"{each['set_aside']} do not fit {each['first_bad']}, {each['late']} later than {lateness_ms} ms",
            markup=False,
        )
        for words in _left_out(each["left_out"], each["first_left_out"]):
            out.print(f"{each['source']}: {words}", markup=False)


class _Watched:
    """Looks at the topics that are followed, now and then. Raises LogChanged, or LogGrown."""

    def __init__(self, logs: Mapping[KafkaLog, int]) -> None:
        """logs: with the partitions of each that are followed."""
        self._logs, self._next = logs, time.monotonic() + LOOK_S

    def look(self) -> bool:
        """Whether anything is to be done about them: never, it raises then."""
        if time.monotonic() >= self._next:
            for log, partitions in self._logs.items():
                if log.following.look() > partitions:
                    raise LogGrown(log.topic)
            self._next = time.monotonic() + LOOK_S
        return False


def _feeds(
    sources: Sequence[mapped.MappedSource],
    connection: Connection,
    topic: str,
    enricher: Enricher | None,
    stack: ExitStack,
) -> tuple[list[live.Feed], _Watched, live.Resumed]:
    """A feed for each partition of each source, where the output topic says that it goes on."""

    def opened(name: str) -> KafkaLog:
        return stack.enter_context(closing(KafkaLog(connection, name, "violet-sequence")))

    written = opened(topic)
    if (there := written.describe().partitions) != 1:
        raise Refusal(f"topic {topic!r} must have one partition, has {there}; fix: name a fresh topic")
    first = written.lows([0])[0]
    resumed = live.Resumed(enricher, first)
    for offset, value, stamp in written.stamped(live.STAMP_HEADER):
        resumed.take(offset, value, stamp)
    feeds, watched = [], {}
    for source in sources:
        log = opened(str(source.topic))
        found = log.describe()
        partitions, watched[log] = range(found.partitions), found.partitions
        for partition, low in log.lows(partitions).items():
            at, done = resumed.place(source.name, partition)
            if (at is None and first > 0) or (at is not None and at < low):
                raise Refusal(
                    f"source {source.name!r}: retention ate what comes next of it, in {topic!r} or its own topic; "
                    "fix: name a fresh --topic, and keep both for longer than a stop lasts"
                )
            own = log if partition == 0 else opened(log.topic)
            own.following.watch = log.following.watch
            _know(source, own, resumed.last(source.name, partition), found.topic_id)
            feeds.append(live.Feed(source, partition, own, low if at is None else at, done, found.topic_id))
    for feed in feeds:
        feed.log.assign({feed.partition: feed.next})
    return feeds, _Watched(watched), resumed


def _know(source: mapped.MappedSource, log: KafkaLog, last: live.Stamp | None, topic_id: str) -> None:
    """Refuse a topic that is not the one which was followed before."""
    if last is None or not last.record:  # an older version did not say
        return
    if last.topic_id != topic_id:
        raise Refusal(
            f"source {source.name!r}: topic {log.topic!r} was deleted and made anew (its id is {topic_id}, was "
            f"{last.topic_id}); fix: name a fresh --topic"
        )
    log.following.begin_after({last.partition: Mark(last.offset, last.record, -1)})
