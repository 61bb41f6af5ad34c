"""The ledger on a real engine: a batch once whatever happens between its steps, and from where a resume goes on."""

import json
import math
import re
import time
from contextlib import nullcontext
from datetime import UTC, datetime

import numpy as np
import pytest

from journal.keep.retention import _record
from journal.ledger import patience as module
from journal.ledger.incident import FULL
from journal.ledger.ledger import Ledger, Position, audit, digest, positions
from journal.ledger.patience import Revived
from journal.ledger.pruned import Pruned
from journal.ledger.run import now
from journal.refusal import Refusal
from journal.row import TABLES
from journal.store import JournalAway, JournalRefused
from lanes.code import Incident, Outcome, Severity
from reactor.evaluate.state import State
from tests.strategies import encode, plane
from tests.written import begin, decisions, every_kind

STEPS = [
    "before_intent", "after_intent", "after_decisions", "after_evaluations", "after_planes", "after_rejects",
    "before_completion", "after_completion", "after_commit",
]  # fmt: skip
COUNTS = {"decisions": 3, "evaluations": 1, "planes": 7, "rejects": 2}


def counts(written, final="FINAL"):
    """Stored rows of each kind; without FINAL, raw ones."""
    return {
        f"{kind.name.lower()}s": written.value(f"SELECT count() FROM {table} {final} WHERE run_id = {{run:String}}")
        for kind, table in TABLES.items()
    }


def batches(written):
    sql = "SELECT * FROM violet_batches FINAL WHERE run_id = {run:String} ORDER BY first_offset, phase"
    return written.store.rows(sql, {"run": written.run_id})


def test_a_batch_goes_through_every_step_in_order(store):
    written = begin(store)
    batch = written.append(every_kind())
    assert written.steps == STEPS
    assert counts(written, "") == COUNTS
    assert written.committed == {0: 13}
    assert positions(store, written.run_id) == {0: Position(12, batch.state, None, "", -1, batch.last_record)}


@pytest.mark.parametrize("at", STEPS)
def test_a_crash_at_any_step_leaves_the_batch_in_doubt_or_done_and_a_second_time_changes_nothing(store, at):
    written = begin(store)
    first = written.append(every_kind())
    batch = written.batch(every_kind(10))
    written.crash(batch, at)
    is_done, is_begun = at in STEPS[-2:], at != "before_intent"
    doubt = ((13, 25), digest(batch), 1) if is_begun and not is_done else (None, "", -1)
    last = batch if is_done else first
    assert positions(store, written.run_id)[0] == Position(last.last, last.state, *doubt, last.last_record)
    audit(store, written.run_id)  # what stands in a batch in doubt is nobody's fault
    if not is_done:
        written.ledger.append(batch, 0.0, written.committed.update)
    assert counts(written) == counts(written, "") == {kind: 2 * n for kind, n in COUNTS.items()}
    assert positions(store, written.run_id)[0] == Position(25, batch.state, None, "", -1, batch.last_record)
    audit(store, written.run_id)


def test_a_run_whose_first_batch_is_in_doubt_stands_before_its_first_record(store):
    written = begin(store, partitions=(0, 1))
    written.append(decisions(2), partition=1)
    written.crash(written.batch(decisions(3)), "after_decisions")
    found = positions(store, written.run_id)
    assert list(found) == [0, 1]
    assert (found[0].last, found[0].state, found[0].doubt) == (-1, b"{}", (0, 2))
    assert (found[1].last, found[1].doubt) == (1, None)
    assert positions(store, begin(store).run_id) == {}


def test_a_position_has_the_state_of_the_last_batch_and_not_of_an_earlier_or_another_run_s(store):
    written, other = begin(store), begin(store)
    written.append(decisions(3))
    last = written.append(decisions(2, first=50))
    other.append(decisions(9, first=100))
    found = positions(store, written.run_id)[0]
    assert (found.last, found.state) == (4, last.state)
    assert State.load(found.state, ()).dump() == last.state


