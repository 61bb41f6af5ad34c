"""Cases: scans as other programs write them, by `violet sequence`, from the file to the values of the log."""

import gzip
import json
import sqlite3
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from tests.integration.soaking import violet

T0 = 1_746_372_780_000
MINUTE = 60_000
FIELDS = {"ts_ms": '"ts"', "vel_div": '"vel_div"', "prices": '"prices"'}
ROWWISE = {**FIELDS, "prices": '{ key = "pair", value = "close", unit = "pair" }'}


@pytest.fixture
def sequence(tmp_path):
    """sequence(content, name, fields, head) -> what the command said; `scans` are those of its log."""

    def run(content, name="f.jsonl", fields=FIELDS, head=""):
        path, out = tmp_path / name, tmp_path / "out.jsonl"
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        lines = "\n".join(f"{ours} = {theirs}" for ours, theirs in fields.items())
        mapping = f'stream = "ng7"\n[[source]]\nfeeds = "scan"\nfile = "{name}"\n{head}\n[source.fields]\n{lines}\n'
        (tmp_path / "map.toml").write_text(mapping)
        out.unlink(missing_ok=True)
        said = violet("sequence", "--config", tmp_path / "map.toml", "--out", out, "--json")
        scans = list(map(json.loads, out.read_text().splitlines())) if said.code == 0 else []
        return Sequenced(said, scans)

    return run


class Sequenced:
    def __init__(self, said, scans):
        self.code, self.err, self.scans = said.code, said.err, scans
        self.source = said.json["sources"][0] if said.code == 0 else None
        self.prices = [scan["prices"] for scan in scans]


def refused(found, *words):
    """One line, exit 3, no log; each of the words is in it."""
    assert (found.code, found.err.count("\n"), found.scans) == (3, 1, [])
    for each in words:
        assert each in found.err


def lines(*rows):
    return "".join(json.dumps({"ts": T0 + n * MINUTE, "vel_div": -0.03, **row}) + "\n" for n, row in enumerate(rows))


@pytest.mark.parametrize("pair", ["BTC-USDT", "BTC/USDT", "BTC_USDT", "btc-usdt", "BTC/USDT:USDT", "BTC-USDT-SWAP"])
def test_a_pair_with_a_dash_is_decided_on_and_its_pegged_neighbour_is_not(journal, sequence, tmp_path, pair):
    pegged = pair.lower().replace("btc", "usdc")
    ranks = {pair: {"score": 0.1, "alignment": 0.5}, pegged: {"score": 0.9, "alignment": 0.5}}
    row = {"prices": {pair: 94210.5, pegged: 1.0}, "irp": ranks, "vel_div": -0.04}
    both = {name: f'{{ path = "{name}", unit = "pair" }}' for name in ("prices", "irp")}
    assert sequence(lines(row, row), fields={**FIELDS, **both}).code == 0
    soaked = journal.soak(scans=tmp_path / "out.jsonl")
    assets = journal.rows(
        "SELECT asset, count() AS n FROM decisions WHERE run_id = {r:String} GROUP BY asset", r=soaked.run_id
    )
    assert assets == [{"asset": "BTCUSDT", "n": 2}]


@pytest.mark.parametrize(
    "name", ["BTC.USDT", "BTC:USDT", "BTC USDT", "BTC-PERP", "BTC/USDT:USDT-250926", "BTCUSD_PERP"]
)
def test_a_pair_that_does_not_convert_is_refused(sequence, name):
    fields = {**FIELDS, "prices": '{ path = "prices", unit = "pair" }'}
    refused(
        sequence(lines({"prices": {name: 1.5}}), fields=fields), "f.jsonl line 1", f"'{name}'", "is no pair", "fix: "
    )
    found = sequence(lines({"prices": {name: 1.5, "ETH-USDT": 2}}), fields=fields)
    assert (found.prices, found.source["left_out"]) == ([{"ETHUSDT": 2.0}], 1)


