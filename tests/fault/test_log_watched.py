"""What a broker may do to a topic while a run follows it, and between two starts: nothing of another log is journaled."""

import json
import shutil
import signal
import time

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from journal.refusal import Refusal
from reactor.evaluate.record import CUT_BYTES, DIGEST_HEADER, LENGTH_HEADER
from tests import broker as brokers
from tests.integration import records
from tests.integration.soaking import Topic, ended, interrupted, produce, producer, soak, until
from tests.integration.test_live import count
from tests.integration.test_publish import read
from tests.reactor.feed.test_sequence import FEEDS, HEAD, T0

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(180)]

JOURNALED = "SELECT sum(decisions + evaluations + planes + rejects) FROM batches WHERE run_id IN (SELECT run_id FROM runs WHERE name = {name:String})"
STREAMS = "SELECT stream, count() AS n, min(log_offset) AS first, max(log_offset) AS last FROM scans WHERE run_id = {run:String} GROUP BY stream ORDER BY stream"


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A Kafka of this module's own, whose files it may change: its home and itself."""
    home = tmp_path_factory.mktemp("kafka")
    with brokers.or_skip():
        broker = brokers.on_java(home)
    broker.start()
    yield home, broker
    broker.kill()


def filled(broker, lines, partitions=1):
    made = Topic(broker, broker.create_topic(partitions=partitions), len(lines))
    produce(broker.bootstrap, made.name, lines)
    return made


def followed(spawn, journal, made, count, *more):
    """A soak of its own process that follows a topic and has journaled all that is there."""
    flags = ["--bootstrap-servers", made.broker.bootstrap, "--topic", made.name, "--data", journal.data]
    process = spawn("soak", *flags, "--name", made.name, "--flush-ms", "50", "--json", *more)
    until(lambda: journal.value(JOURNALED, name=made.name) == count)
    return process


def anew(broker, made, lines):
    """The topic once more, with other records."""
    admin = broker.admin()
    admin.delete_topics([made.name])[made.name].result(10)
    until(lambda: made.name not in admin.list_topics(timeout=5).topics)
    time.sleep(0.5)
    broker.create_topic(made.name)
    produce(broker.bootstrap, made.name, lines)


def others(count):
    return [records.scan(n, stream="zzz") for n in range(count)]


def incidents(journal, run):
    rows = journal.rows("SELECT severity, code FROM incidents WHERE run_id = {run:String} ORDER BY at", run=run.run_id)
    return [(row["severity"], row["code"]) for row in rows]


def grow(broker, made, partitions):
    admin = broker.admin()  # held until the answer is there: its end ends the request
    admin.create_partitions([NewPartitions(made.name, partitions)])[made.name].result(10)
    time.sleep(1.0)


# -- partitions ----------------------------------------------------------------------------------------------------------


def test_partitions_that_are_added_are_read_from_their_beginning(journal, kafka, spawn):
    lines = records.plain(20)
    made = filled(kafka, lines)
    process = followed(spawn, journal, made, len(lines), "--taps", "all")
    grow(kafka, made, 3)
    for partition in (1, 2):
        produce(kafka.bootstrap, made.name, records.plain(30, stream=f"new{partition}"), partition)
    produce(kafka.bootstrap, made.name, [records.scan(900)])
    until(lambda: journal.value(JOURNALED, name=made.name) == len(lines) + 66 + 1)
    run = journal.run(made.name)
    assert (run.start, run.source["partitions"]) == ({"0": 0, "1": 0, "2": 0}, 3)
    assert ("WARN", "PARTITION_ADDED") in incidents(journal, run)
    opened = journal.rows("SELECT segment, partition, first_offset FROM segments WHERE run_id = {run:String} ORDER BY segment, partition", run=run.run_id)  # fmt: skip
    at = opened[1]["first_offset"]  # of the partition that was there
    assert [tuple(row.values()) for row in opened] == [(1, 0, 0), (2, 0, at), (2, 1, 0), (2, 2, 0)]
    assert at in (len(lines), len(lines) + 1)
    process.send_signal(signal.SIGINT)
    assert ended(process, 30).json["lost"] == 0

    grow(kafka, made, 4)  # while nobody follows
    produce(kafka.bootstrap, made.name, records.plain(10, stream="new3"), 3)
    process = followed(spawn, journal, made, len(lines) + 66 + 1 + 11)
    process.send_signal(signal.SIGINT)
    again = ended(process, 30).json
    assert (again["run_id"], again["lost"]) == (run.run_id, 0)
    assert [each["segment"] for each in again["segments"]] == [1, 2, 3]
    verified = journal.violet("verify", run.run_id, "--bootstrap-servers", kafka.bootstrap, "--json")
    assert (verified.json["identical"], verified.json["recomputed_from"]) == (True, "log")


