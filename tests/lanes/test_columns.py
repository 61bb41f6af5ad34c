import dataclasses

import numpy as np

from lanes.code import Bound, PlaneForm
from lanes.columns import Inputs, Readings, evaluate
from lanes.params import PROFILES, profile
from tests.lanes import points
from tests.lanes.bits import same

BLUE = PROFILES["blue_8b"]
SC = profile("blue_8b", {"esof": {"application": "sc_post"}})


def neutral(n):
    """n saturated scans with every plane a multiplier of 1.0."""
    one, flags = np.ones(n), np.ones(n, np.bool_)
    given = np.full(n, PlaneForm.MULTIPLIER, np.int8)
    return Inputs(
        vel_div=np.full(n, -0.06), w750=np.full(n, np.nan), dc_status=np.zeros(n, np.int8),
        acb_form=given, acb_x=one.copy(), meta_seen=flags, meta=one.copy(), mc_seen=flags, mc=one.copy(),
        ob_form=given, ob_mult=one.copy(), ob_eff_imb=one, ob_agree=one, ob_n_assets=np.ones(n, np.int64),
        esof_form=given, esof_x=one.copy(), esof_age_ms=np.zeros(n, np.int64), stalker=~flags,
        capital_usd=np.full(n, 25_000.0),
    )  # fmt: skip


def test_no_rows_give_no_rows():
    readings = evaluate(neutral(0), BLUE, {})
    assert {len(getattr(readings, f.name)) for f in dataclasses.fields(Readings)} == {0}


def test_a_median_and_a_saturated_scan_of_the_recorded_soak():
    where = neutral(2)
    where.vel_div[0] = -0.0337
    readings = evaluate(where, PROFILES["v3_base9"], {})
    assert same(readings.leverage, [1.3095000185185186, 9.0]).all()
    assert same(0.2 * readings.leverage, [0.26190000370370375, 1.8]).all()
    assert same(readings.notional_usd, [6547.500092592593, 45_000.0]).all()


def test_v3_base9_has_no_stalker_cap():
    where = neutral(1)
    where.stalker[:] = True
    assert evaluate(where, BLUE, {}).bound.tolist() == [Bound.STALKER]
    assert evaluate(where, PROFILES["v3_base9"], {}).leverage.tolist() == [9.0]


def test_the_haircut_is_never_applied_twice():
    where = points.inputs(5000, 11, BLUE)
    inside, after = evaluate(where, BLUE, {}), evaluate(where, SC, {})
    assert same(inside.esof, after.esof).all()
    assert same(inside.esof_fanin, inside.esof).all()
    assert (inside.sc_mult == 1.0).all()
    assert same(inside.leverage, inside.leverage_fanin).all()
    assert (after.esof_fanin == 1.0).all()
    assert same(after.sc_mult, after.esof).all()


def test_sc_post_can_go_below_the_floor():
    where = neutral(1)
    where.vel_div[:], where.esof_x[:] = -0.02, 0.3
    assert evaluate(where, BLUE, {}).leverage.tolist() == [0.5]
    assert evaluate(where, SC, {}).leverage.tolist() == [0.15]


def test_a_foreign_regime_stands_for_all_three_factors():
    where = neutral(2)
    where.meta[:] = 3.0
    readings = evaluate(where, BLUE, {"acb": np.array([1.25, 1.5])})
    assert readings.acb_boost.tolist() == readings.acb.tolist() == [1.25, 1.5]
    assert readings.meta_boost.tolist() == readings.mc_scale.tolist() == [1.0, 1.0]


def test_a_foreign_haircut_is_clamped_too():
    assert evaluate(neutral(3), BLUE, {"esof": np.array([-1.0, 0.7, 1.3])}).esof.tolist() == [0.0, 0.7, 1.0]


def test_overflow_inside_the_fan_in_is_the_fan_ins():
    where = neutral(4)
    where.vel_div[0], where.acb_x[0] = -0.02, 1e308  # lane and raw are finite, the product in the cap is not
    where.capital_usd[1] = 1e308  # the notional is not
    where.acb_x[2], where.meta[2] = 1e200, 1e200  # the lane itself is not
    readings = evaluate(where, BLUE, {})
    assert readings.non_finite.tolist() == [6, 0, 3, 0]
    assert readings.leverage[0] == 9.0  # which is why it is marked
    whole = profile("blue_8b", {"fanin": {"fraction": 1.0}})
    assert evaluate(where, whole, {}).non_finite.tolist() == [6, 6, 3, 0]


def test_a_component_that_is_not_finite_is_its_lanes():
    where = neutral(2)
    where.vel_div[1] = np.nan
    off = profile("blue_8b", {"base": {"enabled": False}})
    assert evaluate(where, off, {}).base.tolist() == [1.0, 1.0]
    assert evaluate(where, off, {}).non_finite.tolist() == [0, 1]  # the strength is still there, and is NaN


def test_inputs_are_left_as_they_were():
    where = points.inputs(1000, 5, BLUE)
    before = {f.name: getattr(where, f.name).tobytes() for f in dataclasses.fields(Inputs)}
    evaluate(where, SC, {"ob": np.full(1000, 0.9)})
    assert before == {name: getattr(where, name).tobytes() for name in before}
