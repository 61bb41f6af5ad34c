"""A journal that the first house wrote is migrated, resumed, ended, judged and replayed by this one, bit for bit."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tarfile

import pytest

from journal.keep import backup
from tests.integration import golden
from tests.integration.soaking import COUNTS, ROOT, Journal, ended, free_of, soak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # three processes of that version start at once

COMMIT = "aec54f3"
HOUSE = ROOT / "tests/first_house"
ARCHIVE = HOUSE / f"{COMMIT}.tar.xz"
CODE_HASH = "43b53ac51ab2bed1"  # of that version, as its segments have it
BATCH = 32
SPOTS = ("@0", "@7", "@120", "@299")
LEFT = {  # a run of that version: how it was stopped, and the last offset that it had completed then
    "ended": {},
    "stopped": {"step": "after_completion", "at": 3, "signal": signal.SIGINT},
    "killed": {"step": "after_decisions", "at": 4, "signal": signal.SIGKILL},
}


def unpacked(folder):
    with tarfile.open(ARCHIVE) as file:
        file.extractall(folder, filter="data")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """Data directories that the first house wrote: name -> (path, how its process ended)."""
    folder = tmp_path_factory.mktemp("first")
    env = {**os.environ, **unpacked(folder / "house")}
    started = {}
    for name, how in LEFT.items():
        flags = {"scans": str(golden.LOG), "data": str(folder / name), "batch_size": BATCH}
        command = [sys.executable, "-P", HOUSE / "soak.py", json.dumps({"flags": flags, **how})]
        started[name] = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
    return {name: (folder / name, ended(process)) for name, process in started.items()}


@contextlib.contextmanager
def journaled(data):
    """The directory's journal, its engine running."""
    free_of(data)
    journal = Journal(data)
    try:
        yield journal
    finally:
        journal.close()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The same log, soaked by this version without an interruption: what must come out."""
    data = tmp_path_factory.mktemp("unbroken") / "data"
    soaked = soak(data, scans=golden.LOG, batch_size=BATCH)
    with journaled(data) as journal:
        return soaked, surfaces(journal, soaked.run_id)


def surfaces(journal, run_id):
    """What the commands show of a run, without what names the run or the code."""
    verified = journal.violet("verify", run_id, "--json").json
    assert (verified["verdict"], verified["identical"], verified["differing"]) == ("PASS", True, 0)
    readings = journal.violet("tap", "acb", "--run", run_id, "--from", "@0", "--json").out
    return {
        "verify": {
            name: verified[name]
            for name in (*COUNTS, "content_hash", "recomputed_hash", "coverage", "time_coverage", "recomputed")
        },
        "gate": {
            name: value
            for name, value in journal.violet("gate", run_id, "--json").json.items()
            if name not in ("run_id", "segments")
        },
        "explain": [without(journal.violet("explain", spot, "--run", run_id, "--json").json) for spot in SPOTS],
        "tap": [without(json.loads(each)) for each in readings.splitlines()],
        "rows": golden.text(journal.rows, run_id, verified["content_hash"]),
    }


def without(record):
    return {
        name: value
        for name, value in record.items()
        if name not in ("run_id", "run", "segment", "kernel_hash", "segments")
    }


def the_same(journal, run_id, unbroken):
    """Every surface is that of an unbroken run of this version; a replay is identical."""
    for name, shown in surfaces(journal, run_id).items():
        assert shown == unbroken[1][name], name
    replayed = journal.violet("replay", run_id, "--assert-identical", "--json")
    assert (replayed.code, replayed.json["identical"], replayed.json["content_hash"]) == (0, True, unbroken[0].hash)


def test_the_archive_holds_what_the_commit_holds(tmp_path):
    git = ["git", "-C", ROOT, "archive", COMMIT, "--", "journal", "lanes", "reactor", "sql", ":!reactor/web/static"]
    made = subprocess.run(git, check=False, capture_output=True)
    if made.returncode:
        pytest.skip("the clone has no such commit")
    with tarfile.open(ARCHIVE) as file:
        file.extractall(tmp_path / "archive", filter="data")
    (tmp_path / "commit").mkdir()
    subprocess.run(["tar", "-x", "-C", tmp_path / "commit"], check=True, input=made.stdout)
    packed, there = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("archive", "commit")
    )
    assert len(packed) > 150
    assert packed == there


def test_an_ended_run_of_the_first_house_is_judged_verified_and_replayed(left, unbroken):
    data, said = left["ended"]
    assert (said.code, said.json["state"], said.json["content_hash"]) == (2, "ENDED", unbroken[0].hash)
    with journaled(data) as journal:
        assert journal.violet("migrate").code == 0
        assert journal.rows("SELECT DISTINCT code_hash FROM segments") == [{"code_hash": CODE_HASH}]
        assert (
            golden.text(journal.rows, said.json["run_id"], unbroken[0].hash)
            == (golden.GOLDEN / golden.ROWS).read_text()
        )
        the_same(journal, said.json["run_id"], unbroken)


@pytest.mark.parametrize(("name", "code"), [("stopped", 2), ("killed", -signal.SIGKILL)])
def test_a_run_that_the_first_house_left_is_resumed_to_the_same_end(left, unbroken, name, code):
    data, said = left[name]
    assert said.code == code, said.err
    command = ["soak", "--scans", golden.LOG, "--batch-size", "50", "--json"]
    with journaled(data) as journal:
        (run,) = journal.rows("SELECT run_id, state FROM runs")
        done = "SELECT max(last_offset) AS last FROM violet_batches WHERE phase = 'COMPLETE'"
        at = 3 * BATCH - 1
        assert (run["state"], journal.value(done)) == ("STOPPED" if name == "stopped" else "RUNNING", at)
        intents = journal.value("SELECT count() FROM violet_batches WHERE phase = 'INTENT'")
        assert intents == (3 if name == "stopped" else 4)  # the killed one left a batch in doubt

        due = journal.violet("migrate", "--dry-run", "--json").json["scripts"]
        status = journal.violet("status")
        assert (status.code, "lacks" in status.err) == ((3, True) if due else (2, False))
        refused = journal.violet(*command)
        assert refused.code == 3
        assert "another code (" in refused.err
        assert CODE_HASH in refused.err
        assert "--new-segment" in refused.err
        assert not (data / "backups").exists()
        assert journal.value(done) == at

        resumed = soak(data, scans=golden.LOG, batch_size=50, new_segment=True)
        assert (resumed.code, resumed.summary["state"]) == (unbroken[0].code, "ENDED"), resumed.err
        assert (resumed.run_id, resumed.hash) == (run["run_id"], unbroken[0].hash)
        numbered = [each["name"][:4] for each in due if each["name"][0].isdigit()]
        assert [each.name.split("-")[1] for each in backup.backups(data)] == numbered[:1]
        opened = journal.rows("SELECT segment, first_offset, code_hash FROM segments ORDER BY segment")
        at += BATCH if name == "killed" else 0  # the batch in doubt was redone in the segment that it was begun in
        assert [(each["segment"], each["first_offset"]) for each in opened] == [(1, 0), (2, at + 1)]
        assert opened[0]["code_hash"] == CODE_HASH != opened[1]["code_hash"]
        the_same(journal, run["run_id"], unbroken)
