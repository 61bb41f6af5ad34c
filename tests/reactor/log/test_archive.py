"""Archives: every line as it is, long ones cut, memory bounded, a broken file refused."""

import gzip
import hashlib
import io
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.refusal import Integrity, Refusal
from reactor.evaluate.record import CUT_BYTES, MAX_BYTES
from reactor.log import archive
from reactor.log.archive import Cut, Sameness, chunks, identity, lines, ranges, zstd
from tests.strategies import mixed_archive, write_archive

BLOCK = 1 << 20


def file(tmp_path, body, name="a.jsonl"):
    path = tmp_path / name
    path.write_bytes(zstd.compress(body) if name.endswith(".zst") else body)
    return path


def cut(line):
    return Cut(line[:CUT_BYTES], len(line), hashlib.sha256(line).hexdigest()) if len(line) > MAX_BYTES else line


def naive(body):
    """Lines of a whole file at once."""
    parts = body.split(b"\n")
    return [cut(line) for line in (parts[:-1] if parts[-1] == b"" else parts)]


# -- lines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),  # no feed at the end
        (b"a\r\nb\r\n", [b"a\r", b"b\r"]),  # JSON takes a carriage return as white space
        (b"\n\na\n\n", [b"", b"", b"a", b""]),
        (
            b"a\xff\rb\x85\n\xe2\x80\xa8\x00\n{}\n",
            [b"a\xff\rb\x85", b"\xe2\x80\xa8\x00", b"{}"],
        ),  # a line ends at \n alone
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_lines_come_as_they_are(tmp_path, body, expected, name):
    assert list(lines(file(tmp_path, body, name))) == expected == naive(body)


@pytest.mark.parametrize("length", [MAX_BYTES - 1, MAX_BYTES, MAX_BYTES + 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_of_any_length_is_whole_or_cut(tmp_path, length, end):
    body = b"{}\n" + b"x" * length + end
    assert list(lines(file(tmp_path, body))) == naive(body)
    assert isinstance(naive(body)[1], Cut) == (length > 900_000)


def test_long_lines_in_a_row_and_across_blocks_are_each_cut():
    rng = random.Random(1)
    lengths = [
        MAX_BYTES + 1,
        MAX_BYTES + 1,
        5,
        BLOCK,
        2 * BLOCK + 7,
        MAX_BYTES,
        MAX_BYTES,
        0,
        3 * BLOCK,
        1,
        MAX_BYTES + 9,
    ]
    body = b"\n".join(rng.randbytes(length).replace(b"\n", b" ") for length in lengths)
    for tail in (b"", b"\n", b"\n\n"):
        assert list(archive.split(io.BytesIO(body + tail))) == naive(body + tail)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=30), max_size=8).map(b"\n".join), st.integers(1, 12), st.integers(0, 20))
def test_no_block_size_changes_the_lines(body, block, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "_BLOCK", block)
        patch.setattr(archive, "MAX_BYTES", most)
        patch.setattr(archive, "CUT_BYTES", 4)
        found = list(archive.split(io.BytesIO(body)))
    parts = body.split(b"\n")
    whole = parts[:-1] if parts[-1] == b"" else parts
    assert [line if isinstance(line, bytes) else (line.length, line.digest) for line in found] == [
        line if len(line) <= most else (len(line), hashlib.sha256(line).hexdigest()) for line in whole
    ]


def test_a_cut_line_keeps_its_first_16_kib():
    line = bytes(range(11, 256)) * 5_000
    (found,) = archive.split(io.BytesIO(line))
    assert found.head == line[:16_384]


# -- zst -----------------------------------------------------------------------------------------------------------


def test_frames_one_after_the_other_are_one_archive(tmp_path):
    body = b"".join(b'{"n":%d}\n' % i for i in range(1_000))
    frames = [zstd.compress(part) for part in (body[:777], b"", body[777:5_000], body[5_000:])]
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join(frames))
    assert list(lines(path)) == naive(body)


@pytest.mark.parametrize("cut_at", [1, 3, 5, 20, -1, -10, 0.5])
def test_a_truncated_archive_is_refused(tmp_path, cut_at):
    whole = zstd.compress(b"".join(mixed_archive(1)), options={zstd.CompressionParameter.checksum_flag: 1})
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(whole[: int(len(whole) * cut_at) if cut_at == 0.5 else cut_at])
    with pytest.raises(Refusal, match=r"a\.jsonl\.zst cannot be read .*; fix: "):
        list(lines(path))


def test_a_truncated_second_frame_is_refused(tmp_path):
    frame = zstd.compress(b"{}\n" * 100)
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(frame + frame[:-3])
    with pytest.raises(Refusal, match="cannot be read"):
        identity(path)


@pytest.mark.parametrize("end", [b" rubbish", b"\x00" * 9])
def test_what_begins_as_zst_and_is_not_is_refused(tmp_path, end):
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + end)
    with pytest.raises(Refusal, match="cannot be read"):
        list(lines(path))


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"PAR1 and so on", "Parquet"),
        (b"ARROW1\x00\x00", "Feather"),
        (b"symbol,close\nBTCUSDT,1\n", "CSV"),
        (b'[{"v":1,"kind":"scan"}]', "an array of JSON"),
        (b'{\n "trades": [\n  {"a": 1}\n ]\n}\n', "one JSON object over several lines"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"<!DOCTYPE html>\n<p>not found</p>", "HTML"),
        ('{"v":1}\n'.encode("utf-16"), "text in UTF-16"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "binary data"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress])
