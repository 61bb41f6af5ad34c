"""Container: the content of a file, whatever it is packed in, and what that content is.

Both are told by first bytes, never by the name. A file is read once and from its start, so a pipe is one too.
See docs/design/feeds.md.
"""

import bz2
import gzip
import io
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast

import msgspec

from journal.refusal import Refusal

if sys.version_info >= (3, 14):
    from compression import zstd as zstd  # noqa: PLC0414 - archive and its tests have it from here
else:
    from backports import zstd as zstd  # noqa: PLC0414 - archive and its tests have it from here

HEAD: Final = 1 << 16  # bytes that tell what a content is: some lines of any archive


class Kind(Enum):
    """What a content is; the value is its name for people."""

    LINES = "JSON lines"
    ARRAY = "an array of JSON"
    OBJECT = "one JSON object over several lines"
    CSV = "CSV"
    PARQUET = "Parquet"
    FEATHER = "Feather (Arrow)"
    SQLITE = "an SQLite database"
    TAR = "a tar archive"
    MARKUP = "HTML or XML"
    UTF16 = "text in UTF-16"
    CR = "text whose lines end in CR alone"
    STREAM = "an Arrow stream, not a file"
    PACKED = "packed twice"
    BINARY = "binary data of no known kind"
    EMPTY = "empty"


class Packing(Enum):
    """What a content is packed in; the value is its name for people."""

    PLAIN = "plain"
    ZSTD = "zst"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZIP = "zip"


@dataclass(slots=True)
class Opened:
    """An open content. stream: from its first byte, without a byte order mark."""

    path: Path
    packing: Packing
    kind: Kind
    stream: BinaryIO
    _file: BinaryIO
    _stack: ExitStack

    def seekable(self) -> BinaryIO:
        """The content from its start, to seek in: the file itself where that can be, else an unnamed copy on disk."""
        if self.packing is Packing.PLAIN and self._file.seekable():
            self._file.seek(0)
            return self._file
        return _copy(self.stream, self._stack)


@contextmanager
def opened(path: Path, member: str | None = None) -> Iterator[Opened]:
    """Open the content of a file.

    Args:
        path: of a file, or of a pipe.
        member: the pattern of the file to open in a zip of several; None where no mapping can name one.

    Raises:
        Refusal: the file cannot be read or unpacked; the stream's reads raise it too.
    """
    with ExitStack() as stack:
        try:
            file: BinaryIO = stack.enter_context(path.open("rb"))
            head = file.read(_MAGIC_BYTES)
        except OSError as error:
            raise _unreadable(path, error) from None
        packing = _packing(path, head)
        if file.seekable():
            file.seek(0)
            whole = file
        else:
            whole = _stream(path, file, head)
        try:
            unpacked = _unpacked(path, packing, whole, member, stack)
        except _FAULTS as error:
            raise _unreadable(path, error) from None
        start = _head(_Rest(path, unpacked, b"")).removeprefix(_BOM)
        yield Opened(path, packing, _kind(start), _stream(path, unpacked, start), file, stack)


_MAGIC_BYTES: Final = 6
_BOM: Final = b"\xef\xbb\xbf"
_PACKED: Final = {
    b"\x28\xb5\x2f\xfd": Packing.ZSTD,
    b"\x1f\x8b": Packing.GZIP,
    b"BZh": Packing.BZIP2,
    b"\xfd7zXZ\x00": Packing.XZ,
    b"PK\x03\x04": Packing.ZIP,
    b"PK\x05\x06": Packing.ZIP,  # without a member
}
_OTHERS: Final = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"\x04\x22\x4d\x18": "lz4",
    b"MSCF": "cab",
    b"\x1f\x9d": "compress",
    b"]\x00\x00": "lzma",
}
_SUFFIXES: Final = (".zst", ".gz", ".bz2", ".xz", ".zip")
_FAULTS: Final = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile, RuntimeError
)  # fmt: skip


def _packing(path: Path, head: bytes) -> Packing:
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise Refusal(f"{path} is packed as {name}; fix: unpack it, or pack it as zst, gzip, bzip2, xz or zip")
    found = next((packing for magic, packing in _PACKED.items() if head.startswith(magic)), Packing.PLAIN)
    if found is Packing.PLAIN and path.suffix in _SUFFIXES and 0 < len(head) < _MAGIC_BYTES:
        raise _unreadable(path, f"only {len(head)} bytes of it are there")
    return found


