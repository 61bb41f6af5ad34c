"""Intervals, e-values and verdicts: against an independent implementation's figures, by law, and on simulated soaks."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.blue.statistics import (
    Interval,
    Verdict,
    bounded_mean,
    e_bh,
    judge,
    log_e_mean,
    log_e_proportion,
    proportion,
    share,
    still_needed,
    unbounded_mean,
)
from tests.bench.judge import judged

UNITS = np.array([(7 * i * i + 3 * i) % 101 / 101 for i in range(1, 201)])
units = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=60)


def test_intervals_are_those_of_an_independent_implementation():
    """Figures of the package ville 0.1.0, written down; its grid of means is 1/200,000 and it rounds outwards."""
    betting, early = (bounded_mean(UNITS[:n], 0.0, 1.0, 0.05) for n in (200, 20))
    assert (betting.low, betting.high) == pytest.approx((0.40029, 0.5304), abs=1e-5)
    assert (early.low, early.high) == pytest.approx((0.27594, 0.654385), abs=1e-5)
    mixture = share((UNITS < 0.1).astype(float), 0.05)
    assert (mixture.low, mixture.high) == pytest.approx((0.06347875032152961, 0.22463678781977353), rel=1e-12)
    limit = unbounded_mean(100 * (UNITS - 0.4), 0.05)
    assert (limit.low, limit.high) == pytest.approx((0.16671202955473063, 13.793684010049226), rel=1e-12)


@pytest.mark.parametrize(("n", "high"), [(69, 0.0997), (990, 0.00994), (12_400, 0.001)])
def test_so_many_pairs_without_a_mismatch_bound_its_rate(n, high):
    found = proportion(0, n, 0.05)
    assert (found.low, found.high) == (0.0, pytest.approx(high, rel=2e-3))
    assert found.high == pytest.approx(1 - (1 / (20 * (n + 1))) ** (1 / n))  # the formula solved for no success


@given(st.integers(0, 80), st.integers(0, 80))
def test_a_share_lies_in_its_interval_and_what_is_outside_is_excluded_by_its_e_value(successes, failures):
    n = successes + failures
    found = proportion(successes, n, 0.05)
    mirrored = proportion(failures, n, 0.05)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high), abs=1e-12)
    if n:
        assert found.low <= found.estimate <= found.high
    for bound, step in ((found.low, 1e-9), (found.high, -1e-9)):
        if 0.0 < bound < 1.0:
            assert log_e_proportion(successes, n, bound) >= math.log(20) - 1e-9
            assert log_e_proportion(successes, n, bound + step) < math.log(20)


@given(units)
def test_the_bounds_of_a_mean_are_where_the_capital_reaches_the_level(each):
    found, mirrored = bounded_mean(each, -1.0, 1.0, 0.05), bounded_mean([-x for x in each], -1.0, 1.0, 0.05)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((found.low, found.high), abs=1e-9)
    assert -1.0 <= found.low <= found.high <= 1.0
    if found.low > -1.0:
        assert log_e_mean(each, -1.0, 1.0, (-1.0, found.low), 0.05) >= math.log(20) - 1e-6
        assert log_e_mean(each, -1.0, 1.0, (-1.0, found.low + 1e-6), 0.05) < math.log(20)


def test_units_outside_their_bounds_are_refused():
    for wrong in (1.1, math.nan, -0.1):
        with pytest.raises(ValueError, match=r"units must lie within 0\.0\.\.1\.0"):
            bounded_mean([0.5, wrong], 0.0, 1.0, 0.05)
    with pytest.raises(ValueError, match=r"successes must be within 0\.\.2, was 3"):
        proportion(3, 2, 0.05)
    for alpha in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"alpha must be within \(0, 1\)"):
            unbounded_mean([1.0], alpha)


def test_an_asymptotic_interval_says_nothing_of_few_units_or_of_equal_ones():
    assert unbounded_mean(np.arange(29.0), 0.05) is None
    assert unbounded_mean(np.arange(30.0), 0.05).method == "asymptotic"
    assert unbounded_mean([7.0] * 400, 0.05) is None


def test_a_verdict_needs_the_whole_interval_on_one_side_of_the_margin():
    def said(low, high):
        return judge(Interval(9, 0.0, low, high, ""), 0.1)

    assert said(-0.1, 0.1) is Verdict.EQUIVALENT
    assert said(0.11, 0.2) is said(-0.3, -0.11) is Verdict.DIFFERENT
    assert said(0.0, 0.11) is said(-0.11, 0.0) is said(0.1, 0.2) is said(-1, 1) is Verdict.GO_ON
    assert judge(None, 0.1) is judge(proportion(0, 0, 0.05), 1.0) is Verdict.GO_ON


def test_what_is_still_needed_is_the_first_number_of_units_with_a_verdict():
    measure = partial(share, alpha=0.05)
    missing = still_needed([0.0] * 69, measure, 0.01)
    assert judge(proportion(0, 69 + missing, 0.05), 0.01) is Verdict.EQUIVALENT
    assert judge(proportion(0, 68 + missing, 0.05), 0.01) is Verdict.GO_ON
    assert still_needed([0.0] * 990, measure, 0.01) == 0
    assert still_needed([], measure, 0.01) is None
    assert still_needed([0.0] * 99 + [1.0], measure, 0.01) is None  # on the margin itself there is never a verdict
    assert still_needed([0.1] * 20, partial(bounded_mean, low=-1.0, high=1.0, alpha=0.05), 0.05) > 0


@given(st.lists(st.floats(-5.0, 15.0), min_size=1, max_size=12))
def test_of_many_questions_those_are_answered_whose_evidence_stands_for_all_of_them(log_e):
    taken = e_bh(dict(enumerate(log_e)), 0.05)
    bar = math.log(len(log_e) / (0.05 * max(1, len(taken))))
    assert all((log_e[at] >= bar) == (at in taken) for at in range(len(log_e)))
    more = sorted(log_e, reverse=True)[len(taken) :]
    assert all(each < math.log(len(log_e) / (0.05 * k)) for k, each in enumerate(more, len(taken) + 1))


def test_daily_looks_at_sticky_signals_are_wrong_within_the_level_per_episode_and_nearly_always_per_decision():
    z, per_decision, per_episode = (row["wrong"] for row, _ in zip(judged(100), range(3), strict=False))
    assert z > 0.9
    assert per_decision > 0.9
    assert per_episode <= 0.05
