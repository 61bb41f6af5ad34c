"""Mapping: foreign rows become ours exactly, and whatever does not fit is named with the fix."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.refusal import Refusal
from reactor.feed.convert import BadRow
from reactor.feed.mapping import Field, Target, parse
from reactor.feed.table import Layout

TS = 1_746_372_780_123
SCAN = 'feeds = "scan"\nfile = "x.jsonl"\nstream = "ng7"\n'


def source(fields, head=SCAN, **targets):
    return parse(f"[[source]]\n{head}[source.fields]\n{fields}", **targets)[0]


def scan(time='ts_ms = "t"', more=""):
    return source(f'{time}\nvel_div = "vd"\nprices = "p"\n{more}')


def row(**fields):
    return {"t": TS, "vd": -0.03, "p": {"BTCUSDT": 1.5}, **fields}


def test_nested_paths_arrays_texts_that_hold_json_and_keys_with_dots():
    found = source(
        'ts_ms = { path = "a.1.t" }\nvel_div = "v.deep.vd"\nprices = ["p.x"]\nw750 = "a.0"\n"context.h" = "v.h"'
    )({"a": [0.5, {"t": TS}], "v": '{"deep": "{\\"vd\\": -0.5}", "h": "9f"}', "p.x": '{"BTCUSDT": "2.5"}'})
    assert found == {
        "stream": "ng7", "ts_ms": TS, "vel_div": -0.5, "prices": {"BTCUSDT": 2.5}, "w750": 0.5, "context.h": "9f",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "value", "ms"),
    [
        ("s", 1_746_372_780, 1_746_372_780_000),
        ("s", 1_746_372_780.123, TS),
        ("s", "1746372780.123", TS),
        ("ms", "1746372780123", TS),
        ("us", TS * 1000 + 999, TS),
        ("ns", TS * 1_000_000 + 999_999, TS),
        ("iso", "2025-05-04T15:33:00.123Z", TS),
        ("iso", "2025-05-04 17:33:00.123999+02:00", TS),
    ],
)
def test_units_of_time(unit, value, ms):
    assert scan(f'ts_ms = {{ path = "t", unit = "{unit}" }}')(row(t=value))["ts_ms"] == ms


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 15), ("+02:00", 13), ("-05:30", 21), ("Europe/Vienna", 13)])
def test_a_zone_is_for_text_without_one(zone, hour):
    read = scan(f'ts_ms = {{ path = "t", unit = "iso", zone = "{zone}" }}')
    at = datetime(2025, 5, 4, hour, 30 if zone == "-05:30" else 0, tzinfo=UTC)
    assert read(row(t="2025-05-04 15:00:00" if zone != "-05:30" else "2025-05-04 16:00:00"))["ts_ms"] == (
        int(at.timestamp() * 1000)
    )
    assert read(row(t="2025-05-04T15:33:00.123Z"))["ts_ms"] == TS


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        ("ms", 1_746_372_780, '1746372780 ms is not a time of 2009 to 2099; looks like seconds; fix: unit = "s"'),
        ("s", TS, 'looks like milliseconds; fix: unit = "ms"'),
        ("ms", TS * 1000, 'looks like microseconds; fix: unit = "us"'),
        ("us", TS * 10**6, 'looks like nanoseconds; fix: unit = "ns"'),
        ("ms", 17, "fix: give the path of the event time"),
        ("ms", "2025-05-04T15:33:00Z", 'looks like ISO text; fix: unit = "iso"'),
        ("ms", True, "true is no number"),
        ("ms", "1e999999999", "is no number"),
        ("iso", 1_746_372_780, 'looks like seconds; fix: unit = "s"'),
        ("iso", "1746372780123", 'looks like milliseconds; fix: unit = "ms"'),
        ("iso", "2025-05-04 15:33:00", "has no time zone; fix: zone ="),
        ("iso", "1999-05-04T15:33:00Z", "not a time of 2009 to 2099"),
        ("iso", "soon", "no ISO 8601 time"),
    ],
)
def test_a_time_that_cannot_be_right_is_named_with_the_fix(unit, value, said):
    with pytest.raises(BadRow) as bad:
        scan(f'ts_ms = {{ path = "t", unit = "{unit}" }}')(row(t=value))
    assert str(bad.value).startswith("ts_ms: ")
    assert said in str(bad.value)


@pytest.mark.parametrize("text", ["2025-03-30 02:30:00", "2025-10-26 02:30:00"])
def test_a_local_time_that_is_there_twice_or_never_is_bad(text):
    with pytest.raises(BadRow, match="twice or never"):
        scan('ts_ms = { path = "t", unit = "iso", zone = "Europe/Vienna" }')(row(t=text))


@given(st.integers(1_230_768_000_000, 4_102_444_799_999), st.sampled_from(["s", "ms", "us", "ns"]))
def test_every_time_comes_back_from_every_unit(ts_ms, unit):
    theirs = {"s": f"{ts_ms // 1000}.{ts_ms % 1000:03}", "ms": ts_ms, "us": ts_ms * 1000, "ns": ts_ms * 10**6}[unit]
    assert scan(f'ts_ms = {{ path = "t", unit = "{unit}" }}')(row(t=theirs))["ts_ms"] == ts_ms


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vd": None}, "vel_div: 'vd' is null; fix: repair the row, or `skip_without = [\"vd\"]`"),
        ({"vd": ""}, "vel_div: 'vd' is empty"),
        ({"vd": float("nan")}, "vel_div: 'vd' is NaN; fix: "),
        ({"vd": "NaT"}, "vel_div: 'vd' is 'NaT'; fix: "),
        ({"vd": float("inf")}, "vel_div: inf is not finite; fix: `skip_without`"),
        ({"vd": "strong"}, "vel_div: 'strong' is no number"),
        ({"vd": True}, "vel_div: true is no number"),
        ({"p": 3.0}, "prices: 3.0 is no map of symbols"),
        ({"p": {"BTC": None}}, "prices: no entry has a value, 'BTC' is null"),
        ({"p": {"BTC": "x", "b!": 1}}, "prices: none of its entries fits, the first is 'BTC': 'x' is no number"),
        ({"p": {}}, "prices: 'p' is empty"),
        ({"id": None}, "scan_id: 'id' is null"),
        ({"id": 1.5}, "scan_id: 1.5 is no whole number"),
    ],
)
def test_a_value_that_does_not_fit_is_named(change, said):
    with pytest.raises(BadRow) as bad:
        scan(more='scan_id = "id"')(row(id=1) | change)
    assert said in str(bad.value)


def test_a_field_that_is_not_there_names_those_that_are():
    with pytest.raises(BadRow, match="has no 'vd'; it has t, vel_dv, p, p.BTCUSDT"):
        scan()({"t": TS, "vel_dv": 1.0, "p": {"BTCUSDT": 1.5}})


def test_an_optional_field_is_absent_where_theirs_is_null_empty_or_nan():
    read = scan(more='w750 = "w"\ndc_status = "dc"')
    for nothing in (None, "", float("nan"), "NaN", "NaT", "\\N"):
        assert read(row(w=nothing)).keys() == {"stream", "ts_ms", "vel_div", "prices"}
    assert (read.never_found(), read.never_filled()) == (["dc_status"], ["w750"])
    assert read(row(w=0.0, dc=None))["w750"] == 0.0
    assert (read.never_found(), read.never_filled()) == ([], ["dc_status"])


def test_constants_scales_values_pairs_and_maps_of_one_entry():
    read = source(
        'ts_ms = "t"\nvel_div = { path = "vd", scale = 0.01 }\n'
        'prices = { key = "pair", value = "close", unit = "pair" }\n'
        'irp = { key = "pair", score = "s", alignment = "a", unit = "pair" }\n'
        'dc_status = { path = "go", values = { true = "CONFIRM", "0" = "NEUTRAL" } }\nw750 = { const = 0.5 }',
        f"{SCAN}group = true\n",
    )
    found = read({"t": TS, "vd": "-3", "pair": "btc/USDT:USDT", "close": "2", "s": 1, "a": 0.5, "go": True})
    assert found["vel_div"] == -0.03
    assert found["prices"] == {"BTCUSDT": 2.0}
    assert found["irp"] == {"BTCUSDT": {"score": 1, "alignment": 0.5}}
    assert (found["dc_status"], found["w750"]) == ("CONFIRM", 0.5)
    with pytest.raises(BadRow, match="dc_status: 7 is not among `values`"):
        read({"t": TS, "vd": "-3", "pair": "B/U", "close": "2", "s": 1, "a": 0.5, "go": 7})


def test_maps_with_inner_names_and_two_keys_for_one_symbol():
    read = source('ts_ms = "t"\nvel_div = "vd"\nprices = { path = "p", value = "last", unit = "pair" }\n')
    assert read(row(p={"A/B": {"last": 2}}))["prices"] == {"AB": 2}
    with pytest.raises(BadRow, match="'A/B' and 'a-b' both become AB"):
        read(row(p={"A/B": {"last": 2}, "a-b": {"last": 3}}))


def test_where_and_skip_without_choose_rows():
    read = source(
        'ts_ms = "t"\nboost = "v.b"',
        'feeds = "acb"\nstream = "ng7"\nfile = "kv.jsonl"\nwhere = { key = ["acb", "1"] }\nskip_without = ["v.b"]\n',
    )
    assert read.takes({"key": "acb", "v": '{"b": 1.5}'})
    assert read.takes({"key": 1.0, "v": {"b": 0}})
    assert not read.takes({"key": "mc", "v": {"b": 1}})
    assert not read.takes({"v": {"b": 1}})
    assert not read.takes({"key": "acb", "v": {"b": float("nan")}})


def test_unmapped_fields_are_named_by_path():
    read = scan(time='ts_ms = "x.t"')
    assert read.unmapped({"x": {"t": TS, "u": 1}, "vd": 1, "p": {"B": 1}, "junk": {"a": 1}}) == ["x.u", "junk"]


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[[source]", "must be TOML"),
        ("", "at least one [[source]]"),
        ("[[source]]\nfeed = 1", "unknown key 'feed'; fix: use one of"),
        ("[[source]]\nfeeds = 'scans'\n", "did you mean 'scan'?"),
        ("[[source]]\nfeeds = 'scan'\n", "either a file or a topic"),
        ("[[source]]\nfeeds = 'scan'\nfile = 'x.jsonl'\n", "stream must match"),
        (f"[[source]]\n{SCAN}format = 'xml'\n[source.fields]", "format must be one of jsonl, csv, parquet"),
        (f"[[source]]\n{SCAN}[source.fields]\nts_ms = 't'", "must map prices, vel_div"),
        (f"[[source]]\n{SCAN}[source.fields]\nveldiv = 't'", "is not a field of scan"),
        ("[[source]]\nfeeds = 'ob'\nfile = 'x.csv'\nstream = 's'\n[source.fields]\nts_ms='t'\nagree='a'", "must map {mult} or"),
        ("[[source]]\nfeeds = 'acb'\nfile = 'x.csv'\nskip_without = 'a'", "skip_without must be a list, was 'a'"),
        ("[[source]]\nfeeds = 'acb'\nfile = 'x.csv'\ngroup = 'no'", "group must be true or false"),
        ("[[source]]\nfeeds = 'acb'\nfile = 'x.csv'\nfields = 'no'", "fields must be a table"),
        ("[[source]]\nfeeds = 'acb'\nfile = 'x.csv'\nstream = 's'\n[source.fields]\nts_ms='t'\nboost='b'\nsignals='s'", "map one form"),
        (f"[[source]]\n{SCAN}[source.fields]\nts_ms = 1", "fix: { const = 1 }"),
        (f"[[source]]\n{SCAN}[source.fields]\nts_ms = {{ path = 't', unit = 'h' }}", "unit of a time must be one of"),
        (f"[[source]]\n{SCAN}[source.fields]\nts_ms = {{ path = 't', zone = 'UTC' }}", "goes with ISO text alone"),
        (f"[[source]]\n{SCAN}[source.fields]\nts_ms = {{ path = 't', unit = 'iso', zone = 'Mars/X' }}", "no time zone"),
        (f"[[source]]\n{SCAN}[source.fields]\nvel_div = {{ path = 't', unit = 's' }}", "unknown key 'unit'"),
        (f"[[source]]\n{SCAN}[source.fields]\nvel_div = {{ path = 't', scale = 0 }}", "scale must be"),
        (f"[[source]]\n{SCAN}[source.fields]\nts_ms = {{ path = 't', unit = ['ms', 'h'] }}", "unit of a time must be one of"),
        (f"[[source]]\n{SCAN}[source.fields]\nts_ms = {{ path = 't', unit = [] }}", "unit of a time must be one of"),
        (f"[[source]]\n{SCAN}[source.fields]\nprices = {{ columns = 3 }}", "columns must be a pattern"),
        (f"[[source]]\n{SCAN}[source.fields]\nprices = {{ columns = '*', key = 's' }}", "without a key"),
        (f"[[source]]\n{SCAN}[source.fields]\nprices = {{ path = 'l', key = 's' }}", "with a key must have value"),
        (f"[[source]]\n{SCAN}[source.fields]\nprices = {{ unit = 'pair' }}", "must have a path"),
        (f"[[source]]\n{SCAN}[source.fields]\nvel_div = {{ scale = 2 }}", "must have a path"),
        (f"[[source]]\n{SCAN}[source.fields]\nvel_div = {{ path = 'v', or = 'w' }}", "or must be a list of paths"),
        (f"[[source]]\n{SCAN}[source.fields]\nprices = {{ const = {{ 'b!' = 1 }} }}", "a symbol must match"),
        (f"[[source]]\n{SCAN}rows = 3\n[source.fields]", "rows must be a path"),
        (f"[[source]]\n{SCAN}skip = true\n", "skip must be a whole number"),
        (f"[[source]]\n{SCAN}skip = '1'\n", "skip must be a whole number"),
        (f"[[source]]\n{SCAN}no_value = '-'\n", "no_value must be a list"),
        ("[[source]]\nfeeds = 'scan'\ntopic = 't'\nrows = 'a'\n", "rows goes with a file"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_refused_by_name(toml, said):
    if "[source.fields]" in toml and SCAN in toml and not said.startswith(("must map", "is not a field")):
        toml += "".join(f"\n{n} = 'x'" for n in ("ts_ms", "vel_div", "prices") if f"{n} =" not in toml)
    with pytest.raises(Refusal) as refusal:
        parse(toml)
    assert said in str(refusal.value)


def test_another_command_has_targets_of_its_own():
    trades = {"trade": Target({"trade_id": Field("text", required=True), "entry_ms": Field("time", required=True)})}
    read = parse(
        "[[source]]\nfeeds = 'trade'\nfile = 'x.csv'\n[source.fields]\ntrade_id = 'id'\n"
        "entry_ms = { path = 'opened', unit = 's' }",
        trades,
    )[0]
    assert read({"id": 7, "opened": 1_746_372_780}) == {"trade_id": "7", "entry_ms": 1_746_372_780_000}
    assert (read.layout, read.rank) == (Layout(), 0)


def test_a_map_with_a_key_is_one_entry_a_row_and_wants_a_group():
    read = source('ts_ms = "t"\nvel_div = "vd"\nprices = { key = "s", value = "p" }')
    with pytest.raises(BadRow, match="has one entry a row; fix: group = true"):
        read(row(s="A", p=1.5))


def test_where_the_rows_of_a_file_lie_is_said_by_the_mapping():
    read = source(
        'ts_ms = "t"\nvel_div = "v"\nprices = "p"', f"{SCAN}rows = ['a.*.b', 'c']\nskip = 2\nmember = '*.json'\n"
    )
    assert read.layout == Layout("", (("a", "*", "b"), ("c",)), 2, "*.json")


def test_other_paths_and_joined_ones_are_for_rows_that_lack_the_first():
    read = source(
        'ts_ms = { path = "t", or = ["time"] }\nvel_div = { path = "vd", or = ["v.d"] }\nprices = "p"\n'
        'dc_status = { path = "dc", or = ["status"], join = ["a", "b"] }'
    )
    given = row(a="x", b=2)
    assert read(given)["dc_status"] == "x 2"
    assert read(given | {"status": "S"})["dc_status"] == "S"
    assert read(given | {"status": "S", "dc": "D"})["dc_status"] == "D"
    assert "dc_status" not in read(row(a="x", b=None))
    del given["t"], given["vd"]
    assert read(given | {"time": TS, "v": {"d": -1}})["vel_div"] == -1.0
    with pytest.raises(BadRow, match="vel_div: the row has no 'vd'"):
        read(given | {"time": TS})
    with pytest.raises(BadRow, match="vel_div: 'v.d' is null"):
        read(given | {"time": TS, "v": {"d": None}})


def test_a_word_that_the_mapping_gives_a_meaning_is_a_value():
    read = scan(more='dc_status = { path = "dc", values = { none = "NEUTRAL", NA = "CONFIRM" } }')
    assert read(row(dc="none"))["dc_status"] == "NEUTRAL"
    assert read(row(dc="NA"))["dc_status"] == "CONFIRM"
    assert "dc_status" not in read(row(dc="null"))


def test_words_for_no_value_are_of_the_source():
    read = source('ts_ms = "t"\nvel_div = "vd"\nprices = "p"\nw750 = "w"', f"{SCAN}no_value = ['-', '-inf']\n")
    for nothing in ("-", "-INF", "NaN"):
        assert "w750" not in read(row(w=nothing))
    assert read(row(p={"A": 1, "B": "-"}))["prices"] == {"A": 1.0}