def test_a_completion_says_what_its_batch_holds(store, monkeypatch):
    written = begin(store)
    batch = written.batch(every_kind(), after=3)
    batch.unknown = {"weather": 2}
    written.ledger.append(batch, time.monotonic() - 2.0, written.committed.update)
    intent, done = batches(written)
    assert (intent["phase"], done["phase"]) == ("INTENT", "COMPLETE")
    for row in (intent, done):
        assert {kind: row[kind] for kind in COUNTS} == COUNTS
        assert {kind: row[f"{kind}_hash"] for kind in COUNTS} == {
            f"{kind.name.lower()}s": batch.rows[kind].hash for kind in Outcome
        }
        assert (row["first_offset"], row["last_offset"], row["segment"], row["topic"]) == (3, 15, 1, "t")
        assert (json.loads(row["skipped"]), json.loads(row["unknown"])) == ([[0, 2]], {"weather": 2})
        assert row["digest"] == digest(batch)
        drift_ms = row["written_at"].replace(tzinfo=UTC).timestamp() * 1e3 - batch.last_ts_ms
        assert abs(row["drift_ms"] - drift_ms) <= 1.0
    assert (intent["state"], intent["latency_ms"]) == ("", 0.0)
    assert done["state"].encode() == batch.state
    assert 2_000.0 <= done["latency_ms"] < 60_000.0
    assert done["latency_ms"] == written.ledger.latency_s * 1e3


def test_a_batch_without_scans_has_no_drift(store):
    written = begin(store)
    written.append([encode(plane("acb", {"boost": 1.0}))])
    assert [row["drift_ms"] for row in batches(written)] == [0, 0]
    assert written.steps == [
        step for step in STEPS if "ions" not in step.removesuffix("_completion") and "rejects" not in step
    ]


def test_each_kind_changes_the_digest(store):
    written = begin(store)
    batch = written.batch(every_kind())
    whole = digest(batch)
    for kind in Outcome:
        rows = batch.rows[kind]
        batch.rows[kind] = rows.take(np.arange(len(rows) - 1))
        parts = zip(whole.split("-"), digest(batch).split("-"), strict=True)
        assert [a != b for a, b in parts] == [each is kind for each in Outcome]
        batch.rows[kind] = rows
    assert re.fullmatch(r"[0-9a-f]{16}(-[0-9a-f]{16}){3}", whole)


# -- rows that ClickHouse refuses ----------------------------------------------------------------------------------


def refusable(written, kind, column, value, places):
    """A batch some of whose rows break a constraint that validation let through."""
    batch = written.batch(every_kind() + decisions(4, first=40))
    values = np.array(batch.rows[kind].columns[column])
    values[places] = value
    batch.rows[kind].columns[column] = values
    return batch


@pytest.mark.parametrize(
    ("kind", "column", "value", "places", "name"),
    [
        (Outcome.DECISION, "leverage", math.inf, [0], "decisions"),
        (Outcome.DECISION, "leverage", math.inf, [6], "decisions"),
        (Outcome.DECISION, "capital_usd", 0.0, [2, 3, 5], "decisions"),
        (Outcome.DECISION, "dc", -1.0, range(7), "decisions"),
        (Outcome.PLANE, "ts_ms", 4_102_444_800_000, [1, 4], "planes"),
    ],
)
def test_a_refused_row_becomes_a_reject_and_its_neighbours_stay(store, kind, column, value, places, name):
    written = begin(store)
    batch = refusable(written, kind, column, value, list(places))
    offsets, streams = batch.rows[kind].offsets.copy(), batch.rows[kind].columns["stream"].strings()
    ids = batch.rows[kind].columns.get("scan_id")
    written.ledger.append(batch, 0.0, written.committed.update)
    wanted = {"decisions": 7, "evaluations": 1, "planes": 7, "rejects": 2}
    refused = [int(offsets[at]) for at in places]
    assert counts(written, "") == wanted | {name: wanted[name] - len(refused), "rejects": 2 + len(refused)}
    rows = store.rows(
        "SELECT * FROM violet_rejects WHERE run_id = {run:String} AND code = 'BLOCK_REFUSED' ORDER BY log_offset",
        {"run": written.run_id},
    )
    assert [row["log_offset"] for row in rows] == refused
    for at, row in zip(places, rows, strict=True):
        line = written.lines[0][row["log_offset"]]
        assert (row["raw"].encode(), row["bytes"], row["lane"], row["stream"]) == (line, len(line), "", streams[at])
        assert row["digest"] == written.value("SELECT lower(hex(SHA256({t:String})))", t=line.decode())
        assert "constraint" in row["detail"].lower()
        is_scan = kind is Outcome.DECISION
        assert (row["kind"], row["scan_id"]) == (("scan", ids[at]) if is_scan else ("plane", -1))
        assert (
            row["ts_ms"]
            == batch.rows[Outcome.REJECT].columns["ts_ms"][batch.rows[Outcome.REJECT].offsets == row["log_offset"]]
        )
    assert batch.rows[Outcome.REJECT].offsets.tolist() == sorted(batch.rows[Outcome.REJECT].offsets.tolist())
    done = batches(written)[-1]
    assert (done[name], done["rejects"]) == (wanted[name] - len(refused), 2 + len(refused))
    audit(store, written.run_id)