def test_a_partition_whose_first_records_are_lost_is_a_gap(journal, kafka):
    made = filled(kafka, records.plain(20))
    interrupted(journal.data, name=made.name, batch_size=5, **made.source)
    grow(kafka, made, 2)
    produce(kafka.bootstrap, made.name, records.plain(20, stream="new"), 1)
    place = TopicPartition(made.name, 1, 4)
    admin = kafka.admin()
    admin.delete_records([place])[place].result(10)
    with pytest.raises(Refusal, match=r"partition 1 begins at 4.*--accept-gap"):
        soak(journal.data, **made.source, name=made.name)
    again = soak(journal.data, **made.source, name=made.name, accept_gap=True)
    assert ("WARN", "GAP_ACCEPTED") in incidents(journal, journal.run(made.name))
    assert again.summary["lost"] == 0
    assert {row["stream"]: row["first"] for row in journal.rows(STREAMS, run=again.run_id)}["new"] == 4


# -- another log under the same name --------------------------------------------------------------------------------------


@pytest.mark.parametrize("stopped", [True, False])
def test_a_topic_made_anew_while_it_is_followed_stops_the_run(journal, kafka, spawn, stopped):
    lines = records.plain(50)
    made = filled(kafka, lines)
    process = followed(spawn, journal, made, len(lines))
    if stopped:  # as a long pause of the machine: the client sees nothing of what happens
        process.send_signal(signal.SIGSTOP)
    anew(kafka, made, others(150))
    process.send_signal(signal.SIGCONT)
    said = ended(process, 40)
    assert (said.code, "was deleted and made anew" in " ".join(said.err.split())) == (3, True)
    run = journal.run(made.name)
    assert (run.state, "made anew" in run.reason) == ("STOPPED", True)
    assert ("ERROR", "LOG_CHANGED") in incidents(journal, run)
    assert [row["stream"] for row in journal.rows(STREAMS, run=run.run_id)] == ["ng7"]
    status = journal.violet("status", "--name", made.name)
    assert (status.code, "made anew" in status.out) == (1, True)


def test_a_topic_that_is_deleted_stops_the_run(journal, kafka, spawn):
    made = filled(kafka, records.plain(20))
    process = followed(spawn, journal, made, 22)
    admin = kafka.admin()
    admin.delete_topics([made.name])[made.name].result(10)
    assert ended(process, 40).code == 3
    assert "is gone from the broker" in journal.run(made.name).reason


@pytest.fixture
def rollback(mine):
    """rollback() at once keeps the broker's files; what it gives puts them back, as a disk restored from a snapshot."""
    home, broker = mine

    def keep():
        broker.stop()
        shutil.rmtree(home / "kept", ignore_errors=True)
        shutil.copytree(home / "log", home / "kept")
        broker.start()

        def restore():
            broker.kill()
            shutil.rmtree(home / "log")
            shutil.copytree(home / "kept", home / "log")
            broker.start()

        return restore

    return keep