@pytest.mark.parametrize("spare", ["NaN", "Infinity", "-Infinity", "1e400", "-1e999", "9" * 5000, '"\\ud800"', '{"deep": [NaN, {"x": 1e400}]}'])  # fmt: skip
def test_a_field_that_nobody_reads_costs_nothing(sequence, spare):
    found = sequence(f'{{"ts":{T0},"vel_div":-0.03,"rsi":{spare},"prices":{{"BTCUSDT":94210.5}}}}\n')
    assert found.prices == [{"BTCUSDT": 94210.5}]
    assert (found.source["records"], found.source["set_aside"]) == (1, 0)


@pytest.mark.parametrize("bad", [None, "", "NaN", float("nan"), "N/A", "x", "1_5", float("inf"), {"last": 1}, [1]])
def test_one_bad_price_costs_its_symbol_alone_and_is_named(sequence, bad):
    found = sequence(
        lines({"prices": {"BTCUSDT": 94210.5, "NEWUSDT": bad}}, {"prices": {"BTCUSDT": 1, "NEWUSDT": 0.5}})
    )
    assert found.prices == [{"BTCUSDT": 94210.5}, {"BTCUSDT": 1.0, "NEWUSDT": 0.5}]
    assert found.source["left_out"] == 1
    assert found.source["first_left_out"].startswith("line 1: prices: 'NEWUSDT'")


@pytest.mark.parametrize("name", ["new coin", "NEW/USDT", "币安人生USDT", "", "x" * 33])
def test_one_unusable_name_costs_its_symbol_alone(sequence, name):
    found = sequence(lines({"prices": {"BTCUSDT": 94210.5, name: 1.5}}))
    assert (found.prices, found.source["left_out"]) == ([{"BTCUSDT": 94210.5}], 1)


@pytest.mark.parametrize("at", [pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("s", "Asia/Tokyo"), pa.time32("ms"), pa.date32()])  # fmt: skip
@pytest.mark.parametrize("wrap", [lambda kind: kind, pa.list_, lambda kind: pa.struct({"deeper": kind})])
def test_a_time_without_a_zone_inside_a_struct_that_nothing_reads_costs_nothing(sequence, tmp_path, at, wrap):
    prices = pa.struct({"BTCUSDT": pa.float64()})
    kind = pa.struct({"vel_div": pa.float64(), "at": wrap(at), "prices": prices})
    payload = pa.array([{"vel_div": -0.03, "at": None, "prices": {"BTCUSDT": 1.5}}], kind)
    pq.write_table(pa.table({"ts": [T0], "payload": payload}), tmp_path / "s.parquet")
    fields = {"ts_ms": '"ts"', "vel_div": '"payload.vel_div"', "prices": '"payload.prices"'}
    found = sequence(None, "s.parquet", fields)
    assert [(scan["ts_ms"], scan["vel_div"], scan["prices"]) for scan in found.scans] == [(T0, -0.03, {"BTCUSDT": 1.5})]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("depth", ["at", "p.at", "p.l.0"])
def test_a_zone_is_honoured_at_every_depth(sequence, tmp_path, zone, depth):
    at = pa.array([T0], pa.timestamp("ms", zone))
    column = {"at": at, "p.at": pa.StructArray.from_arrays([at], ["at"]),
              "p.l.0": pa.StructArray.from_arrays([pa.ListArray.from_arrays([0, 1], at)], ["l"])}[depth]  # fmt: skip
    name = depth.partition(".")[0]
    table = pa.table({name: column, "vel_div": [-0.03], "prices": [{"BTCUSDT": 1.5}]})
    pq.write_table(table, tmp_path / "s.parquet")
    bare = {**FIELDS, "ts_ms": f'{{ path = "{depth}", unit = "iso" }}'}
    found = sequence(None, "s.parquet", bare)
    if zone is None:
        refused(found, "s.parquet row 1", "'2025-05-04 15:33:00.000' has no time zone", 'fix: zone = "UTC"')
        found = sequence(None, "s.parquet", {**FIELDS, "ts_ms": f'{{ path = "{depth}", unit = "iso", zone = "UTC" }}'})
    assert [scan["ts_ms"] for scan in found.scans] == [T0]


