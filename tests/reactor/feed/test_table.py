"""Table: the same rows out of every format, in the file's order, and nothing left out without a word."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journal.refusal import Refusal
from reactor.feed import table
from reactor.log.archive import zstd


def found(path, kind):
    return list(table.rows(path, kind))


def test_jsonl_names_the_line_of_every_row_and_of_every_fault(tmp_path):
    lines = [b'{"a":1}', b"", b"{", b"[1]", b'{"a":{"b":"x"}}', b'{"a":' + b"9" * 1_000_000 + b"}"]
    plain, packed = tmp_path / "x.jsonl", tmp_path / "x.jsonl.zst"
    plain.write_bytes(b"\n".join(lines))
    packed.write_bytes(zstd.compress(b"\n".join(lines)))
    rows = found(plain, "jsonl")
    assert rows == found(packed, "jsonl")
    assert [row.line for row in rows] == [1, 3, 4, 5, 6]
    assert [bool(row.fault) for row in rows] == [False, True, True, False, True]
    assert rows[3].fields == {"a": {"b": "x"}}
    assert "more than a record may have" in rows[4].fault


def test_csv_counts_lines_over_quoted_line_feeds(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('\ufeffa,b\n1,"x\ny"\n\n2\n3,z\n', "utf-8")
    rows = found(path, "csv")
    assert [(row.line, row.fields) for row in rows] == [
        (2, {"a": "1", "b": "x\ny"}),
        (5, {}),
        (6, {"a": "3", "b": "z"}),
    ]
    assert "1 cells, the header 2" in rows[1].fault


def test_a_parquet_row_has_its_number_its_fields_and_its_text(tmp_path):
    path = tmp_path / "x.parquet"
    values = [{"n": 1.5, "m": {"a": "ü"}}, {"n": None, "m": None}]
    pq.write_table(
        pa.Table.from_pylist(values, pa.schema({"n": pa.float64(), "m": pa.struct({"a": pa.string()})})), path
    )
    rows = found(path, "parquet")
    assert [(row.line, row.fields, row.fault) for row in rows] == [
        (1, {"n": 1.5, "m": {"a": "ü"}}, ""),
        (2, {"n": None, "m": {"a": None}}, ""),
    ]
    assert [json.loads(row.raw) for row in rows] == [row.fields for row in rows]
    pq.write_table(pa.table({"a": [b"\xff"]}), path)
    (row,) = found(path, "parquet")
    assert row.fields == {}
    assert row.fault.startswith("the row cannot be read: ")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_rows_text_is_the_row_as_it_stands_in_the_file(tmp_path, end):
    path = tmp_path / "x.csv"
    rows = ['"x, y","say ""hi"""', '1,"two\nlines"', "3", '" ",']
    path.write_text("a,b" + end + (end + end).join(rows) + end, "utf-8", newline="")
    assert [row.raw.decode() for row in found(path, "csv")] == rows


def test_a_file_that_cannot_be_right_is_refused(tmp_path):
    cases = {
        "none.parquet": (None, "not found"),
        "none.jsonl": (None, "not found"),
        "empty.jsonl": (b"", "at least one row"),
        "blank.jsonl": (b"\n\n", "at least one row"),
        "empty.csv": (b"", "at least one row"),
        "header.csv": (b"a,b\n", "at least one row"),
        "twice.csv": (b"a,a\n1,2\n", "a name of its own"),
        "latin.csv": (b"a\n\xff\n", "CSV in UTF-8"),
        "quote.csv": (b'a\n"x"y\n', "must be CSV"),
        "cut.jsonl.zst": (zstd.compress(b'{"a":1}\n' * 999)[:-9], "cannot be read"),
        "empty.parquet": (b"", "was empty"),
    }
    for name, (content, rule) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Refusal) as refusal:
            found(path, name.removesuffix(".zst").rpartition(".")[2])
        assert rule in str(refusal.value), name
        assert "fix: " in str(refusal.value), name
