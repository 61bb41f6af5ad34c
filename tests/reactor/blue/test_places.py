"""Trade rows from foreign shapes: what maps, and what is refused by line and fix."""

import json
from collections import Counter

import pytest

from journal.blue import intake
from journal.refusal import Refusal
from reactor.blue import places as trade_source
from reactor.feed import table
from reactor.feed.table import object_row
from reactor.log.archive import zstd
from tests import shapes

TRADE = shapes.freqtrade(7, "2025-05-04 16:33:00+00:00")


def rows_of(text, name, tmp_path, mapping=None, **options):
    path = tmp_path / name
    path.write_text(text)
    sources = trade_source.mappings(mapping or trade_source.plain())
    found, passed = table.rows(path, sources["trade"].layout), options.get("passed", Counter())
    return trade_source.mapped(
        found, sources["trade"], name, options.get("offset_ms", 0), passed, strict=mapping is not None
    )


def csv_of(*rows):
    return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n"


def test_freqtrade_exports_map_from_json_and_csv_alike(tmp_path):
    by_json = rows_of(
        json.dumps([TRADE, TRADE | {"trade_id": 8, "is_short": False}], indent=1), "t.json", tmp_path, shapes.FREQTRADE
    )
    by_csv = rows_of(csv_of(TRADE, TRADE | {"trade_id": 8, "is_short": False}), "t.csv", tmp_path, shapes.FREQTRADE)
    by_lines = rows_of(
        "\n".join(map(json.dumps, (TRADE, TRADE | {"trade_id": 8, "is_short": False}))),
        "t.jsonl",
        tmp_path,
        shapes.FREQTRADE,
    )
    assert [row.hash for row in by_json] == [row.hash for row in by_csv] == [row.hash for row in by_lines]
    short, long = by_csv
    assert (short.trade_id, short.fields["asset"], short.fields["side"], long.fields["side"]) == (
        "7",
        "BTCUSDT",
        "SHORT",
        "LONG",
    )
    assert (short.fields["entry_ts_ms"], short.fields["leverage"], short.fields["bars_held"]) == (
        1_746_376_380_000,
        3.0,
        None,
    )
    assert json.loads(by_json[0].raw)["profit_ratio"] == 0.0035  # what nothing maps is kept with the row as it came


