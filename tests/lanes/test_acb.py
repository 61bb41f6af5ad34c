import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanes.acb import acb
from lanes.base import base
from lanes.code import PlaneForm
from lanes.profile import PROFILES
from tests.lanes.bits import identical

P, B = PROFILES["blue_8b"].acb, PROFILES["blue_8b"].base
NAN = math.nan


def reading(form, x=NAN, *, meta=None, mc=None, vel_div=-0.04, w750=NAN):
    return acb(
        form, x, meta is not None, NAN if meta is None else meta, mc is not None, NAN if mc is None else mc,
        vel_div, w750,
        P.signals_gain, P.signals_from, P.beta_low, P.beta_high, P.w750_thr, B.thr, B.extreme, B.convexity,
    )  # fmt: skip


@given(st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_more_signals_never_give_less(a, b):
    low, high = sorted((a, b))
    assert reading(PlaneForm.INPUTS, low)[0] <= reading(PlaneForm.INPUTS, high)[0]


@given(st.floats(0.0, 4.0), st.floats(0.0, 4.0), st.floats(0.0, 1.0))
def test_multipliers_are_used_as_they_are_and_multiplied_from_the_left(boost, meta, mc):
    expected = (boost, meta, mc, boost * meta * mc)
    assert all(map(identical, reading(PlaneForm.MULTIPLIER, boost, meta=meta, mc=mc), expected))


@given(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_a_deeper_vel_div_never_gives_less(a, b):
    deep, shallow = sorted((a, b))
    more, less = (reading(PlaneForm.INPUTS, 2.0, vel_div=v)[3] for v in (deep, shallow))
    assert more >= less


def test_planes_never_seen_are_one():
    assert reading(PlaneForm.NEVER_SEEN) == (1.0, 1.0, 1.0, 1.0)


def test_a_meta_plane_wins_over_the_scans_w750():
    assert reading(PlaneForm.INPUTS, 2.0, meta=0.9, w750=1.0)[1] == 0.9


@pytest.mark.parametrize("form", [PlaneForm.NEVER_SEEN, PlaneForm.MULTIPLIER])
def test_without_signals_there_is_no_meta_of_its_own(form):
    assert reading(form, 1.2, w750=1.0)[1] == 1.0


def test_an_absent_w750_counts_as_below_its_threshold():
    absent, below, at = (reading(PlaneForm.INPUTS, 2.0, w750=w)[1] for w in (NAN, -1.0, P.w750_thr))
    assert identical(absent, below)
    assert at > below


@given(st.floats(-0.06, -0.01))
def test_its_strength_is_the_base_lanes(vel_div):
    strength, _ = base(vel_div, B.thr, B.extreme, B.min_lev, B.base_max, B.convexity)
    expected = 1.0 + P.beta_high * strength**B.convexity
    assert identical(reading(PlaneForm.INPUTS, 1.0, vel_div=vel_div, w750=1.0)[1], expected)


def test_signals_below_their_start_do_nothing():
    assert reading(PlaneForm.INPUTS, math.nextafter(P.signals_from, 0.0))[0] == 1.0
    assert identical(reading(PlaneForm.INPUTS, P.signals_from)[0], 1.0 + 0.5 * math.log1p(1.0))


def test_a_nan_reaches_the_product():
    assert math.isnan(reading(PlaneForm.MULTIPLIER, NAN)[3])
    assert math.isnan(reading(PlaneForm.INPUTS, 2.0, vel_div=NAN)[3])
