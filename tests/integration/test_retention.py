"""Stored inputs go by age; what is proved, resumed and judged afterwards is the same, and says what is gone."""

import shutil
import signal
import uuid
from datetime import timedelta

import pytest

from journal.judge.gate import figures
from journal.judge.scope import Scope
from journal.keep.retention import prune
from journal.ledger.pruned import pruned
from journal.ledger.run import find, now
from reactor.run.verify import verify
from tests.integration import records
from tests.integration.fixtures import own_journal
from tests.integration.soaking import COUNTS, ended, interrupted, stand_still

pytestmark = pytest.mark.slow
journal = own_journal

COUNT = 600
PLANES = "SELECT count() FROM violet_planes WHERE run_id = {run:String}"
BYTES = "SELECT sum(length(raw)) FROM violet_rejects WHERE run_id = {run:String}"


@pytest.fixture(scope="module")
def soaked(journal, mixed, tmp_path_factory):
    """A run on an archive of its own, which may go away: ten batches, every outcome, one record over 900,000 bytes."""
    return journal.soak(scans=shutil.copy(mixed, tmp_path_factory.mktemp("aged") / "mixed.jsonl"), batch_size=60)


@pytest.fixture
def aged(journal, soaked):
    """Id of a copy of the run, when its fifth batch was completed, and that batch's last offset."""
    run_id = f"aged-{uuid.uuid4().hex[:8]}"
    for table in ("runs", "segments", "batches", "decisions", "evaluations", "planes", "rejects"):
        journal.store.command(
            f"INSERT INTO violet_{table} SELECT * REPLACE ('{run_id}' AS run_id) FROM violet_{table} WHERE violet_{table}.run_id = {{run:String}}",
            {"run": soaked.run_id},
        )
    return run_id, *completed(journal, run_id, 4)


def completed(journal, run_id, nth):
    """When the n-th batch of a run was completed, and its last offset."""
    rows = journal.rows(
        "SELECT written_at, last_offset FROM batches WHERE run_id = {run:String} ORDER BY first_offset", run=run_id
    )
    return rows[nth]["written_at"].replace(tzinfo=now().tzinfo), rows[nth]["last_offset"]


def test_aged_inputs_go_and_every_proof_still_holds(journal, soaked, aged, tmp_path):
    run_id, at, last = aged
    assert last == 299
    before = journal.rows(
        "SELECT log_offset, code, digest, bytes, detail FROM rejects WHERE run_id = {run:String} ORDER BY log_offset",
        run=run_id,
    )
    pruning = prune(journal.store, run_id, at + timedelta(milliseconds=1))
    (one,) = pruning.dropped
    assert (one.partition, one.last_offset, one.up_to, pruning.damaged) == (0, last, at, [])
    assert one.planes > 0
    assert one.rejects > 0
    assert journal.value(PLANES + " AND log_offset <= 299", run=run_id) == 0
    assert journal.value(BYTES + " AND log_offset <= 299", run=run_id) == 0
    assert journal.value(PLANES, run=run_id) == soaked.summary["planes"] - one.planes
    assert journal.value(BYTES, run=run_id) > 0  # the long one is at 300
    assert (
        journal.rows(
            "SELECT log_offset, code, digest, bytes, detail FROM rejects WHERE run_id = {run:String} ORDER BY log_offset",
            run=run_id,
        )
        == before
    )

    again = prune(journal.store, run_id, at + timedelta(milliseconds=1))
    assert (again.dropped, again.damaged) == ([], [])  # nothing is dropped twice
    told = journal.figures(run_id)
    assert {name: told[name] for name in COUNTS} == soaked.counts
    assert told["content_hash"] == soaked.hash
    assert [(each["last_offset"], each["planes"]) for each in told["pruned"]] == [(last, one.planes)]

    report = journal.violet("verify", run_id, "--json").json
    assert (report["verdict"], report["recomputed_from"], report["recomputed"]) == ("PASS", "archive", COUNT)
    moved = shutil.move(soaked.summary["source"]["path"], tmp_path / "elsewhere.jsonl")
    report = journal.violet("verify", run_id, "--json").json
    shutil.move(moved, soaked.summary["source"]["path"])
    assert (report["verdict"], report["differing"], report["recomputed"]) == ("PASS", 0, 300)
    assert "behind what retention dropped: " in report["recomputed_from"]
    assert " up to offset 299 of " in report["recomputed_from"]
    assert " up to offset 299 of " in journal.violet("gate", run_id).out
    assert {name: report[name] for name in COUNTS} == soaked.counts

    plane = next(n for n, each in enumerate(records.mixed(COUNT)) if b'"kind":"plane"' in each)
    assert "dropped by age" in " ".join(journal.violet("explain", f"@{plane}", "--run", run_id).err.split())


