"""A chunk: records of one partition as bytes, in offset order."""

from dataclasses import dataclass, field


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