def _unpacked(path: Path, packing: Packing, file: BinaryIO, member: str | None, stack: ExitStack) -> BinaryIO:
    if packing is Packing.ZIP:
        return _member(path, file if file.seekable() else _copy(file, stack), member, stack)
    unpack: dict[Packing, Any] = {
        Packing.ZSTD: zstd.open,
        Packing.GZIP: gzip.open,
        Packing.BZIP2: bz2.open,
        Packing.XZ: lzma.open,
    }
    return file if packing is Packing.PLAIN else cast(BinaryIO, stack.enter_context(unpack[packing](file, "rb")))


def _member(path: Path, file: BinaryIO, member: str | None, stack: ExitStack) -> BinaryIO:
    packed = stack.enter_context(zipfile.ZipFile(file))
    names = [i.filename for i in packed.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names:
        raise Refusal(f"{path} is an Excel or Office document; fix: save it as CSV")
    fitting = [name for name in names if fnmatchcase(name, member)] if member and len(names) > 1 else names
    if len(fitting) != 1:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        held = f"holds {len(names)}: {shown}" if names else "is empty"
        fix = "unpack it, and name its file" + (
            "" if member is None else ", or `member` in the [[source]] of a mapping"
        )
        what = f"a zip of one file {member!r}" if member else "a zip of one file"
        raise Refusal(f"{path} must be {what}, {held}; fix: {fix}")
    return cast(BinaryIO, stack.enter_context(packed.open(fitting[0])))


def _copy(stream: BinaryIO, stack: ExitStack) -> BinaryIO:
    copy = cast(BinaryIO, stack.enter_context(TemporaryFile()))  # noqa: SIM115 - the stack closes it
    copyfileobj(stream, copy, HEAD)
    copy.seek(0)
    return copy


def _head(source: io.RawIOBase) -> bytes:
    """The first HEAD bytes; a pipe gives them in parts."""
    head = b""
    while len(head) < HEAD and (block := source.read(HEAD - len(head))):
        head += block
    return head


def _stream(path: Path, source: BinaryIO, head: bytes = b"") -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Rest(path, source, head), HEAD))


class _Rest(io.RawIOBase):
    """A source after what was read of it, whose faults are refusals that name the file."""

    def __init__(self, path: Path, source: BinaryIO, head: bytes) -> None:
        self._path, self._source, self._head = path, source, head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._head[: len(buffer)] if self._head else self._next(len(buffer))
        self._head = self._head[len(block) :]
        buffer[: len(block)] = block
        return len(block)

    def _next(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except _FAULTS as error:
            raise _unreadable(self._path, error) from None


def _unreadable(path: Path, why: object) -> Refusal:
    return Refusal(f"{path} cannot be read ({why}); fix: name a whole file")


_KINDS: Final = {
    b"PAR1": Kind.PARQUET,
    b"ARROW1": Kind.FEATHER,
    b"FEA1": Kind.FEATHER,  # of before 2020
    b"SQLite format 3\x00": Kind.SQLITE,
    b"\xff\xfe": Kind.UTF16,
    b"\xfe\xff": Kind.UTF16,
    b"\xff\xff\xff\xff": Kind.STREAM,
    **dict.fromkeys((*_PACKED, *_OTHERS), Kind.PACKED),
}
_DELIMITERS: Final = re.compile(rb"[,;\t|]")
_LOOKED_AT: Final = 10  # lines
_decode: Final = msgspec.json.Decoder().decode


def _kind(head: bytes) -> Kind:
    if not head:
        return Kind.EMPTY
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return Kind.TAR
    text = head.lstrip()
    if text.startswith(b"<"):
        return Kind.MARKUP
    lines = [line for line in text.split(b"\n") if line.strip()]
    if b"\r" in text and len(lines) == 1 and not text.startswith((b"[", b"{")) and b"\r" in text.strip():
        return Kind.CR
    if any(line.startswith(b"{") for line in lines[1:]) and not text.startswith(b"["):
        return Kind.LINES
    if b"\x00" in head and not text.startswith(b"{"):
        return Kind.BINARY
    if text.startswith((b"[", b"{")):
        whole = _is_json(lines[0])
        if text.startswith(b"["):
            return Kind.LINES if whole and len(lines) > 1 else Kind.ARRAY
        return Kind.LINES if whole or len(lines) == 1 else Kind.OBJECT
    delimited = sum(_DELIMITERS.search(line) is not None for line in lines[:_LOOKED_AT])
    return Kind.CSV if delimited >= min(2, len(lines)) > 0 else Kind.LINES  # a line may stand above the header


def _is_json(line: bytes) -> bool:
    try:
        _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
