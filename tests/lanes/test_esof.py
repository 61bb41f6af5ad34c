import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanes.code import PlaneForm
from lanes.esof import esof
from lanes.profile import PROFILES
from tests.lanes.bits import identical

P = PROFILES["blue_8b"].esof
SEEN = [PlaneForm.MULTIPLIER, PlaneForm.INPUTS]
finite = st.floats(allow_nan=False, allow_infinity=False)
near = st.floats(-0.3, 0.3)


def haircut(x, form=PlaneForm.INPUTS, age_ms=0):
    return esof(form, x, age_ms, P.splits, P.plateaus, P.edge, P.stale, P.max_age_ms)


@given(st.one_of(finite, near), st.one_of(finite, near))
def test_a_better_score_never_gives_less(a, b):
    low, high = sorted((a, b))
    assert haircut(low) <= haircut(high)


@given(finite, st.sampled_from(SEEN), st.integers(-(2**40), 2**40))
def test_it_only_ever_cuts(x, form, age_ms):
    assert 0.0 <= haircut(x, form, age_ms) <= 1.0


@given(near)
def test_it_has_no_jump(score):
    step = 1e-9
    assert abs(haircut(score + step) - haircut(score)) <= 10.0 * step  # steepest: 0.35 over 0.04


@pytest.mark.parametrize("form", SEEN)
def test_only_older_than_the_limit_is_stale_in_either_form(form):
    fresh = haircut(0.9, form, P.max_age_ms)
    assert fresh != P.stale
    assert haircut(0.9, form, P.max_age_ms + 1) == P.stale
    assert haircut(0.9, form, -1) == fresh  # a plane from the future is not old


def test_never_seen_is_stale():
    assert haircut(0.9, PlaneForm.NEVER_SEEN) == P.stale


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_stale(score):
    assert haircut(score) == P.stale


def test_a_multiplier_is_clamped_and_nan_is_left_to_the_finite_check():
    clamped = [haircut(x, PlaneForm.MULTIPLIER) for x in (-0.1, -0.0, 0.0, 0.65, 1.0, 1.2, math.inf)]
    assert all(map(identical, clamped, (0.0, 0.0, 0.0, 0.65, 1.0, 1.0, 1.0)))
    assert math.isnan(haircut(math.nan, PlaneForm.MULTIPLIER))


def test_the_upper_edge_belongs_to_the_next_plateau():
    for i, split in enumerate(P.splits):
        assert identical(haircut(split + P.edge), P.plateaus[i + 1])
        assert identical(haircut(math.nextafter(split - P.edge, -1.0)), P.plateaus[i])
