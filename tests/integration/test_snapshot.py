"""A snapshot of a journal that is being written: a data directory of its own, whole, and never a second writer unseen."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from journal.keep import snapshot
from journal.keep.origin import origins
from journal.refusal import Refusal
from tests.integration import records
from tests.integration.soaking import Journal, ended, listing, soak, until, violet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


@pytest.fixture
def scans(tmp_path):
    return records.write(tmp_path / "scans.jsonl", records.every_plane() + records.plain(1_000))


@pytest.fixture
def calm(scans, journal):
    return journal.soak(scans=scans)


def taken(data, target):
    """A snapshot of a soak that has journaled something; None where it has not yet."""
    said = violet("snapshot", target, "--data", data, "--json")
    if said.code == 3 and "lacks" in said.err:  # its tables are not made yet
        return None
    assert said.code == 0, said.err
    if any(said.json["origin"]["runs"].values()):
        return said.json
    shutil.rmtree(target)
    return None


def codes(data, run_id):
    journal = Journal(data)
    try:
        return [
            row["code"] for row in journal.rows("SELECT code FROM incidents WHERE run_id = {run:String}", run=run_id)
        ]
    finally:
        journal.close()


def test_snapshots_of_a_soak_at_full_speed_resume_to_the_same_hash(tmp_path, scans, calm, spawn):
    """Many batches, so that one is open nearly always; each snapshot goes on as a soak that was killed there."""
    data = tmp_path / "data"
    process = spawn("soak", "--scans", scans, "--data", data, "--json", "--batch-size", 20)
    until((data / "writer.json").exists, 60)
    made = []
    while process.poll() is None and len(made) < 2:
        if (each := taken(data, tmp_path / f"s{len(made)}")) is not None:
            made.append(each)
    left = ended(process, 120).json
    assert (left["content_hash"], left["doubled"]) == (calm.hash, 0)
    assert not (data / "engine/shadow/snapshot").exists()
    assert made
    for each in made:
        assert each["linked"]
        again = soak(each["path"], scans=scans, batch_size=20)
        assert again.run_id == left["run_id"]
        assert (again.hash, again.counts) == (calm.hash, calm.counts)
        assert codes(Path(each["path"]), left["run_id"]).count("COPY_RESUMED") == 1
    assert violet("verify", "--data", made[0]["path"]).code == 0


def test_a_snapshot_goes_on_only_while_its_original_does_not(tmp_path, scans, calm, spawn):
    data, copy = tmp_path / "data", tmp_path / "copy"
    process = spawn("soak", "--scans", scans, "--data", data, "--json", "--batch-size", 50, "--speed", "600x")
    until((data / "writer.json").exists, 60)
    until(lambda: taken(data, copy), 60)
    said = violet("soak", "--scans", scans, "--data", copy)
    assert (said.code, f"{data}/locks/soak-violet.lock is locked by pid {process.pid}" in said.err) == (3, True), (
        said.err
    )
    assert violet("gate", "--data", copy).code in (0, 1, 2)
    os.kill(process.pid, signal.SIGTERM)
    assert ended(process).code == 2
    other = spawn("soak", "--scans", scans, "--data", copy, "--json", "--speed", "600x")
    until(lambda: (copy / "locks/soak-violet.lock").exists() and "pid" in (copy / "locks/soak-violet.lock").read_text())
    until(lambda: f"{other.pid}" in (data / "locks/soak-violet.lock").read_text(), 30)
    said = violet("soak", "--scans", scans, "--data", data)
    assert (said.code, f"locked by pid {other.pid}" in said.err) == (3, True), said.err
    os.kill(other.pid, signal.SIGTERM)
    ended(other)
    again = soak(copy, scans=scans)
    assert (again.hash, again.counts) == (calm.hash, calm.counts)
    shutil.rmtree(data)
    assert soak(copy, scans=scans, new=True).hash == calm.hash  # the original is gone, and keeps nobody


def test_what_was_made_wrong_is_not_there(tmp_path, scans, monkeypatch):
    data = tmp_path / "data"
    soak(data, scans=scans)
    for target in (data / "engine/x", data):
        said = violet("snapshot", target, "--data", data)
        assert (said.code, said.err.count("\n")) == (3, 1), said.err
    copy = snapshot._copy

    def spoilt(source, target, *, is_live):
        copy(source, target, is_live=is_live)
        if not is_live:
            file = max(target.rglob("data.bin"), key=lambda path: path.stat().st_size)
            raw = bytearray(file.read_bytes())
            raw[len(raw) // 2] ^= 1
            file.unlink()  # a hard link: the original's bytes stay
            file.write_bytes(raw)

    monkeypatch.setattr(snapshot, "_copy", spoilt)
    before = {n: size for n, size in listing(tmp_path).items() if n.startswith("data/engine/store")}
    said = violet("snapshot", tmp_path / "copy", "--data", data)
    assert (said.code, "not what was written" in said.err) == (3, True), said.err
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / ".copy.part").exists()
    assert before
    assert violet("verify", "--data", data).code == 0


def test_a_record_of_an_original_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "origin-snapshot.json").write_text("{")
    with pytest.raises(Refusal, match=r"origin-snapshot.json cannot be read"):
        origins(tmp_path)