def test_a_long_record_that_is_refused_keeps_its_first_64_kib(store):
    written = begin(store)
    batch = written.batch(decisions(1, context={"pad": "x" * 70_000}))
    batch.rows[Outcome.DECISION].columns["leverage"] = np.array([math.inf])
    written.ledger.append(batch, 0.0, written.committed.update)
    (row,) = store.rows("SELECT raw, bytes FROM violet_rejects WHERE run_id = {run:String}", {"run": written.run_id})
    assert len(row["raw"]) == 65_536
    assert row["bytes"] == len(written.lines[0][0]) > 70_000


def test_any_other_refusal_is_no_row_s_fault(store, monkeypatch):
    written = begin(store)
    monkeypatch.setitem(TABLES, Outcome.DECISION, "violet_no_such_table")
    with pytest.raises(JournalRefused) as refused:
        written.append(decisions(2))
    assert refused.value.code == 60
    assert positions(store, written.run_id)[0].doubt == (0, 1)


# -- what is remembered --------------------------------------------------------------------------------------------


# -- audit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["decisions", "evaluations", "planes", "rejects"])
def test_rows_that_are_gone_refuse_the_resume_and_are_counted(store, kind):
    written = begin(store)
    written.append(every_kind())
    written.append(every_kind(10))
    had = COUNTS[kind]
    audit(store, written.run_id)
    audit(store, written.copied().run_id)
    with pytest.raises(Refusal, match=f"holds {had} {kind} where its batches count {2 * had};"):
        audit(store, written.copied(kind, without="log_offset > 12").run_id)


def test_a_row_that_nobody_wrote_is_found_too(store):
    written = begin(store)
    written.append(every_kind())
    copy = written.copied("batches", put={"planes": "planes - 1"}, where="phase = 'COMPLETE'")
    with pytest.raises(Refusal, match="holds 7 planes where its batches count 6;"):
        audit(store, copy.run_id)


def test_a_run_without_batches_and_one_without_its_inputs_are_sound(store):
    empty, written = begin(store), begin(store)
    audit(store, empty.run_id)
    written.append(every_kind())
    written.append(every_kind(10))
    for gone, is_sound in (("log_offset <= 12", True), ("log_offset <= 13", False)):
        copy = written.copied("planes", without=gone)
        _record(store, copy.run_id, Pruned("t", 0, 12, now(), 7, 2))
        with nullcontext() if is_sound else pytest.raises(Refusal, match="holds 6 planes where its batches count 7;"):
            audit(store, copy.run_id)


# -- a ClickHouse that is away -------------------------------------------------------------------------------------


