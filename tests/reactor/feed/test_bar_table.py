"""Bar tables: the same columns out of every format and packing, and words for a file of another shape."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest

from journal.refusal import Refusal
from reactor.feed import bar_table
from reactor.feed.bar_shape import OURS, PRESETS, parse

NAMES = ("symbol", "open_time_ms", "high", "low", "close", "volume")
ROWS = [("BTCUSDT", 1_746_835_200_000 + 60_000 * n, 3.5, 1.5, 2.5 + n, 7.0) for n in range(5)]
HEAD = ",".join(NAMES)
LINES = [",".join(map(str, row)) for row in ROWS]


def read(path, shape=OURS):
    """Each row of ours, with its line."""
    found = []
    for block in bar_table.blocks(path, shape):
        columns = [c.tolist() if isinstance(c, np.ndarray) else c for c in block.columns.values()]
        found += [
            (line, dict(zip(block.columns, row, strict=True))) for line, *row in zip(block.lines, *columns, strict=True)
        ]
    return found


def written(path, body):
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


def table():
    return pa.table({name: [row[at] for row in ROWS] for at, name in enumerate(NAMES)})


def as_parquet(path):
    pq.write_table(table(), path)


def as_feather(path):
    pf.write_feather(table(), path)


def as_json(path):
    path.write_text(json.dumps([dict(zip(NAMES, row, strict=True)) for row in ROWS], indent=1))


def as_json_lines(path):
    path.write_text("".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in ROWS))


def as_csv(path):
    path.write_text("\n".join([HEAD, *LINES]))


@pytest.mark.parametrize("write", [as_parquet, as_feather, as_json, as_json_lines, as_csv])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [2, 16_384])
def test_every_format_gives_the_same_columns(tmp_path, monkeypatch, write, packed, size):
    monkeypatch.setattr(bar_table, "BLOCK_ROWS", size)
    path = tmp_path / "x"
    write(path)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = read(path)
    assert [tuple(str(row[name]) for name in NAMES) for _, row in found] == [tuple(map(str, row)) for row in ROWS]
    assert [line for line, _ in found] == ([2, 3, 4, 5, 6] if write is as_csv else [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    "body",
    [
        "https://www.example.com\n" + HEAD + "\n" + LINES[0],
        "# exported, by hand\n\n" + HEAD + "\n" + LINES[0] + "\n\n",
        "\ufeff" + HEAD + "\r\n" + LINES[0] + "\r\n",
        HEAD.upper() + ",note\n" + LINES[0] + ",x\n",
        "," + HEAD + ",note,note\n0," + LINES[0] + ',"a, b","c ""d"""\n',
        (HEAD + "\n" + LINES[0]).replace(",", ";"),
        (HEAD + "\n" + LINES[0]).replace(",", "\t"),
        (HEAD + "\n" + LINES[0]).replace(",", "|") + "\n   \n",
    ],
)
def test_a_header_is_found_and_nothing_else_of_the_file_is_judged(tmp_path, body):
    ((_, row),) = read(written(tmp_path / "b.csv", body))
    assert row == dict(zip(NAMES, LINES[0].split(","), strict=True))


def test_decimal_commas_stay_what_they_are(tmp_path):
    ((_, row),) = read(written(tmp_path / "b.csv", HEAD.replace(",", ";") + "\nA;1;2,5;2,5;2,5;1,5\n"))
    assert row["volume"] == "1,5"


@pytest.mark.parametrize(
    "head", ["", "open_time,open,high,low,close,volume,trades\n", "Time,Open,High,Low,Close,Volume,Trades\n"]
)
def test_columns_by_place_may_have_a_header_that_says_the_same(tmp_path, head):
    path = written(tmp_path / "XBTUSD_1.csv", head.replace("open_time", "time") + "1746835200,1,3,1,2,5,9\n")
    ((_, row),) = read(path, PRESETS["kraken"])
    assert row == {"open_time_ms": "1746835200", "high": "3", "low": "1", "close": "2", "volume": "5"}


def test_a_header_that_says_otherwise_is_not_passed_over(tmp_path):
    path = written(tmp_path / "XBTUSD_1.csv", "time,open,lo,hi,close,volume,trades\n1746835200,1,1,3,2,5,9\n")
    with pytest.raises(Refusal, match="missing: high, low; found: time, open, lo, hi"):
        read(path, PRESETS["kraken"])