@pytest.mark.parametrize("grown", [True, False])
def test_a_log_rolled_back_while_it_is_followed_stops_the_run(journal, mine, spawn, rollback, grown):
    broker = mine[1]
    made = filled(broker, records.plain(40))
    restore = rollback()
    produce(broker.bootstrap, made.name, [records.scan(n) for n in range(500, 530)])
    process = followed(spawn, journal, made, 74)
    process.send_signal(signal.SIGSTOP)
    restore()
    produce(broker.bootstrap, made.name, others(90 if grown else 5))
    process.send_signal(signal.SIGCONT)
    said = ended(process, 60)
    assert (said.code, "is not the log that was read" in " ".join(said.err.split())) == (3, True), said.err
    run = journal.run(made.name)
    assert [row["stream"] for row in journal.rows(STREAMS, run=run.run_id)] == ["ng7"]
    assert ("ERROR", "LOG_CHANGED") in incidents(journal, run)
    for flags in ({}, {"accept_gap": True}, {"new_segment": True}):
        with pytest.raises(Refusal, match="is not the log that was read"):
            soak(journal.data, bootstrap_servers=broker.bootstrap, topic=made.name, name=made.name, **flags)


def test_a_log_rolled_back_between_two_starts_is_refused(journal, mine, rollback):
    broker = mine[1]
    made = filled(broker, records.plain(40))
    restore = rollback()
    produce(broker.bootstrap, made.name, records.plain(30)[1:])
    source = made.source | {"until": "76"}
    left = interrupted(journal.data, 7, name=made.name, batch_size=10, **source)
    assert left.summary["records"] == 70
    restore()
    for more in ([], others(60)):  # shorter than what was read, then beyond it
        produce(broker.bootstrap, made.name, more)
        with pytest.raises(Refusal, match="is not the log that was read"):
            soak(journal.data, **source, name=made.name)
    assert journal.figures(left.run_id)["records"] == 70


def test_a_broker_that_comes_back_as_it_was_is_no_doubt(journal, mine, spawn):
    broker = mine[1]
    made = filled(broker, records.plain(20))
    process = followed(spawn, journal, made, 22, "--until", "44")
    broker.restart()
    produce(broker.bootstrap, made.name, records.plain(20, stream="after"))
    assert (ended(process, 60).json["records"], journal.run(made.name).state) == (44, "ENDED")


# -- what cannot be read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_a_corrupt_batch_is_named_and_a_gap_passes_exactly_it(journal, mine, codec):
    home, broker = mine
    made = Topic(broker, broker.create_topic(), 300)
    lines = [records.scan(n) for n in range(300)]
    for at in (0, 130, 137, 200):  # each a batch
        end = {0: 130, 130: 137, 137: 200, 200: 300}[at]
        produce(broker.bootstrap, made.name, lines[at:end], **{"linger.ms": 200, "compression.type": codec})
    broker.stop()
    (log,) = (home / "log" / f"{made.name}-0").glob("*.log")
    content, places = bytearray(log.read_bytes()), [0]
    while places[-1] < len(content):
        places.append(places[-1] + 12 + int.from_bytes(content[places[-1] + 8 : places[-1] + 12]))
    content[places[2] - 5] ^= 1  # in the second batch
    log.write_bytes(content)
    broker.start()
    with pytest.raises(Refusal, match=r"offsets 130 to 136 .*CRC32C.*--accept-gap"):
        soak(journal.data, **made.source, name=made.name)
    assert journal.value(JOURNALED, name=made.name) == 130
    with pytest.raises(Refusal, match="offsets 130 to 136"):
        soak(journal.data, **made.source, name=made.name)
    again = soak(journal.data, **made.source, name=made.name, accept_gap=True)
    assert (again.summary["records"], again.summary["lost"], again.summary["state"]) == (293, 0, "ENDED")
    assert journal.value("SELECT detail FROM incidents WHERE run_id = {run:String} AND code = 'GAP_ACCEPTED'", run=again.run_id) == "partition 0: offsets 130 to 136"  # fmt: skip
    verified = journal.violet("verify", again.run_id, "--bootstrap-servers", broker.bootstrap, "--json")
    assert verified.json["identical"]
    for table in ("evaluations", "decisions"):
        journal.store.command(
            f"ALTER TABLE violet_{table} DELETE WHERE run_id = '{again.run_id}' SETTINGS mutations_sync = 2"
        )
    said = journal.violet("heal", "--bootstrap-servers", broker.bootstrap, "--json")
    (healed,) = [run for run in said.json["runs"] if run["run_id"] == again.run_id]
    assert (healed["why"], journal.figures(again.run_id)["content_hash"]) == ("", again.hash)


