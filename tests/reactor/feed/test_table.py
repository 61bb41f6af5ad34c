"""Table: the same rows out of every format, in the file's order, and nothing left out without a word."""

import json

import pytest

from journal.refusal import Refusal
from reactor.feed import table
from reactor.log.archive import zstd


def found(path, kind, blocks=None):
    return list(table.rows(path, kind, blocks))


def parquet(path, blocks, sql):
    for _ in blocks(f"INSERT INTO FUNCTION file('{path}', Parquet) {sql}"):
        pass
    return path


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


def test_parquet_keeps_order_nesting_numbers_and_the_zone_of_times(tmp_path, blocks):
    path = parquet(
        tmp_path / "x.parquet", blocks,
        "SELECT number AS n, number / 3 AS x, toDateTime64(1746372780.123, 3, 'UTC') AS t, map('a', 1.5) AS m, "
        "CAST((1, 'q'), 'Tuple(x Int64, y String)') AS u, toInt64(1746372780000000001) AS big, "
        "CAST(NULL, 'Nullable(Float64)') AS nothing FROM numbers(200000)",
    )  # fmt: skip
    rows = found(path, "parquet", blocks)
    assert [row.fields["n"] for row in rows] == list(range(200_000))
    assert [row.fields["x"] for row in rows[:1000]] == [n / 3 for n in range(1000)]
    assert rows[-1].line == 200_000
    assert rows[0].fields == {
        "n": 0, "x": 0, "t": "2025-05-04T15:33:00.123Z", "m": {"a": 1.5}, "u": {"x": 1, "y": "q"},
        "big": 1746372780000000001, "nothing": None,
    }  # fmt: skip
    assert json.loads(rows[0].raw) == rows[0].fields


def test_a_file_that_cannot_be_right_is_refused(tmp_path, blocks):
    whole = parquet(tmp_path / "w.parquet", blocks, "SELECT number AS n FROM numbers(10)").read_bytes()
    cases = {
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
        "half.parquet": (whole[: len(whole) // 2], "half written"),
        "torn.parquet": (whole[:8] + whole[-8:], "must be readable"),
        "text.parquet": (b"hello, world", "not Parquet"),
    }
    for name, (content, rule) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Refusal) as refusal:
            found(path, name.removesuffix(".zst").rpartition(".")[2], blocks)
        assert rule in str(refusal.value), name
        assert "fix: " in str(refusal.value), name
