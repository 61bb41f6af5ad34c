"""Sequence: foreign scan and plane feeds, by a mapping, become the one ordered log.

The rule: by event time, then the rank of the source (its place in the mapping), then the row's position in its source.
It is a total order, so the log is the same bytes whatever is read first and however much at a time.
Every source is read once into sorted runs on disk (a sorted source is one run), and the runs are merged: memory is
bounded by BUFFER_BYTES, disk by the records' own size. Every record is decoded as the reactor will; a row that does not
map, or whose record the reactor would reject, is refused with its line, or set aside with its line and text.
See docs/design/feeds.md.
"""

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final

import msgspec

from journal.refusal import Refusal
from lanes.code import Reject
from reactor.evaluate.record import Decoder, Fault
from reactor.feed.archive_writer import encode
from reactor.feed.convert import BadRow
from reactor.feed.mapped import MappedSource
from reactor.feed.table import Row

BUFFER_BYTES: Final = 32 << 20  # of lines that are sorted at once
RUNS_MAX: Final = 64  # runs of a source before they become one; each is an open file
_SLOT_BYTES: Final = 200  # about what a line costs beside its bytes
_HEAD: Final = struct.Struct("<qqI")
_MAPS: Final = ("prices", "irp")
_decode: Final = msgspec.json.Decoder().decode

Item = tuple[int, int, int, bytes]  # event time, rank, position, line
Rows = Callable[[MappedSource], Iterator[Row]]
Enrich = Callable[[dict[str, Any]], dict[str, Any]]  # a scan -> the scan with what it lacked, in log order

_FIXES: Final = {
    Reject.BAD_NAME: 'fix: map names that match; `unit = "pair"` makes BTCUSDT of BTC/USDT:USDT',
    Reject.OUT_OF_RANGE: "fix: map the field that has this meaning, or give `scale`",
}


@dataclass(slots=True)
class Bad:
    """A row that is not in the log: where it is, why, its text, and what `line` counts."""

    source: str
    line: int
    said: str
    raw: bytes
    unit: str = "line"

    @property
    def place(self) -> str:
        """Where it is in its file."""
        return f"{self.unit} {self.line}"


@dataclass(slots=True)
class Tally:
    """What came of one source. left_out: entries of maps, not rows."""

    rows: int = 0
    records: int = 0
    passed_over: int = 0
    set_aside: int = 0
    backwards: int = 0
    first_ms: int = 0
    last_ms: int = 0
    first_bad: str = ""
    left_out: int = 0
    first_left_out: str = ""


