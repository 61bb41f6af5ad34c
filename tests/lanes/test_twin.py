"""Pure Python, scalar kernels scan by scan, and column loops give the same bits, over 350,000 joint points."""

import numpy as np
import pytest

from lanes import twin
from lanes.columns import evaluate
from lanes.profile import PROFILES, profile
from tests.lanes import points
from tests.lanes.bits import same

BLOCK = 50_000
# A square and a root are what a compiler would like to make of a constant power.
SQUARE = profile("blue_8b", {"base": {"convexity": 2.0}, "esof": {"application": "sc_post"}})
ROOT = profile("blue_8b", {"base": {"convexity": 0.5}, "dc": {"boost": 1.15}, "fanin": {"stalker_cap": 0.4}})
BLOCKS = [*[PROFILES["blue_8b"]] * 4, PROFILES["v3_base9"], SQUARE, ROOT]


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_columns_give_the_bits_of_pure_python_and_of_the_scalar_kernels(block):
    where = points.inputs(BLOCK, block, BLOCKS[block])
    ours = twin.whole(evaluate(where, BLOCKS[block], {}))
    for form in (twin.scalar, twin.python):
        theirs = form(where, BLOCKS[block])
        assert set(theirs) == set(ours)
        for name, column in ours.items():
            equal = same(theirs[name], column) if column.dtype == np.float64 else theirs[name] == column
            assert equal.all(), f"{name}: {np.count_nonzero(~equal)} rows differ, first {np.argmin(equal)}"
    assert 0.5 < np.mean(ours["non_finite"] == 0) < 1.0  # most rows reach the end, and some do not


@pytest.mark.parametrize("lane", ["base", "dc", "acb", "ob", "esof"])
def test_a_lane_that_is_off_is_off_in_every_form(lane):
    off = profile("blue_8b", {lane: {"enabled": False}})
    where = points.inputs(2_000, 5, off)
    ours = twin.whole(evaluate(where, off, {}))
    for form in (twin.scalar, twin.python):
        assert all(same(column, ours[name]).all() for name, column in form(where, off).items())


@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_the_size_of_a_batch_changes_no_bit(size):
    where = points.inputs(3000, 99, SQUARE)
    once = twin.whole(evaluate(where, SQUARE, {}))
    cuts = [range(at, min(at + size, 3000)) for at in range(0, 3000, size)]
    parts = [twin.whole(evaluate(points.take(where, list(cut)), SQUARE, {})) for cut in cuts]
    for name, column in once.items():
        assert np.concatenate([part[name] for part in parts]).tobytes() == column.tobytes(), name
