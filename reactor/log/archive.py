"""Scan archives: one record a line, `.jsonl`, optionally `.zst`.

Lines come as they are, empty and malformed ones too; a line over MAX_BYTES comes cut, with its length and digest.
Memory is bounded whatever the line. See docs/design/records.md.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from journal.refusal import Refusal
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import CUT_BYTES, MAX_BYTES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a line that is too long for a broker."""

    head: bytes
    length: int
    digest: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Which archive: SHA-256 of the file, and its count of lines."""

    sha256: str
    lines: int


def lines(path: Path) -> Iterator[bytes | Cut]:
    """The lines of an archive in order, without their line feeds; a line over MAX_BYTES as a Cut.

    Raises:
        Refusal: the file cannot be read, or is no whole .zst file.
    """
    with reading(path) as stream:
        yield from _split(stream)


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """The content of a file, unpacked where it ends in .zst.

    Raises:
        Refusal: the file cannot be read, or is no whole .zst file.
    """
    try:
        with _open(path) as stream:
            yield stream
    except (OSError, zstd.ZstdError, EOFError) as error:
        raise Refusal(f"archive {path} cannot be read ({error}); fix: name a whole .jsonl or .jsonl.zst file") from None


def identity(path: Path) -> Identity:
    """Identity of an archive. Reads the whole file, which also proves that it can be read."""
    digest = hashlib.sha256()
    count = sum(1 for _ in lines(path))
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return Identity(digest.hexdigest(), count)


def chunks(path: Path, size: int, first: int = 0) -> Iterator[Chunk]:
    """An archive as the log that it becomes: line n is offset n of partition 0.

    Args:
        path: the archive.
        size: records of a chunk, at most.
        first: offset to begin at.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "scans.jsonl")
    ...     _ = path.write_bytes(b"{}" + bytes([10]) + b"[]" + bytes([10]))
    ...     [(chunk.offsets, chunk.values) for chunk in chunks(path, size=16)]
    [([0, 1], [b'{}', b'[]'])]
    """
    chunk = Chunk(0, [], [])
    for offset, line in enumerate(lines(path)):
        if offset < first:
            continue
        chunk.offsets.append(offset)
        if isinstance(line, Cut):
            chunk.values.append(line.head)
            chunk.cut[offset] = (line.length, line.digest)
        else:
            chunk.values.append(line)
        if len(chunk) == size:
            yield chunk
            chunk = Chunk(0, [], [])
    if len(chunk):
        yield chunk


def ranges(path: Path, size: int = 16_384) -> Callable[[int, int, int], Iterator[Chunk]]:
    """Reads ranges [first, end) of an archive as its log's partition 0."""

    def read(_: int, first: int, end: int) -> Iterator[Chunk]:
        for chunk in chunks(path, size, first):
            head, _rest = chunk.split(max(0, min(len(chunk), end - chunk.offsets[0])))
            if not len(head):
                return
            yield head

    return read


def packed(file: BinaryIO) -> BinaryIO:
    """A writer that puts zstd into a file, and leaves it open."""
    return cast(BinaryIO, zstd.open(file, "wb"))


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, zstd.open(path, "rb")) if path.suffix == ".zst" else path.open("rb")


def _split(stream: BinaryIO) -> Iterator[bytes | Cut]:
    rest, long = b"", None
    while block := stream.read(_BLOCK):
        if long is not None:
            part, feed, block = block.partition(b"\n")
            long.add(part)
            if not feed:
                continue
            yield long.cut()
            long = None
        parts = (rest + block).split(b"\n")
        rest = parts.pop()
        for line in parts:
            yield line if len(line) <= MAX_BYTES else _Long(line).cut()
        if len(rest) > MAX_BYTES:
            rest, long = b"", _Long(rest)
    if long is not None:
        yield long.cut()
    elif rest:
        yield rest


class _Long:
    """A line that is read to its end without being kept."""

    def __init__(self, start: bytes) -> None:
        self._head, self._length, self._digest = start[:CUT_BYTES], len(start), hashlib.sha256(start)

    def add(self, part: bytes) -> None:
        self._length += len(part)
        self._digest.update(part)

    def cut(self) -> Cut:
        return Cut(self._head, self._length, self._digest.hexdigest())
