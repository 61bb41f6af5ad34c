"""SIGKILL at every step and at any moment: every offset one outcome, once, and the hash of the undisturbed run."""

import os
import random
import signal
import time

import pytest

from journal.engine.address import attach
from journal.lock import engine_lock, held
from journal.store import JournalRefused, connect
from reactor.cli.drilled import SEAMS
from tests.fault.crash import Crashing, completed, whole
from tests.integration import records
from tests.integration.soaking import COUNTS, Journal, Topic, ended, free_of, produce, soak, until

COUNT = 1_200
STORM = [pytest.mark.storm, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def lines():
    return records.mixed(COUNT, long=False)


@pytest.fixture(scope="module")
def archive(tmp_path_factory, lines):
    return records.write(tmp_path_factory.mktemp("archive") / "a.jsonl", lines)


@pytest.fixture(scope="module")
def on_kafka(session_kafka, lines):
    made = Topic(session_kafka, session_kafka.create_topic(), COUNT)
    produce(made.broker.bootstrap, made.name, lines)
    return made


@pytest.fixture(scope="module")
def calm(journal, on_kafka):
    return journal.soak(**on_kafka.source)


def source(request, backend):
    """Flags of the same records on either backend."""
    if backend == "embedded":
        return ["--scans", request.getfixturevalue("archive")]
    return request.getfixturevalue("on_kafka").flags


def undisturbed(rows, said, calm):
    """It came out as if nothing had been."""
    summary = said.json
    assert (summary["content_hash"], summary["state"], said.code) == (calm.hash, "ENDED", calm.code)
    assert {name: summary[name] for name in COUNTS} == calm.counts
    whole(rows, summary["run_id"], COUNT)


def test_a_soak_comes_to_every_step(journal, on_kafka):
    heard = set()
    soak(journal.data, heard.add, name="steps", **on_kafka.source)
    assert heard == set(SEAMS)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["kafka", pytest.param("embedded", marks=STORM)])
def test_killed_at_each_step_in_turn(request, journal, calm, spawn, backend):
    command = [*source(request, backend), "--data", journal.data, "--batch-size", 80]
    crashing = Crashing(spawn, journal.rows, command, f"steps-{backend}")
    for number, seam in enumerate(SEAMS):
        assert crashing.kill(lambda process: None, seam=seam, at=1 + number % 2), f"it never came to {seam}"
        if seam in ("after_completion", "after_commit"):
            assert completed(journal.rows, crashing.run_id)
    undisturbed(journal.rows, crashing.finish(), calm)
    crashing.look()
    assert crashing.kills == len(SEAMS)


def test_an_intent_without_a_completion_is_read_again_exactly(journal, calm, spawn, on_kafka):
    """The batch size of the resume is another one, and still the batch in doubt keeps its range."""
    command = [*on_kafka.flags, "--data", journal.data]
    crashing = Crashing(spawn, journal.rows, [*command, "--batch-size", 70], "doubt")
    assert crashing.kill(lambda process: None, seam="after_evaluations", at=2)
    again = Crashing(spawn, journal.rows, [*command, "--batch-size", 33], "doubt")
    undisturbed(journal.rows, again.finish(), calm)
    spans = sorted(completed(journal.rows, crashing.run_id))
    assert [(first, last) for _, first, last in spans][:3] == [(0, 69), (70, 139), (140, 172)]
    batches = (
        "SELECT phase, uniqExact(first_offset) AS n FROM violet_batches WHERE run_id = {run:String} GROUP BY phase"
    )
    assert (
        len({row["n"] for row in journal.rows(batches, run=crashing.run_id)}) == 1
    )  # no intent was left without an end


class Storm:
    """Kills of a soak of a directory of its own, or of its engine."""

    def __init__(self, data, spawn, command, seed):
        self.data, self.spawn, self.dice = data, spawn, random.Random(seed)
        self.command = [*command, "--data", data, "--flush-ms", 20]

    def soaks(self, times, size):
        """Kill the soak at random moments, its engine and broker going with it."""
        crashing = Crashing(self.spawn, None, [*self.command, "--batch-size", size], "storm")
        while crashing.kills < times:
            crashing.kill(lambda process: self.after(process, self.dice.uniform(0.2, 2.0)))
        return crashing

    def after(self, process, seconds):
        time.sleep(seconds)
        process.kill()

    def journals(self):
        """Whether a batch is being journaled, or was."""
        if (address := attach(self.data)) is None:
            return False
        try:
            with connect(address) as store:
                return bool(store.rows("SELECT 1 FROM violet_batches LIMIT 1"))
        except JournalRefused:  # its tables are not made yet
            return False

    def engines(self, times, size):
        """Kill the engine of one soak at random moments, once it journals; it goes on by itself."""
        process, killed = self.spawn("soak", *self.command, "--batch-size", size, "--name", "storm", "--json"), set()
        until(self.journals, 60, 0.01)
        while len(killed) < times and process.poll() is None:
            serving = attach(self.data) and held(engine_lock(self.data))  # one that never answered refuses the soak
            for pid in {serving.pid} - killed if serving else ():
                time.sleep(self.dice.uniform(0.0, 1.5) if killed else 0.0)
                if process.poll() is None:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.05)
        return process, killed


def judged(data, said, calm):
    """Nothing of the storm is left, and the journal is whole."""
    free_of(data)
    journal = Journal(data)
    try:
        undisturbed(journal.rows, said, calm)
        runs = journal.rows("SELECT run_id, state FROM runs")
        for row in runs:  # a kill behind the end, while it sums up, leaves an Ended run, and the next soak is another
            assert row["state"] == "ENDED"
            assert journal.figures(row["run_id"]) | calm.counts | {"content_hash": calm.hash} == journal.figures(
                row["run_id"]
            )
            whole(journal.rows, row["run_id"], COUNT)
        assert journal.violet("verify", "--json").json["verdict"] == "PASS"
        return len(runs), journal.rows("SELECT code, severity, detail FROM incidents ORDER BY at")
    finally:
        journal.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "times"),
    [("kafka", 3), pytest.param("kafka", 20, marks=STORM), pytest.param("embedded", 20, marks=STORM)],
)
def test_a_soak_killed_at_random_moments(request, tmp_path, spawn, calm, backend, times):
    storm = Storm(tmp_path / "data", spawn, source(request, backend), seed=times)
    crashing = storm.soaks(times, 10 if times > 9 else 60)
    said = crashing.finish()
    runs, incidents = judged(storm.data, said, calm)
    assert runs <= 1 + times // 5  # nearly every kill was in the middle of one
    if times >= 20:  # a few kills may all come before the first record, on a busy machine
        assert sum(row["code"] == "RESUMED" for row in incidents) >= times // 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "times"),
    [("embedded", 2), pytest.param("kafka", 20, marks=STORM), pytest.param("embedded", 20, marks=STORM)],
)
def test_an_engine_killed_at_random_moments(request, tmp_path, spawn, calm, backend, times):
    storm = Storm(tmp_path / "data", spawn, source(request, backend), seed=times)
    process, killed = storm.engines(times, 8 if times > 9 else 60)
    said = ended(process, 110)
    assert said.code == calm.code, said.err
    _, incidents = judged(storm.data, said, calm)
    assert len(killed) >= times // 2
    assert {("JOURNAL_AWAY", "WARN"), ("ENGINE_RESTARTED", "INFO")} <= {(r["code"], r["severity"]) for r in incidents}
