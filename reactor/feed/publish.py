"""The publisher: fills a topic with an archive's lines as they are, and never judges them.

Line n of an archive published to a fresh one-partition topic is offset n. A topic that already holds records is gone
on with where they equal the archive's first lines. With several partitions the stream, as the key, picks one.
See docs/design/feeds.md.
"""

import hashlib
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from journal.refusal import Refusal
from reactor.evaluate.record import Decoder, Fault, Scan
from reactor.log.archive import Cut, lines
from reactor.log.kafka import KafkaLog, NotAlone
from reactor.log.outlet import KafkaWriter

BLOCK: Final = 4_096  # records between two digests of what a topic holds
_STEP: Final = 1_000  # lines between two reports of progress
_WAIT_S: Final = (0.005, 0.5)  # least and most at a time: below a millisecond the client would not wait, but spin


def publish(
    path: Path, writer: KafkaWriter, log: KafkaLog, partitions: int, *,
    pace: float | None = None, on_line: Callable[[int], None] = lambda n: None,
) -> tuple[int, int]:  # fmt: skip
    """Publish what the topic lacks; returns (lines, of which were there already).

    Args:
        path: the archive.
        writer: of the topic.
        log: the topic's records, to compare.
        partitions: how many it has.
        pace: seconds of event time a second, None for at once.
        on_line: called with the number of lines now and then.

    Raises:
        Refusal: the topic holds something else than the archive's first lines, or somebody else writes to it.
    """
    there = _records(log, partitions)
    _compare(path, log, there)
    counts = [held.count for held in there]
    writer.expect(dict(enumerate(counts)))
    try:
        return fill(path, writer, counts, pace=pace, on_line=on_line)
    except NotAlone as error:
        raise Refusal(
            f"{error}: lines of the archive lie behind it, out of their places; fix: end the other writer, and publish "
            "to a fresh topic"
        ) from error


def fill(
    path: Path, writer: KafkaWriter, there: Sequence[int], *,
    pace: float | None = None, paced_from: int = 0, on_line: Callable[[int], None] = lambda n: None,
) -> tuple[int, int]:  # fmt: skip
    """Publish the lines that follow those that are there; returns (lines, of which were there already).

    Args:
        path: the archive.
        writer: of the topic.
        there: how many records each partition holds.
        pace: seconds of event time a second, None for at once.
        paced_from: lines before this one never wait.
        on_line: called with the number of lines now and then.
    """
    total, skipped, wait = 0, 0, _Pace(pace)
    for total, partition, offset, line, key, ts_ms in _placed(path, len(there)):
        if offset < there[partition]:
            skipped += 1
            continue
        if ts_ms is not None and total > paced_from:
            wait(ts_ms, writer)
        writer.write(line, key, partition)
        if total % _STEP == 0:
            on_line(total)
    writer.flush()
    on_line(total)
    return total, skipped


class _Pace:
    """Waits so that event time, as the running maximum of the scans', passes at a fixed factor."""

    def __init__(self, factor: float | None) -> None:
        self._factor = factor
        self._began = 0.0
        self._first_ms = 0
        self._latest_ms = 0

    def __call__(self, ts_ms: int, writer: KafkaWriter) -> None:
        if self._factor is None:
            return
        if not self._first_ms:
            self._began, self._first_ms = time.monotonic(), ts_ms
        self._latest_ms = max(self._latest_ms, ts_ms)
        due = self._began + (self._latest_ms - self._first_ms) / 1e3 / self._factor
        while (left := due - time.monotonic()) > 0:
            writer.serve(min(max(left, _WAIT_S[0]), _WAIT_S[1]))


class _Placed(NamedTuple):
    """A line with its number from 1, its place, its key (the stream where it decodes), and the event time of a scan."""

    number: int
    partition: int
    offset: int
    line: bytes | Cut
    key: bytes | None
    ts_ms: int | None


def _placed(path: Path, partitions: int) -> Iterator[_Placed]:
    decode, counts = Decoder().decode, [0] * partitions
    for number, line in enumerate(lines(path), 1):
        record = None if isinstance(line, Cut) else decode(line)
        key = None if record is None or isinstance(record, Fault) else record.stream.encode()
        partition = zlib.crc32(key or b"") % partitions
        yield _Placed(
            number, partition, counts[partition], line, key, record.ts_ms if isinstance(record, Scan) else None
        )
        counts[partition] += 1


def _text(line: bytes | Cut | None) -> bytes:
    return f"{line.length} {line.digest}".encode() if isinstance(line, Cut) else line or b""


class _Chain:
    """What a partition holds, in the memory of one digest a block, whatever the topic's length."""

    def __init__(self) -> None:
        self.count, self.marks = 0, list[bytes]()
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, line: bytes | Cut | None) -> None:
        text = _text(line)
        self._hash.update(len(text).to_bytes(8))
        self._hash.update(text)
        self.count += 1
        if self.count % BLOCK == 0:
            self.marks.append(self.now())

    def now(self) -> bytes:
        """The digest of all records so far."""
        return self._hash.digest()

    def after(self, count: int) -> bytes | None:
        """The digest of the first records, where it was kept: at the end and after each block."""
        if count == self.count:
            return self.now()
        return self.marks[count // BLOCK - 1] if count % BLOCK == 0 and 0 < count < self.count else None


def _records(log: KafkaLog, partitions: int) -> list[_Chain]:
    """What the topic holds, by partition."""
    low = {p: at for p, at in log.lows(range(partitions)).items() if at > 0}
    if low:
        raise Refusal(f"topic {log.topic!r} lost its first records {low}; fix: publish to a fresh topic")
    there = [_Chain() for _ in range(partitions)]
    for partition, end in log.ends(range(partitions)).items():
        for line in _range(log, partition, 0, end):
            there[partition].add(line)
    return there


def _range(log: KafkaLog, partition: int, first: int, end: int) -> Iterator[bytes | Cut | None]:
    for chunk in log.range(partition, first, end):
        for offset, value in zip(chunk.offsets, chunk.values, strict=True):
            cut = chunk.cut.get(offset)
            yield Cut(b"", *cut) if cut else value


def _compare(path: Path, log: KafkaLog, there: list[_Chain]) -> None:
    """Refuse where the records there are not the archive's first lines."""
    if not any(held.count for held in there):
        return
    ours = [_Chain() for _ in there]
    blocks: list[list[tuple[int, bytes]]] = [[] for _ in there]  # number and text of the lines since the last digest
    for number, partition, at, line, _, _ in _placed(path, len(there)):
        if at >= there[partition].count:
            continue
        ours[partition].add(line)
        blocks[partition].append((number, _text(line)))
        if (digest := there[partition].after(at + 1)) is None:
            continue
        if digest != ours[partition].now():
            raise _other(log, partition, at + 1, blocks[partition])
        blocks[partition].clear()
    if any(mine.count < held.count for mine, held in zip(ours, there, strict=True)):
        raise Refusal("the topic holds more records than the archive has lines; fix: publish to a fresh topic")


def _other(log: KafkaLog, partition: int, end: int, block: list[tuple[int, bytes]]) -> Refusal:
    """The refusal of the first record of a block that is not the archive's."""
    first = end - len(block)
    pairs = enumerate(zip(block, map(_text, _range(log, partition, first, end)), strict=False), first)
    at, number = next((at, number) for at, ((number, mine), theirs) in pairs if mine != theirs)
    return Refusal(
        f"partition {partition} holds another record than the archive at offset {at} (line {number}); "
        "fix: publish to a fresh topic, or name the archive that was begun there"
    )