@dataclass(slots=True)
class Sequencer:
    """Rows to items, one source at a time. on_bad: what is done with a row that is not in the log."""

    on_bad: Callable[[Bad], None]
    decoder: Decoder = field(default_factory=Decoder)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def items(self, source: MappedSource, rows: Iterable[Row]) -> Iterator[Item]:
        """The records of a source, in its own order."""
        tally = self.tallies[source.name] = Tally()
        before = 0
        for row in rows:
            item = self.item(source, row, tally)
            if item is not None:
                tally.backwards += item[0] < before
                before = item[0]
                yield item

    def item(self, source: MappedSource, row: Row, tally: Tally) -> Item | None:
        """One row's record, or None where it is passed over or bad."""
        tally.rows += 1
        try:
            if row.fault:
                raise BadRow(f"{row.fault}; fix: repair the row")
            if not source.takes(row.fields):
                tally.passed_over += 1
                return None
            found = source(row.fields)
            self._count(source, row, tally)
            if found is None:
                return None
            fields = record(source, found)
            line = encode(fields)
            self.check(line)
        except BadRow as bad:
            self._bad(source, row, str(bad))
            return None
        except (OverflowError, UnicodeEncodeError, RecursionError) as error:
            self._bad(source, row, f"a value cannot be written as JSON: {error}; fix: repair the row")
            return None
        ts_ms: int = fields["ts_ms"]
        tally.records += 1
        tally.first_ms = min(tally.first_ms or ts_ms, ts_ms)
        tally.last_ms = max(tally.last_ms, ts_ms)
        return ts_ms, source.rank, row.line, line

    def check(self, line: bytes) -> None:
        """Raise BadRow where the reactor would reject the record."""
        found = self.decoder.decode(line)
        if isinstance(found, Fault):
            fix = _FIXES.get(found.code, "fix: repair the row")
            raise BadRow(f"the reactor would reject it, {found.code.name}: {found.detail}; {fix}")

    def grouped(self, source: MappedSource, items: Iterable[Item]) -> Iterator[Item]:
        """Scans of one stream and time become one, where the source has a row a symbol."""
        if not source.group:
            yield from items
            return
        for _, same in groupby(items, itemgetter(0)):
            streams: dict[str, list[tuple[Item, dict[str, Any]]]] = {}
            for item in same:
                scan = _decode(item[3])
                streams.setdefault(scan["stream"], []).append((item, scan))
            for scans in streams.values():
                self.tallies[source.name].records -= len(scans) - 1
                whole = self._joined(source, scans)
                # Symbols ascend, so that a scan is the same bytes however its rows lie.
                maps = {name: dict(sorted(whole[name].items())) for name in ("prices", "irp") if name in whole}
                yield (*scans[0][0][:3], encode(whole | maps))

    def _joined(self, source: MappedSource, scans: list[tuple[Item, dict[str, Any]]]) -> dict[str, Any]:
        """The rows of one scan as one; those that do not go with the ones before them are bad."""
        whole = _copy(scans[0][1])
        kept = []
        for item, scan in scans[1:]:
            try:
                _join(whole, scan)
                kept.append((item, scan))
            except BadRow as bad:
                self._bad(source, Row(item[2], {}, "", item[3]), str(bad))
        try:
            self.check(encode(whole))
            return whole
        except BadRow:  # together they are too much for a record; which row is it that is one too many?
            whole = scans[0][1]
        for item, scan in kept:
            try:
                joined = _copy(whole)
                _join(joined, scan)
                self.check(encode(joined))
                whole = joined
            except BadRow as bad:
                self._bad(source, Row(item[2], {}, "", item[3]), str(bad))
        return whole

    @staticmethod
    def _count(source: MappedSource, row: Row, tally: Tally) -> None:
        if source.left_out:
            tally.left_out += len(source.left_out)
            tally.first_left_out = tally.first_left_out or f"{row.place}: {source.left_out[0]}"

    def _bad(self, source: MappedSource, row: Row, said: str) -> None:
        tally = self.tallies[source.name]
        tally.set_aside += 1
        tally.first_bad = tally.first_bad or f"{row.place}: {said}"
        self.on_bad(Bad(source.name, row.line, said, row.raw, row.unit))


def record(source: MappedSource, found: dict[str, Any]) -> dict[str, Any]:
    """Mapped fields as a record. A scan without an id has its time as id, a plane without a seq likewise.

    Args:
        source: whose fields they are.
        found: ours -> value; it is used up.
    """
    ts_ms = found.pop("ts_ms")
    out: dict[str, Any] = {"v": 1, "kind": "scan", "stream": found.pop("stream")}
    if source.feeds != "scan":
        out |= {"kind": "plane", "name": source.feeds, "seq": found.pop("seq", ts_ms), "ts_ms": ts_ms}
        return out | {"value": found}
    context = {name.removeprefix("context."): found.pop(name) for name in list(found) if name.startswith("context.")}
    out |= {"scan_id": found.pop("scan_id", ts_ms), "ts_ms": ts_ms, **found}
    return out | {"context": context} if context else out


def log(
    sources: Sequence[MappedSource], rows: Rows, sequencer: Sequencer, folder: Path,
    enricher: Enrich | None = None, *, buffer_bytes: int = BUFFER_BYTES,
) -> Iterator[bytes]:  # fmt: skip
    """The lines of the log, by event time, then rank of the source, then place in it.

    Args:
        sources: read in this order; only their ranks decide.
        rows: gives a source's rows.
        sequencer: maps them, and counts.
        folder: for the sorted runs; their files have no names there.
        enricher: computes what scans lack, or None.
        buffer_bytes: of one run in memory.

    Raises:
        Refusal: a source cannot be right.
    """
    with ExitStack() as stack:
        merged = []
        for source in sources:
            runs = _Runs(folder, source.rank, buffer_bytes)
            stack.callback(runs.close)
            for item in sequencer.items(source, rows(source)):
                runs.add(item)
            runs.spill()
            _check_source(source, sequencer.tallies[source.name])
            merged.append(sequencer.grouped(source, runs.items()))
        for item in heapq.merge(*merged):
            line = item[3]
            yield enriched(enricher, line) if enricher is not None else line


def enriched(enricher: Enrich, line: bytes) -> bytes:
    """The line with what its scan lacked."""
    found = _decode(line)
    return encode(enricher(found)) if found["kind"] == "scan" else line


