"""What the rows of a scope add up to: batches whose rows were touched, and ranges that add up to the whole."""

from dataclasses import replace

import pytest

from journal.judge import count
from journal.judge.count import corrupt_batches
from journal.judge.scope import Scope
from tests.strategies import START_MS, encode, planes, scan
from tests.written import BLUE, MINUTE_MS, begin, decisions


@pytest.fixture(scope="module")
def calm(store):
    """Batches of 7 planes, 99 decisions and an evaluation; of 1 decision; of 20."""
    written = begin(store)
    quiet = encode(scan(scan_id=99, ts_ms=START_MS + 99 * MINUTE_MS, vel_div=0.0))
    written.append([*map(encode, planes()), *decisions(99), quiet])
    written.append(decisions(1, first=100))
    written.append(decisions(20, first=101))
    return written


def test_rows_and_facts_of_two_ranges_add_up_to_those_of_both(store, calm):
    scope = Scope(calm.run_id, {0: 127}, segment=1)
    parts = [replace(scope, ends={0: 106}), replace(scope, starts={0: 107})]
    whole, (first, second) = count.rows(store, scope), [count.rows(store, part) for part in parts]
    assert {name: (first[name] + second[name]) % 2**64 for name in whole} == whole
    facts, both = count.facts(store, scope, BLUE), [count.facts(store, part, BLUE) for part in parts]
    for name in ("n", "pegged", "off_abs", "repeated", "broken"):
        assert sum(each[name] for each in both) == facts[name]
    assert (max(each["top"] for each in both), min(each["low"] for each in both)) == (facts["top"], facts["low"])
    assert facts["n"] == whole["decisions"] == 120


@pytest.mark.parametrize("kind", ["decisions", "evaluations", "planes"])
def test_a_batch_whose_rows_were_touched_is_named(store, calm, kind):
    copy = calm.copied(kind, put={"stream": "'other'"}, where="log_offset IN (3, 50, 106)")
    assert [(b["first_offset"], b["last_offset"]) for b in corrupt_batches(store, Scope(copy.run_id, {0: 127}))] == [
        (0, 106)
    ]


def test_a_batch_that_tells_another_hash_or_count_is_named_where_it_is_in_scope(store, calm):
    late = calm.copied("batches", put={"planes_hash": "planes_hash + 1"}, where="first_offset = 108")
    assert [b["first_offset"] for b in corrupt_batches(store, Scope(late.run_id, {0: 127}))] == [108]
    assert corrupt_batches(store, Scope(late.run_id, {0: 107})) == []
    more = calm.copied("batches", put={"rejects": "1"}, where="first_offset = 108")
    assert [b["first_offset"] for b in corrupt_batches(store, Scope(more.run_id, {0: 127}))] == [108]
