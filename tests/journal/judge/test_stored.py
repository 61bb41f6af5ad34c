"""What a run left, row by row: the very inputs, hashes and states that its batches had."""

import pytest

from journal.judge import stored
from journal.judge.scope import Scope
from journal.judge.stored import Stretch
from tests.strategies import START_MS, encode, scan
from tests.written import begin, decisions, every_kind


@pytest.fixture(scope="module")
def one(store):
    """Two batches of partition 0: 13 outcomes of every kind, then the first scan once more and a long reject."""
    written = begin(store)
    written.batches = [
        written.append(every_kind()),
        written.append([encode(scan(scan_id=0, ts_ms=START_MS)), b"[" + b"x" * 70_000]),
    ]
    return written


def test_hashes_are_those_of_the_batches_with_their_kinds(store, one):
    wanted = {
        offset: (kind, row_hash)
        for batch in one.batches
        for kind, rows in batch.rows.items()
        for offset, row_hash in zip(rows.offsets.tolist(), rows.hashes.tolist(), strict=True)
    }
    assert len(wanted) == 15
    assert stored.hashes(store, Stretch(one.run_id, "t", 0, 0, 14)) == wanted
    assert stored.hashes(store, Stretch(one.run_id, "t", 0, 8, 9)) == {at: wanted[at] for at in (8, 9)}
    assert stored.hashes(store, Stretch(one.run_id, "other", 0, 0, 14)) == {}


def test_scans_come_by_offset_with_what_was_asked_for(store, one):
    names = ("scan_id", "acb", "acb_boost", "meta_boost", "mc_scale", "dc_code", "dc_status", "actuated")
    rows = stored.scans(store, Stretch(one.run_id, "t", 0, 0, 14), names)
    assert [row["log_offset"] for row in rows] == [7, 8, 9, 10, 13]
    assert [row["actuated"] for row in rows] == [True, True, True, False, False]
    assert all(row["acb"] == row["acb_boost"] * row["meta_boost"] * row["mc_scale"] for row in rows)
    assert {(row["dc_code"], row["dc_status"]) for row in rows} == {(0, "NEUTRAL")}
    some = stored.scans(store, Stretch(one.run_id, "t", 0, 7, 13), ("scan_id",), only=[8, 13])
    assert [row["log_offset"] for row in some] == [8, 13]


def test_planes_and_rejects_come_as_they_were(store, one):
    planes = stored.planes(store, Stretch(one.run_id, "t", 0, 0, 14))
    assert [row["log_offset"] for row in planes] == list(range(7))
    assert {type(row["form"]) for row in planes} == {int}
    (acb,) = stored.planes(store, Stretch(one.run_id, "t", 0, 0, 14), ("acb",))
    assert (acb["name"], acb["log_offset"]) in [(row["name"], row["log_offset"]) for row in planes]
    rejects = stored.rejects(store, Stretch(one.run_id, "t", 0, 0, 14))
    assert [(row["log_offset"], row["bytes"]) for row in rejects] == [
        (11, 1),
        (12, len(one.lines[0][12])),
        (14, 70_001),
    ]
    assert rejects[0]["raw"] == b"{"
    assert len(rejects[2]["raw"]) == 65_536


def test_a_reject_without_its_end_is_counted_unless_it_was_dropped(store, one):
    assert stored.cut_rejects(store, one.run_id, 900_000, {}) == 1
    assert stored.cut_rejects(store, one.run_id, 70_000, {}) == 0
    assert stored.cut_rejects(store, one.run_id, 900_000, {0: 13}) == 1
    assert stored.cut_rejects(store, one.run_id, 900_000, {0: 14}) == 0


@pytest.mark.parametrize(("offset", "last"), [(0, None), (12, None), (13, 12), (14, 12), (15, 14), (99, 14)])
def test_the_state_is_that_of_the_last_batch_that_ends_before_an_offset(store, one, offset, last):
    found = stored.state_before(store, one.run_id, "t", 0, offset)
    states = {batch.last: batch.state for batch in one.batches}
    assert found == (None if last is None else (last, states[last]))


def test_a_span_is_what_a_segment_journaled(store, one):
    scope = Scope.of(store, one.run_id)
    assert stored.span(store, scope, 1, 0) == (0, 14)
    assert stored.span(store, scope, 2, 0) is None
    assert stored.span(store, scope, 1, 1) is None


def test_repeats_are_scans_that_came_before_the_run(store, one):
    """Of a scan that the run itself saw first, the repeat is no news."""
    assert stored.repeats(store, one.run_id, "t", 0) == []
    late = begin(store)
    late.append(decisions(3))
    late.states.clear()
    known = begin(store)
    known.batch(decisions(2))  # read, and not journaled
    known.lines[0].clear()
    known.append([*decisions(3), *decisions(1)])
    assert stored.repeats(store, known.run_id, "t", 0) == [("ng7", 0, START_MS), ("ng7", 1, START_MS + 60_000)]
