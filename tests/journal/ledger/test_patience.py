"""Calls that wait while ClickHouse is away: they give an alarm, obey, and remember."""

import threading
import time
from contextlib import suppress

import pytest

from journal.ledger import patience as module
from journal.ledger.ledger import Ledger
from journal.ledger.patience import JournalGone, Patience, beside, remembered
from journal.store import JournalAway
from tests.written import begin


class Silent:
    """A store whose ClickHouse takes a connection and says nothing."""

    url = "http://127.0.0.1:1"

    def answers(self):
        return False


def away(store):
    raise JournalAway("connection refused")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "ALARM_S", 0.2)
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    monkeypatch.setattr(module, "RETRY_S", (0.01,))


def patient(store, *, stop=lambda: False, told=None, memory=None):
    told = [] if told is None else told
    return Patience(store, "r1", lambda: None, stop, told.append, memory)


def test_an_alarm_names_clickhouse_and_comes_once_and_its_end_is_told(quick, tmp_path):
    told, over = [], time.monotonic() + 0.6
    memory = tmp_path / "outage.json"
    waits = patient(Silent(), told=told, memory=memory)
    answer, waited = waits.insist(lambda store: away(store) if time.monotonic() < over else "there")
    assert (answer, waited.engines) == ("there", 0)
    assert 0.5 < waited.away_s < 5
    outage, end = told
    assert str(outage).startswith("ClickHouse at http://127.0.0.1:1 does not answer since ")
    assert (outage.why, end) == ("connection refused", None)
    assert remembered(memory) == outage  # until the journal has it
    waits.forget()
    assert remembered(memory) is None


def test_silence_is_an_outage_only_where_nobody_is_answered(quick):
    told = []
    assert patient(Silent(), told=told).insist(lambda store: time.sleep(0.5))[1].away_s > 0.4  # it slept
    assert [outage and outage.why for outage in told] == ["", None]

    class Busy(Silent):
        def answers(self):
            return True

    told.clear()
    assert patient(Busy(), told=told).insist(lambda store: time.sleep(0.5))[1].away_s == 0.0
    assert told == []


@pytest.mark.parametrize("hangs", [True, False])
def test_who_asks_for_the_end_gets_it_while_clickhouse_is_away(quick, hangs, tmp_path):
    asked = threading.Event()
    waits = patient(Silent(), stop=asked.is_set, memory=tmp_path / "outage.json")
    threading.Timer(0.1, asked.set).start()
    began = time.monotonic()
    with pytest.raises(JournalGone, match="the end was asked for; nothing that was journaled is lost.*fix: start"):
        waits.insist(lambda store: time.sleep(30) if hangs else away(store))
    assert time.monotonic() - began < 5
    assert waits.recalled().run_id == "r1"
    assert beside(lambda: "another thread", lambda: None) == "another thread"  # the one that hangs is left behind


def test_the_end_waits_for_a_clickhouse_that_is_busy(quick):
    class Busy(Silent):
        def answers(self):
            return True

    assert patient(Busy(), stop=lambda: True).insist(lambda store: time.sleep(0.3) or "done")[0] == "done"


def test_who_has_nothing_to_write_learns_of_an_outage_too(quick):
    told, noted, there = [], [], threading.Event()
    threading.Timer(0.6, there.set).start()

    class Gone(Silent):
        def require_answer(self):
            if not there.is_set():
                away(self)

        def rows(self, sql, params=None):
            return []

        def put_row(self, table, row, token):
            noted.append(row["code"])

    ledger = Ledger(Gone(), "r1", None, on_away=told.append)
    ledger.pulse()
    assert (told, noted) == ([], [])  # it was asked a moment ago
    ledger._patience.answered_at -= module.PULSE_S
    ledger.pulse()
    assert ([outage and outage.why for outage in told], noted) == (["connection refused", None], ["JOURNAL_AWAY"])


def test_an_outage_that_a_soak_did_not_outlive_is_journaled_by_the_next_one_of_its_run(quick, store, tmp_path):
    written, memory = begin(store), tmp_path / "outage.json"
    with suppress(JournalGone):
        Ledger(Silent(), written.run_id, None, stop=lambda: True, memory=memory).insist(away)
    other = Ledger(store, begin(store).run_id, None, memory=memory)
    assert other._patience.recalled() is None
    Ledger(store, written.run_id, None, memory=memory).recall()
    assert not memory.exists()
    Ledger(store, written.run_id, None, memory=memory).recall()
    rows = store.rows("SELECT * FROM violet_incidents WHERE run_id = {run:String}", {"run": written.run_id})
    (row,) = rows
    assert (row["code"], row["severity"]) == ("JOURNAL_AWAY", "WARN")
    assert row["detail"].endswith("(connection refused), until the soak ended")


def test_a_file_that_is_no_outage_is_none(tmp_path):
    path = tmp_path / "outage.json"
    path.write_bytes(b'{"run_id"')
    assert remembered(path) is None


def test_calls_of_one_thread_are_made_by_one_other_thread_and_by_a_new_one_where_that_ended():
    one = beside(threading.current_thread, lambda: None)
    assert beside(threading.current_thread, lambda: None) is one is not threading.current_thread()
    module._MINE.calls = threading.Thread()  # as in a process that was forked, where the other thread is not there
    assert beside(threading.current_thread, lambda: None) not in (one, threading.current_thread())
