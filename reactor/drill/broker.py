"""Apache Kafka on the local Java, as a drill's own, and what somebody else may do to topics of any broker.

This is the other side of the log: whoever owns the topics makes them, fills them, deletes them. No soak imports it.
See docs/design/faults.md.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from journal import tied
from journal.refusal import Refusal
from reactor.log.tansu import free_port

READY_S: Final = 60.0
STOP_S: Final = 15.0
ASK_S: Final = 10.0
HEAP: Final = "-Xmx512m"
JAR: Final = re.compile(r"kafka_2\.13-(\d+(?:\.\d+)+)\.jar")


class NotAtHand(Exception):
    """What a scenario needs and this machine does not have, with what would bring it."""


class Topics:
    """Topics of the broker at `bootstrap`."""

    bootstrap: str
    ready_s: float = READY_S

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def create_topic(self, topic: str | None = None, partitions: int = 1, **config: str) -> str:
        """Create a topic, under a name of its own where none is given; returns the name."""
        name = topic or f"t-{uuid.uuid4().hex[:12]}"
        admin = self.admin()  # held until the answer is there: its end ends the request
        admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(ASK_S)
        return name

    def delete_topic(self, topic: str) -> None:
        """Delete a topic; returns when it is gone."""
        admin = self.admin()
        admin.delete_topics([topic])[topic].result(ASK_S)
        deadline = time.monotonic() + ASK_S
        while topic in admin.list_topics(timeout=ASK_S).topics and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)  # the name is free a moment later

    def grow(self, topic: str, partitions: int) -> None:
        """Have so many partitions in a topic."""
        admin = self.admin()
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(ASK_S)

    def delete_records(self, topic: str, before: int) -> None:
        """Delete what lies before an offset of partition 0, as retention does."""
        admin, place = self.admin(), TopicPartition(topic, 0, before)
        admin.delete_records([place])[place].result(ASK_S)

    def produce(
        self, topic: str, lines: Iterable[bytes | None], partition: int = 0,
        headers: Mapping[str, bytes | None] | None = None, key: bytes | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Put records into a topic as they are; None is a tombstone."""
        asked = {"bootstrap.servers": self.bootstrap, "linger.ms": 5, "log_level": 0, **(config or {})}
        made = Producer(asked)
        for number, each in enumerate(lines):
            if number % 50_000 == 49_999:
                made.flush(STOP_S)
            made.produce(topic, each, key, partition, headers=dict(headers) if headers else None)
        if left := made.flush(STOP_S):
            raise TimeoutError(f"{left} records were not taken by {self.bootstrap}")

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset behind the last record."""
        place = TopicPartition(topic, partition)
        return int(self._ask(f"end-{topic}", lambda reader: reader.get_watermark_offsets(place, ASK_S)[1]))

    def committed(self, group: str, topic: str) -> int:
        """What a group committed of partition 0; negative where it did not."""
        return int(self._ask(group, lambda reader: reader.committed([TopicPartition(topic, 0)], ASK_S)[0].offset))

    def commit(self, group: str, topic: str, offset: int) -> None:
        """Commit an offset of partition 0 for a group, as an operator who resets it."""
        self._ask(group, lambda reader: reader.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False))

    def _ask(self, group: str, ask: Any) -> Any:
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "log_level": 0})
        try:
            return ask(reader)
        finally:
            reader.close()

    def wait_ready(self) -> None:
        """Until the broker answers and every partition has a leader."""
        deadline = time.monotonic() + self.ready_s
        while not self.ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.bootstrap} was not ready within {self.ready_s:.0f} s")
            time.sleep(0.05)

    def ready(self) -> bool:
        """Whether the broker answers and every partition has a leader now."""
        try:
            cluster = self.admin().list_topics(timeout=1.0)
        except KafkaException:
            return False
        partitions = [p for topic in cluster.topics.values() for p in topic.partitions.values()]
        return bool(cluster.brokers) and all(p.leader >= 0 for p in partitions)


class GivenBroker(Topics):
    """Topics of a broker that somebody else started."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap


