"""Symbols and maps by symbol: every form that feeds have, and one bad entry that costs itself alone."""

import math

import pytest

from journal.refusal import Refusal
from reactor.feed.convert import NO_VALUE, BadRow
from reactor.feed.symbol import Entries, fixed, to_map, to_symbol


def read(row, kind="prices", *, is_grouped=False, taken=(), **spec):
    return to_map(spec, kind, "fields.prices", NO_VALUE, frozenset(taken), is_grouped=is_grouped).read(row)


def whole(row, kind="prices", **spec):
    found = read(row, kind, **spec)
    assert found.left_out == ()
    return found.found


@pytest.mark.parametrize(
    ("pair", "symbol"),
    [
        ("BTC/USDT", "BTCUSDT"), ("BTC-USDT", "BTCUSDT"), ("BTC_USDT", "BTCUSDT"), ("btc/usdt:USDT", "BTCUSDT"),
        ("btc-usdt", "BTCUSDT"), (" BTC/USDT ", "BTCUSDT"), ("1000PEPE/USDT", "1000PEPEUSDT"), ("ETH/BTC", "ETHBTC"),
        ("SOL/USD1", "SOLUSD1"), ("BTC-USDT-SWAP", "BTCUSDT"), ("BTC_USDT_PERP", "BTCUSDT"),
        ("USDT/USD", "USDTUSD"), ("USDC-USDT", "USDCUSDT"), ("TUSD/USDT", "TUSDUSDT"),
    ],
)  # fmt: skip
def test_a_pair_with_any_usual_separator_is_a_symbol(pair, symbol):
    assert to_symbol({"unit": "pair"}, "here")(pair) == symbol
    assert whole({"p": {pair: "2.5"}}, path="p", unit="pair") == {symbol: 2.5}


@pytest.mark.parametrize("name", ["BTC.USDT", "BTC:USDT", "BTC|USDT", "BTC USDT", "BTC/USDT/ETH", "BTC-PERP", "BTC-PERPETUAL", "BTC/USDT:USDT-250926", "BTC-25SEP26", "BTCUSDT_250926", "BTCUSD_PERP", "BTCUSDT_UMCBL", "btcusdt-spot", "ETHUSDC/M", "BTCUSDT", "btcusdt", "USDC", "/USDT", "BTC/", "", "币/USDT"])  # fmt: skip
def test_a_name_that_does_not_convert_never_passes_for_one_that_did(name):
    with pytest.raises(BadRow, match="is no pair such as BTC/USDT, BTC-USDT or BTC_USDT; fix: "):
        to_symbol({"unit": "pair"}, "here")(name)


def test_a_symbol_is_as_it_is_where_no_unit_is_given():
    assert to_symbol({}, "here")("BTC/USDT") == "BTC/USDT"
    assert to_symbol({"unit": "upper"}, "here")(" btcUsdt ") == "BTCUSDT"
    with pytest.raises(Refusal, match='unit of a symbol must be "pair", "upper" or none'):
        to_symbol({"unit": "coin"}, "here")


LISTED = [{"symbol": "BTC", "price": "2"}, {"symbol": "ETH", "price": 1}]
TWO = {"BTC": 2.0, "ETH": 1.0}


@pytest.mark.parametrize(
    ("row", "spec"),
    [
        ({"p": {"BTC": 2, "ETH": "1"}}, {"path": "p"}),
        ({"p": '{"BTC": 2, "ETH": 1}'}, {"path": "p"}),
        ({"p": {"BTC": {"l": [0, 2]}, "ETH": {"l": [0, 1]}}}, {"path": "p", "value": "l.1"}),
        ({"a": {"p": LISTED}}, {"path": "a.p", "key": "symbol", "value": "price"}),
        ({"p": '[["BTC", 2], ["ETH", 1]]'}, {"path": "p", "key": "0", "value": "1"}),
        ({"p": {"x": LISTED[0], "y": LISTED[1]}}, {"path": "p", "key": "symbol", "value": "price"}),
        ({"s": ["BTC", "ETH"], "v": {"p": [2, "1"]}}, {"key": "s", "value": "v.p"}),
        ({"s": '["BTC", "ETH"]', "p": "[2, 1]"}, {"key": "s", "value": "p"}),
        ({"ts": 5, "BTC": "2", "ETH": 1, "vd": 3}, {"columns": "*", "taken": ("ts", "vd")}),
        ({"ts": 5, "close_BTC": "2", "close_ETH": 1, "vd_BTC": 3}, {"columns": "close_{symbol}"}),
        ({"p": {"t": 5, "BTC": "2", "ETH": 1}}, {"path": "p", "columns": ["B*", "ETH"]}),
        ({"BTC c": {"x": 2}, "ETH c": {"x": 1}}, {"columns": "{symbol} c", "value": "x"}),
    ],
)  # fmt: skip
def test_every_form_of_a_map_gives_the_same_prices(row, spec):
    assert whole(row, **spec) == TWO


