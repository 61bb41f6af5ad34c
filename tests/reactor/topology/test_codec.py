"""Codecs of the workers' driver: what librdkafka and others write, it unpacks."""

import struct

import pyarrow as pa
import pytest
from aiokafka import codec
from lz4 import frame

from reactor.log.container import zstd
from reactor.topology.codec import install

XERIAL = b"\x82SNAPPY\x00" + struct.pack("!ii", 1, 1)


@pytest.fixture(autouse=True)
def installed():
    was = codec.cramjam
    install()
    yield
    codec.cramjam = was


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 3_000_000])
def test_the_driver_unpacks_every_codec(size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    raw = pa.compress(content, "snappy", asbytes=True)
    assert codec.snappy_decode(raw) == content
    assert codec.lz4_decode(frame.compress(content)) == content
    assert codec.zstd_decode(zstd.compress(content)) == content
    blocks = [pa.compress(content[at : at + 32_768], "snappy", asbytes=True) for at in range(0, size, 32_768)]
    framed = XERIAL + b"".join(struct.pack("!i", len(block)) + block for block in blocks)
    assert codec.snappy_decode(framed) == content
    assert all((codec.has_snappy(), codec.has_lz4(), codec.has_zstd()))


def test_zstd_without_its_length_before_it_unpacks():
    made = zstd.ZstdCompressor()
    assert codec.zstd_decode(made.compress(b"part ") + made.compress(b"by part") + made.flush()) == b"part by part"
