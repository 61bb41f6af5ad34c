"""The brokers that tests run on, all of them real: Tansu always, Apache Kafka wherever it can be had.

Kafka comes from Maven's jars on the local Java, else from Docker, else it is at $VIOLET_TEST_KAFKA.
Brokers die with the thread that started them: start and restart them from the main thread.
"""

import fcntl
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

import pytest

from reactor.drill.broker import HEAP, STOP_S, OwnKafka, Topics
from reactor.log.tansu import Tansu, free_port

ROOT: Final = Path(__file__).parents[1]
POM: Final = ROOT / "tests/kafka/pom.xml"
VERSION: Final = re.search(r"kafka_2.13</artifactId>\s*<version>([\d.]+)", POM.read_text("utf-8"))[1]
JARS: Final = ROOT / ".kafka" / VERSION
IMAGE: Final = f"apache/kafka:{VERSION}"
ADDRESS: Final = "VIOLET_TEST_KAFKA"
FETCH_S: Final = 100.0


class NoKafka(Exception):
    """Why no Apache Kafka can be had here, one reason for each way."""


@contextmanager
def or_skip() -> Iterator[None]:
    """Skip a test that wants an Apache Kafka where none can be had, with what is missing; .ci/run installs it."""
    try:
        yield
    except NoKafka as reason:
        pytest.skip(f"no Apache Kafka: {reason}")


class NotOurs(Exception):
    """The broker at a given address is not the tests' to stop."""


class Broker(Protocol):
    """What every broker of the tests can do."""

    name: str
    bootstrap: str

    def create_topic(self, topic: str | None = None, partitions: int = 1, **config: str) -> str:
        """Create a topic, under a name of its own where none is given; returns the name."""


class EmbeddedTansu(Topics):
    """The broker that VIOLET embeds."""

    name = "Tansu (embedded, memory)"

    def __init__(self, broker: Tansu) -> None:
        self.bootstrap = broker.bootstrap


class KafkaBroker(OwnKafka):
    """One node of Apache Kafka in KRaft mode on the local Java. Started again, it keeps its port and log."""

    name = f"Apache Kafka {VERSION} (KRaft, local Java)"


class KafkaContainer(Topics):
    """The same in Docker, on a fixed port, so that a restart keeps it."""

    name = f"Apache Kafka {VERSION} (KRaft, Docker)"

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        environment = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.bootstrap}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "250",
            "KAFKA_BROKER_SESSION_TIMEOUT_MS": "1000",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS": "1000",
            "KAFKA_HEAP_OPTS": HEAP,
        }
        self._container = DockerContainer(IMAGE).with_bind_ports(9092, port)
        for key, value in environment.items():
            self._container.with_env(key, value)
        self._running = False

    def start(self) -> None:
        """Start and wait until it answers."""
        if self._running:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._running = True
        self.wait_ready()

    def stop(self) -> None:
        """Stop it in good order."""
        self._container.get_wrapped_container().stop(timeout=int(STOP_S))

    def kill(self) -> None:
        """SIGKILL."""
        self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        """Stop and start on the same log and port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Remove it."""
        self._container.stop()


class GivenKafka(Topics):
    """A broker at a given address."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.name = f"the Kafka at {bootstrap}"
        self.wait_ready()

    def start(self) -> None:
        raise NotOurs(f"{self.name} is not the tests' to start")

    def stop(self) -> None:
        raise NotOurs(f"{self.name} is not the tests' to stop")

    kill = restart = stop


@contextmanager
def tansu(home: Path) -> Iterator[EmbeddedTansu]:
    """A Tansu of its own."""
    with Tansu(home / "tansu.txt") as broker:
        yield EmbeddedTansu(broker)


@contextmanager
def kafka(home: Path) -> Iterator[KafkaBroker | KafkaContainer | GivenKafka]:
    """A Kafka of its own. Raises NoKafka with every reason why there is none."""
    way, reasons = ways()
    with ExitStack() as stack:
        if way == "jars":
            broker = KafkaBroker(home, jars())
            stack.callback(broker.kill)
            broker.start()
        elif way == "docker":
            broker = stack.enter_context(closing(KafkaContainer()))
            broker.start()
        elif way == "address":
            broker = GivenKafka(os.environ[ADDRESS])
        else:
            raise NoKafka("; ".join(reasons))
        yield broker


def on_java(home: Path) -> KafkaBroker:
    """A Kafka, not started, whose process a test may stop and whose files it may change.

    Those of a container and of a given address are out of reach. Raises NoKafka with what is missing here.
    """
    way, reasons = ways()
    if way != "jars":
        raise NoKafka("its process and its files must be within reach, and here " + "; ".join(reasons))
    return KafkaBroker(home, jars())


@functools.cache
def ways() -> tuple[str | None, list[str]]:
    """The way in which Kafka can be had here, and why the ways before it cannot."""
    reasons = []
    if not shutil.which("java"):
        reasons.append("no java on PATH")
    elif not JARS.is_dir() and not shutil.which("mvn"):
        reasons.append("no mvn on PATH to fetch Kafka's jars")
    else:
        return "jars", reasons
    if not shutil.which("docker"):
        reasons.append("no docker on PATH")
    elif subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode:
        reasons.append("Docker does not run")
    else:
        return "docker", reasons
    if os.environ.get(ADDRESS):
        return "address", reasons
    return None, [*reasons, f"${ADDRESS} is not set"]


def jars() -> Path:
    """The folder with Kafka's jars, fetched once. Raises NoKafka with what Maven said."""
    JARS.parent.mkdir(exist_ok=True)
    with (JARS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other pytest process may be fetching them
        if not JARS.is_dir():
            _fetch()
    return JARS


def _fetch() -> None:
    fresh = JARS.with_name(f"{VERSION}.{os.getpid()}")
    fetch = [
        "mvn",
        "-q",
        "-B",
        "-f",
        str(POM),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={fresh}",
    ]
    try:
        subprocess.run(fetch, check=True, capture_output=True, text=True, timeout=FETCH_S)
        fresh.rename(JARS)
    except subprocess.CalledProcessError as error:
        raise NoKafka(f"Maven did not bring Kafka's jars: {error.stdout[-500:]}") from None
    except subprocess.TimeoutExpired:
        raise NoKafka(f"Maven did not bring Kafka's jars within {FETCH_S:.0f} s") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
