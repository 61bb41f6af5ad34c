"""Chunks: the same whatever the number of workers, and only those that are not there. Whole sweeps: tests/integration."""

import numpy as np
import pytest

from lanes.profile import PROFILES
from reactor.run.sweep import sweep
from reactor.run.sweep.bindings import Bindings
from reactor.run.sweep.fused import NONE, Graph
from reactor.run.sweep.scans import Scans
from tests.reactor.run.sweep.test_fused import BLUE, columns

BINDINGS = Bindings(BLUE, {"fanin.abs_max": [8.0, 8.5]}, (), {"base.extreme": (-0.08, -0.04)}, 700, 3)


def made(workers, done=None, histogram=True):
    scans, lanes = columns()
    graph = Graph(BLUE)
    asked = sweep.Sweep(None, None, BINDINGS, histogram, workers)
    counters = asked._counters(graph) if histogram else NONE
    return list(asked._chunks(graph, Scans(scans, lanes, len(scans), "archive"), counters, done or {}))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sweep, "CHUNK", 100)


def same(left, right):
    return all(repr(np.asarray(left[name]).tolist()) == repr(np.asarray(right[name]).tolist()) for name in left)


def test_workers_change_nothing_and_chunks_come_in_their_order():
    one, three = made(1), made(3)
    assert [chunk["binding"][0] for chunk in one] == [*range(0, 700, 100), 700]
    assert all(same(a, b) for a, b in zip(one, three, strict=True))


def test_only_what_is_not_there_is_made():
    some = made(2, {0: 100, 1: 99, 3: 100, 7: 3})
    assert [chunk["binding"][0] for chunk in some] == [100, 200, 400, 500, 600]
    assert same(some[1], made(1)[2])


def test_quantiles_are_within_one_percent_and_are_left_out_with_the_counters():
    chunk = made(1)[0]
    assert (np.asarray(chunk["leverage_p05"]) <= chunk["leverage_p50"]).all()
    assert (np.asarray(chunk["leverage_p99"]) <= chunk["leverage_max"]).all()
    bare = made(1, histogram=False)[0]
    assert np.isnan(bare["leverage_p50"]).all()
    assert bare["histogram"] == [[]] * 100
    assert bare["leverage_sum"].tobytes() == chunk["leverage_sum"].tobytes()


def test_the_widest_threshold_is_the_greatest_of_grid_list_and_ranges():
    given = Bindings(BLUE, {"base.thr": [-0.03, -0.015]}, ({"base.thr": -0.01},), {"base.thr": (-0.03, -0.005)}, 9)
    assert sweep.Sweep(None, None, given, True, 1)._widest(PROFILES["blue_8b"]).base.thr == -0.005
