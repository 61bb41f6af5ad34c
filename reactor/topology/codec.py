"""Codecs for the lanes' workers: what the fused path reads compressed, Faust's driver reads too.

The driver takes snappy, lz4 and zstd from the package cramjam, and does without them where that is not installed. The
libraries of these three are here already for other work, so it gets them in cramjam's words.
"""

from types import SimpleNamespace

import pyarrow as pa
from aiokafka import codec
from lz4 import frame

from reactor.log.container import zstd


def install() -> None:
    """Let the driver read every codec of Kafka's; without it a worker ends at the first such batch."""
    codec.cramjam = SimpleNamespace(
        snappy=SimpleNamespace(decompress_raw=_snappy),
        lz4=SimpleNamespace(decompress=frame.decompress),
        zstd=SimpleNamespace(decompress=zstd.decompress),
    )


def _snappy(block: memoryview | bytes) -> bytes:
    """A raw block. Its length unpacked stands before it, seven bits a byte."""
    length = shift = 0
    for byte in bytes(block[:5]):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    unpacked: bytes = pa.decompress(bytes(block), length, "snappy", asbytes=True)
    return unpacked
