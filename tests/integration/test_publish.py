"""Publishing: a topic holds exactly the archive's lines, whatever happens to the publisher."""

import hashlib
import random
import signal
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from reactor.feed.publish import fill
from reactor.log.connection import plain
from reactor.log.outlet import KafkaWriter
from tests.integration import records
from tests.integration.soaking import ended, produce, until, violet

BROKERS = pytest.mark.parametrize("broker", [pytest.param("tansu", marks=pytest.mark.slow), "kafka"])


def publish(broker, topic, path, *more):
    return violet(
        "publish", "--scans", path, "--bootstrap-servers", broker.bootstrap, "--topic", topic, "--json", *more
    )


def read(broker, topic, count, partition=0):
    """(value, headers) of the first `count` records, and proof that there are no more."""
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap, "group.id": "t", "enable.auto.commit": False, "log_level": 0}
    )
    consumer.assign([TopicPartition(topic, partition, 0)])
    found, deadline = [], time.monotonic() + 30.0
    try:
        while len(found) < count and time.monotonic() < deadline:
            found += [m for m in consumer.consume(10_000, 0.3) if m.error() is None]
        found += [m for m in consumer.consume(10, 0.5) if m.error() is None]
    finally:
        consumer.close()
    assert [m.offset() for m in found] == list(range(count))
    return found


@BROKERS
def test_every_line_lies_at_its_own_number(request, broker, mixed):
    broker = request.getfixturevalue(broker)
    lines = mixed.read_bytes().split(b"\n")[:-1]
    said = publish(broker, "whole", mixed)
    assert said.json == {"topic": "whole", "partitions": 1, "lines": 600, "published": 600, "there": 0}
    for line, message in zip(lines, read(broker, "whole", 600), strict=True):
        if len(line) <= 900_000:
            assert (message.value() or b"") == line
            assert message.key() in (b"ng7", None)


@BROKERS
def test_it_goes_on_where_the_topic_ends(request, broker, mixed):
    broker = request.getfixturevalue(broker)
    lines = mixed.read_bytes().split(b"\n")[:-1]
    topic = broker.create_topic()
    produce(broker.bootstrap, topic, lines[:250])
    assert publish(broker, topic, mixed).json == {
        "topic": topic,
        "partitions": 1,
        "lines": 600,
        "published": 350,
        "there": 250,
    }
    assert (read(broker, topic, 600)[599].value() or b"") == lines[599]


@pytest.mark.slow
def test_two_partitions_are_gone_on_with_each_from_its_own_end(kafka, two_streams, tmp_path):
    lines = two_streams.read_bytes().split(b"\n")[:-1]
    head = records.write(tmp_path / "head.jsonl", lines[:200])
    assert publish(kafka, "halves", head, "--partitions", 2).json["published"] == 200
    assert publish(kafka, "halves", two_streams, "--partitions", 2).json | {"there": 200, "published": 400} == {
        "topic": "halves", "partitions": 2, "lines": 600, "there": 200, "published": 400}  # fmt: skip
    refused = publish(kafka, "halves", two_streams, "--partitions", 3)
    assert refused.code == 3
    assert "--partitions 2" in refused.err


@pytest.mark.slow
def test_other_content_is_refused_and_nothing_is_added(kafka, tmp_path):
    lines = records.plain(40)
    topic = kafka.create_topic()
    produce(kafka.bootstrap, topic, [*lines[:20], records.scan(999), *lines[21:30]])
    refused = publish(kafka, topic, records.write(tmp_path / "a.jsonl", lines))
    assert refused.code == 3
    assert "offset 20" in refused.err
    assert "fresh topic" in refused.err
    longer = publish(kafka, topic, records.write(tmp_path / "b.jsonl", [*lines[:20], records.scan(999)]))
    assert longer.code == 3
    assert "more records" in longer.err
    read(kafka, topic, 30)


@pytest.mark.slow
def test_lines_too_long_for_a_broker_reject_with_the_digest_of_the_whole_line(kafka, journal, tmp_path):
    longs = [
        records.LONG[:900_001],
        b'{"v":1,' + b"y" * 5_000_000,
        records.scan(7, context={"a": "z" * 20_000}),
    ]
    lines = [records.scan(1), longs[0], records.scan(2), longs[1], longs[2], records.scan(3)]
    path = records.write(tmp_path / "long.jsonl", lines)
    topic = kafka.create_topic()
    assert publish(kafka, topic, path).json["published"] == 6
    assert [len(m.value()) for m in read(kafka, topic, 6)][1:4:2] == [16_384, 16_384]
    path.write_bytes(path.read_bytes().replace(b"yy\n", b"yx\n"))
    assert publish(kafka, topic, path).code == 3  # a cut line compares by its digest
    soaked = journal.soak(bootstrap_servers=kafka.bootstrap, topic=topic, until="6")
    sql = "SELECT log_offset, code, bytes, lower(digest) AS digest, length(raw) AS kept FROM rejects WHERE run_id = {run:String} ORDER BY log_offset"
    assert journal.rows(sql, run=soaked.run_id) == [
        {"log_offset": n, "code": "TOO_LARGE", "bytes": len(lines[n]), "kept": 16_384,
         "digest": hashlib.sha256(lines[n]).hexdigest()} for n in (1, 3)]  # fmt: skip
    assert (soaked.summary["decisions"], soaked.summary["lost"]) == (4, 0)


