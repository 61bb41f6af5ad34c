"""Breakdown: of many lanes and buckets those are named that differ, and no other; a day's money needs its days."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from journal.blue.breakdown import by_day, by_lane
from lanes.profile import PROFILES
from tests.journal.blue.test_attribution_sql import LANES, side, write

DAY_MS, AT = 86_400_000, 1_746_372_780_000


def terms(application="fan_in"):
    """Of a contract what is asked here."""
    values = PROFILES["blue_8b"].model_dump()
    values["esof"]["application"] = application
    return SimpleNamespace(alpha=0.05, params=SimpleNamespace(values=values))


def pairs(n, moved, rng, days=1):
    """Pairs of which the lane dc moves those below -0.04, and noise the others."""
    found = []
    for at in range(n):
        vel_div = -0.045 if at % 2 else -0.025
        terms = dict.fromkeys([*LANES, "posture", "fanin"], 0.0)
        terms["acb"] = float(rng.normal(0.0, 0.2))
        terms["dc"] = moved if at % 2 else 0.0
        found.append(
            {"lanes": side([1.0] * 5), "recorded_lanes": side([1.0] * 5), "journaled": 1.0, "recorded": 1.1, "effective": terms,
             "vel_div": vel_div, "notional_usd": 200.0 + float(rng.normal(0, 50)), "recorded_notional_usd": 100.0,
             "entry_ts_ms": AT + at % days * DAY_MS}
        )  # fmt: skip
    return found


def test_the_lane_and_bucket_that_differ_are_named_and_no_other(store):
    compare_id = write(store, pairs(600, 0.14, np.random.default_rng(2)))
    rows = by_lane(store, terms(), compare_id)
    assert len(rows) == 2 * len(LANES)
    assert [(row["lane"], row["vel_div"]) for row in rows if row["differs"]] == [("dc", "-0.04 to -0.05")]
    (dc,) = (row for row in rows if row["differs"])
    assert (dc["n"], dc["mean"]) == (300, pytest.approx(0.14))
    assert 0 < dc["low"] < 0.14 < dc["high"]
    reach = math.log(18)
    assert all(-reach <= row["low"] <= row["high"] <= reach for row in rows)


def test_what_lies_within_the_noise_floor_names_no_lane_and_moves_no_money(store):
    late = [pair | {"delayed": "ob"} for pair in pairs(600, 0.14, np.random.default_rng(2))]
    compare_id = write(store, late)
    assert {(row["mean"], row["differs"]) for row in by_lane(store, terms(), compare_id)} == {(0.0, False)}
    money = by_day(store, terms(), compare_id)
    assert (money["mean_usd"] > 0.0, money["above_usd"]) == (True, 0.0)


def test_few_pairs_name_no_lane(store):
    rows = by_lane(store, terms(), write(store, pairs(10, 0.14, np.random.default_rng(2))))
    assert not [row for row in rows if row["differs"]]


def test_a_term_as_large_as_the_fan_in_allows_is_within_the_bounds_and_its_rounding_too(store):
    most = pairs(40, float(np.nextafter(math.log(18), 3.0)), np.random.default_rng(2))
    rows = by_lane(store, terms(), write(store, most))
    assert [row["lane"] for row in rows if row["differs"]] == ["dc"]


def test_behind_the_fan_in_terms_have_no_bounds_so_no_interval_is_shown(store):
    assert by_lane(store, terms("sc_post"), write(store, pairs(40, 7.0, np.random.default_rng(2)))) == []


def test_a_day_s_difference_has_bounds_once_there_are_days_enough(store):
    rng = np.random.default_rng(3)
    few = by_day(store, terms(), write(store, pairs(200, 0.0, rng, days=10)))
    assert (few["days"], few["low"], few["high"]) == (10, None, None)
    assert few["mean_usd"] == pytest.approx(20 * 100, rel=0.1)
    many = by_day(store, terms(), write(store, pairs(200, 0.0, rng, days=40)))
    assert many["low"] < many["mean_usd"] < many["high"]
    assert by_day(store, terms(), "none") == {
        "days": 0,
        "mean_usd": None,
        "above_usd": None,
        "low": None,
        "high": None,
        "method": "asymptotic",
    }
