"""Observers: what works beside a soak does so on a thread of its own, finishes at the end, and fails alone."""

import io
import json
import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from journal.ledger.patience import Outage
from reactor.run.settings import SoakSettings
from reactor.watch.events import Events
from reactor.watch.observe import LEAVE_S, Observers

WAIT_S = 20.0


class Store:
    """A connection that can be closed."""

    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


class Work:
    """Keeps what it was called with; faults: what its calls raise, one after the other."""

    def __init__(self, *faults):
        self.stores, self.finished, self.closed = [], [], 0
        self.called, self._faults = threading.Semaphore(0), list(faults)

    def __call__(self, store):
        self.stores.append(store)
        self.called.release()
        if self._faults:
            raise self._faults.pop(0)

    def finish(self, store):
        self.finished.append(store)
        if self._faults:
            raise self._faults.pop(0)

    def close(self):
        self.closed += 1


class Hanging(Work):
    """Its calls last until the journal is back."""

    def __init__(self):
        super().__init__()
        self.back = threading.Event()

    def __call__(self, store):
        super().__call__(store)
        self.back.wait(WAIT_S)


@pytest.fixture
def observed():
    """Observers of a soak that reads, what they say to people and to a collector, and their connections."""
    out, said, connections = io.StringIO(), [], []
    observers = Observers(SoakSettings(), Events(out, "n"), said.append)
    run, segment = SimpleNamespace(run_id="r"), SimpleNamespace(segment=1)
    session = SimpleNamespace(run=run, segment=segment, ledger=SimpleNamespace(store="the soak's own"))

    def connect():
        connections.append(Store())
        return connections[-1]

    with observers:
        observers.begin(session, connect)
        yield SimpleNamespace(observers=observers, said=said, out=out, connections=connections, connect=connect)


def beside(observed, work):
    observed.observers.beside("work", work, 0.01, observed.connect)
    assert work.called.acquire(timeout=WAIT_S)


def test_what_works_beside_a_soak_has_a_connection_of_its_own_and_finishes_on_the_soaks(observed):
    work = Work()
    beside(observed, work)
    assert work.called.acquire(timeout=WAIT_S)  # again and again
    observed.observers.rest()
    assert set(work.stores) == set(observed.connections)
    assert len(observed.connections) == 1
    assert observed.connections[0].closed.wait(WAIT_S)
    assert (work.finished, work.closed) == (["the soak's own"], 1)
    observed.observers.rest()  # a second end finishes nothing twice
    assert (len(work.finished), work.closed) == (1, 1)
    assert observed.said == []


def test_a_fault_is_said_once_and_ends_nothing(observed):
    work = Work(ZeroDivisionError("a figure's own fault"), ZeroDivisionError("again"))
    beside(observed, work)
    for _ in range(2):
        assert work.called.acquire(timeout=WAIT_S)  # the third call is without a fault
    observed.observers.rest()
    assert len(set(work.stores)) == 3  # each fault costs the connection
    assert observed.said == ["work failed, and the soak goes on: ZeroDivisionError: a figure's own fault"]
    events = [json.loads(line) for line in observed.out.getvalue().splitlines()]
    assert {e["who"] for e in events if e["event"] == "observer_failed"} >= {"work"}


def test_a_finish_that_fails_is_said_and_still_closes(observed):
    work = Work()
    beside(observed, work)
    work._faults = [OSError("too late")] * 50
    observed.observers.rest()
    assert any("OSError: too late" in line for line in observed.said)
    assert work.closed == 1


def test_while_clickhouse_is_away_nobody_is_waited_for_and_nothing_is_asked(observed):
    hangs, idle = Hanging(), Work()
    for name, work in (("hangs", hangs), ("idle", idle)):
        observed.observers.beside(name, work, 0.01, observed.connect)
        assert work.called.acquire(timeout=WAIT_S)
    observed.observers.away(Outage("r", datetime.now(UTC), "http://127.0.0.1:1", ""))
    began = time.monotonic()
    observed.observers.rest()
    assert time.monotonic() - began < LEAVE_S / 2
    assert (hangs.finished, idle.finished) == ([], [])
    hangs.back.set()


def test_who_never_began_finishes_nothing():
    observers = Observers(SoakSettings(), Events(None, ""))
    observers.rest()
