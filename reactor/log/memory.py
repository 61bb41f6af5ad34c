"""A log in memory: what a broker is to a reactor, as a list of records for each partition.

For tests, notebooks and rehearsals. `skip` leaves a gap, as control, aborted and compacted records do.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from reactor.evaluate.chunk import Chunk
from reactor.log.archive import Cut


@dataclass(slots=True)
class _Partition:
    """Delivered offsets, their records, and the offset that the next one gets."""

    offsets: list[int] = field(default_factory=list)
    values: list[bytes | Cut | None] = field(default_factory=list)
    end: int = 0


class MemoryLog:
    """Records of some partitions. It may be written while it is read.

    >>> log = MemoryLog([b"first", b"second"])
    >>> log.assign({0: 1})
    >>> log.append(b"third")
    2
    >>> [(chunk.offsets, chunk.values) for chunk in log.poll(limit=10, timeout_s=0.0)]
    [([1, 2], [b'second', b'third'])]
    """

    def __init__(self, records: Iterable[bytes | Cut | None] = (), partitions: int = 1) -> None:
        """A log with these records.

        Args:
            records: of partition 0, from offset 0; None is a tombstone.
            partitions: how many there are.
        """
        self._partitions = [_Partition() for _ in range(partitions)]
        self._positions: dict[int, int] = {}
        self._left: set[int] = set()
        self._written = threading.Condition()
        self.committed: dict[int, int] = {}
        self.closed = False
        for record in records:
            self.append(record)

    def append(self, record: bytes | Cut | None, partition: int = 0) -> int:
        """Write one record; returns its offset. None is a tombstone."""
        with self._written:
            at = self._partitions[partition]
            at.offsets.append(at.end)
            at.values.append(record)
            at.end += 1
            self._written.notify_all()
            return at.end - 1

    def skip(self, count: int, partition: int = 0) -> None:
        """Use up offsets without a record."""
        with self._written:
            self._partitions[partition].end += count
            self._written.notify_all()

    def assign(self, positions: dict[int, int]) -> None:
        """Read these partitions from these offsets on."""
        self._positions, self._left = dict(positions), set()

    def poll(self, limit: int, timeout_s: float) -> list[Chunk]:
        """Records that have come, at most `limit`; empty after the time-out."""
        with self._written:
            chunks = self._take(limit)
            if not chunks and timeout_s > 0.0:
                self._written.wait(timeout_s)
                chunks = self._take(limit)
            return chunks

    def reached(self) -> dict[int, int]:
        """Ends of the partitions that are read to their ends, gaps there included."""
        with self._written:
            read = [(p, position, self._partitions[p]) for p, position in self._positions.items()]
            return {p: at.end for p, position, at in read if not at.offsets or position > at.offsets[-1]}

    def leave(self, partition: int) -> None:
        """Read no more of a partition."""
        self._left.add(partition)

    def range(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        """Records of a range of offsets."""
        with self._written:
            chunk = self._chunk(partition, first, end, len(self._partitions[partition].offsets))
        if len(chunk):
            yield chunk

    def commit(self, positions: dict[int, int]) -> None:
        """Remember how far the journal is."""
        self.committed |= positions

    def close(self) -> None:
        """Nothing to let go of."""
        self.closed = True

    def _take(self, limit: int) -> list[Chunk]:
        chunks = []
        for partition, first in self._positions.items():
            end = first if partition in self._left else self._partitions[partition].end
            chunk = self._chunk(partition, first, end, limit)
            if len(chunk):
                self._positions[partition] = chunk.offsets[-1] + 1
                limit -= len(chunk)
                chunks.append(chunk)
        return chunks

    def _chunk(self, partition: int, first: int, end: int, limit: int) -> Chunk:
        at = self._partitions[partition]
        low = bisect_left(at.offsets, first)
        some = slice(low, min(bisect_left(at.offsets, end), low + limit))
        chunk = Chunk(partition, at.offsets[some], [])
        for offset, record in zip(chunk.offsets, at.values[some], strict=True):
            if isinstance(record, Cut):
                chunk.cut[offset] = (record.length, record.digest)
            chunk.values.append(record.head if isinstance(record, Cut) else record)
        return chunk
