"""The universe: a point is a function of its seed, and every edge, its neighbours and every wild value are in it."""

from itertools import combinations

import numpy as np
import pytest

from lanes import universe
from lanes.columns import evaluate
from lanes.profile import PROFILES
from tests.lanes.bits import same

BLUE = PROFILES["blue_8b"]
PROFILES_OF_IT = universe.profiles()


def test_a_point_is_a_function_of_its_seed_wherever_the_range_is_cut():
    whole = universe.points(universe.drawn(range(1_000, 3_000)), BLUE)
    for first, end in ((1_000, 1_001), (1_700, 2_345), (2_999, 3_000)):
        part = universe.points(universe.drawn(range(first, end)), BLUE)
        for name, column in part.items():
            assert column.tobytes() == whole[name][first - 1_000 : end - 1_000].tobytes(), name


@pytest.mark.parametrize("at", [0, 1, universe.BLOCK - 1, universe.BLOCK, 5 * universe.BLOCK + 7])
def test_the_profile_of_a_seed_is_the_same_in_every_range(at):
    def profile_of(first, n):
        return next(number for number, some in universe.spans(first, n, 3) if at in some)

    assert profile_of(at, 1) == profile_of(0, at + 1) == profile_of(max(0, at - 100), 10 * universe.BLOCK)


def test_spans_leave_no_seed_out():
    seeds = [seed for _, some in universe.spans(12_345, 3 * universe.BLOCK, 3) for seed in some]
    assert seeds == [*range(12_345, 12_345 + 3 * universe.BLOCK)]


def test_every_pair_of_named_values_is_among_the_edges():
    edges, axes = universe.edges(BLUE, 1), universe.axes(BLUE)
    words = {name: column.astype(np.float64).view(np.uint64) for name, column in edges.items()}
    for a, b in combinations(axes, 2):
        named = [set(axes[each].values.astype(np.float64).view(np.uint64).tolist()) for each in (a, b)]
        found = set(zip(words[a].tolist(), words[b].tolist(), strict=True))
        assert all((left, right) in found for left in named[0] for right in named[1]), (a, b)


@pytest.mark.parametrize("edge", [BLUE.base.thr, BLUE.base.extreme])
def test_an_edge_stands_between_its_neighbours(edge):
    named = universe.axes(BLUE)["vel_div"].values
    for value in (edge, np.nextafter(edge, 1.0), np.nextafter(edge, -1.0), 0.0, -0.0, 5e-324, np.inf, -np.inf, np.nan):
        assert same(named, value).any(), value


@pytest.mark.parametrize("name", PROFILES_OF_IT)
def test_every_constant_that_a_branch_compares_with_is_an_edge(name):
    profile = PROFILES_OF_IT[name]
    axes = universe.axes(profile)
    for axis, constants in {
        "vel_div": (profile.base.thr, profile.base.extreme), "w750": (profile.acb.w750_thr,),
        "acb.x": (profile.acb.signals_from,), "ob.y": (profile.ob.agree_above,),
        "ob.z": (profile.ob.min_assets,), "ob.x": (profile.ob.imb_from, -profile.ob.imb_from),
        "esof.x": profile.esof.splits, "esof.age_ms": (profile.esof.max_age_ms, profile.esof.max_age_ms + 1),
    }.items():  # fmt: skip
        if axis in axes:
            assert set(constants) <= set(axes[axis].named.tolist()), axis


def test_every_bound_and_every_fault_is_among_the_draws():
    readings = evaluate(universe.points(universe.drawn(range(100_000)), BLUE), BLUE, {})
    assert set(readings.columns["bound"].tolist()) == {0, 1, 2, 3, 4}
    assert set(readings.non_finite.tolist()) == {0, 1, 3, 4, 5, 6}  # dc reads no float
    assert readings.floor_lifted.any()
    assert np.mean(readings.non_finite == 0) > 0.9
