"""The publisher: fills a topic with an archive's lines as they are, and never judges them.

Line n of an archive published to a fresh one-partition topic is offset n. A topic that already holds records is gone
on with where they equal the archive's first lines. With several partitions the stream, as the key, picks one.
See docs/design/feeds.md.
"""

import hashlib
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from journal.refusal import Refusal
from reactor.evaluate.record import Decoder, Fault, Scan
from reactor.log.archive import Cut, lines
from reactor.log.kafka import KafkaLog, NotAlone
from reactor.log.outlet import KafkaWriter

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
    _compare(path, there, partitions)
    writer.expect({partition: len(held) for partition, held in enumerate(there)})
    try:
        return fill(path, writer, there, pace=pace, on_line=on_line)
    except NotAlone as error:
        raise Refusal(
            f"{error}: lines of the archive lie behind it, out of their places; fix: end the other writer, and publish "
            "to a fresh topic"
        ) from error


def fill(
    path: Path, writer: KafkaWriter, there: list[list[bytes]], *,
    pace: float | None = None, paced_from: int = 0, on_line: Callable[[int], None] = lambda n: None,
) -> tuple[int, int]:  # fmt: skip
    """Publish the lines that follow those in `there`; returns (lines, of which were there already).

    Args:
        path: the archive.
        writer: of the topic.
        there: for each partition the digests of the records that it holds.
        pace: seconds of event time a second, None for at once.
        paced_from: lines before this one never wait.
        on_line: called with the number of lines now and then.
    """
    total, skipped, wait = 0, 0, _Pace(pace)
    for total, partition, offset, line, key, ts_ms in _placed(path, len(there)):
        if offset < len(there[partition]):
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


def _digest(line: bytes | Cut | None) -> bytes:
    text = f"{line.length} {line.digest}".encode() if isinstance(line, Cut) else line or b""
    return hashlib.blake2b(text, digest_size=16).digest()


def _records(log: KafkaLog, partitions: int) -> list[list[bytes]]:
    """Digests of the records that the topic holds, by partition."""
    low = {p: at for p, at in log.lows(range(partitions)).items() if at > 0}
    if low:
        raise Refusal(f"topic {log.topic!r} lost its first records {low}; fix: publish to a fresh topic")
    there: list[list[bytes]] = [[] for _ in range(partitions)]
    for partition, end in log.ends(range(partitions)).items():
        for chunk in log.range(partition, 0, end):
            for offset, value in zip(chunk.offsets, chunk.values, strict=True):
                cut = chunk.cut.get(offset)
                there[partition].append(_digest(Cut(b"", *cut) if cut else value))
    return there


def _compare(path: Path, there: list[list[bytes]], partitions: int) -> None:
    """Refuse where the records there are not the archive's first lines."""
    if not any(there):
        return
    counts = [0] * partitions
    for number, partition, at, line, _, _ in _placed(path, partitions):
        counts[partition] = at + 1
        if at < len(there[partition]) and there[partition][at] != _digest(line):
            raise Refusal(
                f"partition {partition} holds another record than the archive at offset {at} (line {number}); "
                "fix: publish to a fresh topic, or name the archive that was begun there"
            )
    if any(len(held) > count for held, count in zip(there, counts, strict=True)):
        raise Refusal("the topic holds more records than the archive has lines; fix: publish to a fresh topic")
