"""A scope: which rows are judged. What lies behind the last completed batch is in nobody's."""

from datetime import timedelta

import pytest

from journal.judge.scope import Scope, completed
from journal.keep.retention import _record
from journal.ledger.pruned import Pruned
from journal.ledger.run import now
from tests.strategies import START_MS
from tests.written import MINUTE_MS, begin, decisions, every_kind


@pytest.fixture(scope="module")
def two(store):
    """Partition 0: two batches of 13 and one in doubt; partition 1: one of 5. Segment 1 alone."""
    written = begin(store, partitions=(0, 1))
    written.append(every_kind())
    written.append(every_kind(20))
    written.append(decisions(5), partition=1)
    written.crash(written.batch(decisions(4, first=40)), "before_completion")
    return written


def rows(store, scope, where="where_rows"):
    sql = f"SELECT count() AS n FROM violet_decisions WHERE {getattr(scope, where)}"
    return store.rows(sql, scope.params)[0]["n"]


def test_a_run_ends_at_its_last_completed_batch(store, two):
    assert completed(store, two.run_id) == {0: 26, 1: 5}
    scope = Scope.of(store, two.run_id)
    assert (scope.ends, scope.starts, scope.dropped) == ({0: 25, 1: 4}, {}, {})
    assert rows(store, scope) == 3 + 3 + 5
    batches = store.rows(
        f"SELECT count() AS n FROM violet_batches WHERE {scope.where} AND phase = 'COMPLETE'", scope.params
    )
    assert batches == [{"n": 3}]


def test_each_bound_is_taken_in_and_leaves_the_other_partitions_alone(store, two):
    run = two.run_id
    assert rows(store, Scope(run, {0: 7})) == 1  # of decisions at 7, 8, 9 the first
    assert rows(store, Scope(run, {0: 6})) == 0
    assert rows(store, Scope(run, {0: 9}, starts={0: 8})) == 2
    assert rows(store, Scope(run, {1: 4}, starts={0: 4})) == 5
    assert rows(store, Scope(run, {})) == 0
    assert rows(store, Scope(run, {0: 25, 1: 4}, segment=1)) == 11
    assert rows(store, Scope(run, {0: 25, 1: 4}, segment=2)) == 0
    assert rows(store, Scope("another", {0: 25, 1: 4})) == 0


def test_since_is_of_event_time_and_of_scans_alone(store, two):
    scope = Scope(two.run_id, {0: 25}, since_ms=START_MS + 20 * MINUTE_MS)
    assert (rows(store, scope), rows(store, scope, "where_scans")) == (6, 3)
    assert Scope(two.run_id, {0: 25}).and_since == ""
    later = Scope(two.run_id, {0: 25}, since_ms=START_MS + 20 * MINUTE_MS + 1)
    assert rows(store, later, "where_scans") == 2


def test_planes_that_were_dropped_are_no_longer_among_the_kept(store, two):
    copy = two.copied()
    _record(store, copy.run_id, Pruned("t", 0, 12, now() - timedelta(1), 7, 2))
    scope = Scope.of(store, copy.run_id)
    assert scope.dropped_ends == {0: 12}
    kept, every = (
        store.rows(f"SELECT count() AS n FROM violet_planes WHERE {where}", scope.params)[0]["n"]
        for where in (scope.where_kept, scope.where_rows)
    )
    assert (kept, every) == (7, 14)
