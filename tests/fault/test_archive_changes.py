"""An archive that is written to while it is soaked: found, and said, and nothing waits for ever."""

import os

import pytest

from tests.integration import records
from tests.integration.soaking import ended, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
LAST = "SELECT max(last_offset) FROM batches WHERE run_id IN (SELECT run_id FROM runs WHERE name = {name:String})"


def shortened(path):
    os.truncate(path, path.stat().st_size * 6 // 10)


def rewritten(path):
    content = path.read_bytes().replace(b"94210.5", b"11111.5")
    with path.open("r+b") as file:
        file.write(content)


def torn(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\0" * 100_000)


def paced(spawn, journal, path, name):
    """A soak that takes about 20 s of its 400 minutes, and has begun."""
    flags = ["--scans", path, "--data", journal.data, "--name", name, "--speed", "1200x", "--flush-ms", "100"]
    process = spawn("soak", *flags, "--json")
    until(lambda: journal.value(LAST, name=name) > 10)
    return process


@pytest.mark.parametrize("change", [shortened, rewritten, torn])
def test_an_archive_that_changes_while_it_is_soaked_halts_the_run(journal, spawn, tmp_path, change):
    path = records.write(tmp_path / "a.jsonl", records.plain(400))
    process = paced(spawn, journal, path, change.__name__)
    change(path)
    said = ended(process, 30)
    run = journal.run(change.__name__)
    assert (said.code, said.json["verdict"], run.state) == (1, "FAIL", "HALTED")
    assert "changed while it was read" in run.reason


def test_an_archive_that_is_appended_to_is_read_as_it_was(journal, spawn, tmp_path):
    path = records.write(tmp_path / "a.jsonl", records.plain(150))
    process = paced(spawn, journal, path, "appended")
    with path.open("ab") as file:
        file.write(records.scan(9_999) + b"\n")
    said = ended(process, 40)
    assert (said.json["records"], said.json["lost"], said.json["state"]) == (165, 0, "ENDED")
    codes = journal.rows("SELECT severity, code FROM incidents WHERE code = 'LOG_CHANGED' AND run_id = {run:String}", run=said.json["run_id"])  # fmt: skip
    assert codes == [{"severity": "WARN", "code": "LOG_CHANGED"}]
