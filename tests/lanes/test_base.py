import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lanes.base import base
from lanes.kernel import column
from lanes.profile import PROFILES
from tests.lanes.bits import identical, same

P = PROFILES["blue_8b"].base
CURVE = (P.thr, P.extreme, P.min_lev, P.base_max, P.convexity)
finite = st.floats(allow_nan=False, allow_infinity=False)
near = st.floats(-0.06, -0.01)


@given(st.one_of(finite, near), st.one_of(finite, near))
def test_a_deeper_vel_div_never_gives_less(a, b):
    deep, shallow = sorted((a, b))
    assert all(x >= y for x, y in zip(base(deep, *CURVE), base(shallow, *CURVE), strict=True))


@given(st.one_of(finite, near))
def test_strength_and_base_stay_in_their_bounds(vel_div):
    strength, value = base(vel_div, *CURVE)
    assert 0.0 <= strength <= 1.0
    assert P.min_lev <= value <= P.base_max


def test_at_the_threshold_it_is_the_floor_and_at_the_extreme_the_top():
    assert base(P.thr, *CURVE) == (0.0, P.min_lev)
    assert base(P.extreme, *CURVE) == (1.0, P.base_max)
    assert base(-605.0, *CURVE) == (1.0, P.base_max)  # spikes are signal


def test_nan_stays_nan_and_infinities_saturate():
    assert all(np.isnan(base(np.nan, *CURVE)))
    assert base(-np.inf, *CURVE) == (1.0, P.base_max)
    assert base(np.inf, *CURVE) == (0.0, P.min_lev)


def test_the_cube_is_libms_and_not_a_product():
    vel_div = np.linspace(P.extreme, P.thr, 10_001)
    strength, value = column(base, 1, 2)(vel_div, *CURVE)
    by_pow = np.array([P.min_lev + s**3.0 * 7.5 for s in strength.tolist()])
    by_product = np.array([P.min_lev + s * s * s * 7.5 for s in strength.tolist()])
    assert same(value, by_pow).all()
    assert np.mean(same(value, by_product)) < 0.95
    assert identical(base(-0.04, *CURVE)[1], 2.722222222222222)
