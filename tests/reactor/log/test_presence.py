"""Whether a broker answers: asked where there is doubt or silence, told while it lasts, once, and when it is over."""

import pytest

from reactor.log import presence as module
from reactor.log.presence import Absence, Over, Presence


class Broker:
    """One that answers or not, and counts what it is asked."""

    def __init__(self):
        self.is_there, self.asked = True, []

    def ask(self, within_s):
        self.asked.append(within_s)
        return self.is_there


@pytest.fixture
def clock(monkeypatch):
    """clock(seconds): so many go by."""
    now = [1_000.0]

    def go(seconds):
        now[0] += seconds

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return go


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def presence(clock, broker):
    return Presence(broker.ask, "kafka:9092", lambda: "connection refused")


def test_a_broker_that_gives_records_is_not_asked(presence, clock, broker):
    for _ in range(10):
        clock(module.QUIET_S - 0.1)
        presence.heard()
        assert presence.look() == []
    assert broker.asked == []


def test_a_quiet_broker_is_asked_now_and_then(presence, clock, broker):
    for _ in range(100):
        clock(0.1)
        assert presence.look() == []
    assert 2 <= len(broker.asked) <= 4


@pytest.mark.parametrize("breaks", [True, False], ids=["broken", "silent"])
def test_an_absence_is_told_once_while_it_lasts_and_once_when_it_is_over(presence, clock, broker, breaks):
    broker.is_there, told, at = False, [], 0.0
    if breaks:
        presence.doubt()
    while not told:
        clock(0.25)
        at += 0.25
        told = presence.look()
    assert at + module.ASK_S < 10
    (absence,) = told
    assert absence == presence.now
    assert str(absence).startswith("the broker at kafka:9092 does not answer since ")
    assert str(absence).endswith(" UTC (connection refused)")
    for _ in range(100):
        clock(0.25)
        presence.doubt()
        assert presence.look() == []
    assert len(broker.asked) < 25
    broker.is_there = True
    clock(module.AGAIN_S)
    (over,) = presence.look()
    assert (over.absence, presence.now) == (absence, None)
    assert str(over) == f"the broker at kafka:9092 answers again, after {over.lasted_s:.1f} s"
    assert 25 < over.lasted_s < 40


def test_a_short_absence_is_told_when_it_is_over(presence, clock, broker):
    broker.is_there = False
    presence.doubt()
    clock(0.1)
    assert presence.look() == []
    clock(1.0)
    presence.heard()
    began, over = presence.look()
    assert (type(began), type(over), over.lasted_s) == (Absence, Over, pytest.approx(1.0))
    assert presence.look() == []


def test_a_connection_that_broke_is_no_absence_where_the_broker_answers(presence, broker):
    presence.doubt()
    assert (presence.in_doubt, presence.look(), presence.in_doubt) == (True, [], False)
    presence.doubt()
    assert presence.answers(0.5)
    assert broker.asked == [module.ASK_S, 0.5]
    broker.is_there = False
    presence.doubt()
    assert (presence.answers(0.5), presence.in_doubt) == (False, True)
