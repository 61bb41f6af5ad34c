"""Live sequence on a broker: followed by a soak, its log is the truth."""

import json
import random
import signal
import time

import pytest

from tests.integration.soaking import produce, producer, until, violet
from tests.integration.test_publish import read
from tests.reactor.market.test_sequence import FEEDS, HEAD, T0

WINDOWS, EACH = 10, 4
TOTAL = WINDOWS * EACH * len(FEEDS)


@pytest.fixture
def feeds(broker, tmp_path):
    """Six topics, one of two partitions, the mapping that follows them, and what arrives in them, window by window, out of order."""
    topics = {name: broker.create_topic(partitions=1 + (name == "mc")) for name in FEEDS}
    config = tmp_path / "live.toml"
    config.write_text(
        "".join(
            HEAD.format(name=n, feeds=f).replace(f'file = "{n}.jsonl"', f'topic = "{topics[n]}"') + fields
            for n, (f, fields) in FEEDS.items()
        )
    )
    dice = random.Random(5)
    windows = []
    for window in range(WINDOWS):
        records = [
            (name, {"t": T0 + 60_000 * window + dice.randrange(60_000), "n": window * EACH + n, "p": {"BTCUSDT": 1.5},
                    "x": -0.03 if name == "scans" else round(dice.random(), 6)})
            for name in FEEDS for n in range(EACH)
        ]  # fmt: skip
        dice.shuffle(records)
        windows.append(records)
    return topics, config, windows


@pytest.mark.slow
def test_a_live_log_is_in_order_survives_a_restart_and_soaks_as_its_archive(journal, spawn, broker, feeds, tmp_path):
    topics, config, windows = feeds
    log_topic = f"log-{topics['scans']}"

    made = producer(broker.bootstrap)

    def start():
        return spawn(
            "sequence", "--config", config, "--bootstrap-servers", broker.bootstrap, "--topic", log_topic,
            "--lateness-ms", 1500, "--enrich", "irp,dc", "--json",
        )  # fmt: skip

    def arrive(some):
        for records in some:
            for name, record in records:
                made.produce(topics[name], json.dumps(record).encode(), partition=record["n"] % 2 * (name == "mc"))
            assert made.flush(20.0) == 0

    def stop(process, number):
        process.send_signal(number)
        out, err = process.communicate(20)
        return process.returncode, out, err

    running = start()
    arrive(windows[:5])
    until(lambda: count(broker, log_topic) >= EACH, 20.0)
    stop(running, signal.SIGKILL)
    running = start()
    arrive(windows[5:])
    until(lambda: count(broker, log_topic) == TOTAL, 20.0)
    code, out, err = stop(running, signal.SIGTERM)
    assert code == 0, err
    assert sum(each["late"] for each in json.loads(out)["sources"]) == 0
    messages = read(broker, log_topic, TOTAL)
    found = [json.loads(m.value()) for m in messages]
    assert sorted((f.get("name", "scan"), f["ts_ms"], f.get("seq", f.get("scan_id"))) for f in found) == sorted(
        (FEEDS[name][0], record["t"], record["n"]) for records in windows for name, record in records
    )
    order = [f["ts_ms"] for f in found]
    assert order == sorted(order)
    stamps = [json.loads(dict(m.headers())["violet-sequence"]) for m in messages]
    assert all(abs(s["arrival_ms"] - time.time() * 1000) < 120_000 for s in stamps)
    live = journal.soak(bootstrap_servers=broker.bootstrap, topic=log_topic, until=str(TOTAL))
    archive = tmp_path / "log.jsonl"
    archive.write_bytes(b"".join(m.value() + b"\n" for m in messages))
    again = journal.soak(scans=archive)
    assert live.counts == again.counts
    assert live.hash == again.hash
    assert live.counts["planes"] == TOTAL - WINDOWS * EACH
    assert "stand-in enrichment" in live.summary["verdict_basis"]


def count(broker, topic):
    """How many records of a topic can be read."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "c", "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return sum(m.error() is None for m in consumer.consume(TOTAL + 1, 0.5))
    finally:
        consumer.close()


@pytest.mark.parametrize("broker", ["tansu"], indirect=True)
def test_wrong_usage_is_refused(broker, feeds, tmp_path):
    topics, config, _ = feeds
    where = ("--bootstrap-servers", broker.bootstrap, "--topic")
    both = tmp_path / "both.toml"
    both.write_text(config.read_text() + HEAD.format(name="file", feeds="mc") + 'scale = "x"\n')
    for arguments, said in (
        ((config,), "topics are followed into a topic"),
        ((config, *where, "x", "--dry-run"), "topics are followed into a topic"),
        ((config, *where, topics["mc"]), "must be a topic other than the output"),
        ((both, *where, "x"), "source 'file' must be a topic"),
        ((config, *where, broker.create_topic(partitions=2)), "must have one partition, has 2"),
    ):
        refused = violet("sequence", "--config", *arguments)
        assert refused.code == 3
        assert said in refused.err
    other = broker.create_topic()
    produce(broker.bootstrap, other, [b"{}"])
    assert "is not of `violet sequence`" in violet("sequence", "--config", config, *where, other).err
    config.write_text(config.read_text().replace(topics["mc"], "nowhere"))
    assert "topic 'nowhere' is not on" in violet("sequence", "--config", config, *where, broker.create_topic()).err