def test_a_row_may_hold_one_entry():
    row = {"s": "BTC/USDT", "c": "2", "r": 1, "a": 0.5}
    assert whole(row, key="s", value="c", unit="pair", is_grouped=True) == {"BTCUSDT": 2.0}
    assert whole(row, "ranks", key="s", score="r", alignment="a", unit="pair", is_grouped=True) == {
        "BTCUSDT": {"score": 1.0, "alignment": 0.5}
    }
    assert read(row, key="nosuch", value="c", is_grouped=True) is None
    assert read({**row, "c": None}, key="s", value="c", is_grouped=True) == Entries({}, ("'BTC/USDT' is null",))


def test_one_bad_entry_costs_itself_and_is_named():
    bad = {"NULL": None, "NAN": math.nan, "WORD": "N/A", "INF": math.inf, "TEXT": "x", "under_": "1_5", "b!": 3, "": 4}
    found = read({"p": {"BTC": 2.0, **bad, "ETH": 1.0}}, path="p")
    assert found.found == TWO
    assert len(found.left_out) == len(bad)
    for (name, _), said in zip(bad.items(), found.left_out, strict=True):
        assert repr(name) in said or said == "a symbol is missing"
    assert found.left_out[0] == "'NULL' is null"


def test_a_map_of_which_nothing_is_left_says_why():
    assert read({"p": {"BTC": None, "ETH": "NaN"}}, path="p") == Entries({}, ("'BTC' is null", "'ETH' is 'NaN'"))
    with pytest.raises(BadRow, match="none of its entries fits, the first is 'BTC': 'x' is no number"):
        read({"p": {"BTC": "x", "ETH": None}}, path="p")
    with pytest.raises(BadRow, match="the first is 'BTC': {\"last\": 2} has no 'lats'; fix: correct the path"):
        read({"p": {"BTC": {"last": 2}}}, path="p", value="lats")
    ranks = {"A": {"r": 1, "alignment": 0.5}}
    assert whole({"i": ranks}, "ranks", path="i", score="r") == {"A": {"score": 1.0, "alignment": 0.5}}
    with pytest.raises(BadRow, match="has no 'score'"):
        read({"i": ranks}, "ranks", path="i")


@pytest.mark.parametrize(
    ("row", "spec", "said"),
    [
        ({"p": {"A/B": 1, "A-B": 2}}, {"path": "p", "unit": "pair"}, "'A/B' and 'A-B' both become AB; fix: "),
        ({"p": LISTED}, {"path": "p"}, "fix: name its fields, such as { path = ..., key = 'symbol', value = 'price' }"),
        ({"p": [["A", 1]]}, {"path": "p"}, "fix: name its fields, such as { path = ..., key = '0', value = '1' }"),
        ({"p": [{"A": 1}]}, {"path": "p"}, "fix: write an object, symbol: price"),
        ({"p": {"A": {"last": 1}}}, {"path": "p"}, "is an object; fix: value = 'last', or another key of it"),
        ({"p": 3.0}, {"path": "p"}, "3.0 is no map of symbols"),
        ({"p": 3}, {"path": "p", "key": "s", "value": "v"}, "3 is no list of entries"),
        ({"s": ["A", "B"], "v": [1]}, {"key": "s", "value": "v"}, "2 symbols stand beside 1 values"),
        ({"s": ["A", "B"], "v": 1}, {"key": "s", "value": "v"}, "2 symbols stand beside 1 values"),
        ({"s": "A", "v": 1}, {"key": "s", "value": "v"}, "fix: group = true"),
        ({"ts": 1, "BTC": 2}, {"columns": "*USDT"}, "no column matches '*USDT'; it has ts, BTC; fix: "),
    ],
)  # fmt: skip
def test_a_map_that_cannot_be_right_is_named_with_the_fix(row, spec, said):
    with pytest.raises(BadRow) as bad:
        read(row, **spec)
    assert said in str(bad.value)


def test_a_map_may_be_fixed():
    assert fixed({"const": {"BTC/USDT": 2}, "unit": "pair"}, "prices", "here") == {"BTCUSDT": 2.0}
    with pytest.raises(BadRow, match="'BTC' is"):
        fixed({"const": {"BTC": ""}}, "prices", "here")
