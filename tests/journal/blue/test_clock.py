"""The clock of trades: right, or hours beside the decisions."""

import random

import pytest

from journal.blue.clock import ENOUGH, STEP_MS, best_shift

HOUR_MS = 3_600_000
START_MS = 1_746_372_780_000


def decided(seed=5, count=400):
    """Decisions at random minutes of ten days, five assets."""
    dice = random.Random(seed)
    found = {f"{n}USDT": [] for n in "ABCDE"}
    for _ in range(count):
        found[dice.choice(list(found))].append(START_MS + 60_000 * dice.randrange(14_400))
    return {asset: sorted(at) for asset, at in found.items()}


def trades(made, shift_ms=0, seed=1, count=60):
    dice = random.Random(seed)
    every = [(asset, t) for asset, at in made.items() for t in at]
    return [(asset, t + shift_ms) for asset, t in dice.sample(every, count)]


def test_trades_on_the_decisions_clock_match_as_they_are():
    made = decided()
    shift = best_shift(trades(made, 90_000), made)
    assert (shift.trades, shift.matched, shift.is_off) == (60, 60, False)


@pytest.mark.parametrize("hours", [-9, -2, 1, 5.5, 5.75, 13])
def test_another_time_zone_is_seen_with_its_hours(hours):
    made = decided()
    shift = best_shift(trades(made, int(hours * HOUR_MS)), made)
    assert (shift.is_off, shift.shift_ms) == (True, -int(hours * HOUR_MS))
    assert shift.shifted >= 0.9 * shift.trades > shift.matched


def test_trades_that_have_nothing_to_do_with_the_run_are_not_called_another_zone():
    made, dice = decided(), random.Random(2)
    foreign = [(dice.choice(list(made)), START_MS + 60_000 * dice.randrange(14_400)) for _ in range(60)]
    assert not best_shift(foreign, made).is_off
    assert not best_shift([("ZUSDT", t) for _, t in foreign], made).is_off


def test_nothing_is_said_of_few_trades_nor_without_decisions():
    made = decided()
    assert not best_shift(trades(made, 7 * STEP_MS, count=ENOUGH - 1), made).is_off
    assert best_shift(trades(made, 8 * STEP_MS, count=ENOUGH), made).is_off
    assert not best_shift(trades(made), {}).is_off
    assert best_shift([], made).trades == 0
