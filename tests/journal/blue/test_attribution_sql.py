"""The view of the attribution: the same terms as the pure functions, and an identity within an ulp."""

import math
import uuid

import numpy as np
import pytest

from journal.blue.attribution import ATTRIBUTED, UNATTRIBUTABLE, ZERO, nominal
from tests.journal.blue.test_attribution import BLUE, fanned, some

LANES = list(BLUE.lanes)


def write(store, rows):
    """Pairs as a comparison keeps them; its id."""
    compare_id = uuid.uuid4().hex[:16]
    plain = {
        "compare_id": compare_id, "run_id": compare_id, "label": "STAND-IN", "asset": "BTCUSDT", "entry_ts_ms": 1_746_372_780_000,
        "by": "id", "gap_ms": 0, "candidates": 1, "topic": "t", "partition": 0, "stream": "ng7", "dc_status": "CONFIRM",
        "bound": "PRODUCT", "vel_div": -0.03, "recorded_vel_div": None, "notional_fraction": 0.2, "recorded_notional_fraction": None,
        "notional_usd": 1.0, "recorded_notional_usd": None, "pnl": None, "class": "", "class_group": "", "class_where": [],
        "is_allowed": False, "nominal": {}, "closure_ulp": None,
    }  # fmt: skip
    made = [
        plain | {"trade_id": f"t{n:06}", "log_offset": n, "scan_id": n, "effective": {}} | row
        for n, row in enumerate(rows)
    ]
    store.put("violet_compare_pairs", {name: [row[name] for row in made] for name in made[0]}, compare_id)
    return compare_id


def side(values):
    return {name: value for name, value in zip(LANES, values, strict=True) if not math.isnan(value)}


def test_the_view_has_the_terms_of_the_pure_function(store):
    rng = np.random.default_rng(8)
    ours, theirs = some(rng, 2_000), some(rng, 2_000)
    theirs = np.where(rng.random(theirs.shape) < 0.4, ours, theirs)
    made = np.array([fanned(row, False, BLUE) for row in ours.tolist()])
    recorded = np.where(
        rng.random(2_000) < 0.5, [fanned(row, False, BLUE) for row in theirs.tolist()], rng.uniform(0.5, 9, 2_000)
    )
    theirs[0, 2], recorded[1], made[2], theirs[3, 0] = math.nan, 0.0, 0.0, 0.0
    made[4] = recorded[4] = 0.0
    right = nominal(ours, theirs, (made, recorded), LANES)
    rows = [
        {"lanes": side(o), "recorded_lanes": side(t), "journaled": a, "recorded": b}
        for o, t, a, b in zip(ours.tolist(), theirs.tolist(), made.tolist(), recorded.tolist(), strict=True)
    ]
    compare_id = write(store, [*rows, rows[9] | {"recorded": None}])
    told = store.rows(
        "SELECT trade_id, any(status) AS status, groupArray((term, nominal)) AS terms, any(log_ratio) AS total, "
        "max(closure_ulp) AS closure, sum(nominal_leverage) AS leverage FROM blue_attribution "
        "WHERE compare_id = {id:String} GROUP BY trade_id ORDER BY trade_id",
        {"id": compare_id},
    )
    assert [row["status"] for row in told] == [*right.status, UNATTRIBUTABLE]
    assert [right.status[n] for n in range(5)] == [UNATTRIBUTABLE, ZERO, ZERO, ATTRIBUTED, ATTRIBUTED]
    for n, row in enumerate(told):
        terms = {name: term for name, term in row["terms"] if name not in ("posture", "fanin")}
        if row["status"] != ATTRIBUTED:
            assert terms == {"": None}
            assert row["total"] is None
            continue
        assert terms == pytest.approx(dict(zip(right.names, right.values[n].tolist(), strict=True)), abs=1e-13)
        assert row["total"] == pytest.approx(right.total[n], abs=1e-15)
        assert row["closure"] <= 1.0
        assert row["leverage"] == pytest.approx(made[n] - recorded[n], abs=1e-12)


def test_sums_are_over_the_pairs_that_can_be_attributed(store):
    ours, theirs = [8.0, 1.15, 1.2, 1.0, 1.0], [8.0, 1.0, 1.0, 1.0, 1.0]
    one = {"lanes": side(ours), "recorded_lanes": side(theirs), "journaled": 9.0, "recorded": 8.0,
           "effective": dict.fromkeys([*LANES, "posture", "fanin"], 0.0) | {"acb": math.log(9 / 8)}}  # fmt: skip
    same = {"lanes": side(ours), "recorded_lanes": side(ours), "journaled": 9.0, "recorded": 9.0}
    compare_id = write(store, [one, one, same, one | {"recorded_lanes": {}}])
    sums = {
        row["term"]: row
        for row in store.rows("SELECT * FROM blue_attribution_sums WHERE compare_id = {id:String}", {"id": compare_id})
    }
    assert set(sums) == {*LANES, "clamp", "posture", "fanin"}
    assert {name: round(row["nominal"], 4) for name, row in sums.items() if row["nominal"]} == {
        "dc": 0.2795, "acb": 0.3646, "clamp": -0.4086,
    }  # fmt: skip
    assert {name: round(row["effective"], 4) for name, row in sums.items() if row["effective"]} == {"acb": 0.2356}
    assert (sums["acb"]["pairs"], sums["acb"]["moved_nominal"], sums["acb"]["moved_effective"]) == (3, 2, 2)
    assert sum(row["effective_leverage"] or 0 for row in sums.values()) == pytest.approx(2.0)
    assert sum(row["nominal_leverage"] or 0 for row in sums.values()) == pytest.approx(2.0)
