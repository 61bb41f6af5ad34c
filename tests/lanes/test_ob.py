import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanes.code import PlaneForm
from lanes.ob import ob
from lanes.profile import PROFILES
from tests.lanes.bits import identical

P = PROFILES["blue_8b"].ob
imbalance = st.floats(-1.0, 1.0)


def consensus(eff_imb, agree=0.9, n_assets=P.min_assets, form=PlaneForm.INPUTS, mult=math.nan):
    limits = (P.imb_from, P.imb_full, P.agree_above, P.up, P.down, P.min_assets)
    return ob(form, mult, eff_imb, agree, n_assets, *limits)


@given(imbalance, imbalance)
def test_more_selling_never_gives_less(a, b):
    selling, buying = sorted((a, b))
    assert consensus(selling) >= consensus(buying)


@given(imbalance, st.floats(0.0, 1.0), st.integers(0, 50))
def test_it_stays_between_down_and_up(eff_imb, agree, n_assets):
    assert P.down <= consensus(eff_imb, agree, n_assets) <= P.up


@given(imbalance, st.floats(0.0, P.agree_above))
def test_without_agreement_it_is_one(eff_imb, agree):
    assert consensus(eff_imb, agree) == 1.0


@given(imbalance)
def test_few_assets_are_no_consensus(eff_imb):
    assert consensus(eff_imb, n_assets=P.min_assets - 1) == 1.0


@given(st.floats(0.0, 10.0))
def test_a_multiplier_is_used_as_it_is(mult):
    assert identical(consensus(math.nan, math.nan, 0, PlaneForm.MULTIPLIER, mult), mult)


def test_never_seen_is_one():
    assert consensus(math.nan, form=PlaneForm.NEVER_SEEN) == 1.0


@pytest.mark.parametrize("bad", [{"eff_imb": math.nan}, {"eff_imb": -0.5, "agree": math.nan}])
def test_a_nan_input_gives_one(bad):
    assert consensus(**bad) == 1.0


def test_the_edges_are_strict():
    assert consensus(-P.imb_from) == consensus(P.imb_from) == 1.0
    assert identical(consensus(-P.imb_full), P.up)
    assert identical(consensus(P.imb_full), P.down)