POISON = [
    {LENGTH_HEADER: length, DIGEST_HEADER: digest}
    for length, digest in (
        (b"NaN", b"a" * 64), (b"-1", b"00"), (b"1" * 30, b"a" * 64), (None, None), (b"\xff", b"\xff" * 64),
        (b"900001", b"\xff" * 64), (b"", b""), (b"5", b"a" * 64),
    )
]  # fmt: skip


@pytest.mark.parametrize("name", ["tansu", "kafka"])
def test_poison_headers_are_a_reject_each(request, journal, name):
    broker = request.getfixturevalue(name)
    made = filled(broker, records.plain(50))
    writer = producer(broker.bootstrap)
    for headers in POISON:
        writer.produce(made.name, records.scan(7).ljust(CUT_BYTES), headers=headers)
    assert writer.flush(10) == 0
    produce(broker.bootstrap, made.name, [records.scan(n) for n in range(60, 70)])
    soaked = soak(journal.data, **made.source | {"until": "end"}, name=made.name)
    assert (soaked.summary["records"], soaked.summary["rejects"], soaked.summary["lost"]) == (55 + 8 + 10, 8, 0)
    verified = journal.violet("verify", soaked.run_id, "--json")  # from the stored inputs
    assert (verified.json["identical"], "stored" in verified.json["recomputed_from"]) == (True, True)


# -- a topic that `violet sequence` follows --------------------------------------------------------------------------------


@pytest.fixture
def sequence(kafka, spawn, tmp_path):
    """A topic of scans, the topic that it becomes the log of, and start(), which follows it."""
    made, out = Topic(kafka, kafka.create_topic(), 0), kafka.create_topic()
    config = tmp_path / "live.toml"
    feeds, fields = FEEDS["scans"]
    head = HEAD.format(name="scans", feeds=feeds).replace('file = "scans.jsonl"', f'topic = "{made.name}"')
    config.write_text(head + fields)
    where = ["--bootstrap-servers", kafka.bootstrap, "--topic", out, "--lateness-ms", 100, "--json"]
    return made, out, lambda: spawn("sequence", "--config", config, *where)


def rows(first, last):
    return [
        json.dumps({"t": T0 + 1_000 * n, "n": n, "p": {"BTCUSDT": 1.5}, "x": -0.03}).encode()
        for n in range(first, last)
    ]


def ids(kafka, topic, count):
    return [json.loads(message.value())["scan_id"] for message in read(kafka, topic, count)]


def test_a_sequence_stops_before_a_record_of_another_topic_and_does_not_go_on_with_it(kafka, sequence):
    made, out, start = sequence
    produce(kafka.bootstrap, made.name, rows(0, 20))
    process = start()
    until(lambda: count(kafka, out) == 20, 30)
    process.send_signal(signal.SIGSTOP)
    anew(kafka, made, rows(500, 560))
    process.send_signal(signal.SIGCONT)
    said = ended(process, 40)
    assert (said.code, "was deleted and made anew" in said.err) == (3, True)
    said = ended(start(), 40)
    assert (said.code, "was deleted and made anew" in said.err) == (3, True)
    assert ids(kafka, out, 20) == list(range(20))


def test_a_sequence_reads_partitions_that_are_added_from_the_next_start_on(kafka, sequence):
    made, out, start = sequence
    produce(kafka.bootstrap, made.name, rows(0, 20))
    process = start()
    until(lambda: count(kafka, out) == 20, 30)
    grow(kafka, made, 2)
    produce(kafka.bootstrap, made.name, rows(20, 30), 1)
    said = ended(process, 40)
    assert (said.code, "got partitions" in said.err) == (3, True)
    process = start()
    until(lambda: count(kafka, out) == 30, 30)
    process.send_signal(signal.SIGINT)
    assert ended(process, 30).code == 0
    assert ids(kafka, out, 30) == list(range(30))