class OwnKafka(Topics):
    """One node of Apache Kafka in KRaft mode on the local Java. Started again, it keeps its port and log."""

    def __init__(
        self, home: Path, jars: Path, more: Mapping[str, str] | None = None, users: Sequence[str] = ()
    ) -> None:
        """home: an empty folder for its config, log and output.

        jars: a folder with Kafka's jars. more: settings of its own. users: what `--add-scram` takes of each.
        """
        port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        self.home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._java = ["java", HEAP, "-XX:+UseSerialGC", "-cp", f"{jars}/*"]
        self._config = home / "server.properties"
        settings = _settings(self.bootstrap, controller, home / "log") | dict(more or {})
        self._config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), "utf-8")
        # One that began with a hyphen would be taken for an option.
        cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        storage = [*self._java, "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster]
        scram = [word for user in users for word in ("--add-scram", user)]
        subprocess.run([*storage, "-c", str(self._config), *scram], check=True, capture_output=True, timeout=READY_S)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process that is Java."""
        if self._process is None:
            raise AssertionError("must have been started")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers."""
        with (self.home / "out.txt").open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, tied.__file__, str(os.getpid()), *self._java, "kafka.Kafka", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            self.wait_ready()
        except TimeoutError as error:
            self.kill()
            raise TimeoutError(f"{error}: {(self.home / 'out.txt').read_text('utf-8')[-1000:]}") from None

    def stop(self) -> None:
        """Stop it in good order; kill it where it takes too long over that."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same log and port."""
        self.stop()
        self.start()

    def ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise TimeoutError(f"the broker ended with {self._process.returncode}")
        return super().ready()

    def log_file(self, topic: str) -> Path:
        """The file with the records of partition 0."""
        (found,) = (self.home / "log" / f"{topic}-0").glob("*.log")
        return found

    def _end(self, by: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(by)
        self._process.send_signal(signal.SIGCONT)  # one that is stopped would not hear of it
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def find_jars(given: Path | None) -> Path:
    """A folder with Kafka's jars, given or fetched by `make test` in this checkout. Raises NotAtHand."""
    if shutil.which("java") is None:
        raise NotAtHand("no java on PATH; fix: install a Java runtime, 17 or newer")
    for folder in [given, given / "libs"] if given is not None else sorted(Path(".kafka").glob("*"), reverse=True):
        if any(JAR.fullmatch(path.name) for path in folder.glob("kafka_*.jar")):
            return folder.resolve()
    if given is not None:
        raise Refusal(f"{given} has no jar of Apache Kafka; fix: name the folder of its download, which has `libs`")
    raise NotAtHand("no Apache Kafka at hand; fix: --kafka DIR, the folder of its download, which has `libs`")


def _settings(bootstrap: str, controller: int, log: Path) -> dict[str, str]:
    """Settings of a node that is broker and controller, and small."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://{bootstrap},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://{bootstrap}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(log),
        "broker.heartbeat.interval.ms": "250",
        "broker.session.timeout.ms": "1000",  # a start after a SIGKILL waits for the old session to end
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "log.retention.check.interval.ms": "1000",
        "log.segment.delete.delay.ms": "1000",
    }


class GroupMember:
    """A foreign consumer in a group."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        asked = {"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0, "session.timeout.ms": 6_000}
        self._consumer = Consumer({**asked, "enable.auto.commit": False})
        self._consumer.subscribe([topic])

    def joined(self, within_s: float) -> bool:
        """Whether it got a partition."""
        deadline = time.monotonic() + within_s
        while not self._consumer.assignment() and time.monotonic() < deadline:
            self._consumer.poll(0.1)
        return bool(self._consumer.assignment())

    def close(self) -> None:
        self._consumer.close()
