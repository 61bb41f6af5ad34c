"""Several soaks at the same time, of one directory or on one broker: each is as it would be alone."""

import signal

import pytest
from confluent_kafka import Consumer, TopicPartition

from journal.engine.address import attach
from journal.lock import engine_lock, held
from tests.fault.crash import whole
from tests.integration import records
from tests.integration.soaking import Journal, Topic, ended, free_of, produce, until

pytestmark = pytest.mark.slow

COUNT = 400
PROFILES = {"left": "blue_8b", "right": "v3_base9"}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """An archive for each name."""
    folder = tmp_path_factory.mktemp("archives")
    return {
        name: records.write(folder / f"{name}.jsonl", records.mixed(COUNT, seed=seed, long=False))
        for name, seed in (("left", 94), ("right", 95))
    }


@pytest.fixture(scope="module")
def alone(journal, archives):
    return {name: journal.soak(scans=archives[name], profile=PROFILES[name]) for name in PROFILES}


def command(name, data, *source):
    return ["soak", *source, "--profile", PROFILES[name], "--name", name, "--data", data, "--json", "--batch-size", 50]


def unharmed(data, alone, said):
    """Each run is whole, as it was alone, and nothing of the other's is in it; and everybody is gone."""
    free_of(data)
    for name, each in said.items():
        assert (each.code, each.json["content_hash"]) == (alone[name].code, alone[name].hash), each.err
        assert {count: each.json[count] for count in alone[name].counts} == alone[name].counts
    journal = Journal(data)
    try:
        for each in said.values():
            whole(journal.rows, each.json["run_id"], COUNT)
        incidents = journal.rows(
            "SELECT name, groupUniqArray(code) AS codes FROM incidents INNER JOIN runs USING (run_id) GROUP BY name"
        )
        places = journal.rows(
            "SELECT name, groupUniqArray(topic) AS topics, uniqExact(segment) AS segments FROM batches INNER JOIN runs USING (run_id) GROUP BY name"
        )
    finally:
        journal.close()
    return {row["name"]: set(row["codes"]) for row in incidents}, {row["name"]: row["topics"] for row in places}


def test_two_names_start_at_once_in_one_new_directory(tmp_path, spawn, archives, alone):
    """Both find no engine and start one; the slower takes the quicker's."""
    data = tmp_path / "data"
    started = {name: spawn(*command(name, data, "--scans", archives[name])) for name in PROFILES}
    codes, topics = unharmed(data, alone, {name: ended(process) for name, process in started.items()})
    assert codes == {name: {"STARTED", "ENDED"} for name in PROFILES}
    assert topics == {name: [f"violet.{name}.scans"] for name in PROFILES}


@pytest.mark.slow
@pytest.mark.parametrize("starter", ["ends", "is killed"])
def test_who_started_the_engine_goes_first_and_the_other_keeps_it(tmp_path, spawn, archives, alone, starter):
    data = tmp_path / "data"
    paced = ("--speed", "20x") if starter == "is killed" else ()
    first = spawn(*command("left", data, "--scans", archives["left"], *paced))
    until(lambda: attach(data))
    engine = held(engine_lock(data))
    second = spawn(*command("right", data, "--scans", archives["right"], "--speed", "3600x", "--flush-ms", 200))
    until((data / "locks/soak-right.lock").exists)
    if starter == "is killed":
        until((data / "broker-right-shadow.log").exists)
        first.kill()
        assert ended(first).code == -signal.SIGKILL
    else:
        left = ended(first)
    assert second.poll() is None
    assert held(engine_lock(data)) == engine
    right = ended(second)
    if starter == "is killed":
        free_of(data)
        left = ended(spawn(*command("left", data, "--scans", archives["left"])))
    codes, _ = unharmed(data, alone, {"left": left, "right": right})
    assert codes["right"] == {"STARTED", "ENDED"}  # the engine was not away for an instant


@pytest.mark.parametrize("directories", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_two_names_on_one_topic(journal, kafka, archives, tmp_path, spawn, directories):
    """Equal rows of equal offsets of one topic, twice: neither tokens, keys nor groups may be taken for the other's."""
    made = Topic(kafka, kafka.create_topic(), COUNT)
    produce(kafka.bootstrap, made.name, archives["left"].read_bytes().splitlines())
    calm = journal.soak(**made.source)
    data = [journal.data] * 2 if directories == 1 else [tmp_path / "one", tmp_path / "two"]
    names = [f"{made.name}-{side}" for side in ("one", "two")]
    flags = ["soak", *made.flags, "--json", "--batch-size", 40, "--name"]
    started = [spawn(*flags, name, "--data", folder) for name, folder in zip(names, data, strict=True)]
    for process, name in zip(started, names, strict=True):
        said = ended(process)
        assert (said.json["name"], said.json["content_hash"], said.code) == (name, calm.hash, calm.code)
        assert {count: said.json[count] for count in calm.counts} == calm.counts
        if directories == 1:
            whole(journal.rows, said.json["run_id"], COUNT)
        reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"{name}-shadow", "log_level": 0})
        (at,) = reader.committed([TopicPartition(made.name, 0)], timeout=10)
        reader.close()
        assert at.offset == COUNT
    for folder in set(data) - {journal.data}:
        free_of(folder)
