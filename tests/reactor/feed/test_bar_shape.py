"""Bar shapes: what a preset or a map says of a file, and a refusal for a map that cannot be right."""

import re

import pytest

from journal.refusal import Refusal
from reactor.feed.bar_shape import OURS, PRESETS, near, parse
from reactor.feed.column import BadCell, symbols

BINANCE = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)


@pytest.mark.parametrize(
    ("preset", "name", "symbol"),
    [
        ("binance-spot", "BTCUSDT-1m-2025-05-10.zip", "BTCUSDT"),
        ("binance-spot", "1000SHIBUSDT-1s-2025-05.csv", "1000SHIBUSDT"),
        ("binance-futures", "BTCUSDT_250627-1m-2025-05.zip", "BTCUSDT_250627"),
        ("freqtrade", "BTC_USDT-1m.feather", "BTCUSDT"),
        ("freqtrade", "BTC_USDT_USDT-1m-futures.feather", "BTCUSDT"),
        ("freqtrade", "BTC_USDT-1m.json.gz", "BTCUSDT"),
        ("ccxt", "BTC_USDT-1m.json", "BTCUSDT"),
        ("ccxt", "BTC-USDT-1m.json", "BTCUSDT"),
        ("ccxt", "BTCUSDT-1m.json", "BTCUSDT"),
        ("kraken", "XBTUSD_1.csv", "XBTUSD"),
        ("binance-spot", "btcusdt-1m-2025-05.csv", "BTCUSDT"),
    ],
)
def test_a_file_says_its_symbol_by_its_name(preset, name, symbol):
    assert PRESETS[preset].symbol_of(name) == symbol


@pytest.mark.parametrize("name", ["BTC-USDT-250926", "BTC-USD-250627-90000-C", "BTC/USDT:USDT-250926"])
def test_a_future_that_ends_never_passes_for_a_perpetual(name):
    unit_pair = parse('[fields]\nsymbol = { path = "s", unit = "pair" }\n')
    for shape in (PRESETS["okx-swap"], unit_pair):
        with pytest.raises(BadCell, match="is no symbol of this shape"):
            symbols([name], shape.symbol_match)
        assert symbols(["BTC-USDT-SWAP"], shape.symbol_match) == ["BTCUSDT"]


@pytest.mark.parametrize("name", ["ccxt.json", "binance-spot-2025.csv", "-", "stdin"])
def test_a_name_that_says_none_is_refused_with_the_flag(name):
    for preset in ("binance-spot", "ccxt", "freqtrade", "kraken"):
        with pytest.raises(Refusal, match=f"{name} must say its symbol.*; fix: --symbol BTCUSDT"):
            PRESETS[preset].symbol_of(name)
    assert PRESETS["kraken"].given(symbol="X", units=(), mixed=True, zone=None).symbol_of(name) == "X"


def test_a_header_is_found_whatever_its_case_and_spaces():
    places, missing = PRESETS["binance-spot"].places(["Open time", " OPEN", "High", "low ", "CLOSE", "Volume", "x"])
    assert (places, missing) == ({"open_time_ms": 0, "high": 2, "low": 3, "close": 4, "volume": 5}, [])


def test_the_first_volume_of_several_is_that_of_the_base():
    header = ["Unix", "Date", "Symbol", "Open", "High", "Low", "Close", "Volume BTC", "Volume USDT", "tradecount"]
    places, missing = PRESETS["cryptodatadownload"].places(header)
    assert (places["volume"], places["symbol"], missing) == (7, 2, [])


def test_presets_that_would_fit_are_named():
    assert near(BINANCE.split(",")) == ["binance-spot", "binance-futures"]
    assert near(list("123456")) == ["ccxt", "freqtrade"]
    assert near(["a"]) == []


def test_every_preset_says_where_each_column_is():
    for name, shape in PRESETS.items():
        for columns in shape.columns:
            places, missing = shape.places(columns)
            assert (missing, len(set(places.values())), name) == (
                ["symbol"] if "symbol" in shape.needed else [],
                len(places),
                name,
            )


MAP = """
delimiter = ";"
rows = "a.b"
where = {{ done = 1, kind = ["x", "y"] }}
[fields]
symbol = {symbol}
open_time_ms = {{ path = "at", unit = {unit}, zone = "UTC" }}
volume = "amount"
"""


@pytest.mark.parametrize(
    ("symbol", "unit", "units", "mixed"),
    [
        ('"pair"', '"s"', ("s",), False),
        ('{ path = "pair", unit = "pair" }', '["s", "ms"]', ("s", "ms"), True),
        ('{ const = "BTCUSDT" }', '"auto"', ("s", "ms", "us", "ns"), False),
    ],
)
def test_a_map_says_what_a_preset_says(symbol, unit, units, mixed):
    shape = parse(MAP.format(symbol=symbol, unit=unit))
    assert (shape.units, shape.mixed, shape.zone, shape.delimiter, shape.rows) == (units, mixed, "UTC", ";", ("a", "b"))
    assert shape.where == {"done": {"1"}, "kind": {"x", "y"}}
    assert shape.names["volume"] == ("amount",)
    assert (shape.symbol_const, bool(shape.symbol_match)) == (
        "BTCUSDT" if "const" in symbol else None,
        "unit" in symbol,
    )


def test_a_map_without_anything_is_our_own_columns():
    shape = parse("")
    assert (shape.places(list(OURS.needed)), shape.units) == (OURS.places(list(OURS.needed)), OURS.units)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("columns = [", "the map must be TOML"),
        ("colums = []", "the map's colums: .*; fix: use one of columns, rows, delimiter, where, fields"),
        ("[fields]\nprice = 'p'", "fields.price: .*; fix: use one of symbol, open_time_ms"),
        ("[fields]\nopen_time_ms = { path = 'a', unit = 'weeks' }", "fields.open_time_ms"),
        ("[fields]\nsymbol = { path = 'a', const = 'b' }", "must have one of path, const and file"),
        ("[fields]\nsymbol = { file = '(' }", "fields.symbol"),
        ("delimiter = 'ab'", "delimiter must be one character"),
        ("columns = 'a,b'", "the map's columns"),
    ],
)
def test_a_map_that_cannot_be_right_is_refused(toml, said):
    with pytest.raises(Refusal, match=said) as refusal:
        parse(toml)
    assert re.search("; fix: ", str(refusal.value))
    assert "\n" not in str(refusal.value)
