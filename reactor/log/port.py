"""The Log port: where records come from, in offset order, and how far the log goes.

Adapters: kafka.py (a broker, embedded or not), archive.py (a file), memory.py (a list).
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Chunk:
    """Records of one partition in offset order. `cut` maps an offset to (length, SHA-256) of a line that was cut."""

    partition: int
    offsets: list[int]
    values: list[bytes | None]
    cut: dict[int, tuple[int, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    def split(self, at: int) -> tuple["Chunk", "Chunk"]:
        """The first `at` records, and the rest."""
        if at >= len(self):
            return self, Chunk(self.partition, [], [])
        head = Chunk(self.partition, self.offsets[:at], self.values[:at])
        tail = Chunk(self.partition, self.offsets[at:], self.values[at:])
        for offset, known in self.cut.items():
            (head if head.offsets and offset <= head.offsets[-1] else tail).cut[offset] = known
        return head, tail

    def extend(self, other: "Chunk") -> None:
        """Append later records of the same partition."""
        self.offsets += other.offsets
        self.values += other.values
        self.cut |= other.cut


class Log(Protocol):
    """A log of records by partition and offset."""

    def assign(self, positions: dict[int, int]) -> None:
        """Read these partitions from these offsets on."""

    def poll(self, limit: int, timeout_s: float) -> list[Chunk]:
        """Records that have come, at most `limit`; empty after the time-out."""

    def reached(self) -> dict[int, int]:
        """Offsets before which, as of now, nothing more will be delivered, by partition."""

    def commit(self, positions: dict[int, int]) -> None:
        """Tell the log how far the journal is. A courtesy: nothing depends on it."""

    def close(self) -> None:
        """Let go of connections."""
