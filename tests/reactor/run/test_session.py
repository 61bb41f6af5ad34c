"""A session: where a run begins and ends, and what a resume may go on with. Whole sessions run in tests/integration."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from journal.ledger.ledger import Position
from journal.ledger.run import Run
from journal.refusal import Integrity, Refusal
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.walk import Rules
from reactor.log.memory import MemoryLog
from reactor.run import resume
from reactor.run import session as module
from reactor.run.foreign import Kernels
from reactor.run.resume import same_code
from reactor.run.session import Session
from reactor.run.settings import load
from tests.strategies import START_MS, encode, scan

RULES = Rules(PROFILES["blue_8b"])
LOG = {"kind": "broker", "cluster": "c", "topic": "t", "topic_id": "i", "partitions": 2}
RUN = Run(
    "r", "violet", "STOPPED", "blue_8b", LOG, {}, {"0": 0, "1": 0}, "EXACT", (), {}, datetime(2026, 3, 1, tzinfo=UTC)
)


class Source:
    """Two partitions in memory: a hundred scans of a second apart, and twenty."""

    topic, partitions, finite, bootstrap, lanes = "t", 2, False, "", None
    identity = LOG

    def __init__(self, lows=(0, 0), *, finite=False):
        self._lows, self.finite = dict(enumerate(lows)), finite
        self.log = MemoryLog(partitions=2)
        for partition, count in enumerate((100, 20)):
            for n in range(count):
                self.log.append(encode(scan(scan_id=n, ts_ms=START_MS + 1_000 * n)), partition)

    def lows(self):
        return self._lows

    def ends(self):
        return {0: 100, 1: 20}

    def readable(self, partition, offset):
        return offset

    def range(self, partition, first, end):
        return self.log.range(partition, first, end)


def session(source=None, **flags):
    """A session that opened no run yet."""
    made = Session.__new__(Session)
    made.settings, made.source = load(flags, environ={}), source or Source()
    made.rules, made._lanes, made.kernels = RULES, None, Kernels()
    return made


def at(seconds):
    return datetime.fromtimestamp(START_MS / 1e3 + seconds, UTC).isoformat()


# -- where a run begins --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "positions", "warmth"),
    [
        ("earliest", [0, 0], "EXACT"),
        ("latest", [100, 20], "EXACT"),
        ("7", [7, 7], "EXACT"),
        (at(12), [12, 12], "EXACT"),
        (at(50), [50, 20], "EXACT"),
    ],
)
def test_a_run_begins_where_it_is_told_to(flag, positions, warmth):
    readers, how = session(**{"from": flag})._begin()
    assert ([reader.position for reader in readers.values()], how) == (positions, warmth)
    for reader in readers.values():
        scans = sum(stream.scans for stream in reader.state.streams.values())
        assert scans == reader.position  # the state before it has every scan that lies there


def test_an_offset_that_a_partition_does_not_hold_is_refused():
    with pytest.raises(Refusal, match="--from 21: partition 1 holds offsets 0 to 20; fix: one of these"):
        session(**{"from": "21"})._begin()
    with pytest.raises(Refusal, match="--from 3: partition 0 holds offsets 5 to 100"):
        session(Source(lows=(5, 0)), **{"from": "3"})._begin()


# -- what a resume may go on with ----------------------------------------------------------------------------------


def test_another_log_is_refused_by_what_differs():
    with pytest.raises(Refusal, match=r"reads another log \(topic_id is 'i', was 'other'\); fix: give the log"):
        resume.same_log(replace(RUN, source={**LOG, "topic_id": "other"}), LOG)
    with pytest.raises(Refusal, match=r"partitions is 2, was 3"):
        resume.same_log(replace(RUN, source={**LOG, "partitions": 3}), LOG)
    resume.same_log(replace(RUN, source={**LOG, "partitions": 1}), LOG)  # a topic may get some
    resume.same_log(replace(RUN, source={**LOG, "seeded": True}), LOG)  # what is known of it is no identity


@pytest.mark.parametrize(
    ("asked", "ends", "then"),
    [
        (None, None, None),
        ("end", {"0": 100}, {"0": 100, "2": 0}),  # what came after the run began is no part of it
        ("150", {"0": 150}, {"0": 150, "2": 150}),
    ],
)
def test_partitions_that_a_topic_got_begin_at_0_and_end_as_the_run_does(asked, ends, then):
    run = replace(RUN, until={"ends": ends} if ends else {}, asked={"until": asked})
    grown = resume.with_added(run, [2])
    assert (grown.start, grown.source["partitions"], grown.until.get("ends")) == ({"0": 0, "1": 0, "2": 0}, 3, then)
    assert resume.with_added(run, []) is run


def position(last, doubt=None):
    return Position(last, b"{}", doubt, "", 1)


@pytest.mark.parametrize(
    ("lows", "known", "gaps"),
    [
        ((0, 0), {}, {}),
        ((10, 0), {0: position(9)}, {}),  # all of it is journaled
        ((10, 0), {0: position(8)}, {0: 10}),
        ((10, 4), {}, {0: 10, 1: 4}),
    ],
)
def test_offsets_that_the_log_lost_are_a_gap_where_the_run_wants_them(lows, known, gaps):
    opens = {0: 0, 1: 0}
    assert session(Source(lows), accept_gap=True)._gaps(opens, known) == gaps
    if gaps:
        with pytest.raises(Refusal, match=r"lost offsets that the run wants next \(partition 0 begins at 10"):
            session(Source(lows))._gaps(opens, known)


def test_a_batch_in_doubt_that_the_log_lost_is_refused_even_with_accept_gap():
    with pytest.raises(Refusal, match="lost offsets of the batch in doubt, 5 to 9 of partition 0"):
        session(Source((6, 0)), accept_gap=True)._gaps({0: 0, 1: 0}, {0: position(4, (5, 9))})


def segment(profile="blue_8b", **changed):
    found = resume.segment_of(load({"profile": profile}, environ={}), Kernels(), "t", "r", 1)
    return replace(found, **changed)


def test_other_code_params_or_kernels_are_refused_by_name_without_new_segment():
    mine = segment()
    theirs = replace(segment("v3_base9"), code_hash="else", kernels={"acb": "k"})
    with pytest.raises(Refusal) as refusal:
        resume.differs(load({}, environ={}), mine, theirs)
    for words in ("profile or params", "code (", "kernels (", "--new-segment"):
        assert words in str(refusal.value)
    assert len(resume.differs(load({"new_segment": True}, environ={}), mine, theirs)) == 3
    assert resume.differs(load({}, environ={}), mine, segment()) == []


@pytest.mark.parametrize(("state", "new", "refused"), [("STOPPED", False, True), ("STOPPED", True, False), ("ENDED", False, False)])  # fmt: skip
def test_a_journal_is_not_migrated_for_a_resume_that_would_be_refused(monkeypatch, state, new, refused):
    monkeypatch.setattr(resume.runs, "find", lambda store, name: replace(RUN, state=state))
    monkeypatch.setattr(resume.runs, "segments", lambda store, run_id: [segment(code_hash="else")])
    settings = load({"new": new}, environ={})
    if refused:
        with pytest.raises(Refusal, match="another code"):
            same_code(settings, None)
    else:
        same_code(settings, None)


def test_params_that_remote_lanes_chose_are_no_difference_and_other_code_is(monkeypatch):
    settings = load({"topology": "faust", "lane_workers": 0, "bootstrap_servers": "h:1", "topic": "t"}, environ={})
    chosen = segment("v3_base9", kernels={"acb": "of a worker"})
    monkeypatch.setattr(resume.runs, "find", lambda store, name: RUN)
    monkeypatch.setattr(resume.runs, "segments", lambda store, run_id: [chosen])
    same_code(settings, None)
    monkeypatch.setattr(resume.runs, "segments", lambda store, run_id: [replace(chosen, code_hash="else")])
    with pytest.raises(Refusal, match="another code"):
        same_code(settings, None)


@pytest.mark.parametrize("topic", ["violet.violet.lanes.acb", "violet.x.lanes.ob", "violet.a.b.lanes.base"])
def test_a_tap_topic_of_any_soak_is_no_log(topic):
    source = SimpleNamespace(topic=topic, lanes=None)
    with pytest.raises(Refusal, match="has the name of a lane's readings; fix: name a topic of scans"):
        Session(load({}, environ={}), None, source, None)


def test_a_batch_in_doubt_is_one_chunk_and_must_be_there():
    whole = module._join(iter([Chunk(0, [1, 2], [b"a", b"b"]), Chunk(0, [4], [b"c"])]))
    assert (whole.offsets, whole.values) == ([1, 2, 4], [b"a", b"b", b"c"])
    with pytest.raises(Integrity, match="no longer has the batch in doubt"):
        module._join(iter([]))
