"""One writer: a claim is one process's, and whoever lost it changes nothing, at whatever step it was stopped.

A writer is "stopped" where its ledger comes to a step: all that the next writer does happens inside that step, and then
the first one goes on as if nothing had been, which is what SIGSTOP and SIGCONT do to it.
"""

import os
import socket
import threading
from dataclasses import replace

import pytest

from journal.judge import count
from journal.judge.scope import Scope
from journal.ledger import claim as module
from journal.ledger.claim import Beat, Fenced, release, require, take, writers
from journal.ledger.ledger import Ledger, audit, digest, positions
from journal.ledger.run import find, open_segments, save, segments
from journal.lock import Lock, soak_lock
from journal.refusal import Refusal
from lanes.code import Outcome
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from tests.strategies import START_MS, encode, scan
from tests.written import MINUTE_MS, begin, decisions, every_kind

STEPS = [
    "before_intent", "after_intent", "after_decisions", "after_evaluations", "after_planes", "after_rejects",
    "before_completion", "after_completion", "after_commit",
]  # fmt: skip
QUICK = ("after_intent", "before_completion")
BESIDE = [encode(scan(scan_id=n, ts_ms=START_MS + n * MINUTE_MS, vel_div=-0.005)) for n in range(100, 104)]
CLOCKS = "latency_ms, drift_ms, written_at, epoch"  # what was measured, and who: not what was decided


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(module, "SILENT_S", 0.6)
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(module, "BEAT_S", 0.1)


def test_epochs_count_up_and_a_lower_one_is_fenced(store):
    first = take(store, "count-up", "here")
    require(store, first)
    second = take(store, "count-up", "here")
    require(store, second)
    assert (first.epoch, second.epoch) == (1, 2)
    with pytest.raises(Fenced, match=r"taken over by pid \d+ on .* in epoch 2, .*fix:"):
        require(store, first)
    require(store, take(store, "another name", "here"))


def test_of_many_who_claim_at_once_one_wins_each_epoch(store):
    """No two ever believe that they hold one epoch, and the others are refused."""
    won, refused, start = [], [], threading.Barrier(6)

    def try_it():
        start.wait(10)
        try:
            won.append(take(store, "at-once", "here"))
        except Refusal as refusal:
            refused.append(str(refusal))

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) + len(refused) == 6
    assert won
    assert len({claim.epoch for claim in won}) == len(won)
    assert sum(_holds(store, claim) for claim in won) == 1


class _Beside:
    """A connection of one's own, for all that it can tell."""

    def __init__(self, store):
        self.rows, self.put_row, self.close = store.rows, store.put_row, lambda: None


def _holds(store, claim):
    try:
        require(store, claim)
    except Fenced:
        return False
    return True


def test_an_epoch_that_two_rows_claim_is_nobodys(store):
    """Should ClickHouse have forgotten the token, neither of two wins: whoever looks last sees both."""
    mine = take(store, "forgotten", "here")
    module._put(store, replace(mine, epoch=2, holder="late"), 0, "another token")
    with pytest.raises(Refusal, match="is claimed by another process"):
        take(_Behind(store), "forgotten", "here")


class _Behind:
    """A store that still shows the first epoch as the last one, and keeps no token."""

    def __init__(self, store):
        self._store = store

    def rows(self, sql, params):
        return self._store.rows(sql.replace("ORDER BY epoch DESC", "ORDER BY epoch"), params)

    def put_row(self, table, row, token):
        self._store.put_row(table, row, f"{token}|{row['holder']}")


def test_one_that_beats_is_not_taken_over_and_one_that_is_silent_is(store):
    held = Beat(take(store, "beats", "there"), lambda: _Beside(store))
    with pytest.raises(Refusal, match=r"'beats' is written to this journal by pid .*fix: stop that one"):
        take(store, "beats", "here")
    held.release()
    assert take(store, "beats", "here").epoch == 2  # at once: it was let go
    said = []
    assert take(store, "beats", "there", said.append).epoch == 3  # this one never beat
    assert "waiting" in said[0]


def test_a_beat_outlives_a_journal_that_is_away(store):
    claim, tries = take(store, "away", "there"), []

    def connected():
        tries.append(1)
        if len(tries) < 3:
            raise Refusal("away")
        return _Beside(store)

    held = Beat(claim, connected)
    with pytest.raises(Refusal, match="is written"):
        take(store, "away", "here")
    held.release()
    assert len(tries) == 3


def test_what_was_let_go_by_a_lower_epoch_says_nothing_of_a_higher_one(store):
    first = take(store, "order", "there")
    second = take(store, "order", "there")
    release(store, first)
    held = Beat(second, lambda: _Beside(store))
    with pytest.raises(Refusal, match="is written"):
        take(store, "order", "here")
    held.release()


