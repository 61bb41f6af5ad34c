"""ClickHouse's compressed frames: what the engine itself wrote is read, and nothing broken is taken for bytes."""

import gzip
import zlib

import pytest

from journal.engine.compression import BLOCK_BYTES, chosen, frames, unframed, zstd
from journal.engine.reader import QueryError

MIB = 1 << 20
TEXT = b"violet" * 1_000


def changed(frame, place, byte):
    return frame[:place] + bytes([byte]) + frame[place + 1 :]


@pytest.mark.parametrize("codec", ["LZ4", "ZSTD", "NONE"])
def test_frames_that_the_engine_wrote_are_read(running, store, codec):
    table = f"framed_{codec.lower()}"
    store.command(f"CREATE TABLE {table} (f FixedString(8) CODEC({codec})) ENGINE = TinyLog")
    store.command(f"INSERT INTO {table} SELECT toString(number % 1000) FROM numbers(200000)")
    ((folder,),) = [
        row.values() for row in store.rows(f"SELECT data_paths[1] FROM system.tables WHERE name = '{table}'")
    ]
    (written,) = [path.read_bytes() for path in (running.data / "engine" / folder).glob("*.bin")]
    store.command(f"DROP TABLE {table} SYNC")
    expected = b"".join(str(n % 1_000).encode().ljust(8, b"\0") for n in range(200_000))
    assert b"".join(unframed([written], 4 * MIB)) == expected


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 127, 128, 129, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_what_is_framed_comes_back_however_it_is_cut(size):
    body = (TEXT * (size // len(TEXT) + 1))[:size]
    framed = b"".join(frames(body))
    step = max(1, len(framed) // 7)
    assert b"".join(unframed([framed], MIB)) == body
    assert b"".join(unframed((framed[at : at + step] for at in range(0, len(framed), step)), MIB)) == body
    assert len(list(frames(body))) == -(-size // BLOCK_BYTES)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda frame: frame[:-1], "cut short"),
        (lambda frame: frame[:20], "cut short"),
        (lambda frame: frame + b"x", "cut short"),
        (lambda frame: changed(frame, 0, frame[0] ^ 1), "another checksum"),
        (lambda frame: changed(frame, len(frame) - 1, frame[-1] ^ 1), "another checksum"),
        (lambda frame: changed(frame, 24, 0xFF), "size of a frame is none"),
        (lambda frame: changed(frame, 17, 0) [:18] + b"\0\0\0" + frame[21:], "size of a frame is none"),
    ],
)  # fmt: skip
def test_a_broken_frame_is_named(broken, words):
    (frame,) = frames(TEXT)
    with pytest.raises(QueryError, match=words):
        list(unframed([broken(frame)], MIB))


def test_a_request_may_come_in_frames(running, http):
    framed = b"".join(frames(b"SELECT s FROM d WHERE n = 2"))
    assert http(running.reader, body=framed, decompress="1").text == "b\n"
    assert http(running.reader, body=framed[:-1], decompress="1").code == 271
    assert http(running.reader, body=b"".join(frames(b"DROP TABLE d")), decompress="1").code == 164
    big = b"".join(frames(b"SELECT 1" + b" " * MIB))
    assert "at most 1048576 bytes" in http(running.reader, body=big, decompress="1").text


def test_an_answer_comes_in_the_best_coding_that_a_client_takes(running, http):
    query = "SELECT number FROM numbers(1000)"
    plain = http(running.reader, query).body
    undo = {"gzip": gzip.decompress, "deflate": zlib.decompress, "zstd": zstd.decompress}
    for accepted, coding in {"gzip, deflate": "gzip", "deflate": "deflate", "gzip, zstd": "zstd"}.items():
        reply = http(running.reader, query, headers={"Accept-Encoding": accepted})
        assert reply.headers["Content-Encoding"] == coding
        assert undo[coding](reply.body) == plain
    off = http(running.reader, query, headers={"Accept-Encoding": "gzip"}, enable_http_compression="0")
    assert ("Content-Encoding" in off.headers, off.body) == (False, plain)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("", ""), ("identity", ""), ("br", ""), ("gzip;q=0", ""), ("GZIP ; q=0.5", "gzip"), ("x-zstd", "")],
)
def test_a_coding_that_is_not_taken_is_not_chosen(accepted, coding):
    assert chosen(accepted) == coding
