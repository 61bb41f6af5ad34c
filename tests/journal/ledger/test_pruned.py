"""What was dropped of a run: the last offset of each partition, and the sums of all prunings."""

from datetime import UTC, datetime

from journal.keep.retention import _record
from journal.ledger.pruned import Pruned, dropped_sql, pruned, utc
from tests.written import begin

AT = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)


def test_prunings_add_up_and_the_last_one_says_how_far(store):
    run, other = begin(store).run_id, begin(store).run_id
    for one in (
        Pruned("t", 1, 9, AT, 1, 2),
        Pruned("t", 0, 12, AT, 7, 2),
        Pruned("t", 0, 25, AT.replace(day=21), 5, 0),
    ):
        _record(store, run, one)
        _record(store, run, one)  # a retry
    _record(store, other, Pruned("t", 0, 99, AT, 1, 1))
    found = pruned(store, run)
    assert list(found) == [0, 1]
    assert found[0] == Pruned("t", 0, 25, AT.replace(day=21), 12, 2)
    assert found[1] == Pruned("t", 1, 9, AT, 1, 2)
    assert pruned(store, begin(store).run_id) == {}
    words = "12 planes and the bytes of 2 rejects up to offset 25 of t/0, journaled before 2026-11-21 01:02:03 UTC"
    assert str(found[0]) == words


def test_the_condition_holds_for_dropped_offsets_alone(store):
    def holds(partition, offset, ends=None):
        sql = f"SELECT {dropped_sql({0: 12, 2: 3} if ends is None else ends)} AS x FROM (SELECT {partition} AS partition, {offset} AS log_offset)"
        return bool(store.rows(sql)[0]["x"])

    assert [holds(0, 12), holds(0, 13), holds(2, 3), holds(2, 4), holds(1, 0)] == [True, False, True, False, False]
    assert not holds(0, 0, {})
    assert dropped_sql({0: 1}, "last_offset") == "((partition = 0 AND last_offset <= 1))"


def test_a_time_without_a_zone_is_utc_and_one_with_a_zone_is_left():
    assert utc(AT.replace(tzinfo=None)) == AT
    assert utc(AT) is AT
