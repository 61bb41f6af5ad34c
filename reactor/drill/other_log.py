"""The log becomes another one: an archive or a topic that changes, is made anew, shortened, rolled back, damaged."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

from journal.judge import raw
from journal.ledger import run as runs
from reactor.drill import lines
from reactor.drill.broker import Topics
from reactor.drill.scenario import Scenario
from reactor.drill.stage import Process, Said, Stage, until

ENDS_S: Final = 60.0


# -- archives ------------------------------------------------------------------------------------------------------


def _shortened(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 6 // 10)


def _rewritten(path: Path) -> None:
    content = path.read_bytes().replace(b"94210.5", b"11111.5")
    with path.open("r+b") as file:
        file.write(content)


def _replaced(path: Path) -> None:
    other = path.with_suffix(".other")
    lines.write(other, [lines.scan(n, stream="zzz") for n in range(400)])
    other.rename(path)


def _archive(change: Callable[[Path], None]) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """An archive that is soaked at a pace changes under the soak."""
        path = lines.write(stage.folder / "a.jsonl", lines.plain(400))
        data, before = stage.folder / "data", path.read_bytes()
        flags = ["--scans", path, "--data", data, "--name", "paced", "--speed", "1200x", "--flush-ms", "100", "--json"]
        process = stage.start("soak", *flags)
        until(lambda: stage.journaled(data, "paced") > 10)
        change(path)
        stage.inject("the archive is another file", path.read_bytes() != before and process.poll() is None)
        said = process.ended(ENDS_S)
        stage.check("the run is HALTED: FAIL, exit code 1", (said.code, said.json["state"]), (1, "HALTED"))
        stage.check("it says why", "changed while it was read" in said.words)
        again = stage.violet("soak", *flags)
        stage.check("a start is refused", again.code, 3)

    return act


def another_archive(stage: Stage) -> None:
    """The archive of a run that was stopped is another one at the resume."""
    path = lines.write(stage.folder / "a.jsonl", lines.plain(300))
    flags = ["soak", "--scans", path, "--data", stage.folder / "data", "--json"]
    left = stage.start(*flags, "--batch-size", 50, seam="after_completion", at=2, signal="SIGINT").ended()
    lines.write(path, [lines.scan(n, stream="zzz") for n in range(300)])
    said = stage.violet(*flags)
    stage.inject("the archive is another one", left.code == 2)
    stage.check("the resume is refused", (said.code, said.out), (3, ""))
    with stage.journal(stage.folder / "data") as store:
        stage.check("no row of it stands in the run", set(raw.streams(store, "violet")), {"ng7"})


# -- topics --------------------------------------------------------------------------------------------------------


def _followed(stage: Stage, broker: Topics, topic: str, count: int, *more: object) -> Process:
    """A soak in the shared journal that follows a topic and has journaled all that is there."""
    _ = stage.world.store
    process = stage.start("soak", *stage.topic_flags(topic, topic=topic, broker=broker), "--flush-ms", 50, *more)
    until(lambda: raw.journaled(stage.world.store, topic) == count)
    return process


def _others(count: int) -> list[bytes]:
    return [lines.scan(n, stream="zzz") for n in range(count)]


def _check_stopped(stage: Stage, topic: str, said: Said, words: str, count: int) -> None:
    """Stopped with the reason, before a row of another log stands in the run."""
    store = stage.world.store
    stage.check("the soak ends with 3 and the reason", (said.code, words in said.words), (3, True))
    run = runs.find(store, name=topic)
    stage.check("the run is STOPPED", run and run.state, "STOPPED")
    stage.check("an incident LOG_CHANGED tells of it", "LOG_CHANGED" in stage.codes(store, topic))
    stage.check("no row of another log stands in the run", set(raw.streams(store, topic)), {"ng7"})
    stage.check("what was journaled stays", raw.journaled(store, topic), count)


def partitions_added(stage: Stage) -> None:
    """Two partitions are added to a topic while it is followed, and another one while nobody follows."""
    kafka, store = stage.world.kafka, stage.world.store
    topic = stage.world.filled(kafka, lines.plain(20))
    process = _followed(stage, kafka, topic, 22)
    kafka.grow(topic, 3)
    time.sleep(1.0)
    for partition in (1, 2):
        kafka.produce(topic, lines.plain(30, stream=f"new{partition}"), partition)
    until(lambda: raw.journaled(store, topic) == 22 + 66)
    stage.inject("partitions were added", process.poll() is None)
    stage.check("an incident PARTITION_ADDED tells of it", "PARTITION_ADDED" in stage.codes(store, topic))
    process.send(signal.SIGINT)
    stage.check("nothing is lost", process.ended().json["lost"], 0)
    kafka.grow(topic, 4)
    kafka.produce(topic, lines.plain(10, stream="new3"), 3)
    process = _followed(stage, kafka, topic, 22 + 66 + 11)
    process.send(signal.SIGINT)
    summary = process.ended().json
    stage.check("nothing is lost after the resume", summary["lost"], 0)
    stage.check_verify(stage.world.data, "--bootstrap-servers", kafka.bootstrap, run=summary["run_id"])


def _recreated(is_stopped: bool) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """A topic is deleted and made anew with more records than before."""
        kafka = stage.world.kafka
        topic = stage.world.filled(kafka, lines.plain(50))
        process = _followed(stage, kafka, topic, 55)
        if is_stopped:  # as a long pause of the machine: the client sees nothing of what happens
            process.send(signal.SIGSTOP)
        kafka.delete_topic(topic)
        kafka.create_topic(topic)
        kafka.produce(topic, _others(150))
        process.send(signal.SIGCONT)
        said = process.ended(ENDS_S)
        stage.inject("the topic is another one", kafka.end(topic) == 150)
        _check_stopped(stage, topic, said, "was deleted and made anew", 55)
        again = stage.violet("soak", *stage.topic_flags(topic, topic=topic, broker=kafka))
        stage.check("the resume is refused", again.code, 3)

    return act


def deleted(stage: Stage) -> None:
    """A topic is deleted while it is followed."""
    kafka = stage.world.kafka
    topic = stage.world.filled(kafka, lines.plain(20))
    process = _followed(stage, kafka, topic, 22)
    kafka.delete_topic(topic)
    stage.inject("the topic is gone", topic not in kafka.admin().list_topics(timeout=5).topics)
    _check_stopped(stage, topic, process.ended(ENDS_S), "is gone from the broker", 22)


def _rolled_back(grown: bool) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """The broker's disk is restored from a copy, and the log goes on with other records."""
        kafka, world = stage.world.kafka, stage.world
        topic = world.filled(kafka, lines.plain(40))
        kafka.stop()
        kept = stage.folder / "kept"
        shutil.copytree(kafka.home / "log", kept)
        kafka.start()
        kafka.produce(topic, [lines.scan(n) for n in range(500, 530)])
        process = _followed(stage, kafka, topic, 74)
        process.send(signal.SIGSTOP)
        kafka.kill()
        shutil.rmtree(kafka.home / "log")
        shutil.copytree(kept, kafka.home / "log")
        kafka.start()
        kafka.produce(topic, _others(90 if grown else 5))
        stage.inject("the log is rolled back", kafka.end(topic) == 44 + (90 if grown else 5))
        process.send(signal.SIGCONT)
        _check_stopped(stage, topic, process.ended(ENDS_S), "is not the log that was read", 74)
        again = stage.violet("soak", *stage.topic_flags(topic, topic=topic, broker=kafka), "--accept-gap")
        stage.check("the resume is refused", again.code, 3)

    return act


