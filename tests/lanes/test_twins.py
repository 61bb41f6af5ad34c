"""Pure Python, scalar kernel and column loop give the same bits, over 700,000 joint points."""

import numpy as np
import pytest

from lanes.columns import evaluate
from lanes.profile import PROFILES, profile
from tests.lanes import chain, points
from tests.lanes.bits import same

BLOCK = 100_000
# A square and a root are what a compiler would like to make of a constant power.
SQUARE = profile("blue_8b", {"base": {"convexity": 2.0}, "esof": {"application": "sc_post"}})
ROOT = profile("blue_8b", {"base": {"convexity": 0.5}, "dc": {"boost": 1.15}, "fanin": {"stalker_cap": 0.4}})
BLOCKS = [*[PROFILES["blue_8b"]] * 4, PROFILES["v3_base9"], SQUARE, ROOT]


def whole(readings):
    """All columns by name."""
    others = {"raw": readings.raw, "floor_lifted": readings.floor_lifted, "non_finite": readings.non_finite}
    return readings.columns | others


def assert_same(readings, expected, at):
    for name, column in expected.items():
        got = whole(readings)[name]
        equal = same(got, column) if column.dtype == np.float64 else got == column
        assert equal.all(), f"{name}: {np.count_nonzero(~equal)} rows of {at} differ, first {np.argmin(equal)}"


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_columns_give_the_bits_of_pure_python_and_of_the_scalar_kernels(block):
    where = points.inputs(BLOCK, block, BLOCKS[block])
    readings = evaluate(where, BLOCKS[block], {})
    for twin in (lambda kernel: kernel.py_func, lambda kernel: kernel):
        expected = chain.readings(where, BLOCKS[block], twin)
        assert set(expected) == set(whole(readings)) - {"non_finite"}
        assert_same(readings, expected, f"block {block}")
    assert 0.5 < np.mean(readings.non_finite == 0) < 1.0  # most rows reach the end, and some do not


@pytest.mark.parametrize("size", [1, 3, 64, 1000])
def test_the_size_of_a_batch_changes_no_bit(size):
    where = points.inputs(3000, 99, SQUARE)
    once = whole(evaluate(where, SQUARE, {}))
    cuts = [range(at, min(at + size, 3000)) for at in range(0, 3000, size)]
    parts = [whole(evaluate(points.take(where, list(cut)), SQUARE, {})) for cut in cuts]
    for name, column in once.items():
        assert np.concatenate([part[name] for part in parts]).tobytes() == column.tobytes(), name


def test_every_bound_and_every_fault_is_among_the_points():
    readings = evaluate(points.inputs(BLOCK, 0, BLOCKS[0]), BLOCKS[0], {})
    assert set(readings.columns["bound"].tolist()) == {0, 1, 2, 3, 4}
    assert set(readings.non_finite.tolist()) == {0, 1, 3, 4, 5, 6}  # dc reads no float
    assert readings.floor_lifted.any()
