"""A disk that fills up: degraded, then halted before an outcome could be lost, then gone on with."""

import os
import subprocess

import pytest

from journal.refusal import Refusal
from tests.integration.soaking import Journal, interrupted, soak

SIZE = 96 << 20


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


def fill(folder, share):
    """Take so much of a file system that this share of it is used."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    usage = os.statvfs(folder)
    taken = usage.f_blocks - usage.f_bfree
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, int(usage.f_blocks * share - taken) * usage.f_frsize)


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