# -- a writer that is stopped at a step, taken over from, and goes on ---------------------------------------------------


class Writers:
    """A run that one process writes, and others take over."""

    def __init__(self, store):
        self.store, self.written = store, begin(store)
        self.name, self.run_id = self.written.run.name, self.written.run_id
        self.lines = self.written.lines.setdefault(0, {})
        self.first = self.ledger()
        open_segments(store, [replace(each, epoch=1) for each in segments(store, self.run_id)])

    def ledger(self, seam=lambda name: None):
        return Ledger(self.store, self.run_id, self.written.ledger._reread, claim=self.claim(), seam=seam)

    def claim(self):
        return take(self.store, self.name, "here")

    def resume(self, profile, lines, sizes):
        """As a soak does it: the batch in doubt, the segments, then batches of other sizes."""
        store, ledger = self.store, self.ledger()
        audit(store, self.run_id)
        opened, at = segments(store, self.run_id), positions(store, self.run_id).get(0)
        state, position = (State(), 0) if at is None or at.last < 0 else (State.load(at.state, []), at.last + 1)
        if at is not None and at.doubt is not None:
            batch = self.step(state, self.written.rules, at.doubt, position, at.doubt_segment)
            assert digest(batch) == at.doubt_digest
            ledger.append(batch, 0.0, lambda positions: None)
            position = at.doubt[1] + 1
        opened = [replace(each, epoch=ledger.epoch) for each in opened]
        open_segments(store, opened)
        fields = {"segment": 2, "first_offset": position, "params": profile.model_dump_json()}
        open_segments(store, [replace(opened[0], params_hash=profile.hash, opened_at=None, **fields)])
        self.lines.update(enumerate(lines, position))
        for size in sizes:
            span = position, position + size - 1
            ledger.append(self.step(state, Rules(profile), span, position, 2), 0.0, lambda positions: None)
            position += size
        self.end = position
        return ledger

    def step(self, state, rules, span, expected, segment):
        offsets = [*range(span[0], span[1] + 1)]
        chunk = Chunk(0, offsets, [self.lines[at] for at in offsets])
        return step(state, chunk, rules, Decoder(), topic="t", segment=segment, expected=expected)

    def seen(self):
        """All that people see of the run, but for clocks."""
        tables = (
            "decisions",
            "evaluations",
            "planes",
            "rejects",
            "segments",
            f"(SELECT * EXCEPT ({CLOCKS}) FROM batches)",
        )
        where = "WHERE run_id = {run:String} ORDER BY ALL"
        return [self.store.rows(f"SELECT * FROM {table} {where}", {"run": self.run_id}) for table in tables]


@pytest.mark.parametrize(
    ("at", "forgets"),
    [
        pytest.param(at, forgets, marks=[] if at in QUICK and not forgets else pytest.mark.slow)
        for at in STEPS
        for forgets in (False, True)  # the tokens of what the first one inserts once it wakes up
    ],
)
def test_a_writer_that_wakes_up_changes_nothing(store, monkeypatch, at, forgets):
    """It was taken over by one with other params, from which rows of other kinds follow."""
    writers = Writers(store)
    calm, before = every_kind(), []
    first, insert = writers.first, type(store).insert

    def stopped(name):
        if name == at and not before:
            first._seam = lambda name: None
            writers.resume(PROFILES["v3_base9"], [*BESIDE, *decisions(6, 300)], (4, 3, 3))
            before.extend(writers.seen())
            if forgets:
                monkeypatch.setattr(
                    type(store), "insert", lambda self, *given: insert(self, *given[:-1], f"{given[-1]}|late")
                )

    first.append(writers.written.batch(calm), 0.0, lambda positions: None)
    first._seam = stopped
    batch = writers.written.batch(every_kind(20))
    if at in STEPS[6:]:  # it stood behind its last look: it ends this batch, which the next writer did as well
        first.append(batch, 0.0, lambda positions: None)
        batch = writers.written.batch(decisions(5, 40))
    with pytest.raises(Fenced):
        first.append(batch, 0.0, lambda positions: None)
    assert writers.seen() == before

    found = count.rows(store, Scope.of(store, writers.run_id))
    assert (found["doubled"], found["corrupt"]) == (0, 0)
    assert found["deliverable"] == found["journaled"] == writers.end
    assert positions(store, writers.run_id)[0].doubt is None
    audit(store, writers.run_id)
    assert [each.segment for each in segments(store, writers.run_id)] == [1, 2]
    (incident,) = store.rows(
        "SELECT code, severity, detail FROM incidents WHERE run_id = {run:String}", {"run": writers.run_id}
    )
    assert (incident["code"], incident["severity"], "taken over" in incident["detail"]) == ("FENCED", "WARN", True)