def refused():
    yield (
        "missing",
        "symbol,close\nA,1",
        "missing: open_time_ms, high, low, volume; found: symbol, close; fix: --map bars.toml",
    )
    yield "twice", HEAD + ",close\n" + LINES[0] + ",9", "must hold one column close, holds several"
    yield "short", HEAD + "\n" + LINES[0] + "\nA,1", "line 3 has 2 cells, must have 6; fix: mend the line"
    yield "long", HEAD + "\n" + LINES[0] + ",1", "line 2 has 7 cells"
    yield "quote", HEAD + '\n"A' + LINES[0], "must be CSV: unexpected end of data"
    yield "latin", HEAD.encode() + b"\n\xe9," + LINES[0].encode(), "line 2 must be text in UTF-8"
    yield "arrays", "[[1, 2, 3]]", "holds arrays of 3, and nothing says what stands where; fix: columns"
    yield "ccxt", "[[1746835200000, 1, 1, 1, 1, 1]]", "holds arrays of 6, .*; fix: --preset ccxt or --preset freqtrade"
    yield "numbers", "[1, 2]", "must hold an object or an array a bar, was 1"
    yield "mixed", json.dumps([dict.fromkeys(NAMES, 1), [1]]), "entry 2 must be an object like the first, was \\[1\\]"
    yield "object", json.dumps({"data": [[1]], "code": "0"}, indent=1), 'is one JSON object; fix: .* rows = "data"'
    yield "wrapped", json.dumps({"code": [0], "r": {"x": 1, "list": [[1]]}}), 'is one JSON object; .* rows = "r.list"'
    yield (
        "columns",
        json.dumps({name: [1, 2] for name in NAMES}),
        "holds its columns as lists; fix: .* orient='records'",
    )
    yield "closes", "ts,BTCUSDT,ETHUSDT\n1,2,3", "prices without high, low and volume are no bars"
    yield "cr", HEAD + "\r" + LINES[0] + "\r", "lines end in CR alone; .*; fix: write it with LF"
    yield "twice packed", gzip.compress(gzip.compress(HEAD.encode())), "is packed twice; .*; fix: unpack it once"
    yield "stream", b"\xff\xff\xff\xff\x10", "is an Arrow stream"
    yield "cut json", '[{"symbol": "A",', "must be JSON, it is not"
    yield "cut line", json.dumps(dict.fromkeys(NAMES, 1)) + '\n{"a', "must be JSON, line 2 is not"
    yield "sqlite", b"SQLite format 3\x00", "is an SQLite database; bars are CSV, JSON, Parquet or Feather; fix: export"
    yield "page", "<!DOCTYPE html>\n", "is HTML or XML; bars are CSV"
    yield "utf-16", HEAD.encode("utf-16"), "is text in UTF-16; .*; fix: write it in UTF-8"
    yield "half", b"PAR1 the middle was lost PAR1", "must be readable, its reader said: "
    yield "half feather", b"ARROW1\x00\x00 was cut", "must be readable, its reader said: "


@pytest.mark.parametrize(("body", "says"), [pytest.param(*rest, id=name) for name, *rest in refused()])
def test_a_file_of_another_shape_is_refused_and_named(tmp_path, body, says):
    with pytest.raises(Refusal, match=says) as refusal:
        read(written(tmp_path / "bars", body))
    assert "; fix: " in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("body", ["", "\n\n", HEAD + "\n", "[]"])
def test_a_file_without_a_row_has_no_block(tmp_path, body):
    assert read(written(tmp_path / "b.csv", body)) == []


def test_a_damaged_offset_in_feather_is_refused(tmp_path):
    path = tmp_path / "x.feather"
    pf.write_feather(table(), path, compression="uncompressed")
    whole = path.read_bytes()
    at = whole.index(np.array([0, 7, 14, 21, 28, 35], np.int32).tobytes())  # where each symbol begins
    path.write_bytes(whole[: at + 8] + np.int32(-5).tobytes() + whole[at + 12 :])
    with pytest.raises(Refusal, match="must be readable, its reader said: .*; fix: give a whole file"):
        read(path)