def corrupt_batch(stage: Stage) -> None:
    """A bit of the second of four batches is flipped on the broker's disk."""
    kafka, store = stage.world.kafka, stage.world.store
    topic, ends = kafka.create_topic(), (0, 130, 137, 200, 300)
    records = [lines.scan(n) for n in range(300)]
    for first, end in pairwise(ends):
        kafka.produce(topic, records[first:end], config={"linger.ms": 300})
    kafka.stop()
    file = kafka.log_file(topic)
    content, places = bytearray(file.read_bytes()), [0]
    while places[-1] < len(content):
        places.append(places[-1] + 12 + int.from_bytes(content[places[-1] + 8 : places[-1] + 12]))
    content[places[2] - 5] ^= 1
    file.write_bytes(content)
    kafka.start()
    flags = ["soak", *stage.topic_flags(topic, topic=topic, broker=kafka), "--until", 300]
    said = stage.violet(*flags)
    stage.inject("a batch of the log is corrupt", "CRC32C" in said.words)
    stage.check("it is named by its offsets", (said.code, "offsets 130 to 136" in said.words), (3, True))
    stage.check("what lies before it is journaled", raw.journaled(store, topic), 130)
    again = stage.violet(*flags, "--accept-gap").json
    stage.check("a gap passes exactly it", (again["records"], again["lost"], again["state"]), (293, 0, "ENDED"))
    stage.check("an incident GAP_ACCEPTED tells of it", "GAP_ACCEPTED" in stage.codes(store, topic))
    stage.check_verify(stage.world.data, "--bootstrap-servers", kafka.bootstrap, run=again["run_id"])


