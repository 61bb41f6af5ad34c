"""Drawings: numbers keep their digits, text cannot speak, and every picture is whole."""

import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.web.drawing import bars, instant, interval, lines, number, text

numbers = st.floats(-1e6, 1e6) | st.integers(-5, 5).map(float)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15))
def test_a_number_keeps_all_its_digits(value):
    (exact,) = re.findall(r'<data value="([^"]+)">', number(value))
    assert type(value)(exact) == value


def test_what_is_not_known_is_a_dash():
    assert number(None) == number(math.nan) == number(math.inf) == instant(None) == "&ndash;"
    assert number(-1234567) == '<data value="-1234567">&minus;1,234,567</data>'
    assert number(0.30000000000000004) == '<data value="0.30000000000000004">0.3</data>'
    assert instant(1_746_372_780_000) == "2025-05-04 15:33"


def test_text_speaks_neither_html_nor_to_a_terminal():
    assert text('<img src="x">&') == "&lt;img src=&quot;x&quot;&gt;&amp;"
    assert text("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40))
def test_every_point_lies_in_the_picture(points):
    drawn = ET.fromstring(lines([("<a>", points)], "x", "y"))
    (curve,) = drawn.findall("polyline")
    spots = [tuple(map(float, spot.split(","))) for spot in curve.get("points").split()]
    assert len(spots) == len(points)
    _, _, wide, high = map(float, drawn.get("viewBox").split())
    assert all(0 <= x <= wide and 0 <= y <= high for x, y in spots)


@given(st.lists(numbers | st.none(), min_size=1, max_size=8))
def test_bars_stay_in_the_picture(values):
    names = [f"n{at}" for at in range(len(values))]
    drawn = ET.fromstring(bars(names, [("one", values), ("two", values)]))
    bars_ = drawn.findall("rect")
    assert len(bars_) == 2 * sum(value is not None for value in values)
    assert all(float(bar.get("x")) >= 0 and float(bar.get("x")) + float(bar.get("width")) <= 640 for bar in bars_)


def test_an_interval_is_beside_its_margin():
    drawn = ET.fromstring(interval(0.0, 0.4, 0.1, 0.2))
    low, margin = drawn.findall("line")
    assert float(margin.get("x1")) == pytest.approx((float(low.get("x1")) + float(low.get("x2"))) / 2)
    assert "margin 0.2" in drawn.get("aria-label")


def test_nothing_to_draw_is_no_picture():
    assert not lines([("a", [])], "x", "y")
