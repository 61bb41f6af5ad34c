"""A chunk: records of one partition in offset order, as bytes, or typed where they come from stored columns."""

from dataclasses import dataclass, field

from reactor.evaluate.record import Plane, Scan


@dataclass(slots=True)
class Chunk:
    """Records of one partition in offset order.

    cut: (length, SHA-256) of a line that was cut, by offset. typed: records that are no bytes to be decoded, by offset;
    their values are None.
    """

    partition: int
    offsets: list[int]
    values: list[bytes | None]
    cut: dict[int, tuple[int, str]] = field(default_factory=dict)
    typed: dict[int, Scan | Plane] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    def split(self, at: int) -> tuple["Chunk", "Chunk"]:
        """The first `at` records, and the rest."""
        if at >= len(self):
            return self, Chunk(self.partition, [], [])
        head = Chunk(self.partition, self.offsets[:at], self.values[:at])
        tail = Chunk(self.partition, self.offsets[at:], self.values[at:])
        for offset, known in self.cut.items():
            (head if offset < tail.offsets[0] else tail).cut[offset] = known
        head.typed = tail.typed = self.typed
        return head, tail

    def extend(self, other: "Chunk") -> None:
        """Append later records of the same partition."""
        self.offsets += other.offsets
        self.values += other.values
        self.cut |= other.cut
        self.typed = self.typed | other.typed