PLAIN = {"trade_id": "a", "asset": "BTCUSDT", "entry_ts_ms": 1_746_376_380_000, "leverage": 1.5}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"entry_ts_ms": 1_746_376_380}, "looks like seconds"),
        ({"entry_ts_ms": "2025-05-04T16:33:00"}, "looks like ISO text"),
        ({"leverage": "1,5"}, "no number"),
        ({"leverage": "inf"}, "not finite"),
        ({"leverage": -1.0}, "leverage must be above 0"),
        ({"asset": "BTC/USDT"}, 'fix: unit = "pair"'),
        ({"side": "sell"}, "side must be SHORT or LONG"),
        ({"trade_id": ""}, "trade_id"),
        ({"bars_held": 1.5}, "no whole number"),
    ],
)
def test_a_row_that_cannot_be_right_is_named_by_line_and_nothing_comes_of_the_others(tmp_path, change, says):
    text = "\n".join(json.dumps(row) for row in (PLAIN, PLAIN | {"trade_id": "b"} | change, PLAIN | {"trade_id": "c"}))
    with pytest.raises(Refusal, match="line 2: ") as refused:
        rows_of(text, "t.jsonl", tmp_path)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.csv", "", "was empty"),
        ("t.csv", "trade_id,asset\n", "was empty"),
        ("t.csv", csv_of({"id": 1, "asset": "BTCUSDT", "entry_ts_ms": 5}), "the row has no 'trade_id'"),
        ("t.csv", csv_of(PLAIN) + "b,BTCUSDT\n", "line 3: the row has 2 cells"),
        ("t.jsonl", json.dumps(PLAIN) + '\n{"trade_id": ', "line 2: the line is not JSON"),
        ("t.json", "[" + json.dumps(PLAIN), "one JSON array"),
        ("t.json", "[]", "at least one row"),
        ("t.parquet", "PAR1 and then the disk was full", "half written"),
        ("t.xlsx", "PK\x03\x04", "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_right_is_refused(tmp_path, name, text, says):
    with pytest.raises(Refusal) as refused:
        list(rows_of(text, name, tmp_path))
    assert says in str(refused.value)


def test_a_mapped_field_that_no_row_has_is_refused_rather_than_absent(tmp_path):
    mapping = shapes.FREQTRADE.replace('leverage = "leverage"', 'leverage = "levrage"')
    with pytest.raises(Refusal, match="what leverage is mapped to"):
        rows_of(json.dumps([TRADE]), "t.json", tmp_path, mapping)


def test_a_zone_is_asked_for_and_taken(tmp_path):
    bare = TRADE | {"open_date": "2025-05-04 18:33:00", "close_date": "2025-05-04 18:40:00"}
    with pytest.raises(Refusal, match="has no time zone"):
        rows_of(json.dumps([bare]), "t.json", tmp_path, shapes.FREQTRADE)
    zoned = shapes.FREQTRADE.replace('unit = "iso"', 'unit = "iso", zone = "+02:00"')
    (row,) = rows_of(json.dumps([bare]), "t.json", tmp_path, zoned)
    assert row.fields["entry_ts_ms"] == 1_746_376_380_000


def test_a_clock_that_is_ahead_is_taken_off_every_time(tmp_path):
    late = PLAIN | {"entry_ts_ms": PLAIN["entry_ts_ms"] + 90_000, "exit_ts_ms": PLAIN["entry_ts_ms"] + 690_000}
    (row,) = rows_of(json.dumps(late), "t.jsonl", tmp_path, offset_ms=90_000)
    assert (row.fields["entry_ts_ms"], row.fields["exit_ts_ms"]) == (
        PLAIN["entry_ts_ms"],
        PLAIN["entry_ts_ms"] + 600_000,
    )


def test_what_the_stand_in_made_is_labelled_so_and_never_mixed():
    def row(trade_id):
        return intake.trade(1, PLAIN | {"trade_id": trade_id}, b"")

    assert intake.label_of([row("STAND-IN-1"), row("STAND-IN-2")]) == "STAND-IN"
    assert intake.label_of([row("1")]) == "REAL"
    with pytest.raises(Refusal, match="must not be in one import"):
        intake.label_of([row("1"), row("STAND-IN-2")])


@pytest.mark.parametrize("name", ["a;DROP TABLE b", "a b", "file('x')", "a.b.c", ""])
def test_a_table_is_a_name_and_nothing_else(name):
    with pytest.raises(Refusal, match="a table must be"):
        list(trade_source.table_rows(name, lambda sql: iter([])))


def test_a_number_is_the_same_content_whatever_it_was_written_as():
    rows = [object_row(1, json.dumps(PLAIN | {"leverage": x}).encode()) for x in (2, 2.0)]
    source = trade_source.mappings(trade_source.plain())["trade"]
    one, two = trade_source.mapped(rows, source, "here", 0, Counter(), strict=False)
    assert one.hash == two.hash


@pytest.mark.parametrize("before", ["", "\n \n"])
def test_an_array_may_be_packed_and_have_lines_before_it(tmp_path, before):
    text = (before + json.dumps([PLAIN, PLAIN | {"trade_id": "b"}])).encode()
    (tmp_path / "t.json").write_bytes(text)
    (tmp_path / "t.json.zst").write_bytes(zstd.compress(text))
    (tmp_path / "lines.json.zst").write_bytes(zstd.compress(b"\n".join(json.dumps(PLAIN).encode() for _ in range(2))))
    plain, packed = (list(table.rows(tmp_path / name)) for name in ("t.json", "t.json.zst"))
    assert plain == packed
    assert [(row.line, row.fields["trade_id"]) for row in plain] == [(1, "a"), (2, "b")]
    assert [row.fields for row in table.rows(tmp_path / "lines.json.zst")] == [PLAIN, PLAIN]


def test_a_packed_array_that_is_cut_is_refused(tmp_path):
    path = tmp_path / "t.json.zst"
    path.write_bytes(zstd.compress(json.dumps([PLAIN] * 99).encode())[:-9])
    with pytest.raises(Refusal, match="cannot be read"):
        list(table.rows(path))


def test_what_blue_recorded_comes_from_csv_and_json_alike(tmp_path):
    planes = {"ob": {"value": {"mult": 1.1}, "ts_ms": 5}, "acb": {"ts_ms": 4, "value": {"boost": 1.35}}}
    said = {"scan_id": 17, "base": 1.5, "dc": 1.1, "posture": "APEX", "config_hash": "c0", "marks": ["PARTIAL", "ADL"]}
    by_json = rows_of(json.dumps([PLAIN | said | {"planes": planes}]), "t.json", tmp_path)
    quoted = '"' + json.dumps(planes).replace('"', '""') + '"'
    by_csv = rows_of(csv_of(PLAIN | said | {"planes": quoted, "marks": '"ADL,PARTIAL"'}), "t.csv", tmp_path)
    assert by_json[0].hash == by_csv[0].hash
    fields = by_csv[0].fields
    assert (fields["scan_id"], fields["lanes"], fields["marks"]) == (17, {"base": 1.5, "dc": 1.1}, ["ADL", "PARTIAL"])
    assert fields["planes"] == json.dumps(planes, sort_keys=True, separators=(",", ":"))
    assert (fields["posture"], fields["config_hash"], fields["version"]) == ("APEX", "c0", "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scan_id": -1}, "scan_id must be between 0"), ({"planes": "[]"}, "planes must be an object"),
        ({"planes": {"ob": {"mult": 1.1}}}, "planes must be an object"), ({"marks": [1]}, "marks must be a list of texts"),
    ],
)  # fmt: skip
def test_what_blue_recorded_must_have_its_form(tmp_path, change, says):
    with pytest.raises(Refusal, match=says):
        rows_of(json.dumps([PLAIN | change]), "t.json", tmp_path)