def killed_while_publishing(spawn, broker, path, topic, at_least):
    """Kill a publisher once this many records are there."""
    process = spawn("publish", "--scans", path, "--bootstrap-servers", broker.bootstrap, "--topic", topic)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "w", "log_level": 0})
    try:
        until(lambda: topic in consumer.list_topics(timeout=5.0).topics or process.poll() is not None)
        place = TopicPartition(topic, 0)
        until(
            lambda: consumer.get_watermark_offsets(place, timeout=5.0)[1] >= at_least or process.poll() is not None,
            every_s=0.001,
        )
        process.kill()
    finally:
        consumer.close()
    return ended(process).code


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_a_publisher_killed_midway_leaves_exactly_the_archive(kafka, spawn, tmp_path, times):
    count, dice = 60_000, random.Random(times)
    lines = [records.scan(n % 3_000) for n in range(count)]
    path = records.write(tmp_path / "many.jsonl", lines)
    cut = 0
    for number in range(times):
        topic = f"killed-{times}-{number}"
        cut += killed_while_publishing(spawn, kafka, path, topic, dice.randrange(1, count // 2)) == -signal.SIGKILL
        said = publish(kafka, topic, path)
        assert said.code == 0, said.err
        assert said.json["there"] + said.json["published"] == count
        assert (
            hashlib.sha256(b"".join(m.value() for m in read(kafka, topic, count))).digest()
            == hashlib.sha256(b"".join(lines)).digest()
        )
    assert cut  # at least one of them was really in the middle


def test_a_line_that_is_due_within_a_millisecond_is_not_spun_for(kafka, tmp_path):
    waits = []

    class Watched(KafkaWriter):
        def serve(self, seconds):
            waits.append(seconds)
            super().serve(seconds)

    path = records.write(tmp_path / "a.jsonl", records.plain(400))
    writer = Watched(plain(kafka.bootstrap), kafka.create_topic(), "paced")
    assert fill(path, writer, [0], pace=60_000.0) == (440, 0)  # 1,000 scans a second
    assert 0 < len(waits) <= 400
    assert min(waits) >= 0.001  # the client's waits are whole milliseconds


@pytest.mark.slow
def test_a_second_publisher_of_this_machine_is_refused(tansu, spawn, tmp_path):
    path = records.write(tmp_path / "two.jsonl", records.plain(2_000))
    topic = tansu.create_topic()
    line = ["publish", "--scans", path, "--bootstrap-servers", tansu.bootstrap, "--topic", topic, "--speed", "600x"]
    first = spawn(*line)
    until(lambda: ended_at(tansu, topic) > 10, 30)
    said = ended(spawn(*line), 30)
    assert (said.code, f"writes to {topic!r}; fix:" in said.err) == (3, True), said.err
    first.kill()
    count = len(path.read_bytes().splitlines())
    assert publish(tansu, topic, path).json["lines"] == count
    read(tansu, topic, count)


@BROKERS
def test_a_foreign_producer_that_writes_in_between_is_found(request, broker, spawn, tmp_path):
    """Else line n would no longer be offset n, and nobody would know."""
    broker = request.getfixturevalue(broker)
    path, topic = records.write(tmp_path / "long.jsonl", records.plain(2_000)), broker.create_topic()
    line = ["publish", "--scans", path, "--bootstrap-servers", broker.bootstrap, "--topic", topic, "--speed", "600x"]
    first = spawn(*line)
    until(lambda: ended_at(broker, topic) > 10, 30)
    produce(broker.bootstrap, topic, [b"{}"])
    said = ended(first, 60)
    assert (said.code, said.out) == (3, "")
    (words,) = [each for each in said.err.splitlines() if "another writer's" in each]
    assert words.startswith("violet: offset ")


def ended_at(broker, topic):
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "t", "log_level": 0})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10, cached=False)[1]
    finally:
        consumer.close()
