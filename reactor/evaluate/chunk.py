"""A chunk: records of one partition in offset order, as bytes, or typed where they come from stored columns."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reactor.evaluate.record import CUT_BYTES, DIGEST_HEADER, LENGTH_HEADER, MAX_BYTES, Plane, Scan

_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_DIGEST: Final = re.compile(rb"[0-9a-f]{64}")


@dataclass(slots=True)
class Chunk:
    """Records of one partition in offset order.

    cut: (length, SHA-256) of a line that was cut, by offset; see `cut_of`. typed: records that are no bytes to be
    decoded, by offset; their values are None. epoch: of the broker's leader who wrote them; -1 where it is unknown or
    not the same of all.
    """

    partition: int
    offsets: list[int]
    values: list[bytes | None]
    cut: dict[int, tuple[int, str]] = field(default_factory=dict)
    typed: dict[int, Scan | Plane] = field(default_factory=dict)
    epoch: int = -1

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def size(self) -> int:
        """Bytes of its records."""
        return sum(map(len, filter(None, self.values)))

    def split(self, at: int) -> tuple["Chunk", "Chunk"]:
        """The first `at` records, and the rest."""
        if at >= len(self):
            return self, Chunk(self.partition, [], [])
        head = Chunk(self.partition, self.offsets[:at], self.values[:at])
        tail = Chunk(self.partition, self.offsets[at:], self.values[at:])
        for offset, known in self.cut.items():
            (head if offset < tail.offsets[0] else tail).cut[offset] = known
        head.typed = tail.typed = self.typed
        head.epoch = tail.epoch = self.epoch
        return head, tail

    def extend(self, other: "Chunk") -> None:
        """Append later records of the same partition."""
        self.epoch = other.epoch if self.epoch == other.epoch or not self.offsets else -1
        self.offsets += other.offsets
        self.values += other.values
        self.cut |= other.cut
        self.typed = self.typed | other.typed


def cut_of(
    value: bytes | None, headers: Mapping[str, Any] | Iterable[tuple[str, Any]] | None
) -> tuple[int, str] | None:
    """Length in bytes and SHA-256 of the line that a publisher cut to this record; None where it did not cut it.

    Anybody may write such headers. Where they say what no publisher of ours says, the record was cut and nobody knows
    of what: then these are the record's own length and SHA-256.

    Args:
        value: the record's bytes.
        headers: the record's, name and value.
    """
    if value is None or len(value) != CUT_BYTES:
        return None
    found = dict(headers or ())
    if LENGTH_HEADER not in found or DIGEST_HEADER not in found:
        return None
    length, digest = (bytes(found[name] or b"") for name in (LENGTH_HEADER, DIGEST_HEADER))
    if _LENGTH.fullmatch(length) and int(length) > MAX_BYTES and _DIGEST.fullmatch(digest):
        return int(length), digest.decode()
    return len(value), hashlib.sha256(value).hexdigest()
