import numpy as np

from lanes.code import Bound, PlaneForm
from lanes.columns import evaluate
from lanes.profile import PROFILES, profile
from tests.lanes import points
from tests.lanes.bits import same

BLUE = PROFILES["blue_8b"]
SC = profile("blue_8b", {"esof": {"application": "sc_post"}})


def neutral(n):
    """n saturated scans with every plane a multiplier of 1.0."""
    one, flags = np.ones(n), np.ones(n, np.bool_)
    given = np.full(n, PlaneForm.MULTIPLIER, np.int8)
    return {
        "vel_div": np.full(n, -0.06), "w750": np.full(n, np.nan), "dc_status": np.zeros(n, np.int8),
        "acb.form": given, "acb.x": one.copy(), "meta.seen": flags, "meta.x": one.copy(), "mc.seen": flags, "mc.x": one,
        "ob.form": given, "ob.x": one.copy(), "ob.y": one, "ob.z": one,
        "esof.form": given, "esof.x": one.copy(), "esof.age_ms": np.zeros(n, np.int64), "stalker": ~flags,
        "capital_usd": np.full(n, 25_000.0),
    }  # fmt: skip


def test_no_rows_give_no_rows():
    readings = evaluate(neutral(0), BLUE, {})
    whole = [*readings.columns.values(), readings.raw, readings.floor_lifted, readings.non_finite]
    assert {len(column) for column in whole} == {0}


def test_a_median_and_a_saturated_scan_of_the_recorded_soak():
    where = neutral(2)
    where["vel_div"][0] = -0.0337
    readings = evaluate(where, PROFILES["v3_base9"], {})
    assert same(readings.columns["leverage"], [1.3095000185185186, 9.0]).all()
    assert same(0.2 * readings.columns["leverage"], [0.26190000370370375, 1.8]).all()
    assert same(readings.columns["notional_usd"], [6547.500092592593, 45_000.0]).all()


def test_v3_base9_has_no_stalker_cap():
    where = neutral(1)
    where["stalker"][:] = True
    assert evaluate(where, BLUE, {}).columns["bound"].tolist() == [Bound.STALKER]
    assert evaluate(where, PROFILES["v3_base9"], {}).columns["leverage"].tolist() == [9.0]


def test_the_haircut_is_never_applied_twice():
    where = points.inputs(5000, 11, BLUE)
    inside, after = evaluate(where, BLUE, {}), evaluate(where, SC, {})
    assert same(inside.columns["esof"], after.columns["esof"]).all()
    assert same(inside.columns["esof_fanin"], inside.columns["esof"]).all()
    assert (inside.columns["sc_mult"] == 1.0).all()
    assert same(inside.columns["leverage"], inside.columns["leverage_fanin"]).all()
    assert (after.columns["esof_fanin"] == 1.0).all()
    assert same(after.columns["sc_mult"], after.columns["esof"]).all()


def test_sc_post_can_go_below_the_floor():
    where = neutral(1)
    where["vel_div"][:], where["esof.x"][:] = -0.02, 0.3
    assert evaluate(where, BLUE, {}).columns["leverage"].tolist() == [0.5]
    assert evaluate(where, SC, {}).columns["leverage"].tolist() == [0.15]


def test_a_foreign_regime_stands_for_all_three_factors():
    where = neutral(2)
    where["meta.x"][:] = 3.0
    readings = evaluate(where, BLUE, {"acb": np.array([1.25, 1.5])})
    assert readings.columns["acb_boost"].tolist() == readings.columns["acb"].tolist() == [1.25, 1.5]
    assert readings.columns["meta_boost"].tolist() == readings.columns["mc_scale"].tolist() == [1.0, 1.0]


def test_a_foreign_haircut_is_clamped_too():
    assert evaluate(neutral(3), BLUE, {"esof": np.array([-1.0, 0.7, 1.3])}).columns["esof"].tolist() == [0.0, 0.7, 1.0]


def test_overflow_inside_the_fan_in_is_the_fan_ins():
    where = neutral(4)
    where["vel_div"][0], where["acb.x"][0] = -0.02, 1e308  # lane and raw are finite, the product in the cap is not
    where["capital_usd"][1] = 1e308  # the notional is not
    where["acb.x"][2], where["meta.x"][2] = 1e200, 1e200  # the lane itself is not
    readings = evaluate(where, BLUE, {})
    assert readings.non_finite.tolist() == [6, 0, 3, 0]
    assert readings.columns["leverage"][0] == 9.0  # which is why it is marked
    whole = profile("blue_8b", {"fanin": {"fraction": 1.0}})
    assert evaluate(where, whole, {}).non_finite.tolist() == [6, 6, 3, 0]


def test_a_component_that_is_not_finite_is_its_lanes():
    where = neutral(2)
    where["vel_div"][1] = np.nan
    off = profile("blue_8b", {"base": {"enabled": False}})
    assert evaluate(where, off, {}).columns["base"].tolist() == [1.0, 1.0]
    assert evaluate(where, off, {}).non_finite.tolist() == [0, 1]  # the strength is still there, and is NaN


def test_inputs_are_left_as_they_were():
    where = points.inputs(1000, 5, BLUE)
    before = {name: column.tobytes() for name, column in where.items()}
    evaluate(where, SC, {"ob": np.full(1000, 0.9)})
    assert before == {name: where[name].tobytes() for name in before}
