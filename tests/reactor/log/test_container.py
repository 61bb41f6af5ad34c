"""Containers: one content whatever it is packed in and however it is named, and a name for what it is."""

import bz2
import gzip
import io
import lzma
import os
import threading
import zipfile

import pytest

from journal.refusal import Refusal
from reactor.log import container
from reactor.log.container import HEAD, Kind, Packing, opened, zstd

LINES = b"".join(b'{"n":%d}\n' % n for n in range(20_000))


def zipped(body, *names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names or ("scans.jsonl",):
            packed.writestr(name, body)
    return file.getvalue()


PACK = {
    Packing.PLAIN: bytes,
    Packing.ZSTD: zstd.compress,
    Packing.GZIP: gzip.compress,
    Packing.BZIP2: bz2.compress,
    Packing.XZ: lzma.compress,
    Packing.ZIP: zipped,
}


def written(tmp_path, body, name="data"):
    path = tmp_path / name
    path.write_bytes(body)
    return path


def told(tmp_path, body):
    with opened(written(tmp_path, body)) as found:
        return found.kind


@pytest.mark.parametrize("packing", Packing)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.zst", "a.gz", "a"])
def test_the_content_is_found_by_its_bytes_and_not_by_its_name(tmp_path, packing, name):
    with opened(written(tmp_path, PACK[packing](LINES), name)) as found:
        assert (found.packing, found.kind) == (packing, Kind.LINES)
        assert found.stream.read() == LINES


@pytest.mark.parametrize("packing", Packing)
def test_a_pipe_is_read_once_and_in_whatever_parts_it_comes(tmp_path, packing):
    body, pipe = PACK[packing](LINES), tmp_path / "pipe"
    os.mkfifo(pipe)

    def write():
        with pipe.open("wb", buffering=0) as file:
            for at in range(0, len(body), 1 + len(body) // 7):
                file.write(body[at : at + 1 + len(body) // 7])

    writer = threading.Thread(target=write)
    writer.start()
    with opened(pipe) as found:
        assert (found.packing, found.kind, found.stream.read()) == (packing, Kind.LINES, LINES)
    writer.join(10)


@pytest.mark.parametrize("packing", Packing)
def test_what_must_be_sought_in_is_the_whole_content(tmp_path, packing):
    with opened(written(tmp_path, PACK[packing](b"PAR1" + LINES))) as found:
        assert found.kind is Kind.PARQUET
        file = found.seekable()
        file.seek(-5, os.SEEK_END)
        assert file.read() == LINES[-5:]
        file.seek(0)
        assert file.read(4) == b"PAR1"


@pytest.mark.parametrize("length", [0, 1, 5, HEAD - 1, HEAD, HEAD + 1, 3 * HEAD])
def test_no_length_loses_a_byte(tmp_path, length):
    body = LINES[:length]
    for packing, pack in PACK.items():
        with opened(written(tmp_path, pack(body))) as found:
            assert found.stream.read() == body, packing


@pytest.mark.parametrize("packing", Packing)
def test_a_byte_order_mark_is_no_part_of_the_content(tmp_path, packing):
    with opened(written(tmp_path, PACK[packing](b"\xef\xbb\xbf" + LINES))) as found:
        assert found.stream.read() == LINES


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", Kind.EMPTY),
        (b'{"a":1}', Kind.LINES),
        (b'\n\n{"a":1}\n', Kind.LINES),
        (b'{"a":\n{"a":1}\n', Kind.LINES),  # a line cut short before a whole one
        (b"rubbish, comma\nmore, of it\n{}\n", Kind.LINES),
        (b"[1,2]\n[3,4]\n", Kind.LINES),
        (b'{"a":"' + b"x" * HEAD + b'"}\n', Kind.LINES),
        (b"[[1,2],[3,4]]", Kind.ARRAY),
        (b' [\n{"a":1},\n{"a":2}\n]', Kind.ARRAY),
        (b"[" + b'{"a":1},' * HEAD, Kind.ARRAY),
        (b'{\n "a": [\n  {"b": 1}\n ]\n}\n', Kind.OBJECT),
        (b"a,b\n1,2\n", Kind.CSV),
        (b"a;b\r\n1;2\r\n", Kind.CSV),
        (b"a,b\n", Kind.CSV),
        (b"# made by hand\na,b\n1,2\n", Kind.CSV),
        (b"words without any\n", Kind.LINES),
        (b"PAR1", Kind.PARQUET),
        (b"ARROW1", Kind.FEATHER),
        (b"SQLite format 3\x00", Kind.SQLITE),
        (b"a.csv".ljust(257, b"\x00") + b"ustar\x00", Kind.TAR),
        (b"\n<html>", Kind.MARKUP),
        ("a,b\n".encode("utf-16"), Kind.UTF16),
        (b"a,b\r1,2\r", Kind.CR),
        (b"a,b\r\n", Kind.CSV),
        (b"\xff\xff\xff\xff\x10\x00", Kind.STREAM),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), Kind.PACKED),
        (b"\x89HDF\r\n\x1a\n\x00", Kind.BINARY),
    ],
)
def test_a_content_is_told_by_its_first_bytes(tmp_path, body, kind):
    assert told(tmp_path, body) is kind
    assert told(tmp_path, gzip.compress(body)) is kind


def faults():
    for packing, pack in PACK.items():
        if packing is not Packing.PLAIN:
            yield packing.value, pack(LINES)[:-9], "cannot be read"
            yield f"{packing.value} damaged", pack(LINES)[:40] + b"\x55" * 9 + pack(LINES)[49:], "cannot be read"
    yield "7z", b"7z\xbc\xaf\x27\x1c", "packed as 7z; fix: unpack it"
    yield "rar", b"Rar!\x1a\x07", "packed as rar"
    yield "lzma", b"]\x00\x00\x80\x00", "packed as lzma"
    yield "compress", b"\x1f\x9d\x90", "packed as compress"
    yield "lz4", b"\x04\x22\x4d\x18\x00", "packed as lz4"
    yield "zip of two", zipped(b"a", "a.csv", "b.csv"), "must be a zip of one file, holds 2: a.csv, b.csv; fix: unpack"
    yield "zip of none", b"PK\x05\x06" + bytes(18), "must be a zip of one file, is empty"
    yield "excel", zipped(b"a", "[Content_Types].xml", "xl/a.xml"), "Excel or Office document; fix: save it as CSV"


@pytest.mark.parametrize(("body", "says"), [pytest.param(*rest, id=name) for name, *rest in faults()])
def test_what_cannot_be_unpacked_is_refused_and_named(tmp_path, body, says):
    path = written(tmp_path, body, "dump")
    with pytest.raises(Refusal, match="dump .*; fix: ") as refusal, opened(path) as found:
        found.stream.read()
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_folders_of_a_zip_and_what_a_mac_adds_are_no_files(tmp_path):
    body = zipped(LINES, "day/", "day/scans.jsonl", "__MACOSX/._scans.jsonl")
    with opened(written(tmp_path, body)) as found:
        assert found.stream.read() == LINES


def test_a_fault_of_who_reads_is_not_laid_at_the_files_door(tmp_path):
    with pytest.raises(OSError, match="no space"), opened(written(tmp_path, LINES)):
        raise OSError("no space")


def test_a_place_that_cannot_be_opened_is_refused(tmp_path):
    for name in ("none", "."):
        with pytest.raises(Refusal, match="cannot be read"), opened(tmp_path / name):
            pass


def test_every_unpacked_packing_is_found(tmp_path):
    assert set(PACK) == set(Packing)
    assert set(container._PACKED.values()) == set(Packing) - {Packing.PLAIN}
