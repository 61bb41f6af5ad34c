"""Sketches: as near to the exact quantiles as their head says, bounded, of the last hour and of the run."""

import importlib.util
import math
import sys

import numpy as np
import pytest

from journal.refusal import Refusal
from journal.row import Batch, Coded, Rows
from lanes.code import Outcome
from reactor.run.settings import SoakSettings
from reactor.watch import sketch as module
from reactor.watch.observe import Observers
from reactor.watch.sketch import ASSETS, KEPT, OTHER, SAMPLES_S, SAVED_S, SLOT_S, Sketch, Sketches

without = not importlib.util.find_spec("tdigest")
needs_tdigest = pytest.mark.skipif(without, reason="the extra tdigest is not installed: it wants a C compiler")
SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BOUND = (0.002, 0.01, 0.01, 0.01, 0.01, 0.01, 0.002)


class Clock:
    def __init__(self, at=1_000_000_000.0):
        self.at = at

    def __call__(self):
        return self.at


def scans(values, assets=("",), kind=Outcome.DECISION):
    """A batch whose base lane said these values; the other lanes said 1."""
    n, ones = len(values), np.ones(len(values))
    columns = dict.fromkeys(("dc", "acb_boost", "meta_boost", "mc_scale", "ob", "esof"), ones)
    columns |= {
        "base": np.asarray(values, dtype=float),
        "asset": Coded(np.arange(n, dtype=np.int32) % len(assets), assets),
    }
    empty = Rows(np.empty(0, np.int64), {}, np.empty(0, np.uint64))
    rows = dict.fromkeys(Outcome, empty) | {kind: Rows(np.arange(n), columns, np.zeros(n, np.uint64))}
    return Batch("t", 0, 1, 0, n - 1, rows)


def of(sketches, lane="base", asset="*", window="run"):
    (found,) = [s for key, where, s in sketches.quantiles() if (key, where) == ((lane, asset), window)]
    return found


def distributions():
    dice = np.random.default_rng(11)
    yield "skewed", dice.lognormal(0.0, 1.0, 20_000)
    yield "uniform", dice.uniform(-1.0, 1.0, 20_000)
    yield "cubic with atoms", np.clip(dice.normal(3.0, 4.0, 20_000), 0.5, 8.0)
    yield "rising", np.sort(dice.lognormal(0.0, 1.0, 20_000))


@needs_tdigest
@pytest.mark.parametrize(("name", "values"), [*distributions()], ids=lambda each: each if isinstance(each, str) else "")
def test_the_error_in_rank_is_within_its_bound_and_the_bytes_too(name, values):
    sketch = Sketch.empty()
    for part in np.split(values, 20):
        sketch.add(part, np.ones(len(part)))
        assert sketch.values.nbytes + sketch.weights.nbytes <= 16 * KEPT
    assert sketch.weights.sum() == pytest.approx(len(values))
    exact = np.sort(values)
    for share, bound, value in zip(SHARES, BOUND, sketch.quantiles(SHARES), strict=True):
        low, high = (np.searchsorted(exact, value, side) / len(exact) for side in ("left", "right"))
        assert low - bound <= share <= high + bound, (name, share, value)
    assert len(sketch.values) < len(set(values.tolist()))  # or else nothing was shown


def test_few_distinct_values_are_exact():
    dice = np.random.default_rng(5)
    values = dice.choice(np.round(np.linspace(0.4, 1.2, 900), 4), 30_000)
    sketch = Sketch.empty()
    for part in np.split(values, 30):
        sketch.add(part, np.ones(len(part)))
    exact = np.quantile(values, SHARES, method="inverted_cdf")
    assert sketch.quantiles(SHARES) == exact.tolist()
    half = Sketch.empty()
    half.add(np.array([1.0, 1.1]), np.array([50.0, 50.0]))
    assert half.quantiles((0.5, 0.51)) == [1.0, 1.1]  # never a value that nobody said


@needs_tdigest
@pytest.mark.timeout(20)
def test_what_is_not_finite_is_left_out_and_never_hangs():
    sketch = Sketch.empty()
    values = np.concatenate([np.random.default_rng(1).normal(size=3 * KEPT), [math.nan, math.inf, -math.inf]])
    sketch.add(values, np.ones(len(values)))
    assert np.isfinite(sketch.values).all()
    assert sketch.weights.sum() == pytest.approx(3 * KEPT)
    assert all(map(math.isnan, Sketch.empty().quantiles(SHARES)))


@needs_tdigest
def test_a_flood_is_sampled_and_weighted_and_a_trickle_is_not():
    clock = Clock()
    sketches = Sketches(clock)
    values = np.random.default_rng(2).lognormal(size=100_000)
    sketches.batch(scans(values))
    taken = sum(len(sample.lanes["base"]) for sample in sketches._waiting)
    assert taken == SAMPLES_S * SAVED_S
    clock.at += 1.0
    sketches.batch(scans(values))
    assert sum(len(sample.lanes["base"]) for sample in sketches._waiting) == taken + SAMPLES_S
    sketches.work()
    found = of(sketches)
    assert found.weights.sum() == pytest.approx(200_000)
    rank = np.searchsorted(np.sort(values), found.quantiles((0.5,))[0]) / len(values)
    assert abs(rank - 0.5) < 0.01 + 3 * 0.5 / math.sqrt(taken)

    slow = Sketches(clock)
    for _ in range(50):
        clock.at += 5.0
        slow.batch(scans([1.5]))
    slow.work()
    assert of(slow).weights.sum() == 50


@needs_tdigest
def test_the_hour_is_that_of_arrival_and_the_run_keeps_all():
    clock = Clock()
    sketches = Sketches(clock)
    for value in (1.0, 2.0, 3.0):
        sketches.batch(scans([value] * 10))
        sketches.work()
        clock.at += SLOT_S
    assert (of(sketches, window="1h").weights.sum(), of(sketches).weights.sum()) == (30, 30)
    clock.at += 3_600 - 3 * SLOT_S  # the first slot leaves
    sketches.work()
    assert of(sketches, window="1h").values.tolist() == [2.0, 3.0]
    assert of(sketches).values.tolist() == [1.0, 2.0, 3.0]
    clock.at += 3_600
    sketches.work()
    assert "1h" not in {window for _, window, _ in sketches.quantiles()}
    assert of(sketches).weights.sum() == 30


@needs_tdigest
def test_assets_are_told_apart_up_to_a_bound():
    sketches = Sketches(Clock())
    names = [f"A{n}USDT" for n in range(ASSETS + 20)]
    sketches.batch(scans(np.arange(140.0), names))
    sketches.batch(scans([7.0] * 60, kind=Outcome.EVALUATION))
    sketches.work()
    assets = {asset for (_, asset), _, _ in sketches.quantiles()}
    assert assets == {*names[:ASSETS], OTHER, "*"}
    assert of(sketches, asset=OTHER).weights.sum() == 40
    assert of(sketches, asset=names[0]).weights.sum() == 2
    assert of(sketches).weights.sum() == 200


def test_asking_for_it_without_having_it_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tdigest", None)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Refusal, match=r"--sketches needs the extra tdigest.*pip install 'violet-reactor\[tdigest\]'"):
        Observers(SoakSettings(data=tmp_path, sketches=True), None)
