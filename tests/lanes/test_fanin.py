import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanes.code import Bound
from lanes.fanin import compose, notional, sc_column, sc_post
from lanes.profile import PROFILES
from lanes.registry import FIVE
from tests.lanes.bits import identical, same

B, F = PROFILES["blue_8b"].base, PROFILES["blue_8b"].fanin
INSIDE = tuple(lane.inside_cap for lane in FIVE)
LIMITS = (B.base_max, F.abs_max, F.stalker_cap, B.min_lev)
multiplier = st.floats(0.0, 4.0)
share = st.floats(0.0, 1.0)
factors = st.tuples(st.floats(0.5, 8.0), st.floats(1.0, 1.2), multiplier, st.floats(0.85, 1.2), share)


def fan_in(*lanes, stalker=False):
    return compose(tuple(lanes), INSIDE, stalker, *LIMITS)


@given(factors, st.booleans())
def test_leverage_stays_between_the_floor_and_the_caps(lanes, stalker):
    leverage = fan_in(*lanes, stalker=stalker)[4]
    assert B.min_lev <= leverage <= (F.stalker_cap if stalker else F.abs_max)


@given(factors, st.integers(0, 4), st.floats(1.0, 1.5))
def test_a_larger_reading_never_gives_less(lanes, which, by):
    more = [value * by if i == which else value for i, value in enumerate(lanes)]
    assert fan_in(*more)[4] >= fan_in(*lanes)[4]


@given(factors, st.floats(1.0, 2.0))
def test_dc_never_moves_the_cap(lanes, dc):
    base, _, acb, ob, esof = lanes
    assert fan_in(base, dc, acb, ob, esof)[1] == fan_in(*lanes)[1]


@given(factors, st.booleans())
def test_the_bound_names_the_term_that_the_leverage_equals(lanes, stalker):
    raw, cap, product, bound, leverage, _ = fan_in(*lanes, stalker=stalker)
    assert stalker or bound != Bound.STALKER
    terms = {
        Bound.FLOOR: B.min_lev, Bound.PRODUCT: raw, Bound.STALKER: F.stalker_cap, Bound.ABS: F.abs_max,
        Bound.CAP: product,
    }  # fmt: skip
    assert leverage == terms[Bound(bound)]
    assert cap == min(product, F.abs_max, *([F.stalker_cap] if stalker else []))


@pytest.mark.parametrize(
    ("lanes", "stalker", "bound"),
    [
        ((1.2, 1.0, 1.0, 1.0, 1.0), False, Bound.PRODUCT),
        ((8.0, 1.15, 1.0, 1.0, 1.0), False, Bound.CAP),
        ((8.0, 1.0, 1.6, 1.0, 1.0), False, Bound.ABS),
        ((8.0, 1.0, 1.125, 1.0, 1.0), False, Bound.PRODUCT),  # raw equals the cap
        ((8.0, 1.15, 1.125, 1.0, 1.0), False, Bound.ABS),  # the product inside equals abs_max: ABS before CAP
        ((8.0, 1.0, 1.6, 1.0, 1.0), True, Bound.STALKER),
        ((8.0, 1.15, 0.25, 1.0, 1.0), True, Bound.STALKER),  # the product inside equals the STALKER cap
        ((8.0, 1.15, 0.25, 1.0, 1.0), False, Bound.CAP),  # the same without STALKER: 2.0 alone is no posture
        ((8.0, 1.15, 0.125, 1.0, 1.0), True, Bound.CAP),
        ((0.5, 1.0, 1.0, 1.0, 0.3), False, Bound.FLOOR),
        ((0.5, 1.0, 1.0, 1.0, 1.0), False, Bound.PRODUCT),  # at the floor, not lifted by it
    ],
)
def test_bound(lanes, stalker, bound):
    assert fan_in(*lanes, stalker=stalker)[3] == bound


def test_only_a_zero_is_marked_as_lifted():
    assert fan_in(8.0, 1.0, 1.6, 1.0, 0.0)[3:] == (Bound.FLOOR, B.min_lev, True)
    assert fan_in(8.0, 1.0, 0.0, 1.0, 1.0)[5]
    assert not fan_in(0.5, 1.0, 1.0, 1.0, 0.3)[5]


def test_a_nan_would_come_out_as_the_floor():
    for which in range(5):
        lanes = [math.nan if i == which else 1.0 for i in range(5)]
        raw, _, product, _, leverage, _ = fan_in(*lanes)
        assert math.isnan(raw)
        assert math.isnan(product) == (which > 1)
        assert leverage == B.min_lev


def test_an_infinite_stalker_cap_caps_nothing():
    got = compose((8.0, 1.0, 1.6, 1.0, 1.0), INSIDE, True, B.base_max, F.abs_max, math.inf, B.min_lev)
    assert got[3:5] == (Bound.ABS, 9.0)


@given(st.floats(1.0, 1e6), st.floats(0.5, 9.0))
def test_notional_is_grouped_from_the_left(capital, leverage):
    assert identical(notional(capital, F.fraction, leverage), (capital * F.fraction) * leverage)


def test_minima_are_pythons():
    wild = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 9.0]
    for x in wild:
        raw, cap, product, _, leverage, _ = compose((x, 1.0, 1.0, 1.0, 1.0), INSIDE, False, x, 9.0, 2.0, -0.0)
        assert identical(cap, min(product, 9.0))
        assert identical(leverage, max(-0.0, min(raw, cap)))


@given(st.floats(0.5, 9.0), st.floats(1.0, 1e6), st.floats(-0.5, 1.5))
def test_sc_cuts_and_rounds_as_python_does(leverage, usd, mult):
    cut, cut_usd, clamped = sc_post(leverage, usd, mult, 1e-9)
    assert 0.0 <= clamped <= 1.0
    if abs(clamped - 1.0) < 1e-9:
        assert (cut, cut_usd) == (leverage, usd)
    else:
        assert (cut, cut_usd) == (round(leverage * clamped, 6), round(usd * clamped, 12))


def test_exactly_as_near_to_one_as_the_bound_is_not_near():
    third = 1.0 / 3.0
    assert sc_post(third, third, 0.75, 0.25)[:2] == (0.25, round(third * 0.75, 12))
    cut, usd = sc_column(np.array([third]), np.array([third]), np.array([0.75]), 0.25)
    assert (cut.tolist(), usd.tolist()) == ([0.25], [round(third * 0.75, 12)])


def test_sc_over_a_column_is_sc_of_every_row_and_changes_no_input():
    rng = np.random.default_rng(6)
    leverage, usd = rng.uniform(0.5, 9.0, 5000), rng.uniform(1.0, 1e6, 5000)
    edges = rng.choice([0.0, 1.0, 1.0 - 1e-9, 1.0 - 9e-10], 5000)
    mult = np.where(rng.random(5000) < 0.5, edges, rng.random(5000))
    before = leverage.copy(), usd.copy()
    got = sc_column(leverage, usd, mult, 1e-9)
    every = zip(leverage.tolist(), usd.tolist(), mult.tolist(), strict=True)
    expected = [sc_post(*row, 1e-9)[:2] for row in every]
    assert same(np.array(got).T, np.array(expected)).all()
    assert same(leverage, before[0]).all()
    assert same(usd, before[1]).all()