def test_what_is_no_archive_is_refused_by_its_name_with_what_reads_it(tmp_path, body, name, pack):
    path = tmp_path / "scans.jsonl"
    path.write_bytes(pack(body))
    for read in (archive.check, identity, lambda p: list(lines(p))):
        with pytest.raises(Refusal, match=f"scans.jsonl is {name}.*, a scan archive is JSON lines; fix: "):
            read(path)


def test_a_place_that_is_no_file_is_named_for_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, what in (
        ("pipe", "a pipe, and a scan archive is read more than once"),
        (".", "a directory"),
        ("x", "no such"),
    ):
        with pytest.raises(Refusal, match=f"--scans .*: {what}.*; fix: "):
            archive.check(tmp_path / name)


def test_a_damaged_archive_is_refused(tmp_path):
    whole = bytearray(zstd.compress(b"".join(mixed_archive(1)), options={zstd.CompressionParameter.checksum_flag: 1}))
    whole[len(whole) // 2] ^= 0x55
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(whole)
    with pytest.raises(Refusal, match="cannot be read"):
        list(lines(path))


@pytest.mark.parametrize("name", ["none.jsonl", "none.jsonl.zst", "."])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(Refusal, match="cannot be read"):
        list(lines(tmp_path / name))


# -- identity, chunks, ranges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_an_archives_identity_is_its_bytes_and_lines(tmp_path, name):
    path = file(tmp_path, b"a\n\nb", name)
    found = identity(path)
    assert (found.sha256, found.lines) == (hashlib.sha256(path.read_bytes()).hexdigest(), 3)
    assert identity(file(tmp_path, b"a\n\nb\n", f"2{name}")) != found
    assert identity(file(tmp_path, b"", f"3{name}")).lines == 0


CONTENT = b"a\n\nb\n"


def rewritten(path):
    path.write_bytes(CONTENT.replace(b"a", b"c"))


def replaced(path):
    other = path.with_name("other")
    other.write_bytes(b"another\n" * 3)
    other.rename(path)


def with_its_old_times(path):
    was = path.stat()
    rewritten(path)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("change", [rewritten, replaced, with_its_old_times, lambda p: os.truncate(p, 2), Path.unlink])
def test_an_archive_that_is_not_what_it_was_is_found(tmp_path, change):
    path = file(tmp_path, CONTENT)
    same = Sameness(path)
    known = identity(path)
    assert same.holds(known, now=False)
    time.sleep(0.02)  # longer than a file system's step of time
    change(path)
    with pytest.raises(Integrity, match="changed while it was read"):
        same.holds(known, now=True)


def test_an_archive_that_grows_or_is_touched_still_has_what_it_had(tmp_path):
    path = file(tmp_path, CONTENT)
    same = Sameness(path)
    known = identity(path)
    more = path.read_bytes() + b"c\n"
    for change in (lambda: path.write_bytes(more), path.touch, lambda: path.chmod(0o600)):
        time.sleep(0.02)
        change()
        assert not same.holds(known, now=True)
        assert same.holds(known, now=True)
    assert path.stat().st_size > known.size


@pytest.mark.parametrize("size", [1, 7, 4_096])
@pytest.mark.parametrize("first", [0, 1, 250, 499, 500, 501])
def test_line_n_is_offset_n_of_partition_0(tmp_path, size, first):
    body = mixed_archive(4)
    path = write_archive(tmp_path / "a.jsonl.zst", body)
    found = list(chunks(path, size, first))
    assert [o for c in found for o in c.offsets] == list(range(first, 500))
    assert {len(c) for c in found[:-1]} <= {size}
    assert {c.partition for c in found} <= {0}
    for chunk in found:
        for offset, value in zip(chunk.offsets, chunk.values, strict=True):
            long = len(body[offset]) > MAX_BYTES
            assert value == (body[offset][:CUT_BYTES] if long else body[offset])
            assert chunk.cut.get(offset) == (
                (len(body[offset]), hashlib.sha256(body[offset]).hexdigest()) if long else None
            )
    assert sum(len(c.cut) for c in found) == sum(len(line) > MAX_BYTES for line in body[first:])


@pytest.mark.parametrize(("first", "end"), [(0, 10), (3, 4), (0, 0), (5, 5), (9, 99), (10, 20), (4, 2)])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_range_is_first_to_end_without_the_end(tmp_path, first, end, size):
    path = file(tmp_path, b"".join(b"%d\n" % i for i in range(10)))
    found = list(ranges(path, size)(0, first, end))
    assert [o for c in found for o in c.offsets] == list(range(10))[first:end]
    assert all(len(c) for c in found)


def test_a_chunk_is_bounded_by_its_bytes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "CHUNK_BYTES", 2_500)
    path = file(tmp_path, b"".join(b"x" * 999 + b"\n" for _ in range(10)))
    assert [chunk.offsets for chunk in chunks(path, 100, 1)] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