def test_null_is_told_from_a_field_that_is_absent_and_from_one_with_a_dot(sequence):
    row = {"prices": {"BTCUSDT": 1.5}}
    said = "f.jsonl line 1: vel_div: 'vel_div' is null; fix: ", '`skip_without = ["vel_div"]`'
    refused(sequence(lines({**row, "vel_div": None}, row)), *said)
    found = sequence(lines({**row, "vel_div": None}, row), head='skip_without = ["vel_div"]')
    assert ([scan["ts_ms"] for scan in found.scans], found.source["passed_over"]) == ([T0 + MINUTE], 1)
    absent = {**FIELDS, "vel_div": '"veldiv"'}
    refused(sequence(lines(row), fields=absent), "the row has no 'veldiv'", "did you mean 'vel_div'?")
    dotted = lines({**row, "p.vel_div": -0.5})
    refused(
        sequence(dotted, fields={**FIELDS, "vel_div": '"p.vel_div"'}),
        "'p.vel_div' is one name, with a dot",
        "['p.vel_div']",
    )
    assert sequence(dotted, fields={**FIELDS, "vel_div": '["p.vel_div"]'}).scans[0]["vel_div"] == -0.5


@pytest.mark.parametrize("value", [float("nan"), None])
def test_nan_in_parquet_is_named_as_what_it_is(sequence, tmp_path, value):
    table = pa.table({"ts": [T0], "pair": ["BTC/USDT"], "close": [1.5], "vel_div": pa.array([value], pa.float64())})
    pq.write_table(table, tmp_path / "s.parquet")
    shown = "null" if value is None else "NaN"
    refused(
        sequence(None, "s.parquet", ROWWISE, "group = true"), f"s.parquet row 1: vel_div: 'vel_div' is {shown}; fix: "
    )


UNITS = {"s": 1_000, "ms": 1, "us": -1_000, "ns": -1_000_000}


def in_unit(ms, unit):
    return ms // UNITS[unit] if UNITS[unit] > 0 else ms * -UNITS[unit]


@pytest.mark.parametrize("first", UNITS)
@pytest.mark.parametrize("second", UNITS)
def test_two_units_in_one_file_have_a_fix_that_leads_out(sequence, first, second):
    content = "".join(
        json.dumps({"ts": in_unit(T0 + n * MINUTE, unit), "vel_div": -0.03, "prices": {"BTCUSDT": 1.5}}) + "\n"
        for n, unit in enumerate((first, second))
    )
    times = [T0, T0 + MINUTE]
    assert [
        s["ts_ms"] for s in sequence(content, fields={**FIELDS, "ts_ms": '{ path = "ts", unit = "auto" }'}).scans
    ] == times
    found = sequence(content, fields={**FIELDS, "ts_ms": f'{{ path = "ts", unit = "{first}" }}'})
    if first != second:
        refused(
            found,
            f"f.jsonl line 2: ts_ms: {in_unit(times[1], second)} {first} is not a time",
            "where the file holds both",
        )
        unit = found.err.partition(", or ")[2].partition(" where")[0]
        found = sequence(content, fields={**FIELDS, "ts_ms": f'{{ path = "ts", unit = {unit} }}'})
    assert [scan["ts_ms"] for scan in found.scans] == times


CSV = "ts,pair,close,vel_div{more}\n1746372780000,BTC/USDT,1.5,{value}\n1746372840000,BTC/USDT,1.6,-0.03\n"