def notes(sources: Sequence[MappedSource], tallies: dict[str, Tally]) -> list[str]:
    """Doubts for people: sources whose times do not meet those of the scans, and fields without a value."""
    scans = [tallies[s.name] for s in sources if s.feeds == "scan" and tallies[s.name].records]
    if not scans:
        lacks = "no row became a scan" if any(s.feeds == "scan" for s in sources) else "no source feeds scans"
        return [f"{lacks}; a soak of this log decides nothing"]
    first, last = min(t.first_ms for t in scans), max(t.last_ms for t in scans)
    out = []
    for source in sources:
        tally = tallies[source.name]
        if source.feeds != "scan" and tally.records and not (tally.first_ms <= last and tally.last_ms >= first):
            side = "after" if tally.first_ms > last else "before"
            out.append(f"all of {source.name!r} lies {side} the scans; look at its unit and its zone")
        if tally.records and (never := source.never_filled()):
            out.append(f"no row of {source.name!r} has a value for {', '.join(never)}")
    return out


def _check_source(source: MappedSource, tally: Tally) -> None:
    """Refuse a source that gave nothing, or a mapped field that no row had."""
    if not tally.records:
        raise Refusal(f"source {source.name!r}: {nothing(tally)}")
    if tally.records and (never := source.never_found()):
        raise Refusal(
            f"source {source.name!r}: no row has what fields.{never[0]} is mapped to; "
            "fix: correct the path (--dry-run shows what is unmapped), or drop the line"
        )


def nothing(tally: Tally) -> str:
    """Why no record came of a source, and the fix."""
    if tally.set_aside:
        return (
            f"none of its {tally.rows} rows fits ({tally.set_aside} do not, {tally.passed_over} passed over), "
            f"the first is {tally.first_bad}"
        )
    if tally.left_out:
        return f"no row has an entry that fits, the first is {tally.first_left_out}; fix: mend the paths of the map"
    return (
        f"`where` and `skip_without` pass over all of its {tally.rows} rows; fix: correct them, or leave the source out"
    )


def _copy(scan: dict[str, Any]) -> dict[str, Any]:
    return {name: dict(value) if name in _MAPS else value for name, value in scan.items()}


def _join(whole: dict[str, Any], more: dict[str, Any]) -> None:
    """Put another row of a scan into it, or nothing of it; the same thing said twice must be the same."""
    for name, value in more.items():
        if name in _MAPS and name in whole:
            for symbol, theirs in value.items():
                if whole[name].get(symbol, theirs) != theirs:
                    raise BadRow(
                        f"{symbol} has two {name} at one time, {whole[name][symbol]} and {theirs}; fix: keep one"
                    )
        elif whole.get(name, value) != value:
            raise BadRow(
                f"{name} is {whole[name]} and {value} in the rows of one scan; fix: map `stream` so that each has a "
                "scan of its own, or leave the field out"
            )
    for name, value in more.items():
        if name in _MAPS and name in whole:
            whole[name].update(value)
        else:
            whole[name] = dict(value) if name in _MAPS else value


class _Runs:
    """The items of one source as sorted runs on disk."""

    def __init__(self, folder: Path, rank: int, buffer_bytes: int) -> None:
        self._folder, self._rank, self._limit = folder, rank, buffer_bytes
        self._held: list[Item] = []
        self._bytes = 0
        self._files: list[BinaryIO] = []
        self._last: tuple[int, int, int] = (0, 0, 0)

    def add(self, item: Item) -> None:
        self._held.append(item)
        self._bytes += len(item[3]) + _SLOT_BYTES
        if self._bytes >= self._limit:
            self.spill()

    def spill(self) -> None:
        """Write what is held: after the last run where it follows it, else as a run of its own."""
        if not self._held:
            return
        self._held.sort()
        if not self._files or self._held[0][:3] < self._last:
            if len(self._files) >= RUNS_MAX:
                whole = self._create()
                _write(whole, self.items())
                self.close()
                self._files = [whole]
            self._files.append(self._create())
        _write(self._files[-1], self._held)
        self._last = self._held[-1][:3]
        self._held, self._bytes = [], 0

    def items(self) -> Iterator[Item]:
        """All of them in order; once what is held was spilled."""
        return heapq.merge(*(self._read(file) for file in self._files))

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files = []

    def _create(self) -> BinaryIO:
        return TemporaryFile(dir=self._folder)

    def _read(self, file: BinaryIO) -> Iterator[Item]:
        file.seek(0)
        while head := file.read(_HEAD.size):
            ts_ms, position, length = _HEAD.unpack(head)
            yield ts_ms, self._rank, position, file.read(length)


def _write(file: BinaryIO, items: Iterable[Item]) -> None:
    for ts_ms, _, position, line in items:
        file.write(_HEAD.pack(ts_ms, position, len(line)))
        file.write(line)