def retention(stage: Stage) -> None:
    """What a run needs next is deleted by retention while it is stopped."""
    kafka, store = stage.world.kafka, stage.world.store
    topic = stage.world.filled(kafka, [lines.scan(n) for n in range(200)])
    flags = ["soak", *stage.topic_flags(topic, topic=topic, broker=kafka), "--until", 200, "--batch-size", 40]
    left = stage.start(*flags, seam="after_completion", at=2, signal="SIGINT").ended()
    kafka.delete_records(topic, 150)
    said = stage.violet(*flags)
    stage.inject("records that were not read are gone", left.code == 2)
    stage.check("the resume is refused by the offset", (said.code, "--accept-gap" in said.words), (3, True))
    stage.check("nothing was journaled", raw.journaled(store, topic), left.json["records"])
    again = stage.violet(*flags, "--accept-gap").json
    stage.check("the gap is accepted: the rest is read", again["records"], left.json["records"] + 50)
    stage.check("an incident GAP_ACCEPTED tells of it", "GAP_ACCEPTED" in stage.codes(store, topic))


def tansu_deletes(stage: Stage) -> None:
    """A topic of the embedded kind of broker is deleted under a soak: the client library may crash."""
    broker, store = stage.world.broker, stage.world.store
    topic = stage.world.filled(broker, lines.plain(50))
    process = _followed(stage, broker, topic, 55)
    admin = broker.admin()
    admin.delete_topics([topic])[topic].result(10)
    said = process.ended(ENDS_S)
    stage.inject("the topic was deleted", said.code != 0)
    stage.check("no verdict is given", said.out, "")
    stage.check("what was journaled stays", raw.journaled(store, topic), 55)
    again = stage.violet("soak", *stage.topic_flags(topic, topic=topic, broker=broker))
    stage.check("the next start is refused", (again.code, again.out), (3, ""))


ANOTHER: Final = "the run is STOPPED with the reason, before a row of another log stands in it; a resume is refused"
HALTED: Final = "the run is HALTED with the reason: FAIL; nothing waits in silence"
SCENARIOS: Final = (
    Scenario("archive-shortened", "an archive is cut while it is soaked", HALTED, _archive(_shortened), quick=True),
    Scenario("archive-rewritten", "an archive is rewritten in place while it is soaked", HALTED, _archive(_rewritten)),
    Scenario("archive-replaced", "an archive is replaced by another file while it is soaked", HALTED,
             _archive(_replaced)),
    Scenario("archive-other", "a stopped run's archive is another one at the resume", "refused; no row of it",
             another_archive),
    Scenario("topic-made-anew", "a topic is deleted and made anew, with more records, while it is followed", ANOTHER,
             _recreated(is_stopped=False), quick=True),
    Scenario("topic-made-anew-unseen", "the same while the soak is stopped by SIGSTOP", ANOTHER,
             _recreated(is_stopped=True)),
    Scenario("topic-deleted", "a topic is deleted while it is followed", "the run is STOPPED with the reason", deleted),
    Scenario("log-rolled-back", "a broker's disk is restored, and the log grows past where the soak was", ANOTHER,
             _rolled_back(grown=True), quick=True),
    Scenario("log-shortened", "a broker's disk is restored, and the log is shorter than what was read", ANOTHER,
             _rolled_back(grown=False)),
    Scenario("partitions-added", "partitions are added to a topic, while it is followed and while it is not",
             "they are read from their beginning; an incident; nothing is lost", partitions_added, quick=True),
    Scenario("batch-corrupt", "a bit of a batch of the log is flipped on the broker's disk",
             "named by its offsets; what lies before it is journaled; --accept-gap passes exactly it", corrupt_batch,
             quick=True),
    Scenario("retention", "retention deletes what a stopped run needs next",
             "refused; with --accept-gap the gap is recorded", retention),
    Scenario("tansu-topic-deleted", "a Tansu broker deletes a topic that is followed",
             "the soak ends without a verdict (its client library may crash); the journal stays; a start is refused",
             tansu_deletes),
)  # fmt: skip