def test_it_asks_again_until_there_is_an_answer_and_says_for_how_long(store, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", (0.0, 0.01))
    written, revived, asked = begin(store), [], []

    def call(at):
        asked.append(at)
        if len(asked) < 4:
            raise JournalAway("not now")
        return len(asked)

    ledger = Ledger(store, written.run_id, None, revive=lambda: revived.append(1))
    slept = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    assert ledger.insist(call) == 4
    assert slept == [0.0, 0.01, 0.01]  # the last pause repeats
    assert len(revived) == 3
    assert ledger.insist(lambda at: "at once") == "at once"
    (row,) = store.rows("SELECT * FROM violet_incidents WHERE run_id = {run:String}", {"run": written.run_id})
    assert (row["code"], row["severity"], row["count"]) == ("JOURNAL_AWAY", "WARN", 1)
    assert re.fullmatch(r"ClickHouse did not answer for 0\.\d s", row["detail"])


@pytest.mark.parametrize("is_new", [False, True])
def test_a_revived_store_takes_the_place_of_the_one_that_is_away(store, monkeypatch, is_new):
    monkeypatch.setattr(module, "RETRY_S", (0.0,))
    written, dead = begin(store), object()

    def call(at):
        if at is dead:
            raise JournalAway("gone")
        return at

    ledger = Ledger(dead, written.run_id, None, revive=lambda: Revived(store, is_new_engine=is_new))
    assert ledger.insist(call) is ledger.store is store
    codes = {"JOURNAL_AWAY": "WARN"} | ({"ENGINE_RESTARTED": "INFO"} if is_new else {})
    rows = store.rows(
        "SELECT code, severity FROM violet_incidents WHERE run_id = {run:String}", {"run": written.run_id}
    )
    assert {row["code"]: row["severity"] for row in rows} == codes


def test_what_is_refused_is_not_asked_again(store):
    asked = []

    def call(at):
        asked.append(at)
        raise JournalRefused(60, "no such table")

    with pytest.raises(JournalRefused):
        begin(store).ledger.insist(call)
    assert len(asked) == 1


# -- incidents -----------------------------------------------------------------------------------------------------


def noted(written):
    return store_rows(
        written, "SELECT code, count, detail FROM violet_incidents WHERE run_id = {run:String} ORDER BY at, count"
    )


def store_rows(written, sql):
    return written.store.rows(sql, {"run": written.run_id})


def test_incidents_beyond_the_days_bound_are_counted_in_the_row_that_a_session_ends_with(store, monkeypatch):
    monkeypatch.setattr("journal.ledger.incident.FULL", 4)
    told = []
    written = begin(store)
    ledger = Ledger(store, written.run_id, None, on_incident=told.append)
    for n in range(7):
        ledger.note(Severity.WARN, Incident.BROKER_AWAY, str(n))
    assert [row["count"] for row in noted(written)] == [1, 1, 1, 1]
    assert len(told) == 4
    again = Ledger(store, written.run_id, None)  # a process that starts anew goes on with the day's count
    again.note(Severity.WARN, Incident.BROKER_AWAY, "again")
    assert len(noted(written)) == 4
    ledger.note(Severity.INFO, Incident.STOPPED)
    rows = [row for row in noted(written) if row["code"] == "BROKER_AWAY"]
    assert sorted(row["count"] for row in rows) == [1, 1, 1, 1, 3]
    assert sum(row["count"] for row in rows) == 7
    assert [n.code for n in told] == [Incident.BROKER_AWAY] * 5 + [Incident.STOPPED]
    assert FULL == 100


def test_another_day_writes_what_the_day_before_only_counted(store, monkeypatch):
    monkeypatch.setattr("journal.ledger.incident.FULL", 1)
    written = begin(store)
    days = [datetime(2026, 1, 1, 23, 59, 59, n, tzinfo=UTC) for n in (1_000, 2_000, 3_000)]
    days.append(datetime(2026, 1, 2, 0, 0, 1, tzinfo=UTC))
    clock = iter(days)
    monkeypatch.setattr("journal.ledger.run.now", lambda: next(clock))
    for _ in days:
        written.ledger.note(Severity.WARN, Incident.BROKER_AWAY)
    sql = "SELECT toDate(at, 'UTC') AS day, sum(count) AS n FROM violet_incidents WHERE run_id = {run:String} GROUP BY day"
    assert {str(row["day"]): row["n"] for row in store_rows(written, sql)} == {"2026-01-01": 3, "2026-01-02": 1}


def test_only_what_ends_a_session_writes_what_was_counted(store):
    written = begin(store)
    for code in Incident:
        told = []
        ledger = Ledger(store, written.run_id, None, on_incident=told.append)
        ledger._limit.begin(now().date(), {Incident.BROKER_AWAY: FULL})
        ledger.note(Severity.WARN, Incident.BROKER_AWAY)
        ledger.note(Severity.INFO, code)
        ends = code in (Incident.STOPPED, Incident.ENDED, Incident.HALTED)
        wanted = [Incident.BROKER_AWAY, code] if ends else [] if code is Incident.BROKER_AWAY else [code]
        assert [each.code for each in told] == wanted
