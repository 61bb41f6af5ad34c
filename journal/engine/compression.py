"""Compression as ClickHouse's clients ask for it: frames of its own (compress=1, decompress=1), and HTTP's codings.

A frame: CityHash128 of what follows it (16 bytes); the method (0x82 LZ4, 0x90 ZSTD, 0x02 none); two sizes of 4 bytes,
that of the data with this head of 9 bytes, and that without compression; the data. Answers are LZ4 frames, which every
client reads; few read the ZSTD frames of newer servers. Source: clickhouse.com/docs, the native protocol's compression.
"""

import gzip
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import lz4.block
from clickhouse_cityhash.cityhash import CityHash128

from journal.engine.reader import QueryError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK_BYTES: Final = 1 << 20  # of a frame before compression, as a ClickHouse server cuts them
CANNOT_DECOMPRESS: Final = 271
CHECKSUM_DOESNT_MATCH: Final = 40
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_HEAD: Final = struct.Struct("<BII")
_SUM_BYTES: Final = 16
_LEAST: Final = _SUM_BYTES + _HEAD.size

# The best first, as a ClickHouse server chooses among what a client takes.
_CODINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "zstd": zstd.compress,
    "gzip": lambda body: gzip.compress(body, 3, mtime=0),
    "deflate": lambda body: zlib.compress(body, 3),
}


def chosen(accepted: str) -> str:
    """The coding of an answer for a client's Accept-Encoding; empty where it takes none that we have.

    >>> chosen("gzip, deflate;q=0.5, zstd;q=0")
    'gzip'
    """
    taken = set()
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            taken.add(name.strip())
    return next((name for name in _CODINGS if name in taken), "")


def encoded(body: bytes, coding: str) -> bytes:
    """The body in a coding that `chosen` gave."""
    return _CODINGS[coding](body)


def frames(body: bytes) -> Iterator[bytes]:
    """The body in LZ4 frames; an empty body has none."""
    for begin in range(0, len(body), BLOCK_BYTES):
        block = body[begin : begin + BLOCK_BYTES]
        data = lz4.block.compress(block, store_size=False)
        framed = _HEAD.pack(_LZ4, _HEAD.size + len(data), len(block)) + data
        yield _checksum(framed) + framed


def unframed(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """What frames hold, block by block.

    Args:
        pieces: the frames, cut anywhere.
        most: bytes that a frame may say of itself.

    Raises:
        QueryError: they are broken: cut short, another checksum, a method or a size that is none.
    """
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= _LEAST and len(held) >= (size := _size(held, most)):
            yield _plain(bytes(held[:size]))
            del held[:size]
    if held:
        raise _broken("the last frame is cut short")


def _size(held: bytearray, most: int) -> int:
    """Of the first frame."""
    _, framed, plain = _HEAD.unpack_from(held, _SUM_BYTES)
    if framed < _HEAD.size or max(framed, plain) > most:
        raise _broken("the size of a frame is none")
    return _SUM_BYTES + int(framed)


def _plain(frame: bytes) -> bytes:
    checksum, framed, data = frame[:_SUM_BYTES], frame[_SUM_BYTES:], frame[_LEAST:]
    method, _, size = _HEAD.unpack_from(framed)
    if _checksum(framed) != checksum:
        raise _broken("a frame has another checksum", CHECKSUM_DOESNT_MATCH, "CHECKSUM_DOESNT_MATCH")
    try:
        if method == _LZ4:
            block: bytes = lz4.block.decompress(data, uncompressed_size=size)
        elif method == _ZSTD:
            block = zstd.ZstdDecompressor().decompress(data, size + 1)
        else:
            block = data if method == _NONE else b""
    except (lz4.block.LZ4BlockError, zstd.ZstdError):
        block = b""
    if len(block) != size:
        raise _broken(f"a frame of method 0x{method:02x} does not hold what its head says")
    return block


def _checksum(framed: bytes) -> bytes:
    value = CityHash128(framed)  # its first half is the higher one
    return struct.pack("<QQ", value >> 64, value & 0xFFFF_FFFF_FFFF_FFFF)


def _broken(what: str, code: int = CANNOT_DECOMPRESS, name: str = "CANNOT_DECOMPRESS") -> QueryError:
    return QueryError.of(code, name, f"decompress=1: {what}; fix: send ClickHouse's compressed frames, or leave it out")
