"""Mapped sources: null is not absent, a bad entry is counted, and each word leads to a fix that helps."""

import math

import pytest

from reactor.feed.convert import BadRow
from reactor.feed.mapped import near
from reactor.feed.mapping import parse

TS = 1_746_372_780_123
HEAD = '[[source]]\nfeeds = "scan"\nstream = "ng7"\nfile = "x.jsonl"\n'


def source(fields='ts_ms = "t"\nvel_div = "vd"\nprices = "p"', head=""):
    return parse(f"{HEAD}{head}[source.fields]\n{fields}")[0]


def row(**fields):
    return {"t": TS, "vd": -0.03, "p": {"BTC": 1.5}, **fields}


@pytest.mark.parametrize("value", [None, "", " ", "NaN", "NULL", "\\N", "NaT", math.nan])
def test_an_empty_field_has_a_fix_that_helps(value):
    with pytest.raises(BadRow, match="'vd' is .*; fix: ") as bad:
        source()(row(vd=value))
    assert 'skip_without = ["vd"]' in str(bad.value)
    assert "has no" not in str(bad.value)
    assert not source(head='skip_without = ["vd"]\n').takes(row(vd=value))


@pytest.mark.parametrize("value", [math.inf, -math.inf, "inf", "-Infinity", "INF"])
def test_a_value_that_is_not_finite_has_a_fix_that_helps(value):
    with pytest.raises(BadRow, match="is not finite; fix: `skip_without`"):
        source()(row(vd=value))
    assert not source(head='skip_without = ["vd"]\n').takes(row(vd=value))
    w750 = 'ts_ms = "t"\nvel_div = "vd"\nprices = "p"\nw750 = "w"'
    with pytest.raises(BadRow, match="w750: .* is not finite") as bad:
        source(w750)(row(w=value))
    named = str(bad.value).partition("`no_value = ")[2].partition("`")[0]
    assert "w750" not in source(w750, f"no_value = {named}\n")(row(w=value))


def test_a_name_with_a_dot_is_told_from_a_path():
    read = source('ts_ms = "t"\nvel_div = "v.d"\nprices = "p"')
    with pytest.raises(BadRow, match=r"'v.d' is one name, with a dot; fix: write its path as a list, \['v.d'\]"):
        read({"t": TS, "v.d": -1, "p": {"BTC": 1.5}})
    assert source('ts_ms = "t"\nvel_div = ["v.d"]\nprices = "p"')(row(**{"v.d": -1}))["vel_div"] == -1.0
    with pytest.raises(BadRow, match="'v.d' is null"):
        read(row(v={"d": None}))
    with pytest.raises(BadRow, match="the row has no 'v.d'; it has "):
        read(row(v={}))


def test_rows_that_lie_deeper_are_pointed_at():
    with pytest.raises(BadRow, match=r'a list of rows in "a.b"; fix: rows = "a.b" in the \[\[source\]\]'):
        source()({"a": {"b": [{"t": 1}]}, "c": []})


def test_entries_that_were_left_out_are_those_of_the_last_row():
    read = source()
    assert read(row(p={"BTC": 1.5, "NEW": None}))["prices"] == {"BTC": 1.5}
    assert read.left_out == ["prices: 'NEW' is null"]
    assert read(row())["prices"] == {"BTC": 1.5}
    assert read.left_out == []


def test_a_row_whose_one_entry_is_left_out_is_none():
    read = source('ts_ms = "t"\nvel_div = "vd"\nprices = { key = "s", value = "c" }', "group = true\n")
    assert read(row(s="BTC", c=None)) is None
    assert read.left_out == ["prices: 'BTC' is null"]
    assert read(row(s="BTC", c=2))["prices"] == {"BTC": 2.0}
    with pytest.raises(BadRow, match="prices: the row has no 'c'"):
        read(row(s="BTC"))


def test_columns_of_a_wide_table_are_not_unmapped():
    read = source('ts_ms = "t"\nvel_div = "vd"\nprices = { columns = "*" }')
    assert read({"t": TS, "vd": -1, "BTC": 2, "ETH": ""})["prices"] == {"BTC": 2.0}
    assert read.unmapped({"t": TS, "vd": -1, "BTC": 2}) == []
    assert source('ts_ms = "t"\nvel_div = "vd"\nprices = { columns = "B*" }').unmapped({"t": 1, "BTC": 2, "x": 3}) == [
        "x"
    ]


def test_a_name_that_is_near_is_suggested():
    assert near("clsoe", ["open", "close"]) == "; did you mean 'close'?"
    assert near("x", ["open"]) == ""
