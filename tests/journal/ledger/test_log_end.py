"""The ends of a followed log: the newest look counts, by run and partition."""

import uuid
from datetime import UTC, datetime, timedelta

from journal.ledger.log_end import LogEnd, read, write

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_newest_look_counts_for_each_partition_of_a_run(store):
    run, other = uuid.uuid4().hex, uuid.uuid4().hex
    assert read(store, run) == {}
    write(store, run, {0: 10, 1: 7}, AT)
    write(store, run, {0: 12}, AT + timedelta(seconds=5))
    write(store, other, {0: 99}, AT)
    assert read(store, run) == {0: LogEnd(12, AT + timedelta(seconds=5)), 1: LogEnd(7, AT)}


def test_the_same_look_twice_is_one(store):
    run = uuid.uuid4().hex
    for _ in range(2):
        write(store, run, {0: 10}, AT)
    assert store.count("SELECT count() FROM violet_log_ends WHERE run_id = {r:String}", {"r": run}) == 1
