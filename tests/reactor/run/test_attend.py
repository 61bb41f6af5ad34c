"""Attend: whole soaks without a command, who watches them, the disk, the signals."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from journal.refusal import Integrity, Refusal
from lanes.code import Incident, Mode
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.log.kafka import BrokerFailed, LogGap
from reactor.log.scout import LogChanged
from reactor.run import attend
from reactor.run.attend import Watcher, soak
from reactor.run.settings import load
from tests.integration import records
from tests.integration.soaking import Journal, free_of

ROOT = Path(__file__).parents[3]
LINES = records.mixed(300)
SILENT = """
import json, sys
from reactor.run.attend import soak
from reactor.run.settings import load

scans, data = sys.argv[1:]
hashes = [soak(load({"scans": scans, "data": data, "name": name}))["content_hash"] for name in ("first", "second")]
outside = ("reactor.cli.", "reactor.topology.", "reactor.watch.", "reactor.web.", "reactor.standin.", "faust.", "click.", "rich.")
print(json.dumps([hashes, [name for name in sys.modules if f"{name}.".startswith(outside)]]))
"""


def content_hash():
    """Of the archive, by one step over all of it."""
    chunk = Chunk(0, [*range(len(LINES))], [*LINES])
    cut = len(LINES) // 2  # the one line that is too long
    chunk.values[cut] = b"{"
    batch = step(State(), chunk, Rules(PROFILES["blue_8b"]), Decoder(), topic="t", segment=1, expected=0)
    return f"{batch.content_hash:016x}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return records.write(tmp_path_factory.mktemp("archive") / "scans.jsonl", LINES)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """A data directory whose engine stays up, so that a soak costs what a soak costs."""
    opened = Journal(tmp_path_factory.mktemp("attend") / "data")
    yield opened
    opened.close()


class Log(Watcher):
    """Keeps what it is called with."""

    def __init__(self):
        self.calls, self.modes, self.codes, self.session = [], [], [], None

    def begin(self, session, connect, stack):
        self.session = session
        self.calls.append("begin")
        stack.callback(lambda: self.calls.append("closed"))

    def expect(self, total, behind):
        self.calls.append(("expect", total, behind))

    def batch(self, batch):
        self.calls.append(("batch", batch.last))

    def incident(self, note):
        self.codes.append(note.code)

    def mode(self, mode, why):
        self.modes.append((mode, why))

    def rest(self):
        self.calls.append("rest")


def settings(journal, archive, name, **more):
    return load({"scans": archive, "data": journal.data, "name": name, **more}, environ={})


# -- whole soaks ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_soaks_in_one_process_need_no_command_no_topology_and_no_observer(archive, tmp_path):
    data = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-c", SILENT, str(archive), str(data)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.stderr == ""
    assert json.loads(done.stdout) == [[content_hash(), content_hash()], []]
    free_of(data)


@pytest.mark.slow
def test_the_example_of_the_page_runs(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans.jsonl").symlink_to(archive)
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/soak.md").read_text("utf-8"), re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out.split()[1:] == [content_hash()]


@pytest.mark.slow
def test_a_soak_that_is_told_to_stop_is_left_stopped_and_the_next_call_resumes_it(journal, archive):
    first, second = Log(), Log()
    small = settings(journal, archive, "stopped", batch_size=100)
    left = soak(small, first, stop=lambda: ("batch", 99) in first.calls)
    assert left["state"] == "STOPPED"
    assert first.calls == ["begin", ("expect", 300, 0), ("batch", 99), "rest", "closed"]
    done = soak(small, second)
    assert second.calls == ["begin", ("expect", 200, 100), ("batch", 199), ("batch", 299), "rest", "closed"]
    assert (done["run_id"], done["state"], done["content_hash"]) == (left["run_id"], "ENDED", content_hash())
    assert first.codes == [Incident.STARTED, Incident.STOPPED]
    assert second.codes == [Incident.RESUMED, Incident.ENDED]


def test_a_soak_without_a_log_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(Refusal, match="fix: give scans, or bootstrap_servers and topic"):
        soak(load({"data": tmp_path / "data"}, environ={}))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("more", "words"), [({"scans": "nothing.jsonl"}, "no such file"), ({"data": __file__}, "is a file")]
)
def test_what_cannot_be_read_is_refused_before_anything_is_written(tmp_path, archive, more, words):
    with pytest.raises(Refusal, match=words):
        soak(load({"data": tmp_path / "data", "scans": archive, **more}, environ={}))
    assert [*tmp_path.iterdir()] == []


# -- what ends a soak ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (BrokerFailed("the topic went away; fix: look at the broker"), "the topic went away"),
        (LogGap("offset 5 is gone"), "--accept-gap goes on behind the gap"),
    ],
)
def test_a_log_that_fails_leaves_the_run_stopped_with_the_reason(journal, archive, fault, words):
    class Fails(Log):
        def look(self):
            raise fault

    name = f"fails-{type(fault).__name__}"
    with pytest.raises(Refusal, match=words) as refusal:
        soak(settings(journal, archive, name), Fails())
    assert "the run is Stopped, and the same command resumes it" in str(refusal.value)
    assert (journal.run(name).state, journal.run(name).reason) == ("STOPPED", str(fault))
    assert soak(settings(journal, archive, name))["content_hash"] == content_hash()


def test_another_log_leaves_the_run_stopped_with_an_error(journal, archive):
    class Changes(Log):
        def look(self):
            raise LogChanged("the topic was made anew; fix: --new")

    with pytest.raises(Refusal, match="made anew; fix: --new; the run is Stopped$"):
        soak(settings(journal, archive, "changes"), Changes())
    run = journal.run("changes")
    assert (run.state, run.reason) == ("STOPPED", "the topic was made anew; fix: --new")
    sql = "SELECT severity, code FROM incidents WHERE run_id = {run:String} AND code = 'LOG_CHANGED'"
    assert journal.rows(sql, run=run.run_id) == [{"severity": "ERROR", "code": "LOG_CHANGED"}]


def test_a_contradiction_halts_the_run_and_still_gives_its_summary(journal, archive):
    class Contradicts(Log):
        def look(self):
            raise Integrity("two and two are five")

    watcher = Contradicts()
    assert soak(settings(journal, archive, "halted"), watcher)["state"] == "HALTED"
    assert watcher.modes == [(Mode.HALTED, "two and two are five")]
    assert watcher.calls[-2:] == ["rest", "closed"]


# -- the disk ------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_short_degrades_the_soak_once_and_pauses_its_taps(journal, archive, monkeypatch):
    monkeypatch.setattr(attend, "DISK_TAPS", 0.0)
    monkeypatch.setattr(attend, "DISK_DEGRADED", 0.0)
    monkeypatch.setattr(attend, "LOOK_S", 0.0)
    watcher = Log()
    done = soak(settings(journal, archive, "short", taps="acb", batch_size=100), watcher)
    assert [mode for mode, _ in watcher.modes] == [Mode.DEGRADED]
    assert watcher.codes.count(Incident.DISK_SHORT) == 1
    assert done["content_hash"] == content_hash()
    assert done["taps"]["acb"]["sent"] == 0


def test_a_disk_that_is_full_halts_the_soak_before_it_journals_more(journal, archive, monkeypatch):
    monkeypatch.setattr(attend, "DISK_HALT", 0.0)
    watcher = Log()
    left = soak(settings(journal, archive, "full"), watcher)
    assert (left["state"], left["records"]) == ("HALTED", 0)
    assert "nothing is journaled" in watcher.modes[0][1]