def test_rows_lie_where_the_shape_says(tmp_path):
    path = written(
        tmp_path / "x.json",
        json.dumps({"result": {"XXBTZUSD": [[1746835200, "1", "3", "1", "2", "9", "5", 4]], "last": 1}}),
    )
    shape = parse(
        'rows = "result.XXBTZUSD"\ncolumns = ["time", "open", "high", "low", "close", "vwap", "volume", "count"]\n'
        '[fields]\nsymbol = { const = "XBTUSD" }\nopen_time_ms = { path = "time", unit = "s" }'
    )
    assert read(path, shape) == [
        (1, {"open_time_ms": 1746835200, "high": "3", "low": "1", "close": "2", "volume": "5"})
    ]
    with pytest.raises(Refusal, match="must hold an array at 'data', has none"):
        read(path, PRESETS["okx"])


def test_a_row_that_where_does_not_want_is_passed_over(tmp_path):
    head = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm\n"
    lines = [f"BTC-USDT,1,3,1,2,5,10,10,{1746835200000 + 60_000 * n},{int(n < 2)}\n" for n in range(3)]
    path = written(tmp_path / "x.csv", head + "".join(lines))
    assert [line for line, _ in read(path, PRESETS["okx"])] == [2, 3]
    assert [row["volume"] for _, row in read(path, PRESETS["okx-swap"])] == ["10", "10"]
    (block,) = bar_table.blocks(path, PRESETS["okx"])
    assert block.passed_over == "line 4 has confirm '0', not 1"


def test_lines_of_json_are_named_by_their_number_in_the_file(tmp_path):
    rows = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in ROWS[:2]]
    assert [line for line, _ in read(written(tmp_path / "x", "\n" + "\n\n".join(rows)))] == [2, 4]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1], pa.timestamp("s", "UTC")), "M8[s]"),
        (pa.array([1], pa.timestamp("ns", "Europe/Vienna")), "M8[ns]"),
        (pa.array([1], pa.int32()), "int64"),
        (pa.array([1.5], pa.float64()), "float64"),
        (pa.array([1.5], pa.float32()), [1.5]),
        (pa.array([0.1], pa.float32()), [0.1]),
        (pa.array([1], pa.timestamp("ms")), ["1970-01-01 00:00:00.001"]),
        (pa.array(["1.5"], pa.large_string()), ["1.5"]),
        (pa.array(["A"]).dictionary_encode(), ["A"]),
        (pa.array([None], pa.int64()), [None]),
    ],
)
def test_a_typed_column_keeps_what_it_says_of_itself(tmp_path, array, expected):
    columns = dict.fromkeys(NAMES, array)
    pq.write_table(pa.table(columns), tmp_path / "x.parquet", coerce_timestamps=None)
    (block,) = bar_table.blocks(tmp_path / "x.parquet", OURS)
    found = block.columns["close"]
    assert (
        found == expected
        if isinstance(expected, list)
        else str(found.dtype).replace("datetime64", "M8") == expected
        or (
            expected == "M8[s]" and str(found.dtype) == "datetime64[ms]"  # Parquet has no seconds
        )
    )


def test_places_are_files_folders_patterns_and_pipes(tmp_path):
    for name in ("b.csv", "a.CSV", "c.zip", ".hidden.csv", "c.zip.CHECKSUM", "notes.md"):
        (tmp_path / name).write_text("x")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/d.csv").write_text("x")
    (tmp_path / "odd[1].csv").write_text("x")

    def names(*places):
        return [path.name for path in bar_table.files([str(tmp_path / place) for place in places])]

    assert names("") == ["a.CSV", "b.csv", "c.zip", "odd[1].csv"]
    assert names("*.csv", "b.csv") == ["b.csv", "odd[1].csv"]
    assert names("odd[1].csv") == ["odd[1].csv"]
    assert names("**/d.csv") == ["d.csv"]
    assert [str(path) for path in bar_table.files(["-"])] == ["/dev/stdin"]
    for place, says in (
        ("none-*", "was not found"),
        ("none.csv", "was not found"),
        ("empty", "holds no file that ends in"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(Refusal, match=f"{says}.*; fix: check the path".replace("*", ".*") if "*" in says else says):
            names(place)
