"""Columns: exact numbers, times of one unit or of several, symbols to the letter, and the place of what cannot be."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.refusal import Refusal
from lanes.code import END_MS, FIRST_MS
from reactor.feed.bar_shape import PRESETS
from reactor.feed.column import BadCell, Clock, numbers, symbols

MS = 1_746_835_200_000
PER = {"s": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001"), "ns": Decimal("0.000001")}


def clock(*units, mixed=False, zone=None):
    return Clock(units or ("ms",), zone, mixed=mixed)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=18))
def test_a_decimal_is_the_nearest_double(value):
    nearest = float(value)
    assert numbers([str(value), f"{value:e}"]).tolist() == [nearest, nearest]


def test_numbers_of_every_form():
    assert numbers(["1", " 2.5 ", "-0", "1e-3", 7, 0.1]).tolist() == [1.0, 2.5, -0.0, 0.001, 7.0, 0.1]
    assert numbers(np.array([1, 2], np.int64)).tolist() == [1.0, 2.0]
    assert [str(x) for x in numbers(["nan", "-inf", "Infinity"])] == ["nan", "-inf", "inf"]


@pytest.mark.parametrize(
    ("value", "said"),
    [("1_5", "is no number"), ("1,5", "is no number"), ("", "is empty"), (None, "is empty"), (True, "is no number"),
     ("\uff11", "is no number"), ("None", "is no number"), ({}, "is no number"), ([1], "is no number"), (10**400, "is no number")],
)  # fmt: skip
def test_what_is_no_number_is_named_by_its_place(value, said):
    with pytest.raises(BadCell, match=said) as bad:
        numbers([1.0, "2", value, "x"])
    assert bad.value.at == 2


@pytest.mark.parametrize("unit", PER)
@given(ms=st.integers(FIRST_MS // 1000, END_MS // 1000 - 1).map(lambda s: 1000 * s))
def test_a_time_is_the_same_in_every_unit_and_form(unit, ms):
    number = int(ms / PER[unit])
    texts = [str(number), f"{number}.0", f"{Decimal(number):e}", f" {number} "]
    for column in ([number], np.array([number]), [texts[0]], texts, [float(number)] if unit != "ns" else [number]):
        assert set(clock(unit)(column).tolist()) == {ms}
        assert set(clock(*PER)(column).tolist()) == {ms}
        assert set(clock(*PER, mixed=True)([MS, *map(str, column)])[1:].tolist()) == {ms}
    bearing = np.array([ms], "M8[ms]").astype(f"M8[{unit}]")
    assert clock()(bearing).tolist() == [ms]


def test_units_may_change_within_a_file_only_where_that_is_said():
    both = [str(MS), f"{MS + 60_000}000"]
    assert clock("ms", "us", mixed=True)(both).tolist() == [MS, MS + 60_000]
    for column in (both, [both[0], f"{both[1]}.0"]):
        with pytest.raises(
            BadCell, match="looks like microseconds, the times before it like milliseconds; fix: --unit ms,us"
        ) as bad:
            clock("ms", "us")(column)
        assert bad.value.at == 1
    reader = clock("ms", "us")
    reader(both[:1])
    with pytest.raises(BadCell, match="looks like microseconds"):  # in a later block too
        reader(both[1:])


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2025-05-10T00:00:00Z", None),
        ("2025-05-10 02:00:00+02:00", None),
        ("2025-05-10 00:00:00+00:00", "Europe/Vienna"),
        ("2025-05-10 00:00:00", "UTC"),
        ("2025-05-10T02:00", "Europe/Vienna"),
        ("2025-05-10", "+00:00"),
        ("2025-05-10 00:00:00.000000000", "UTC"),
    ],
)
def test_a_text_is_a_time_in_its_zone_or_in_that_of_the_file(text, zone):
    assert clock(zone=zone)([text]).tolist() == [MS]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2025-05-10 00:00", "has no time zone; fix: --zone UTC"),
        ("soon", "is no ISO 8601 time"),
        ("", "is empty"),
        (None, "is empty"),
        (True, "is no time"),
        (f"{MS}.5", "finer than a millisecond"),
        ("1e999999999", "no ISO 8601 time|no time"),
        (f"{MS // 1000}", "looks like seconds, the times before it like milliseconds; fix: --unit ms,s"),
        ("-5", "no time of 2009 to 2099"),
        ("20250510153000", "looks like a date in digits; fix: write it as ISO 8601, such as '2025-05-10T15:30:00Z'"),
        (202505101530, "looks like a date in digits; fix: .*'2025-05-10T15:30:00Z'"),
        ("05/10/2025", "is no ISO 8601 time; fix: repair or drop that row, or write times in ISO 8601"),
    ],
)
def test_what_is_no_time_is_named_by_its_place(value, said):
    with pytest.raises(BadCell, match=said) as bad:
        clock()([MS, value])
    assert bad.value.at == 1


def test_a_zone_that_is_not_known_is_refused():
    with pytest.raises(Refusal, match="no time zone 'Mars'"):
        clock(zone="Mars")


def test_a_time_out_of_range_or_finer_than_a_millisecond_is_refused():
    for value in ("1999-01-01", "2025-05-10T00:00:00.000001"):
        with pytest.raises(BadCell, match="2009 to 2099 in whole milliseconds"):
            clock()(np.array([value], "M8[us]"))


def test_symbols_come_to_the_letter():
    assert symbols(["000001", "INF", "1e5", "NA", 7, ""], None) == ["000001", "INF", "1e5", "NA", "7", ""]
    assert symbols(np.array([600519]), None) == ["600519"]


@pytest.mark.parametrize(
    ("preset", "text", "symbol"),
    [
        ("okx", "BTC-USDT", "BTCUSDT"),
        ("okx-swap", "BTC-USDT-SWAP", "BTCUSDT"),
        ("cryptodatadownload", "BTC/USDT", "BTCUSDT"),
        ("cryptodatadownload", "BTCUSDT", "BTCUSDT"),
        ("cryptodatadownload", "btc/usd", "BTCUSD"),
    ],
)
def test_a_pair_becomes_the_symbol(preset, text, symbol):
    assert symbols([text, text], PRESETS[preset].symbol_match) == [symbol] * 2


@pytest.mark.parametrize(
    ("preset", "text"), [("okx", "BTC-USDT-SWAP"), ("okx-swap", "BTC-USDT"), ("okx", ""), ("okx", None)]
)
def test_a_text_that_is_no_symbol_of_the_shape_is_refused(preset, text):
    with pytest.raises(BadCell, match="is no symbol of this shape") as bad:
        symbols(["BTC-USDT" if preset == "okx" else "BTC-USDT-SWAP", text], PRESETS[preset].symbol_match)
    assert bad.value.at == 1
