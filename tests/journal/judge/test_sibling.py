"""A replay beside its original: what is the same, what differs, and where."""

from dataclasses import replace

import pytest

from journal.judge import sibling
from journal.judge.sibling import columns, compare
from journal.keep.retention import _record
from journal.ledger.pruned import Pruned
from journal.ledger.run import find, now, save
from tests.written import begin, every_kind


@pytest.fixture(scope="module")
def original(store):
    written = begin(store)
    written.append(every_kind())
    written.append(every_kind(20))
    return written


def replayed(store, original, ends=26, start=0, **changes):
    copy = original.copied(**changes)
    run = replace(find(store, run_id=copy.run_id), until={"ends": {"0": ends}}, start={"0": start})
    run = replace(run, source={"kind": "broker", "replay_of": original.run_id})
    return save(store, run)


def test_the_same_rows_are_identical(store, original):
    found = compare(store, replayed(store, original), original.run)
    assert found.identical
    assert found.original_hash == found.replayed_hash != "0" * 16
    assert (found.differing, found.first) == (0, ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": "decisions", "put": {"leverage": "1.0"}, "where": "log_offset = 8"}, "decision, replayed as decision; other in leverage"),
        ({"table": "decisions", "without": "log_offset = 8"}, "decision, replayed as nothing"),
        ({"table": "planes", "put": {"x": "9.0"}, "where": "log_offset = 5"}, "plane, replayed as plane"),
        ({"table": "rejects", "put": {"code": "'EMPTY'"}, "where": "log_offset = 11"}, "reject, replayed as reject"),
    ],
)  # fmt: skip
def test_a_row_that_differs_is_named_with_its_column(store, original, changes, words):
    run = replayed(store, original, **changes)
    found = compare(store, run, original.run)
    (first,) = found.first
    assert (found.differing, found.identical) == (1, False)
    assert first.startswith(f"t/0 offset {changes.get('where', changes.get('without'))[-2:].strip()}: {words}")
    assert (found.original_hash != found.replayed_hash) is (changes["table"] == "decisions")
    name = next(iter(changes.get("put", {})), "")
    assert columns(store, run).get(name) == (1 if changes["table"] in ("decisions", "rejects") and name else None)


def test_only_what_the_replay_covers_is_compared(store, original):
    late = {"table": "decisions", "put": {"leverage": "1.0"}, "where": "log_offset IN (8, 21)"}
    assert compare(store, replayed(store, original, ends=21, **late), original.run).differing == 1
    assert compare(store, replayed(store, original, start=9, **late), original.run).differing == 1
    assert compare(store, replayed(store, original, start=9, ends=21, **late), original.run).identical


def test_every_difference_counts_and_only_some_are_named(store, original, monkeypatch):
    monkeypatch.setattr(sibling, "_NAMED", 2)
    monkeypatch.setattr(sibling, "_SPAN", 4)
    run = replayed(store, original, table="decisions", put={"fraction": "0.3"})
    found = compare(store, run, original.run)
    assert (found.differing, len(found.first)) == (6, 2)
    assert columns(store, run) == {"fraction": 6, "notional_fraction": 6}


def test_planes_that_the_original_dropped_are_not_missed(store, original):
    gone = original.copied("planes", without="log_offset <= 12")
    _record(store, gone.run_id, Pruned("t", 0, 12, now(), 7, 2))
    assert compare(store, replayed(store, original), gone.run).identical
    more = original.copied("planes", without="log_offset <= 13")
    _record(store, more.run_id, Pruned("t", 0, 12, now(), 7, 2))
    assert compare(store, replayed(store, original), more.run).differing == 1
