"""The fused loop gives the bits of the lanes and the fan-in under every binding, whatever the block and the threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lanes.code import Bound
from lanes.columns import evaluate
from lanes.profile import PROFILES
from reactor.run.sweep import fused
from reactor.run.sweep.bindings import bound
from tests.lanes import points
from tests.lanes.bits import same

BLUE = PROFILES["blue_8b"]
GRAPH = fused.Graph(BLUE)
N = 400
POINTS = points.inputs(N, 7, BLUE)
POINTS["vel_div"][~np.isfinite(POINTS["vel_div"])] = -0.03  # a record's is finite
OWN = evaluate(POINTS, BLUE, {})
CHANGES = [
    {}, {"base.extreme": -0.07, "base.base_max": 8.5}, {"base.convexity": 2.0}, {"base.convexity": 2.5}, {"base.thr": -0.03},
    {"dc.boost": 1.3, "fanin.abs_max": 7.0}, {"acb.enabled": False}, {"base.enabled": False}, {"esof.enabled": False},
    {"acb.beta_high": 0.5, "acb.signals_gain": 0.1}, {"ob.up": 1.1, "ob.min_assets": 5}, {"esof.stale": 0.9, "esof.max_age_ms": 1},
    {"fanin.stalker_cap": None, "fanin.fraction": 0.3}, {"base.min_lev": 0.0}, {"fanin.paper_capital_usd": 10.0},
]  # fmt: skip


def columns(graph=GRAPH):
    given = {**POINTS, "capital.seen": np.ones(N)}
    scans = np.column_stack([np.asarray(given[name], np.float64) for name in graph.inputs])
    return scans, np.column_stack([OWN.columns[lane.name] for lane in BLUE.lanes])


def params(changes):
    """One column a change."""
    found = np.repeat(GRAPH.own()[:, None], len(changes), axis=1)
    for j, change in enumerate(changes):
        for name, value in change.items():
            found[GRAPH.params.index(name), j] = fused.number(value)
    return found


def swept(changes):
    return GRAPH.changed({name for change in changes for name in change})


@pytest.mark.parametrize("changes", [CHANGES, *([change] for change in CHANGES)], ids=str)
def test_each_binding_gives_what_its_profile_gives(changes):
    found = fused.rows(GRAPH, *columns(), params(changes), swept(changes))
    for j, change in enumerate(changes):
        readings = evaluate(POINTS, bound(BLUE, change), {})
        finite = readings.non_finite == 0
        assert (found.finite[:, j] == finite).all()
        assert same(found.leverage[finite, j], readings.columns["leverage"][finite]).all(), change
        assert same(found.notional_usd[finite, j], readings.columns["notional_usd"][finite]).all(), change


def test_sums_and_counts_are_those_of_the_decisions_in_their_order():
    found = fused.aggregate(GRAPH, *columns(), params(CHANGES), swept(CHANGES), fused.Counters.over(0.5, 9.0))
    for j, change in enumerate(CHANGES):
        profile = bound(BLUE, change)
        readings = evaluate(POINTS, profile, {})
        decides = POINTS["vel_div"] < profile.base.thr
        alive = decides & (readings.non_finite == 0)
        leverage, notional = (readings.columns[name][alive].tolist() for name in ("leverage", "notional_usd"))
        assert found.bounds[:, j].tolist() == [int((readings.columns["bound"][alive] == b).sum()) for b in Bound]
        assert found.sums[:, j].tolist() == [
            sum(leverage), min(leverage), max(leverage), sum(notional), max(notional),
            int((decides & (readings.non_finite != 0)).sum()),
        ]  # fmt: skip
        assert found.histogram[j].sum() == alive.sum()


def test_neither_block_nor_threads_nor_flushes_change_a_bit(monkeypatch):
    many = CHANGES * 40
    whole = fused.aggregate(GRAPH, *columns(), params(many), swept(many))
    with ThreadPoolExecutor(3) as pool:
        parts = list(
            pool.map(
                lambda at: fused.aggregate(GRAPH, *columns(), params(many[at : at + 7]), swept(many)),
                range(0, len(many), 7),
            )
        )
    for name in ("bounds", "sums"):
        assert (
            np.concatenate([getattr(part, name) for part in parts], axis=1).tobytes() == getattr(whole, name).tobytes()
        )
    scans, lanes = columns()
    twenty = fused.aggregate(GRAPH, np.tile(scans, (20, 1)), np.tile(lanes, (20, 1)), params(CHANGES), swept(CHANGES))
    once = fused.aggregate(GRAPH, scans, lanes, params(CHANGES), swept(CHANGES))
    assert (twenty.bounds == 20 * once.bounds).all()  # more scans than a packed count holds


def test_a_lane_with_a_kernel_of_somebody_else_keeps_its_column():
    graph = fused.Graph(BLUE, frozenset({"acb"}))
    assert not {name for name in graph.params if name.startswith("acb.")}
    scans, lanes = columns(graph)
    lanes = lanes.copy()
    lanes[:, 2] = 1.0
    found = fused.rows(graph, scans, lanes, graph.own()[:, None], graph.changed(graph.params))
    off = evaluate(POINTS, bound(BLUE, {"acb.enabled": False}), {})
    finite = off.non_finite == 0
    assert same(found.leverage[finite, 0], off.columns["leverage"][finite]).all()


def test_counters_are_145_from_half_to_nine_and_hold_what_differs_by_one_percent():
    counters = fused.Counters.over(0.5, 9.0)
    assert len(counters.thresholds) == 145
    values = np.random.default_rng(1).uniform(0.5, 9.0, 5_000)
    at = np.searchsorted(counters.thresholds, values, side="right") - 1
    assert (np.abs(counters.values[at] / values - 1.0) <= 0.0101).all()


def test_every_leverage_is_counted_where_it_lies():
    leverage = np.concatenate(
        [fused.Counters.over(0.5, 9.0).thresholds, np.random.default_rng(2).uniform(0.4, 10.0, 500)]
    )
    counters = fused.Counters.over(0.5, 9.0)
    scans, lanes = np.zeros((1, len(GRAPH.inputs))), np.ones((1, len(BLUE.lanes)))
    scans[0, GRAPH.inputs.index("vel_div")], scans[0, GRAPH.inputs.index("capital_usd")] = -0.03, 1.0
    # A floor above the product is the leverage itself.
    given = params([{"base.min_lev": float(x), "base.base_max": 20.0, "fanin.abs_max": 20.0} for x in leverage])
    found = fused.aggregate(GRAPH, scans, np.minimum(lanes, 0.1), given, np.zeros(len(BLUE.lanes), np.bool_), counters)
    at = np.clip(np.searchsorted(counters.thresholds, leverage, side="right") - 1, 0, 144)
    assert found.histogram.argmax(axis=1).tolist() == at.tolist()
    assert (found.histogram.sum(axis=1) == 1).all()