@pytest.mark.parametrize("word", ["None", "null", "NULL", "NaT", "<NA>", "\\N", "", "NaN", "nan", "N/A", "NA", "n/a", "nil", "#N/A", '" "'])  # fmt: skip
def test_words_for_no_value_are_no_value(sequence, word):
    found = sequence(CSV.format(value=word, more=""), "s.csv", ROWWISE, 'group = true\nskip_without = ["vel_div"]')
    assert [(scan["ts_ms"], scan["prices"]) for scan in found.scans] == [(T0 + MINUTE, {"BTCUSDT": 1.6})]
    assert found.source["passed_over"] == 1


@pytest.mark.parametrize("word", ["-", "missing", "-999", "Keine Angabe"])
def test_a_mapping_names_its_own_words_for_no_value(sequence, word):
    head = f'group = true\nskip_without = ["vel_div"]\nno_value = ["{word}"]'
    assert len(sequence(CSV.format(value=word, more=""), "s.csv", ROWWISE, head).scans) == 1


@pytest.mark.parametrize("word", ["inf", "-inf", "Infinity", "-Infinity", "+inf", "1.#INF"])
def test_the_fix_for_an_infinity_helps(sequence, word):
    content = CSV.format(value=word, more="")
    refused(
        sequence(content, "s.csv", ROWWISE, "group = true"),
        f"s.csv line 2: vel_div: '{word}' is not finite; fix: `skip_without`",
    )
    found = sequence(content, "s.csv", ROWWISE, 'group = true\nskip_without = ["vel_div"]')
    assert [scan["ts_ms"] for scan in found.scans] == [T0 + MINUTE]


def test_an_infinity_has_the_same_answer_in_every_format(sequence, tmp_path):
    columns = {"ts": [T0, T0 + MINUTE], "pair": ["BTC/USDT"] * 2, "close": [1.5, 1.6], "vel_div": [-0.03] * 2, "w": [float("inf"), 0.1]}  # fmt: skip
    table, fields = pa.table(columns), {**ROWWISE, "w750": '"w"'}
    pq.write_table(table, tmp_path / "s.parquet")
    feather.write_feather(table, tmp_path / "s.feather")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for name, content in {
        "s.csv": "\n".join([",".join(columns), *(",".join(map(str, row.values())) for row in rows)]),
        "s.jsonl": "\n".join(map(json.dumps, rows)), "s.json": json.dumps(rows), "s.parquet": None, "s.feather": None,
    }.items():  # fmt: skip
        refused(sequence(content, name, fields, "group = true"), f"{name} ", "w750: ", "is not finite; fix: ")
        word = "Infinity" if name in ("s.jsonl", "s.json") else "inf"
        found = sequence(content, name, fields, f'group = true\nno_value = ["{word}"]')
        assert [scan.get("w750") for scan in found.scans] == [None, 0.1], name


