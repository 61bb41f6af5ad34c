"""Conversions by themselves: each kind takes what it can read exactly, and names what it cannot."""

import math

import pytest

from journal.refusal import Refusal
from reactor.feed.convert import CONVERT, BadRow, is_empty, parsed, steps, text, walk


def read(kind, theirs, **spec):
    return CONVERT[kind](spec, "here")(theirs)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", 1),
        ("a.c", None),
        ("l.1", "y"),
        ("l.2", None),
        ("l.x", None),
        ("t.k.0", 7),
        ("n", None),
        ("s.k", None),
        ("a", {"b": 1}),
    ],
)
def test_a_path_leads_through_maps_lists_and_json_in_text(path, found):
    row = {"a": {"b": 1}, "l": ["x", "y"], "t": '{"k": [7, 8]}', "s": "no json", "n": None}
    assert walk(row, steps(path)) == found
    if path == "t.k.0":
        assert row["t"] == {"k": [7, 8]}  # read once a row
        assert walk(row, ("t", "k", "1")) == 8
    assert walk('{"b": 2}', ("b",)) == 2


@pytest.mark.parametrize("path", ["", "a..b", [], [1], ["a", ""], None, 3])
def test_a_path_of_another_form_is_refused(path):
    with pytest.raises(Refusal, match="a path must be text"):
        steps(path)


@pytest.mark.parametrize(
    ("value", "number"), [(7, 7), ("7", 7), (7.0, 7), ("7.0", 7), (" 7 ", 7), ("-3", -3), (2**70, 2**70), ("1e3", 1000)]
)
def test_a_whole_number_in_any_form(value, number):
    assert read("integer", value) == number
    assert type(read("integer", value)) is int


@pytest.mark.parametrize("value", [7.5, "7.5", "x", None, True, [], "1e41", math.inf, math.nan, "nan"])
def test_what_is_no_whole_number_is_named(value):
    with pytest.raises(BadRow, match="is no whole number"):
        read("integer", value)


def test_words_are_ours_where_they_are_listed():
    assert read("text", True) == "true"
    assert read("text", 17.0) == text(17) == "17"
    assert read("text", 1.5) == "1.5"
    assert read("text", "yes", values={"yes": "CONFIRM"}) == "CONFIRM"
    assert read("text", False, values={"false": "LONG"}) == "LONG"
    with pytest.raises(BadRow, match="'no' is not among `values`; fix: add 'no' = \"OURS\""):
        read("text", "no", values={"yes": "CONFIRM"})
    with pytest.raises(BadRow, match="is no text"):
        read("text", {"a": 1})
    with pytest.raises(Refusal, match="here: values must be a table"):
        read("text", "x", values=["yes"])


@pytest.mark.parametrize(
    ("unit", "value", "symbol"),
    [
        (None, "BTC/USDT", "BTC/USDT"),
        ("pair", "BTC/USDT", "BTCUSDT"),
        ("pair", "btc/usdt:USDT", "BTCUSDT"),
        ("pair", "BTCUSDT", "BTCUSDT"),
    ],
)
def test_a_symbol_out_of_a_pair(unit, value, symbol):
    spec = {} if unit is None else {"unit": unit}
    assert read("symbol", value, **spec) == symbol
    assert read("prices", {value: "2.5"}, **spec) == {symbol: 2.5}


def test_maps_of_symbols_are_whole_or_refused():
    assert read("prices", '{"A": 1, "B": {"p": 2}}'.replace("1", '{"p": 1}'), value="p") == {"A": 1.0, "B": 2.0}
    with pytest.raises(BadRow, match="two keys become one symbol"):
        read("prices", {"A/B": 1, "AB": 2}, unit="pair")
    for value in ("A", [1], None, 3):
        with pytest.raises(BadRow, match="is no map of symbols"):
            read("prices", value)
    ranks = {"A": {"r": 1, "alignment": 0.5}}
    assert read("ranks", ranks, score="r") == {"A": {"score": 1.0, "alignment": 0.5}}
    with pytest.raises(BadRow, match="None is no number"):
        read("ranks", ranks)
    with pytest.raises(Refusal, match='unit of a symbol must be "pair" or none'):
        read("symbol", "A", unit="coin")


@pytest.mark.parametrize(("value", "empty"), [(None, True), ("", True), ("NaN", True), ("nan", True), (math.nan, True), (0, False), (0.0, False), ("0", False), (False, False), ([], False), (" ", False)])  # fmt: skip
def test_no_value_is_told_from_a_zero(value, empty):
    assert is_empty(value) is empty


def test_json_in_text_is_read_where_it_is_an_object_or_a_list():
    assert parsed(' {"a": [1]}') == {"a": [1]}
    assert parsed("[1, 2]") == [1, 2]
    assert [parsed(t) for t in ("1", '"x"', "null", "{", "[" * 100_000, "")] == [None] * 6
