"""The children of a soak: when the broker or the feeder of an archive dies, the soak says so and can be gone on with."""

import os
import signal
from pathlib import Path

import pytest

from tests.integration import records
from tests.integration.soaking import ended, free_of, processes, until, violet

COUNT = 600


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return records.write(tmp_path_factory.mktemp("archive") / "a.jsonl", records.mixed(COUNT, long=False))


def child(spawned, mention):
    """The soak's own child with this in its command line."""
    found = [pid for pid in processes(mention) if parent(pid) == spawned.pid]
    return found[0] if found else None


def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return None


def journaled(data):
    """Whether anything is."""
    said = violet("sql", "SELECT count() AS n FROM batches", "--data", data, "--json")
    return said.code == 0 and said.json[0]["n"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mention", "words"),
    [("memory://violet/", "the embedded broker ended"), ("reactor.feed.feeder", "the archive could not be published")],
)
def test_a_child_that_dies_ends_the_soak_with_its_last_words(tmp_path, spawn, journal, archive, mention, words):
    calm = journal.soak(scans=archive)
    data = tmp_path / "data"
    command = ["soak", "--scans", archive, "--data", data, "--json", "--flush-ms", 200]
    process = spawn(*command, "--speed", "1200x")  # 20 s
    until(lambda: journaled(data), every_s=0.2)
    os.kill(child(process, mention), signal.SIGKILL)
    said = ended(process, 20)
    assert (said.code, said.out, words in " ".join(said.err.split())) == (3, "", True)
    free_of(data)
    again = ended(spawn(*command))
    assert again.json["content_hash"] == calm.hash
    free_of(data)


def test_a_soak_that_dies_takes_its_children_with_it(tmp_path, spawn, archive):
    data = tmp_path / "data"
    process = spawn("soak", "--scans", archive, "--data", data, "--speed", "1200x")
    broker, feeder = (
        until(lambda each=each: child(process, each)) for each in ("memory://violet/", "reactor.feed.feeder")
    )
    engine = until(lambda: child(process, "journal.engine.process"))
    process.kill()
    assert ended(process).code == -signal.SIGKILL
    until(lambda: {broker, feeder, engine}.isdisjoint(processes("")), 5.0)
    free_of(data)
