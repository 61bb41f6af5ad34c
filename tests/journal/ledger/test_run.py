"""Runs and segments: the newest revision counts, the newest run of a name is found, and what differs has a name."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from journal.ledger.naming import KNOWN
from journal.ledger.run import Segment, find, last_word, listed, newest, now, open_segments, pick, save, segments
from journal.refusal import Refusal
from tests.written import BLUE, begin, every_kind

PAST = datetime(2021, 5, 4, 3, 2, 1, 234_000, tzinfo=UTC)


def segment(**fields):
    return Segment(**{
        "run_id": "r", "segment": 1, "topic": "t", "partition": 0, "first_offset": 0, "cause": "start",
        "profile": "blue_8b", "params": "{}", "params_hash": "p1", "code_hash": "c1", **fields,
    })  # fmt: skip


def test_a_manifest_comes_back_as_it_was_saved(store):
    run = begin(
        store, source={"kind": "archive", "sha": "9f", "replay_of": "r0"}, until={"ends": {"0": 7}, "ts_ms": 5},
        warm="COLD", standins=("acb", "scanner"), versions={"numba": "1"}, started_at=PAST, reason="because",
    ).run  # fmt: skip
    assert find(store, run_id=run.run_id) == run
    assert (run.revision, run.replay_of) == (1, "r0")
    assert begin(store).run.replay_of == ""


def test_the_newest_revision_counts_and_a_retry_adds_none(store):
    written = begin(store)
    stopped = written.set(state="STOPPED", reason="SIGTERM")
    assert (stopped.revision, find(store, run_id=stopped.run_id)) == (2, stopped)
    save(store, replace(stopped, revision=1, reason="an answer that was lost, and asked again"))
    assert find(store, run_id=stopped.run_id) == stopped
    row = written.store.rows("SELECT * FROM violet_runs WHERE run_id = {r:String}", {"r": stopped.run_id})
    assert {(r["trading_mode"], r["is_trading_allowed"]) for r in row} == {("DARK", 0)}
    assert abs(row[-1]["changed_at"].replace(tzinfo=UTC) - now()) < timedelta(minutes=1)


def test_of_a_name_the_latest_is_found_and_of_all_the_latest_too(store):
    name = uuid.uuid4().hex
    old, new = (begin(store, name=name, started_at=at) for at in (PAST + timedelta(1), PAST))  # the clock was set back
    last = begin(store, started_at=PAST - timedelta(1))
    assert find(store, name=name).run_id == new.run_id
    assert find(store, name=name, run_id=old.run_id).run_id == old.run_id
    assert find(store, name="nobody", run_id=old.run_id) is None
    assert find(store, name="nobody") is None
    for found in (find(store), pick(store, None), pick(store, "")):
        assert found == last.run
    assert pick(store, old.run_id).run_id == old.run_id
    each = newest(store)
    assert [run.run_id for run in each if run.name == name] == [new.run_id]
    begun = [run.begun for run in each]
    assert begun == sorted(begun, reverse=True)
    assert (each[0].run_id, each[1].run_id) == (last.run_id, new.run_id)
    assert new.set(state="STOPPED").begun == new.run.begun  # a later change of an earlier run makes it no later run
    assert find(store).run_id == last.run_id


def test_of_runs_of_an_older_version_the_clock_decides_and_of_one_time_the_larger_id(store):
    name = uuid.uuid4().hex
    late, *early = (
        begin(store, name=name, started_at=at, revision=1).run_id for at in (PAST + timedelta(1), PAST, PAST)
    )
    assert find(store, name=name).run_id == late
    assert [row["run_id"] for row in listed(store, name)] == [late, max(early), min(early)]
    assert find(store, name=begin(store, name=name, started_at=PAST).run.name).begun > 0


def test_a_run_that_is_not_there_is_refused_with_those_that_are(store):
    begin(store)
    newest_first = [row["run_id"] for row in store.rows(KNOWN)]  # other tests give runs other times
    with pytest.raises(Refusal, match="no run 'nobody' in this journal; fix: name one of: ") as refused:
        pick(store, "nobody")
    named, _, _ = str(refused.value).partition("name one of: ")[2].partition(" (")
    assert named.split(", ") == newest_first[:5]


def test_the_last_word_is_the_latest_stamp_of_all(store):
    written = begin(store)
    assert abs(last_word(store) - now()) < timedelta(minutes=1)
    written.append(every_kind())
    ahead = now() + timedelta(days=3)
    written.copied("batches", put={"written_at": f"toDateTime64('{ahead:%Y-%m-%d %H:%M:%S}', 3, 'UTC')"})
    assert last_word(store) == ahead.replace(microsecond=0)


def test_segments_come_back_in_order_of_number_topic_and_partition(store):
    written = begin(store, partitions=(1, 0))
    later = [
        segment(
            run_id=written.run_id, segment=2, partition=p, first_offset=10 * p, kernels={"acb": "k"}, state='{"a":1}'
        )
        for p in (1, 0)
    ]
    open_segments(store, later)
    open_segments(store, later)  # a retry
    found = segments(store, written.run_id)
    assert [(s.segment, s.partition) for s in found] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert found[2:] == later[::-1]
    assert (found[0].params, found[0].params_hash) == (BLUE.model_dump_json(), BLUE.hash)
    assert segments(store, begin(store).run_id) != found


@pytest.mark.parametrize(
    "other", [{"params_hash": "p2"}, {"kernels": {"acb": "k2"}}, {"first_offset": 4}, {"segment": 3}]
)
def test_segments_that_differ_are_two_inserts(store, other):
    one = segment(run_id=begin(store).run_id, segment=2, kernels={"acb": "k"})
    open_segments(store, [one])
    open_segments(store, [replace(one, **other)])
    assert replace(one, **other) in segments(store, one.run_id)  # else the second was taken for a retry of the first


def test_what_differs_between_two_segments_is_named():
    mine = segment()
    assert mine.differs(segment(first_offset=9, cause="code", topic="u", params="{ }", state="{}")) == []
    (params,) = mine.differs(segment(params_hash="p2", profile="v3_base9"))
    assert params == "profile or params (blue_8b p1, was v3_base9 p2)"
    assert mine.differs(segment(code_hash="c2")) == ["code (c1, was c2)"]
    assert segment(kernels={"ob": "k"}).differs(mine) == ["kernels ({'ob': 'k'}, was {})"]
    assert segment(math_fingerprint="f1").differs(segment(math_fingerprint="f2")) == [
        "arithmetic (math fingerprint f1, was f2: this machine's pow gives other bits)"
    ]
    assert segment(math_fingerprint="f1").differs(mine) == []  # an older version did not know it
    assert len(mine.differs(segment(params_hash="x", code_hash="x", kernels={"ob": "x"}))) == 3


def test_a_lane_s_kernel_is_the_foreign_one_or_the_code():
    mine = segment(kernels={"acb": "f00d"})
    assert (mine.kernel_hash("acb"), mine.kernel_hash("ob")) == ("f00d", "c1")
