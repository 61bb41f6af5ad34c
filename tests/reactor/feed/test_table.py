"""Table: the same rows out of every format, in the file's order, and nothing left out without a word."""

import gzip
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from journal.refusal import Refusal
from reactor.feed import table
from reactor.feed.convert import BadRow, walk
from reactor.log.archive import zstd


def found(path, kind="", **layout):
    return list(table.rows(path, table.Layout(kind, **layout)))


@pytest.mark.parametrize("mark", ",;\t|")
def test_a_csv_has_the_columns_of_its_delimiter(tmp_path, mark):
    lines = [
        mark.join(line) for line in (("a", "b", "c"), ("1,5" if mark != "," else "1", "", "x"), ("2", "3", '"y;z"'))
    ]
    (tmp_path / "x.csv").write_text("\r\n".join([lines[0], "  ", *lines[1:], ""]), newline="")
    rows = found(tmp_path / "x.csv", "csv")
    assert [(row.line, row.fields["b"], row.fields["c"], row.fault) for row in rows] == [
        (3, "", "x", ""),
        (4, "3", "y;z", ""),
    ]
    assert rows[1].raw.decode() == lines[2]


def test_one_line_of_lists_of_one_length_is_a_table(tmp_path):
    (tmp_path / "x.json").write_text('{"a": [1, 2], "b": ["x", "y"]}')
    assert [row.fields for row in found(tmp_path / "x.json")] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    (tmp_path / "x.json").write_text('{"a": [1, 2], "b": 3}\n')
    assert [row.fields for row in found(tmp_path / "x.json")] == [{"a": [1, 2], "b": 3}]


def test_jsonl_names_the_line_of_every_row_and_of_every_fault(tmp_path):
    lines = [b'{"a":1}', b"", b"{", b"[1]", b'{"a":{"b":"x"}}', b'{"a":' + b"9" * 1_000_000 + b"}"]
    plain, packed = tmp_path / "x.jsonl", tmp_path / "x.jsonl.zst"
    plain.write_bytes(b"\n".join(lines))
    packed.write_bytes(zstd.compress(b"\n".join(lines)))
    rows = found(plain, "jsonl")
    assert rows == found(packed, "jsonl")
    assert [row.line for row in rows] == [1, 3, 4, 5, 6]
    assert [bool(row.fault) for row in rows] == [False, True, False, False, True]
    assert [row.fields for row in rows[2:4]] == [{"0": 1}, {"a": {"b": "x"}}]
    assert "more than a record may have" in rows[4].fault
    assert rows[1].fault.endswith("one object goes over several lines, `jq -c .` writes it in one")


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
    assert (row.fields, row.fault, json.loads(row.raw)) == ({"a": "\udcff"}, "", row.fields)


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
        "above.csv": (b"made by me\na,b\n1,2\n", "line 1 is no header: it has 1 cells, line 2 has 2; fix: skip = 1"),
        "numbers.csv": (
            b"1,2.5\n2,3.5\n",
            "line 1 is no header: it holds numbers alone; fix: write the columns' names",
        ),
        "spaces.csv": (b"a b\n1 2\n", "between its columns, has spaces; fix: write one"),
        "cr.csv": (b"a,b\r1,2\r", "CR alone; fix: write it with LF"),
        "twice.csv": (gzip.compress(gzip.compress(b"a,b\n1,2\n")), "packed twice; fix: unpack it once"),
        "stream.feather": (b"\xff\xff\xff\xff", "an Arrow stream"),
        "utf16.csv": ("a,b\n1,2\n".encode("utf-16"), "text in UTF-16"),
        "page.csv": (b"<html>\n", "HTML or XML"),
        "text.parquet": (b"a,b\n1,2\n", "must be Parquet, is CSV"),
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


def test_the_content_tells_what_a_file_is(tmp_path):
    path = tmp_path / "download"
    for content in (b"a,b\n1,x\n", b'{"a":"1","b":"x"}\n', b'[{"a":"1","b":"x"}]', b'{\n "a": "1",\n "b": "x"\n}'):
        path.write_bytes(content)
        assert [row.fields for row in found(path)] == [{"a": "1", "b": "x"}]
    pq.write_table(pa.table({"a": ["1"], "b": ["x"]}), path)
    assert [row.fields for row in found(path)] == [{"a": "1", "b": "x"}]


def test_a_name_that_says_otherwise_does_not_matter(tmp_path):
    for name, content in (("x.csv", b'{"a":"1","b":"x"}\n{"a":"1","b":"x"}\n'), ("x.jsonl", b"a,b\n1,x\n1,x\n")):
        (tmp_path / name).write_bytes(content)
        assert [row.fields for row in found(tmp_path / name)] == [{"a": "1", "b": "x"}] * 2


def test_a_space_behind_each_comma_is_no_part_of_a_name_or_a_cell(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'a, b, c\n1, "x, y", z\n')
    assert [row.fields for row in found(path)] == [{"a": "1", "b": "x, y", "c": "z"}]
    path.write_bytes(b"a,b\n1, x\n")
    assert [row.fields for row in found(path)] == [{"a": "1", "b": " x"}]


def test_a_name_in_capitals_and_one_with_a_packing_behind_it_tell_the_format(tmp_path):
    for name, content in (("X.CSV", b"a\n1\n"), ("x.csv.gz", gzip.compress(b"a\n1\n"))):
        (tmp_path / name).write_bytes(content)
        assert [row.fields for row in found(tmp_path / name)] == [{"a": "1"}]


def test_spare_columns_are_not_judged(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b",a,note,note,caf\xe9\n0,1,x,y,\xff\n")
    (row,) = found(path)
    assert row.fields["a"] == "1"
    with pytest.raises(BadRow, match="several columns are named 'note'; fix: "):
        walk(row.fields, ("note",))
    assert row.raw == b"0,1,x,y,\xff"


def test_lines_above_the_header_are_skipped_where_the_mapping_says_so(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('made by me, today\n# more\na,b\n1,"x\ny"\n2,z\n')
    assert [(row.line, row.fields["a"]) for row in found(path, skip=2)] == [(4, "1"), (6, "2")]


def test_a_pipe_is_read_once(tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(path.write_text, "a,b\n1,2\n")
        assert [row.fields for row in found(path)] == [{"a": "1", "b": "2"}]


def test_feather_is_parquet_by_another_name(tmp_path):
    path = tmp_path / "x.feather"
    values = pa.table({"n": [1.5, math.nan, math.inf], "t": pa.array([0, 1, None], pa.timestamp("ms", "UTC"))})
    for compression in ("uncompressed", "lz4", "zstd"):
        feather.write_feather(values, path, compression=compression)
        rows = found(path)
        assert [row.place for row in rows] == ["row 1", "row 2", "row 3"]
        assert repr([row.fields["n"] for row in rows]) == "[1.5, nan, inf]"
        assert rows[1].fields["t"] == "1970-01-01T00:00:00.001Z"
        assert rows[2].raw == b'{"n":Infinity,"t":null}'
