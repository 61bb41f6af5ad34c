"""Retention: whole completed batches by the age of their completion, only what proves sound, and never twice."""

from datetime import UTC, datetime, timedelta

import pytest

from journal.judge.gate import figures
from journal.judge.scope import Scope
from journal.keep.retention import prune
from journal.ledger.pruned import pruned
from tests.written import begin, every_kind

OLD = datetime(2026, 3, 1, 12, tzinfo=UTC)
AGED = "if(first_offset < 26, toDateTime64('2026-03-01 12:00:00', 3, 'UTC') + toIntervalDay(intDiv(first_offset, 13)), written_at)"


def three(store):
    """Batches of 13 outcomes, completed on 1 March, on 2 March and now."""
    written = begin(store)
    for first in (0, 20, 40):
        written.append(every_kind(first))
    return written.copied("batches", put={"written_at": AGED})


def left(run):
    planes = run.value(
        "SELECT arraySort(groupUniqArray(intDiv(log_offset, 13))) FROM violet_planes WHERE run_id = {run:String}"
    )
    raws = run.value(
        "SELECT arraySort(groupUniqArray(intDiv(log_offset, 13))) FROM violet_rejects WHERE run_id = {run:String} AND notEmpty(raw)"
    )
    return list(planes), list(raws)


@pytest.mark.slow  # the engine takes up a change of rows in place after seconds
def test_what_is_older_goes_what_is_not_stays_and_the_proof_is_the_same(store):
    run = three(store)
    before = figures(store, run.run, Scope.of(store, run.run_id))
    assert prune(store, run.run_id, OLD).dropped == []  # completed at the very time: not before it
    found = prune(store, run.run_id, OLD + timedelta(milliseconds=1))
    assert [(each.last_offset, each.planes, each.rejects) for each in found.dropped] == [(12, 7, 2)]
    assert (found.dropped[0].up_to, found.damaged) == (OLD, [])
    assert left(run) == ([1, 2], [1, 2])
    assert prune(store, run.run_id, OLD + timedelta(hours=1)).dropped == []
    again = prune(store, run.run_id, OLD + timedelta(days=3))
    assert [(each.last_offset, each.planes) for each in again.dropped] == [(25, 7)]
    assert left(run) == ([2], [2])
    assert pruned(store, run.run_id)[0].planes == 14
    after = figures(store, run.run, Scope.of(store, run.run_id))
    assert {n: v for n, v in after.items() if n != "pruned"} == {n: v for n, v in before.items() if n != "pruned"}
    (row,) = store.rows(
        "SELECT raw, raw_sha, bytes FROM violet_rejects FINAL WHERE run_id = {r:String} AND log_offset = 11",
        {"r": run.run_id},
    )
    assert (row["raw"], row["bytes"]) == ("", 1)
    assert row["raw_sha"] == run.value("SELECT lower(hex(SHA256('{')))")


def test_a_damaged_batch_keeps_all_up_to_it_as_evidence(store):
    run = three(store).copied("planes", put={"x": "x + 1"}, where="log_offset = 13")
    found = prune(store, run.run_id, OLD + timedelta(days=3))
    assert (found.dropped, found.damaged) == ([], ["t/0 13-25"])
    assert left(run) == ([0, 1, 2], [0, 1, 2])
