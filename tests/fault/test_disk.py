"""A disk that fills up: degraded, then halted before an outcome could be lost, then gone on with. One that is full."""

import contextlib
import signal
import subprocess
import time

import pytest

from journal.keep.migrate import migrate
from journal.refusal import Refusal
from reactor.drill.machine import fill
from tests.fault.command_lines import MAPPING
from tests.integration import records
from tests.integration.soaking import (
    Journal,
    Topic,
    ended,
    free_of,
    interrupted,
    listing,
    produce,
    soak,
    until,
    violet,
)

SIZE = 192 << 20


@pytest.fixture
def small(tmp_path):
    """A file system of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        # Only root may mount, and not in every container; on a disk that is not its own the test must fill nothing.
        pytest.skip(f"no file system of its own can be mounted here: {error.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_degrades_and_halts_and_loses_nothing(small, topic, journal):
    calm = journal.soak(**topic.source)
    data = small / "data"
    fill(small, 0.87)
    left = interrupted(data, batch_size=100, **topic.source)
    fill(small, 0.93)
    halted = soak(data, **topic.source)
    assert (halted.code, halted.summary["state"], halted.run_id) == (1, "HALTED", left.run_id)
    assert halted.counts == left.counts
    assert "full" in halted.err
    with pytest.raises(Refusal, match="HALTED .*full.*--resume-halted"):
        soak(data, **topic.source)
    fill(small, 0.5)
    again = soak(data, resume_halted="room was made", **topic.source)
    assert (again.hash, again.counts, again.run_id) == (calm.hash, calm.counts, left.run_id)
    own = Journal(data)
    try:
        noted = own.rows(
            "SELECT severity, code, detail FROM incidents WHERE code IN ('DISK_SHORT', 'HALTED') ORDER BY at"
        )
    finally:
        own.close()
    assert [(row["severity"], row["code"]) for row in noted] == [("WARN", "DISK_SHORT"), ("ERROR", "HALTED")]
    assert "DEGRADED: the disk is 8" in noted[0]["detail"]


def full(folder):
    """Take the last byte of a file system."""
    with (folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("emptied", [True, False], ids=["emptied while it runs", "emptied after it was stopped"])
def test_a_disk_that_is_full_at_once_is_waited_for_or_stops_the_soak_and_nothing_is_lost(
    small, journal, session_tansu, spawn, emptied
):
    lines = records.mixed(600, long=False)
    topic = Topic(session_tansu, session_tansu.create_topic(), len(lines))
    produce(topic.broker.bootstrap, topic.name, lines)
    calm = journal.soak(**topic.source)
    topic = Topic(session_tansu, session_tansu.create_topic(), len(lines))
    produce(topic.broker.bootstrap, topic.name, lines[:200])
    data = small / "data"
    own = Journal(data)
    try:
        migrate(own.store, lambda name: None)
        process = spawn("soak", *topic.flags, "--data", data, "--name", "full", "--flush-ms", 100, "--json")
        until(lambda: own.value("SELECT sum(decisions + evaluations + planes + rejects) FROM batches") == 200, 60)
        full(small)
        for at in range(200, 400, 20):
            produce(topic.broker.bootstrap, topic.name, lines[at : at + 20])
            time.sleep(0.8)
        produce(topic.broker.bootstrap, topic.name, lines[400:])
        if not emptied:
            process.send_signal(signal.SIGTERM)
            said = ended(process, 60)
            assert said.code in (1, 3), said
            assert "full" in said.err or "space" in said.err, said.err
        (small / "ballast").unlink()
        if emptied:
            said = ended(process, 120)
            assert said.code in (1, 2), said
    finally:
        own.close()
    again = soak(data, name="full", resume_halted="room was made", **topic.source)
    assert (again.hash, again.counts, again.summary["state"]) == (calm.hash, calm.counts, "ENDED")


def read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def mended(folder):
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    (folder / "ballast").unlink(missing_ok=True)


def written(folder):
    """Files and their sizes, without what an engine notes of itself: pids.

    A data directory that was claimed and holds nothing yet counts as none: the next soak goes on there.
    """
    notes = ("engine/status", "engine.log", "engine.lock")
    files = ((path, folder / path) for path in listing(folder))
    return {
        path: file.stat().st_size
        for path, file in files
        if file.is_file() and not path.endswith(notes) and not path.startswith("another/")
    }


ON_THE_DISK = {
    "soak": ["--scans", "scans.jsonl"],
    "web": [],
    "serve": [],
    "migrate": [],
    "end": [],
    "replay": ["latest"],
    "rejects retry": ["--code", "EMPTY"],
    "blue import": ["--trades", "trades.csv"],
}
ASKED = {
    "sql": ["SELECT * FROM decisions ORDER BY log_offset"],
    "status": [],
    "runs": [],
    "gate": [],
    "verify": [],
    "explain": ["@9"],
    "lanes": [],
    "rejects": [],
    "tap": ["acb"],
    "blue look": [],
}
BESIDE = {
    "soak": ["--scans", "scans.jsonl", "--data", "small/another"],
    "sequence": ["--config", "map.toml", "--out", "small/out.jsonl"],
    "scan": ["--klines", "bars.csv", "--out", "small/out.jsonl.zst"],
    "blue simulate": ["--scans", "scans.jsonl", "--out", "small/out.csv"],
}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("spoil", [full, read_only], ids=["full", "read-only"])
def test_a_command_on_a_disk_it_cannot_write_answers_from_a_copy_or_says_so_in_a_line_and_leaves_nothing(
    small, tmp_path, monkeypatch, spoil
):
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    records.write(tmp_path / "scans.jsonl", records.plain(60))
    (tmp_path / "map.toml").write_text(MAPPING.format(file="scans.jsonl"))
    assert violet("blue", "simulate", "--scans", "scans.jsonl", "--out", "trades.csv").code == 0
    (tmp_path / "bars.csv").write_text(
        "symbol,open_time_ms,open,high,low,close,volume\n"
        + "".join(f"BTCUSDT,{1_746_000_000_000 + 60_000 * n},1,4,0.5,{1 + n % 3},1\n" for n in range(90))
    )
    left = interrupted(small / "data", batch_size=10, scans="scans.jsonl")
    answers = {name: violet(*name.split(), *more, "--data", "small/data") for name, more in ASKED.items()}
    older = Journal(small / "data")
    older.store.command("ALTER TABLE violet_migrations DELETE WHERE name = 'runs.sql' SETTINGS mutations_sync = 2")
    older.close()
    free_of(small / "data")
    spoil(small)
    before, beside = written(small), {path.name for path in tmp_path.iterdir()}
    for name, more in ASKED.items():
        said = violet(*name.split(), *more, "--data", "small/data")
        assert (said.code, said.err.count("\n")) == (answers[name].code, answers[name].err.count("\n") + 1), (
            name,
            said,
        )
        assert "small/data takes no writes (" in said.err, (name, said)
        if name != "status":  # which tells how full the disk is
            assert said.out == answers[name].out, name
        assert written(small) == before, name
    monkeypatch.setenv("TMPDIR", str(small))
    said = violet("gate", "--data", "small/data")
    assert (said.code, said.err.count("\n"), "fix: set TMPDIR" in said.err) == (3, 1, True), said
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == beside
    asked = [(name, [*more, "--data", "small/data"]) for name, more in ON_THE_DISK.items()] + [*BESIDE.items()]
    for name, more in asked:
        said = violet(*name.split(), *more)
        assert (said.code, said.err.count("\n")) == (3, 1), (name, said)
        assert said.err.startswith("violet: "), name
        assert ("No space left" in said.err) or ("Read-only" in said.err), (name, said.err)
        assert "; fix: " in said.err, (name, said.err)
        assert written(small) == before, name
    mended(small)
    again = soak(small / "data", scans="scans.jsonl")
    assert (again.run_id, again.summary["state"], again.counts["records"]) == (left.run_id, "ENDED", 66)