def test_what_is_lost_or_touched_behind_the_dropped_range_is_still_found(journal, aged):
    run_id, at, last = aged
    prune(journal.store, run_id, at + timedelta(milliseconds=1))
    run = {"run": run_id}
    plane = journal.value("SELECT min(log_offset) FROM planes WHERE run_id = {run:String}", **run)
    assert plane > last
    journal.store.command(
        f"ALTER TABLE violet_planes DELETE WHERE run_id = '{run_id}' AND log_offset = {plane} SETTINGS mutations_sync = 2"
    )
    told = journal.figures(run_id)
    assert (told["lost"], told["corrupt"]) == (1, 1)
    # Of a reject whose bytes are gone the hash still holds what they were.
    journal.store.command(
        f"ALTER TABLE violet_rejects UPDATE raw_sha = lower(hex(SHA256('other'))) WHERE run_id = '{run_id}' AND log_offset <= {last} AND notEmpty(raw_sha) SETTINGS mutations_sync = 2"
    )
    assert journal.figures(run_id)["corrupt"] > 1


def test_a_damaged_batch_keeps_its_inputs_as_evidence(journal, aged):
    run_id, at, _ = aged
    there = journal.value(PLANES, run=run_id)
    journal.store.command(
        f"ALTER TABLE violet_planes UPDATE x = x + 1 WHERE run_id = '{run_id}' AND log_offset IN (SELECT min(log_offset) FROM violet_planes WHERE run_id = '{run_id}') SETTINGS mutations_sync = 2"
    )
    pruning = prune(journal.store, run_id, at + timedelta(milliseconds=1))
    assert (pruning.dropped, len(pruning.damaged)) == ([], 1)
    assert journal.value(PLANES, run=run_id) == there


def test_a_crash_between_record_and_deletion_is_made_good(journal, soaked, aged):
    run_id, at, last = aged
    planes = journal.value(PLANES + f" AND log_offset <= {last}", run=run_id)
    journal.store.command(
        "INSERT INTO violet_pruned SELECT run_id, topic, partition, 299, toDateTime64('2026-01-01', 3, 'UTC'), {n:UInt64}, 0, now64(3) "
        "FROM batches WHERE run_id = {run:String} LIMIT 1", {"run": run_id, "n": planes})  # fmt: skip
    told = journal.figures(run_id)
    assert {name: told[name] for name in COUNTS} == soaked.counts  # rows that are still there count once
    assert prune(journal.store, run_id, at).dropped == []
    assert journal.value(PLANES + f" AND log_offset <= {last}", run=run_id) == 0


def test_a_soak_drops_while_it_runs_and_resumes_to_the_same_hash(journal, topic, spawn):
    """Retention at every look, a stop and a kill; the hash is that of a soak without retention."""
    calm = journal.soak(**topic.source)
    stand_still(journal.data)
    flags = {**topic.source, "name": "aging", "keep_inputs": "1ms"}
    left = interrupted(journal.data, 3, batch_size=50, **flags)
    there = journal.value(PLANES, run=left.run_id)
    command = [
        "soak",
        *topic.flags,
        "--data",
        journal.data,
        "--name",
        "aging",
        "--keep-inputs",
        "1ms",
        "--batch-size",
        50,
    ]
    assert ended(spawn(*command, seam="after_planes", at=4)).code == -signal.SIGKILL
    again = journal.soak(**flags, batch_size=70)
    assert again.run_id == left.run_id
    assert (again.hash, again.counts) == (calm.hash, calm.counts)
    (gone,) = again.summary["pruned"]
    assert there > 0
    assert 0 < gone["last_offset"] < COUNT
    assert gone["planes"] == again.summary["planes"] - journal.value(PLANES, run=left.run_id)
    assert journal.violet("verify", again.run_id, "--json").json["verdict"] == "PASS"
    assert "dropped" in again.err


def test_a_judgment_during_which_inputs_go_takes_them_for_dropped(journal, aged, soaked, monkeypatch):
    """Scope is taken, then retention goes on: nothing is lost or corrupt, and a verify begins again."""
    run_id, at, _ = aged
    scope, run = Scope.of(journal.store, run_id), find(journal.store, run_id=run_id)
    prune(journal.store, run_id, at + timedelta(milliseconds=1))
    stale = figures(journal.store, run, scope)
    assert {name: stale[name] for name in COUNTS} == soaked.counts
    taken = iter([scope])
    monkeypatch.setattr(
        "reactor.run.verify.Scope.of",
        lambda store, run_id: next(taken, None) or Scope(run_id, scope.ends, dropped=pruned(store, run_id)),
    )
    assert verify(journal.store, run, None)["verdict"] == "PASS"
    assert next(taken, None) is None
