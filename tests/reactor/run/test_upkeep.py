"""Upkeep: when a day is closed and when inputs are dropped, by a clock that the test sets."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from journal.judge.day import NOTHING, Day
from journal.ledger.steady import STILL_S, Clock
from lanes.code import Incident, Severity
from reactor.log.topic import Newest
from reactor.run import upkeep as module
from reactor.run.upkeep import DAY_S, DOUBT_S, OFF, SHARES, Doubt, Upkeep

BEGIN = datetime(2026, 3, 1, 22, tzinfo=UTC)
RUN = SimpleNamespace(run_id="r", name="n")


class Ledger:
    """Asks at once, and keeps what it is told."""

    def __init__(self):
        self.notes = []

    def insist(self, call):
        return call("store")

    def note(self, severity, code, detail):
        self.notes.append((severity, code, detail))


def day(at, held=""):
    return Day(at, "PASS", {"held": held})


@pytest.fixture
def world(monkeypatch):
    """What the journal was asked to do, and the clock."""
    found = SimpleNamespace(
        at=BEGIN, closed=[], pruned=[], said=[], damaged=[], ends=[], ledger=Ledger(), due=["a day"]
    )

    def close(store, run, at):
        found.closed.append(at)
        return [day(at.date())]

    def prune(store, run_id, before):
        found.pruned.append((run_id, before))
        return SimpleNamespace(dropped=["up to 9"], damaged=list(found.damaged))

    monkeypatch.setattr(module.log_end, "write", lambda store, run_id, ends, at: found.ends.append((run_id, ends, at)))
    monkeypatch.setattr(module, "close", close)
    monkeypatch.setattr(module, "due", lambda store, run, at: found.due)
    monkeypatch.setattr(module, "prune", prune)
    monkeypatch.setattr(module, "ids", lambda store, name: ["older", "r"])
    return found


def upkeep(world, keep_s=None):
    return Upkeep(world.ledger, RUN, keep_s, world.said.append, clock=lambda: world.at)


def test_a_day_is_closed_once_and_the_next_one_when_it_begins(world):
    due = upkeep(world)
    for hours in (0, 1, 1, 3, 4):
        world.at = BEGIN + timedelta(hours=hours)
        due()
    assert [at.day for at in world.closed] == [1, 2]
    assert [said.day.day for said in world.said] == [1, 2]
    assert world.pruned == []


@pytest.mark.parametrize("keep_s", [3_600.0, 90 * DAY_S])
def test_inputs_of_every_run_of_the_name_are_dropped_by_age_now_and_then(world, keep_s):
    due, every = upkeep(world, keep_s), timedelta(seconds=min(DAY_S, keep_s / SHARES))
    for at in (BEGIN, BEGIN + every / 2, BEGIN + every):
        world.at = at
        due()
    span = timedelta(seconds=keep_s)
    assert world.pruned == [(r, at - span) for at in (BEGIN, BEGIN + every) for r in ("older", "r")]
    assert "dropped by age: up to 9" in world.said


def test_a_damaged_batch_is_an_error_once(world):
    due = upkeep(world, 3_600.0)
    world.damaged = ["t/0 0-9"]
    due()
    world.at += timedelta(hours=1)
    world.damaged = ["t/0 0-9", "t/0 10-19"]
    due()
    kept = "inputs kept, their rows do not give the hash of batch "
    assert world.ledger.notes == [
        (Severity.ERROR, Incident.INTEGRITY, kept + each) for each in ("t/0 0-9", "t/0 10-19")
    ]


def test_the_end_of_a_log_that_grows_is_kept_at_every_look(world):
    ends = [{}, {0: 5, 1: 2}, {0: 9, 1: 2}]
    due = Upkeep(world.ledger, RUN, None, world.said.append, clock=lambda: world.at, ends=lambda: ends.pop(0))
    for _ in range(3):
        world.at += timedelta(seconds=5)
        due()
    assert world.ends == [("r", {0: 5, 1: 2}, BEGIN + timedelta(seconds=10)), ("r", {0: 9, 1: 2}, world.at)]
    upkeep(world)()
    assert len(world.ends) == 2  # an archive does not grow


def test_while_the_clock_is_in_doubt_nothing_is_closed_or_dropped_and_it_is_told_once(world):
    doubts = ["the clock is off", "the clock is off", ""]
    due = Upkeep(world.ledger, RUN, 3_600.0, world.said.append, clock=lambda: world.at, doubt=lambda at: doubts.pop(0))
    for seconds in (0, 5, DOUBT_S, DOUBT_S + 5):
        world.at = BEGIN + timedelta(seconds=seconds)
        due()
    assert (world.closed, world.pruned) == ([], [])
    assert [said[-18:] for said in world.said] == [": the clock is off"]
    world.at = BEGIN + timedelta(seconds=2 * DOUBT_S)
    due()
    assert (len(world.closed), len(world.pruned)) == (1, 2)


def test_where_nothing_is_due_nobody_looks_at_the_clock(world):
    world.due = []
    due = Upkeep(world.ledger, RUN, None, world.said.append, clock=lambda: world.at, doubt=lambda at: 1 / 0)
    due()
    assert (world.closed, world.said) == ([], [])


def test_days_on_which_nothing_was_journaled_are_one_line(world, monkeypatch):
    days = [day(BEGIN.date() + timedelta(n), NOTHING if n in (1, 2, 3, 5) else "") for n in range(6)]
    monkeypatch.setattr(module, "close", lambda store, run, at: days)
    upkeep(world)()
    assert world.said == [
        days[0], "3 days HOLD, 2026-03-02 to 2026-03-04: nothing was journaled", days[4], days[5],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("off", "is_new", "words"),
    [
        (timedelta(0), True, ""),
        (OFF * 2, False, "the wall clock is behind that"),
        (-OFF * 2, True, "a record that came just now is of"),
        (-OFF * 2, False, ""),  # nothing came for days
        (None, False, ""),
    ],
)
def test_a_clock_is_doubted_until_it_stood_still_and_where_the_broker_says_otherwise(monkeypatch, off, is_new, words):
    passed = SimpleNamespace(s=0.0)
    clock = Clock(lambda: BEGIN.timestamp() + passed.s, lambda: passed.s)
    monkeypatch.setattr(module, "CLOCK", clock)
    newest = None if off is None else Newest(BEGIN + off, is_new)
    doubt = Doubt(SimpleNamespace(newest=lambda: newest))
    assert "stand still for 60 min" in doubt(BEGIN)
    passed.s = STILL_S
    assert words in doubt(BEGIN)
    assert bool(doubt(BEGIN)) is bool(words)