def test_an_intent_of_a_fenced_writer_hides_none_and_is_never_redone(store):
    """Both begin at one offset, with batches of other sizes; then the second one dies in the middle of its own."""
    writers = Writers(store)
    first = writers.first
    first.append(writers.written.batch(every_kind()), 0.0, lambda positions: None)
    batch = writers.written.batch(decisions(9, 50))
    second = writers.resume(PROFILES["blue_8b"], BESIDE, ())
    mine = writers.step(
        State.load(positions(store, writers.run_id)[0].state, []), writers.written.rules, (13, 15), 13, 2
    )

    class Died(Exception):
        pass

    def die(name):
        if name == "after_evaluations":
            raise Died

    second._seam = die
    with pytest.raises(Died):
        second.append(mine, 0.0, lambda positions: None)
    with pytest.raises(Fenced):
        first.append(batch, 0.0, lambda positions: None)
    found = positions(store, writers.run_id)[0]
    assert (found.doubt, found.doubt_digest, found.doubt_segment) == ((13, 15), digest(mine), 2)
    audit(store, writers.run_id)


def test_an_intent_that_nobody_followed_is_no_doubt_once_another_writes(store):
    writers = Writers(store)
    first = writers.first
    first.append(writers.written.batch(decisions(3)), 0.0, lambda positions: None)
    batch = writers.written.batch(decisions(4, 10))
    writers.resume(PROFILES["blue_8b"], (), ())
    with pytest.raises(Fenced):
        first.append(batch, 0.0, lambda positions: None)
    assert positions(store, writers.run_id)[0].doubt is None


def test_what_a_fenced_writer_says_of_its_run_and_opens_does_not_count(store):
    writers = Writers(store)
    stale, opened = find(store, run_id=writers.run_id), segments(store, writers.run_id)
    second = writers.resume(PROFILES["blue_8b"], (), ())
    save(store, replace(find(store, run_id=writers.run_id), reason="second"), second.epoch)
    save(store, replace(stale, state="ENDED", reason="first"), writers.first.epoch)
    open_segments(store, [replace(opened[0], segment=7, epoch=writers.first.epoch, params_hash="other")])
    open_segments(store, [replace(opened[0], segment=2, epoch=writers.first.epoch, params_hash="other")])
    run = find(store, run_id=writers.run_id)
    assert (run.state, run.reason) == ("RUNNING", "second")
    found = segments(store, writers.run_id)
    assert [(each.segment, each.params_hash) for each in found] == [
        (1, opened[0].params_hash), (2, PROFILES["blue_8b"].hash)
    ]  # fmt: skip
    shown = store.rows("SELECT segment FROM segments WHERE run_id = {run:String}", {"run": writers.run_id})
    assert sorted(row["segment"] for row in shown) == [1, 2]


def test_a_segment_that_is_taken_over_keeps_its_time(store):
    writers = Writers(store)
    was = segments(store, writers.run_id)[0].opened_at
    open_segments(store, [replace(each, epoch=5) for each in segments(store, writers.run_id)])
    (found,) = segments(store, writers.run_id)
    assert (found.epoch, found.opened_at) == (5, was)


def test_rows_of_both_kinds_came_in_these_tests():
    """Else the take-over above would show nothing."""
    found = step(State(), Chunk(0, [0, 1], [BESIDE[0], decisions(1)[0]]), Rules(PROFILES["blue_8b"]), Decoder(), topic="t", segment=1, expected=0)  # fmt: skip
    assert [len(found.rows[kind]) for kind in (Outcome.DECISION, Outcome.EVALUATION)] == [1, 1]


def test_who_works_elsewhere_is_seen_by_its_beat(store, tmp_path):
    """Not whoever is gone without letting go, and not whoever let go."""
    runs = [begin(store, name=f"elsewhere-{what}").run for what in ("beats", "gone", "released", "never")]
    beats, gone, released, _ = runs
    beat = Beat(take(store, beats.name, "there"), lambda: _Beside(store))
    try:
        take(store, gone.name, "there")
        release(store, take(store, released.name, "there"))
        assert writers(store, tmp_path, runs) == {beats.name: f"pid {os.getpid()} on {socket.gethostname()}"}
        assert writers(store, tmp_path, [replace(beats, state="ENDED")]) == {}
    finally:
        beat.release()


def test_who_works_here_is_seen_by_its_lock_and_who_is_gone_at_once(store, tmp_path, monkeypatch):
    run = begin(store, name="here").run
    with Lock.acquire(soak_lock(tmp_path, run.name)) as lock:
        take(store, run.name, lock.place)
        assert writers(store, tmp_path, [run]) == {run.name: f"pid {os.getpid()} on {socket.gethostname()}"}
    monkeypatch.setattr(module, "SILENT_S", 60.0)  # nobody waits so long for a process that held this lock
    assert writers(store, tmp_path, [run]) == {}
