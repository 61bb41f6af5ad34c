"""Scan archives: one record a line of JSON, plain or packed.

Lines come as they are, empty and malformed ones too; a line over MAX_BYTES comes cut, with its length and digest.
Memory is bounded whatever the line. See docs/design/records.md.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from journal.refusal import Integrity, Refusal
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import CUT_BYTES, MAX_BYTES
from reactor.log.container import Kind, opened, zstd

_BLOCK: Final = 1 << 20
CHUNK_BYTES: Final = 64 << 20  # of lines in a chunk: 16,384 of the longest ones would be 14 GiB
_REST: Final = 50  # times as long as a hash took until the next one


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a line that is too long for a broker."""

    head: bytes
    length: int
    digest: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Which archive: SHA-256 of the file, its count of lines, and its size in bytes."""

    sha256: str
    lines: int
    size: int


def check(path: Path) -> None:
    """Raises Refusal where a file can be no scan archive, before anything is written or published.

    Args:
        path: what a command was given for one.
    """
    if not path.is_file():
        what = (
            "a directory"
            if path.is_dir()
            else "a pipe, and a scan archive is read more than once"
            if path.exists()
            else ""
        )
        raise Refusal(f"--scans {path}: {what or 'no such file'}; fix: name a scan archive, a file of JSON lines")
    with opened(path) as found:
        _want_lines(path, found.kind)


def lines(path: Path) -> Iterator[bytes | Cut]:
    """The lines of an archive in order, without their line feeds; a line over MAX_BYTES as a Cut.

    Raises:
        Refusal: the file cannot be read or unpacked, or is no lines of JSON.
    """
    with opened(path) as found:
        _want_lines(path, found.kind)
        yield from split(found.stream)


def _want_lines(path: Path, kind: Kind) -> None:
    if kind in _READERS:
        raise Refusal(f"{path} is {kind.value}, a scan archive is JSON lines; fix: {_READERS[kind]}")


_TABLE: Final = "`violet scan --klines` reads bars, `violet sequence` scans and planes, `violet blue import` trades"
_REPAIR: Final = "fetch or export it again"
_READERS: Final = {
    Kind.PARQUET: _TABLE,
    Kind.FEATHER: _TABLE,
    Kind.CSV: _TABLE,
    Kind.ARRAY: f"write one record a line (jq -c '.[]'); {_TABLE}",
    Kind.OBJECT: f"write one record a line (jq -c .); {_TABLE}",
    Kind.SQLITE: f"export its rows; {_TABLE}",
    Kind.UTF16: "write it in UTF-8",
    Kind.CR: "write it with LF at the ends of lines",
    Kind.STREAM: _TABLE,
    Kind.PACKED: "unpack it once",
    Kind.TAR: "unpack it, and name the file",
    Kind.MARKUP: _REPAIR,
    Kind.BINARY: _REPAIR,
}


def identity(path: Path) -> Identity:
    """Identity of an archive. Reads the whole file, which also proves that it can be read."""
    count, size = sum(1 for _ in lines(path)), path.stat().st_size
    return Identity(sha256(path, size), count, size)


def sha256(path: Path, size: int | None = None) -> str:
    """SHA-256 of a file as it is, whatever it holds; of its first `size` bytes where that is given."""
    digest, left = hashlib.sha256(), math.inf if size is None else size
    with path.open("rb") as file:
        while left > 0 and (block := file.read(int(min(_BLOCK, left)))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


class Sameness:
    """Whether a file is still the one whose identity is known. Its hash is computed again where it was written to."""

    def __init__(self, path: Path) -> None:
        """path: of a file whose identity is not computed yet."""
        self._path, self._seen, self._next = path, _written(path), 0.0

    def holds(self, known: Identity, *, now: bool) -> bool:
        """Whether nothing happened to it since; False where it was appended to, or touched.

        Args:
            known: its identity.
            now: also where it was hashed a while ago: a file that is written all the time is not hashed all the time.

        Raises:
            Integrity: what was there when its identity was computed is not.
        """
        began, found = time.monotonic(), _written(self._path)
        if found == self._seen or not (now or began >= self._next):
            return True
        try:
            same = sha256(self._path, known.size) == known.sha256
        except OSError:
            same = False
        if not same:
            raise Integrity(
                f"the archive {self._path} changed while it was read, so that nobody knows of which file the rows are"
            )
        ended = time.monotonic()
        self._seen, self._next = found, ended + _REST * (ended - began)
        return False


def _written(path: Path) -> tuple[int, ...]:
    """What changes with each write to a file, and with another file of its name."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def chunks(path: Path, size: int, first: int = 0) -> Iterator[Chunk]:
    """An archive as the log that it becomes: line n is offset n of partition 0.

    Args:
        path: the archive.
        size: records of a chunk, at most; fewer where they are CHUNK_BYTES.
        first: offset to begin at.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "scans.jsonl")
    ...     _ = path.write_bytes(b"{}" + bytes([10]) + b"[]" + bytes([10]))
    ...     [(chunk.offsets, chunk.values) for chunk in chunks(path, size=16)]
    [([0, 1], [b'{}', b'[]'])]
    """
    chunk, held = Chunk(0, [], []), 0
    for offset, line in enumerate(lines(path)):
        if offset < first:
            continue
        chunk.offsets.append(offset)
        if isinstance(line, Cut):
            chunk.values.append(line.head)
            chunk.cut[offset] = (line.length, line.digest)
        else:
            chunk.values.append(line)
        held += len(chunk.values[-1] or b"")
        if len(chunk) == size or held >= CHUNK_BYTES:
            yield chunk
            chunk, held = Chunk(0, [], []), 0
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


def split(stream: BinaryIO) -> Iterator[bytes | Cut]:
    """The lines of an open content; a line over MAX_BYTES as a Cut."""
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
