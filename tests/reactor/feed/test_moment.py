"""Moments: a time in any unit, told by its size where the mapping says so; tests of one unit are in test_mapping.py."""

import pytest

from reactor.feed.convert import BadRow
from reactor.feed.moment import to_time

TS = 1_746_372_780_123
IN = {"s": TS / 1000, "ms": TS, "us": TS * 1000, "ns": TS * 10**6, "iso": "2025-05-04T15:33:00.123Z"}


@pytest.mark.parametrize("unit", IN)
@pytest.mark.parametrize("written", [lambda value: value, str])
def test_auto_tells_the_unit_of_each_value(unit, written):
    read = to_time({"unit": "auto"}, "here")
    assert [read(written(value)) for value in (IN[unit], *IN.values())] == [TS] * 6


def test_a_list_of_units_takes_those_alone():
    read = to_time({"unit": ["ms", "us"]}, "here")
    assert [read(IN["ms"]), read(IN["us"])] == [TS, TS]
    with pytest.raises(
        BadRow, match='ms or us is not a time of 2009 to 2099; looks like seconds; fix: unit = "s", or '
    ):
        read(IN["s"])


@pytest.mark.parametrize("first", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("second", ["s", "ms", "us", "ns"])
def test_the_fix_that_is_named_leads_out_of_two_units_in_one_column(first, second):
    if first == second:
        return
    with pytest.raises(BadRow) as bad:
        to_time({"unit": first}, "here")(IN[second])
    fix = str(bad.value).partition(", or ")[2].partition(" where")[0]
    assert fix == f'["{first}", "{second}"]'
    read = to_time({"unit": [first, second]}, "here")
    assert [read(IN[first]), read(IN[second])] == [TS, TS]


@pytest.mark.parametrize("text", ["2025-05-04 15:33:00.123 UTC", "2025-05-04 15:33:00.123GMT", "2025-05-04 15:33:00.123+00"])  # fmt: skip
def test_utc_may_be_written_out(text):
    assert to_time({"unit": "iso"}, "here")(text) == TS


@pytest.mark.parametrize("value", ["1_746_372_780_123", "\uff11746372780123", "0x19", True, None, [], "NaT"])
def test_what_is_no_time_is_named(value):
    for unit in ("ms", "iso", "auto"):
        with pytest.raises(BadRow, match="is no "):
            to_time({"unit": unit}, "here")(value)


@pytest.mark.parametrize("value", ["20250504", 20250504153300, "20250504153300123", "202505041533"])
@pytest.mark.parametrize("unit", ["ms", "iso", "auto"])
def test_a_date_in_digits_is_told_from_a_number(value, unit):
    with pytest.raises(BadRow, match="looks like a date in digits; fix: write it as ISO 8601, such as '2025-05-04T"):
        to_time({"unit": unit}, "here")(value)


def test_a_number_that_stands_for_none_has_a_fix():
    with pytest.raises(BadRow, match=r'`no_value = \["0"\]` where it stands for none'):
        to_time({}, "here")(0)
