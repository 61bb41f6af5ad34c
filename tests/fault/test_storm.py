"""All at once on Apache Kafka: records keep coming, two machines take the run from each other, partitions are added."""

import random
import signal
import threading
import time
from contextlib import suppress

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewPartitions

from tests.fault.crash import OUTCOMES
from tests.integration import records
from tests.integration.soaking import COUNTS, ended, producer, until

pytestmark = [pytest.mark.slow, pytest.mark.kafka]
PARTITIONS = 4  # at the end; it begins with one
RATE = 300  # records/s


class Load(threading.Thread):
    """Records for every partition there is, each with a stream of its own, until `stop`."""

    def __init__(self, bootstrap, topic):
        super().__init__(daemon=True)
        # A client asks anew how many partitions there are only after minutes.
        self._producer = producer(bootstrap, **{"topic.metadata.refresh.interval.ms": 500})
        self.topic, self.partitions = topic, 1
        self._left = [iter(records.mixed(200_000, (f"s{p}",), p, long=False)) for p in range(PARTITIONS)]
        self._over, self.sent = threading.Event(), [0] * PARTITIONS

    def run(self):
        n = 0
        while not self._over.wait(10 / RATE):
            for _ in range(10):
                partition = n % self.partitions
                with suppress(KafkaException):  # it does not know the partition yet
                    self._producer.produce(
                        self.topic, next(self._left[partition]), partition=partition, on_delivery=self._delivered
                    )
                n += 1
            self._producer.poll(0)

    def _delivered(self, error, message):
        if error is None:
            self.sent[message.partition()] += 1

    def stop(self):
        self._over.set()
        self.join(10)
        assert self._producer.flush(20) == 0
        return sum(self.sent)


class Storm:
    """Two machines that soak one name on one server, and what was done to them."""

    def __init__(self, journal, server, flags, seed):
        self._journal, self._server, self._flags, self._dice = journal, server, flags, random.Random(seed)
        self.kills = self.fenced = self.refused = 0

    def start(self, machine, *flags):
        return self._server(f"machine{machine}", "storm", *(flags or self._flags), "--flush-ms", "50")

    def has_claimed(self, process):
        """It is the one that writes."""
        sql = "SELECT argMax(who, epoch) FROM violet_claims WHERE name = 'storm'"
        until(lambda: self._journal.value(sql).startswith(f"pid {process.pid} "), 60)

    def a_while(self, most_s=2.5):
        time.sleep(self._dice.uniform(0.2, most_s))

    def kill(self, process):
        process.kill()
        said = ended(process)
        self.kills += said.code == -signal.SIGKILL
        assert said.code == -signal.SIGKILL, said.err

    def stop_and_wake(self, process, machine):
        """It is stopped until the other machine has taken the run, and wakes up beside it."""
        self.has_claimed(process)
        process.send_signal(signal.SIGSTOP)
        other = self.start(1 - machine)
        self.has_claimed(other)
        self.a_while()
        process.send_signal(signal.SIGCONT)
        said = ended(process, 30)
        assert (said.code, said.out) == (3, ""), said.err
        self.fenced += "taken over by" in said.err
        return other

    def beside(self, process, machine):
        """The other machine tries while this one works."""
        self.has_claimed(process)
        said = ended(self.start(1 - machine), 60)
        self.refused += said.code == 3 and "is written to this journal by" in said.err

    def rage(self, times, grow):
        machine = 0
        for step in range(10 * times):
            if self.kills >= times:
                return
            process, roll = self.start(machine), self._dice.random()
            self.a_while()
            if step % 10 == 4:
                process, machine = self.stop_and_wake(process, machine), 1 - machine
            elif step % 10 == 8:
                self.beside(process, machine)
            grow(self.kills)
            self.kill(process)
            machine = 1 - machine if roll < 0.1 else machine


@pytest.mark.parametrize("times", [10, pytest.param(120, marks=pytest.mark.storm)])
@pytest.mark.timeout(2_400)
def test_kills_take_overs_and_partitions_that_are_added(journal, kafka, server, times):
    topic = kafka.create_topic()
    admin = kafka.admin()
    load = Load(kafka.bootstrap, topic)
    place = ("--bootstrap-servers", kafka.bootstrap, "--topic", topic)

    def grow(kills):
        if load.partitions < PARTITIONS and kills >= load.partitions * times // PARTITIONS:
            admin.create_partitions([NewPartitions(topic, load.partitions + 1)])[topic].result(10)
            load.partitions += 1

    load.start()
    storm = Storm(journal, server, (*place, "--batch-size", "40"), seed=times)
    storm.rage(times, grow)
    sent = load.stop()
    until(lambda: len(admin.list_topics(topic, timeout=5).topics[topic].partitions) == PARTITIONS, 10)
    said = ended(storm.start(0, *place, "--until", "end"), 300)
    calm = journal.soak(bootstrap_servers=kafka.bootstrap, topic=topic, until="end")

    summary = said.json
    assert (summary["content_hash"], summary["state"]) == (calm.hash, "ENDED"), said.err
    assert {name: summary[name] for name in COUNTS} == calm.counts
    assert (summary["lost"], summary["doubled"], summary["corrupt"], summary["records"]) == (0, 0, 0, sent)
    kinds = " UNION ALL ".join(
        f"SELECT partition, log_offset FROM violet_{kind} FINAL WHERE run_id = {{run:String}}" for kind in OUTCOMES
    )
    found = journal.rows(
        "SELECT partition, count() AS n, uniqExact(log_offset) AS offsets, min(log_offset) AS first, "
        f"max(log_offset) + 1 AS end FROM ({kinds}) GROUP BY partition ORDER BY partition",
        run=summary["run_id"],
    )
    assert [tuple(row.values()) for row in found] == [(p, n, n, 0, n) for p, n in enumerate(load.sent)]
    codes = {row["code"] for row in journal.rows("SELECT code FROM incidents WHERE run_id = {run:String}", run=summary["run_id"])}  # fmt: skip
    assert {"FENCED", "PARTITION_ADDED", "RESUMED"} <= codes
    assert storm.fenced >= times // 12
    assert storm.refused