@pytest.mark.parametrize(
    ("row", "prices"),
    [
        ({"assets": ["BTCUSDT", "ETHUSDT"], "p": [94210.5, 1810.5]}, '{ key = "assets", value = "p" }'),
        ({"assets": ["BTC/USDT", "ETH/USDT"], "p": ["94210.5", "1810.5"]}, '{ key = "assets", value = "p", unit = "pair" }'),
        ({"p": [{"symbol": "BTCUSDT", "price": "94210.5"}, {"symbol": "ETHUSDT", "price": "1810.5"}]}, '{ path = "p", key = "symbol", value = "price" }'),
        ({"p": [["BTC-USDT", 94210.5], ["ETH-USDT", 1810.5]]}, '{ path = "p", key = "0", value = "1", unit = "pair" }'),
        ({"p": {"BTC/USDT": {"last": 94210.5}, "ETH/USDT": {"last": 1810.5}}}, '{ path = "p", value = "last", unit = "pair" }'),
        ({"p": '[{"s":"BTCUSDT","c":94210.5},{"s":"ETHUSDT","c":1810.5}]'}, '{ path = "p", key = "s", value = "c" }'),
        ({"BTCUSDT": 94210.5, "ETHUSDT": 1810.5}, '{ columns = "*USDT" }'),
        ({"BTCUSDT": 94210.5, "ETHUSDT": 1810.5}, '{ columns = "*" }'),
        ({"close_BTC-USDT": 94210.5, "close_ETH-USDT": 1810.5, "open_BTC-USDT": 1}, '{ columns = "close_{symbol}", unit = "pair" }'),
        ({"p": {"BTCUSDT": 94210.5, "ETHUSDT": 1810.5, "at": 7}}, '{ path = "p", columns = ["BTC*", "ETH*"] }'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("group", ["", "group = true"])
def test_prices_have_every_form_that_feeds_have(sequence, row, prices, group):
    found = sequence(lines(row), fields={**FIELDS, "prices": prices}, head=group)
    assert found.prices == [{"BTCUSDT": 94210.5, "ETHUSDT": 1810.5}]


def test_prices_in_a_list_have_a_fix_that_helps(sequence):
    content = lines({"prices": [{"symbol": "BTCUSDT", "price": "94210.5"}]})
    refused(sequence(content), "is a list, no map of symbols; fix: ", "{ path = ..., key = 'symbol', value = 'price' }")
    fixed = {**FIELDS, "prices": "{ path = 'prices', key = 'symbol', value = 'price' }"}
    assert sequence(content, fields=fixed).prices == [{"BTCUSDT": 94210.5}]


@pytest.mark.parametrize("name", ["w.csv", "w.parquet", "w.feather"])
def test_a_wide_table_of_many_columns(sequence, tmp_path, name):
    symbols = [f"S{n}USDT" for n in range(600)]
    columns = {"ts": [T0], "vel_div": [-0.03], **{symbol: [1.5 + n] for n, symbol in enumerate(symbols)}}
    content = "\n".join(",".join(map(str, row)) for row in (columns, [v for (v,) in columns.values()]))
    if name == "w.parquet":
        pq.write_table(pa.table(columns), tmp_path / name)
    elif name == "w.feather":
        feather.write_feather(pa.table(columns), tmp_path / name)
    found = sequence(content if name == "w.csv" else None, name, {**FIELDS, "prices": '{ columns = "*USDT" }'})
    assert found.prices == [{symbol: 1.5 + n for n, symbol in enumerate(symbols)}]


@pytest.mark.parametrize(
    "head", [",ts,pair,close,vel_div", "note,ts,pair,close,vel_div", "Unnamed: 0,ts,pair,close,vel_div"]
)
def test_an_index_of_pandas_is_a_spare_column(sequence, head):
    content = f"{head}\n0,{T0},BTC/USDT,1.5,-0.03\n1,{T0 + MINUTE},BTC/USDT,1.6,-0.03\n"
    assert sequence(content, "s.csv", ROWWISE, "group = true").prices == [{"BTCUSDT": 1.5}, {"BTCUSDT": 1.6}]


def test_two_columns_of_one_name_are_refused_where_they_are_read(sequence):
    content = f"ts,note,pair,close,vel_div,note\n{T0},x,BTC/USDT,1.5,-0.03,y\n"
    assert sequence(content, "s.csv", ROWWISE, "group = true").prices == [{"BTCUSDT": 1.5}]
    twice = content.replace("note", "vel_div", 1)
    refused(
        sequence(twice, "s.csv", ROWWISE, "group = true"),
        "s.csv line 2",
        "several columns are named 'vel_div'",
        "fix: rename",
    )


@pytest.mark.parametrize("above", ["# exported 2025-05-04", "Timestamps are UTC timezone,https://www.example.com", "made; by | me", '"a title, quoted"'])  # fmt: skip
def test_a_line_above_the_header_is_named_and_skipped(sequence, above):
    content = f"{above}\n{CSV.format(value='-0.03', more='')}"
    refused(sequence(content, "s.csv", ROWWISE, "group = true"), "s.csv line 1 is no header", "fix: skip = 1")
    assert len(sequence(content, "s.csv", ROWWISE, "group = true\nskip = 1").scans) == 2


@pytest.mark.parametrize("name", ["f.jsonl", "f.json", "f.csv"])
def test_a_byte_order_mark_is_passed_over(sequence, name):
    rows = lines({"prices": {"BTCUSDT": 94210.5}})
    content = {"f.jsonl": rows, "f.json": f"[{rows}]", "f.csv": f"ts,vel_div,BTCUSDT\n{T0},-0.03,94210.5\n"}[name]
    fields = {**FIELDS, "prices": '{ columns = "*USDT" }'} if name == "f.csv" else FIELDS
    assert sequence(b"\xef\xbb\xbf" + content.encode(), name, fields).prices == [{"BTCUSDT": 94210.5}]


@pytest.mark.parametrize(
    "number", ["1_5", "1,5", "0x15", "\uff11\uff15", "1.5.0", "1e", "--1.5", "$1.5", "1.5k", "1 500"]
)
def test_what_python_takes_for_a_number_and_the_file_does_not_mean_is_refused(sequence, number):
    content = f'ts,pair,close,vel_div\n{T0},BTC/USDT,"{number}",-0.03\n'
    refused(
        sequence(content, "s.csv", ROWWISE, "group = true"), "s.csv line 2: prices: ", f"'{number}' is no number; fix: "
    )


def test_a_packed_array_of_scans_is_read(sequence):
    content = json.dumps([{"ts": T0, "vel_div": -0.03, "prices": {"BTCUSDT": 94210.5}}], indent=1)
    assert sequence(gzip.compress(content.encode()), "scans.json.gz").prices == [{"BTCUSDT": 94210.5}]
    under = json.dumps({"data": {"scans": json.loads(content)}})
    refused(sequence(under, "scans.json"), 'a list of rows in "data.scans"; fix: rows = "data.scans"')
    assert sequence(under, "scans.json", head='rows = "data.scans"').prices == [{"BTCUSDT": 94210.5}]


def test_a_database_of_scans_is_read(sequence, tmp_path):
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.execute("CREATE TABLE signals(ts, pair, close, vel_div)")
        database.execute("INSERT INTO signals VALUES (?, 'BTC/USDT', 1.5, -0.03)", (T0,))
    database.close()
    assert sequence(None, "s.db", ROWWISE, "group = true").prices == [{"BTCUSDT": 1.5}]


def test_a_long_table_with_a_missing_price_loses_that_symbol_alone(sequence):
    content = f"ts,pair,close,vel_div\n{T0},BTC/USDT,1.5,-0.03\n{T0},NEW/USDT,,-0.03\n{T0},ETH/USDT,2,-0.03\n"
    found = sequence(content, "s.csv", ROWWISE, "group = true")
    assert (found.prices, found.source["left_out"]) == ([{"BTCUSDT": 1.5, "ETHUSDT": 2.0}], 1)
    assert found.source["first_left_out"] == "line 3: prices: 'NEW/USDT' is ''"


def test_rows_that_do_not_fit_are_not_said_to_be_passed_over(tmp_path, sequence):
    content = CSV.format(value="", more="").replace("BTC/USDT,1.6", "BTC.USDT,1.6")
    refused(sequence(content, "s.csv", ROWWISE, 'group = true\nskip_without = ["vel_div"]'), "s.csv line 3")
    said = violet("sequence", "--config", tmp_path / "map.toml", "--dry-run")
    assert said.code == 3
    assert "2 rows looked at: 0 map, 1 do not, 1 passed over" in said.out
    assert "NOTHING: none of its 2 rows fits (1 do not, 1 passed over), the first is line 3: prices: " in said.out
    assert "pass over all" not in said.out


def test_a_float_of_single_precision_is_its_own_shortest_text(sequence, tmp_path):
    close = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    table = pa.table({"ts": [T0], "pair": ["BTC/USDT"], "close": pa.array([close], pa.float32()), "vel_div": [-0.03]})
    pq.write_table(table, tmp_path / "s.parquet")
    assert sequence(None, "s.parquet", ROWWISE, "group = true").prices == [{"BTCUSDT": 0.1}]
