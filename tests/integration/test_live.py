"""Live sequence on a broker: followed by a soak, its log is the truth."""

import json
import random
import signal
import time

import pytest

from tests.broker import NotOurs
from tests.integration.soaking import COUNTS, ended, produce, producer, until, violet
from tests.integration.test_publish import read
from tests.reactor.feed.test_sequence import FEEDS, HEAD, T0

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


class Sequencer:
    """`violet sequence` on the feeds, its output topic, and what arrives."""

    def __init__(self, spawn, broker, feeds):
        self.topics, self.config, self.windows = feeds
        self.spawn, self.broker, self.log = spawn, broker, f"log-{self.topics['scans']}"
        self._made = producer(broker.bootstrap, **{"enable.idempotence": True})

    def start(self, bootstrap=None):
        return self.spawn(
            "sequence", "--config", self.config, "--bootstrap-servers", bootstrap or self.broker.bootstrap,
            "--topic", self.log, "--lateness-ms", 1500, "--enrich", "irp,dc", "--json",
        )  # fmt: skip

    def arrive(self, some):
        for records in some:
            for name, record in records:
                partition = record["n"] % 2 * (name == "mc")
                self._made.produce(self.topics[name], json.dumps(record).encode(), partition=partition)
            assert self._made.flush(30.0) == 0

    def count(self):
        return count(self.broker, self.log)

    def whole(self):
        """Every record of the feeds is in the log once, in order; its messages."""
        messages = read(self.broker, self.log, TOTAL)
        found = [json.loads(m.value()) for m in messages]
        assert sorted((f.get("name", "scan"), f["ts_ms"], f.get("seq", f.get("scan_id"))) for f in found) == sorted(
            (FEEDS[name][0], record["t"], record["n"]) for records in self.windows for name, record in records
        )
        order = [f["ts_ms"] for f in found]
        assert order == sorted(order)
        return messages


@pytest.fixture
def sequencer(spawn, broker, feeds):
    return Sequencer(spawn, broker, feeds)


def stop(process, number=signal.SIGTERM):
    process.send_signal(number)
    out, err = process.communicate(30)
    return process.returncode, out, err


def archived(journal, messages, folder):
    """A soak of the archive of a log."""
    path = folder / "log.jsonl"
    path.write_bytes(b"".join(m.value() + b"\n" for m in messages))
    return journal.soak(scans=path)


@pytest.mark.slow
def test_a_live_log_is_in_order_survives_kills_and_soaks_as_its_archive(journal, broker, sequencer, tmp_path):
    dice = random.Random(8)
    running = sequencer.start()
    for first in range(0, WINDOWS, 2):
        sequencer.arrive(sequencer.windows[first : first + 2])
        if first:
            time.sleep(dice.uniform(0.0, 2.5))
        else:
            until(lambda: sequencer.count() >= EACH, 20.0)
        stop(running, signal.SIGKILL)
        running = sequencer.start()
    until(lambda: sequencer.count() == TOTAL, 30.0)
    code, out, err = stop(running)
    assert code == 0, err
    assert json.loads(out)["doubled"] == sum(each["late"] for each in json.loads(out)["sources"]) == 0
    messages = sequencer.whole()
    stamps = [json.loads(dict(m.headers())["violet-sequence"]) for m in messages]
    assert all(abs(s["arrival_ms"] - time.time() * 1000) < 120_000 for s in stamps)
    live = journal.soak(bootstrap_servers=broker.bootstrap, topic=sequencer.log, until=str(TOTAL))
    again = archived(journal, messages, tmp_path)
    assert live.counts == again.counts
    assert live.hash == again.hash
    assert live.counts["planes"] == TOTAL - WINDOWS * EACH
    assert "stand-in enrichment" in live.summary["verdict_basis"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
def test_a_broker_that_is_killed_and_comes_back_costs_neither_the_log_nor_the_soak_a_record(
    journal, spawn, broker, sequencer, tmp_path
):
    dice = random.Random(3)
    running = sequencer.start()
    sequencer.arrive(sequencer.windows[:1])
    until(lambda: sequencer.count() >= EACH, 20.0)
    soak = spawn(
        "soak", "--bootstrap-servers", broker.bootstrap, "--topic", sequencer.log, "--until", TOTAL,
        "--name", sequencer.log, "--data", journal.data, "--json",
    )  # fmt: skip
    seen = "SELECT count() FROM batches WHERE run_id IN (SELECT run_id FROM runs WHERE name = {name:String})"
    until(lambda: journal.value(seen, name=sequencer.log), 30.0)
    for first in range(1, WINDOWS, 5):
        sequencer.arrive(sequencer.windows[first : first + 5])
        time.sleep(dice.uniform(0.0, 0.3))  # some of it is not read yet
        try:
            broker.kill()
        except NotOurs as reason:
            pytest.skip(str(reason))
        time.sleep(dice.uniform(0.0, 1.0))
        broker.start()
        for each in (running, soak):
            assert each.poll() is None, ended(each).err
    until(lambda: sequencer.count() == TOTAL, 60.0)
    code, out, err = stop(running)
    assert code == 0, err
    assert json.loads(out)["doubled"] == sum(each["late"] for each in json.loads(out)["sources"]) == 0
    again = archived(journal, sequencer.whole(), tmp_path)
    live = ended(soak)
    assert {name: live.json[name] for name in (*COUNTS, "content_hash")} == again.counts | {"content_hash": again.hash}


@pytest.mark.slow
def test_a_second_sequencer_is_refused_here_and_shows_in_the_offsets_elsewhere(broker, sequencer):
    one = sequencer.start()
    sequencer.arrive(sequencer.windows[:1])
    until(lambda: sequencer.count() >= EACH, 20.0)
    said = ended(sequencer.start())
    assert (said.code, "another `violet sequence` or `violet publish` on this machine writes to" in said.err) == (
        3,
        True,
    ), said.err
    assert one.poll() is None
    # By another name of the broker it is as if on another machine: nothing here tells it of the first.
    other = sequencer.start(broker.bootstrap.replace("127.0.0.1", "localhost"))
    for window in range(1, WINDOWS):
        sequencer.arrive(sequencer.windows[window : window + 1])
        time.sleep(2.0)
        if one.poll() is not None or other.poll() is not None:
            break
    refused = [ended(each) for each in (one, other) if each.poll() is not None]
    assert refused
    for said in refused:
        assert said.code == 3
        assert "is another writer's: what came since may be there twice" in said.err
    for each in (one, other):
        if each.poll() is None:
            each.kill()
            each.communicate(10)


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
