"""ClickHouse or the broker is away under a soak that follows a live topic: told within ten seconds, obeyed within five.

And nothing is lost. The long form of each outage takes three minutes and is part of the storm.
"""

import os
import signal
import time
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest

from journal.engine.address import WRITER, read
from journal.lock import engine_lock, held
from reactor.drill.proxy import Proxy
from reactor.log.tansu import free_port
from reactor.run import attend
from tests import broker as brokers
from tests.fault.crash import whole
from tests.integration import records
from tests.integration.soaking import Journal, ended, free_of, processes, produce, until, violet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

COUNT, FIRST, THEN = 600, 200, 400
KNOWN_S = 10.0  # after which an outage must be known
LEFT_S = 5.0  # after which a soak that is told to stop must be gone
SKETCHES = ["--sketches"] if find_spec("tdigest") else []
AWAY_S = [
    pytest.param(12.0, id="short"),
    pytest.param(180.0, id="three-minutes", marks=pytest.mark.storm),
]


@pytest.fixture(scope="module")
def lines():
    return records.mixed(COUNT, long=False)


@pytest.fixture(scope="module")
def calm(journal, topic):
    return journal.soak(**topic.source)


class Soaking:
    """A soak that follows a topic, with metrics, and a journal of the directory's engine or of a server.

    went_at: when something went away.
    """

    def __init__(self, spawn, folder, broker, lines, url=None, token=""):
        self._spawn, self._lines, self.data, self.broker = spawn, lines, folder / "data", broker
        self.topic, self.port = broker.create_topic(), free_port()
        self._environ = {"VIOLET_JOURNAL_PASSWORD": token} if url else {}
        self.where = ["--data", self.data]
        if url:
            config = folder / "server.toml"
            config.write_text(f'[journal]\nurl = "{url}"\nuser = "{WRITER}"\n', "utf-8")
            self.where += ["--config", config]
        self.more(0, FIRST)
        self.start()
        until(lambda: self.metric("violet_outcomes_total") == FIRST, 30)

    def start(self):
        flags = ["--bootstrap-servers", self.broker.bootstrap, "--topic", self.topic, "--until", COUNT, *self.where]
        watched = ["--metrics-port", self.port, *SKETCHES, "--flush-ms", 20, "--json"]
        self.process = self._spawn("soak", *flags, *watched, environ=self._environ)

    def more(self, first, end):
        produce(self.broker.bootstrap, self.topic, self._lines[first:end])

    def asked(self, sql):
        said = violet("sql", sql, *self.where, "--json")
        return said.json if said.code == 0 else [{"n": None}]

    def incidents(self, code):
        return self.asked(f"SELECT severity, detail FROM incidents WHERE code = '{code}' ORDER BY at")

    def said(self):
        return " ".join(self.process.err.read_text().split())

    def metric(self, name):
        """Its value, the sum of its labels' where it has some, or 0 where it is not there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as reply:
                found = [line for line in reply.read().decode().splitlines() if line.startswith(name)]
        except OSError:
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def goes(self):
        self.went_at = time.monotonic()

    def within(self, holds, seconds=KNOWN_S):
        until(holds, max(0.1, self.went_at + seconds - time.monotonic()))

    def stop(self):
        """SIGTERM, and its end in time."""
        began = time.monotonic()
        os.kill(self.process.pid, signal.SIGTERM)
        left = ended(self.process)
        assert time.monotonic() - began < LEFT_S
        return left

    def whole(self, calm):
        """The run came to its end as if nothing had been."""
        summary = ended(self.process, 90).json
        assert (summary["content_hash"], summary["records"], summary["lost"], summary["doubled"], summary["state"]) == (
            calm.hash, COUNT, 0, 0, "ENDED",
        )  # fmt: skip
        whole(lambda sql, run: self.asked(sql.replace("{run:String}", f"'{run}'")), summary["run_id"], COUNT)


# -- ClickHouse ------------------------------------------------------------------------------------------------------------


class Server:
    """An engine that is a server to the soak; stopped, killed, or behind a port that is closed."""

    def __init__(self, folder, way):
        self._folder, self._way, self.open = folder, way, Journal(folder)
        address = read(folder, WRITER)
        self._proxy = Proxy(urlsplit(address.url).port) if way == "closed" else None
        self.token, self.url = address.token, self._proxy.url if self._proxy else address.url
        self._pid = held(engine_lock(folder)).pid

    def go(self):
        if self._proxy:
            self._proxy.go()
        else:
            os.kill(self._pid, signal.SIGSTOP if self._way == "stopped" else signal.SIGKILL)

    def come(self):
        if self._proxy:
            self._proxy.come()
        elif self._way == "stopped":
            os.kill(self._pid, signal.SIGCONT)
        else:
            self.open.close()
            self.open = Journal(self._folder)

    def close(self):
        if self._proxy:
            self._proxy.go()
        self.open.close()


class Embedded:
    """The directory's engine, stopped; one that is killed is started again at once."""

    url, token = None, ""

    def __init__(self, folder):
        self._lock = engine_lock(folder / "data")

    def go(self):
        self._pid = held(self._lock).pid
        os.kill(self._pid, signal.SIGSTOP)

    def come(self):
        with suppress(ProcessLookupError):  # the soak that ended took it along
            os.kill(self._pid, signal.SIGCONT)

    def close(self):
        """The soak ends it."""


@pytest.fixture(params=["stopped", "killed", "closed", "embedded"])
def clickhouse(request, tmp_path, monkeypatch):
    made = Embedded(tmp_path) if request.param == "embedded" else Server(tmp_path / "server", request.param)
    if made.url:
        monkeypatch.setenv("VIOLET_JOURNAL_PASSWORD", made.token)
    yield made
    made.close()


@pytest.mark.parametrize("away_s", AWAY_S)
def test_clickhouse_that_is_away_is_told_by_its_name_and_costs_nothing(
    broker, clickhouse, away_s, calm, lines, spawn, tmp_path
):
    soak = Soaking(spawn, tmp_path, broker, lines, clickhouse.url, clickhouse.token)
    clickhouse.go()
    soak.goes()
    soak.more(FIRST, THEN)
    soak.within(lambda: "ALARM: ClickHouse at http" in soak.said())
    soak.within(lambda: soak.metric("violet_journal_away_timestamp_seconds"))
    status = violet("status", *soak.where)
    assert (status.code, "soak violet: ClickHouse at http" in " ".join(status.err.split())) == (3, True)
    assert time.monotonic() - soak.went_at < KNOWN_S
    time.sleep(max(0.0, soak.went_at + away_s - time.monotonic()))
    clickhouse.come()
    until(lambda: not soak.metric("violet_journal_away_timestamp_seconds"), 20)
    soak.more(THEN, COUNT)
    soak.whole(calm)
    assert [row["severity"] for row in soak.incidents("JOURNAL_AWAY")] == ["WARN"]
    assert not attend.outage_file(soak.data, "violet").exists()


@pytest.mark.parametrize(("broker", "pause_s"), [("tansu", 0.2), ("kafka", 8.0)], indirect=["broker"])
def test_a_stop_is_obeyed_while_clickhouse_is_away_and_the_resume_has_it_all(
    broker, clickhouse, pause_s, calm, lines, spawn, tmp_path
):
    soak = Soaking(spawn, tmp_path, broker, lines, clickhouse.url, clickhouse.token)
    clickhouse.go()
    soak.more(FIRST, COUNT)
    time.sleep(pause_s)
    left = soak.stop()
    assert (left.code, "ALARM: ClickHouse at http" in left.err, "Traceback" in left.err) == (3, True, False)
    clickhouse.come()
    soak.start()
    soak.whole(calm)
    assert [row["detail"].endswith("until the soak ended") for row in soak.incidents("JOURNAL_AWAY")] == [True]


# -- the broker ------------------------------------------------------------------------------------------------------------


class Kafka:
    """A Kafka of its own, stopped, or killed and started again on the same log."""

    def __init__(self, home):
        self.made = brokers.on_java(home)
        self.made.start()
        self.name, self.bootstrap, self.create_topic = self.made.name, self.made.bootstrap, self.made.create_topic

    def go(self, way):
        if way == "killed":
            self.made.kill()
        else:
            self._signal(signal.SIGSTOP)

    def come(self, way):
        if way == "killed":
            self.made.start()
        else:
            self._signal(signal.SIGCONT)

    def _signal(self, number):
        """To Java, and to what ties it to these tests."""
        for pid in processes(self.made.home / "server.properties"):
            os.kill(pid, number)


@pytest.fixture
def own_kafka(tmp_path):
    (tmp_path / "kafka").mkdir()
    with brokers.or_skip():
        kafka = Kafka(tmp_path / "kafka")
    yield kafka
    kafka.come("stopped")
    kafka.made.kill()


@pytest.mark.parametrize("away_s", AWAY_S)
@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_a_broker_that_is_away_is_told_while_it_is(own_kafka, way, away_s, calm, lines, spawn, tmp_path):
    soak = Soaking(spawn, tmp_path, own_kafka, lines)
    own_kafka.go(way)
    soak.goes()
    soak.within(lambda: f"ALARM: the broker at {own_kafka.bootstrap} does not answer since" in soak.said())
    soak.within(lambda: soak.metric("violet_broker_away_timestamp_seconds"))
    soak.within(lambda: soak.incidents("BROKER_AWAY"))
    (row,) = soak.incidents("BROKER_AWAY")
    status = violet("status", *soak.where, "--json")
    assert time.monotonic() - soak.went_at < KNOWN_S
    assert (row["severity"], status.code, status.json[0]["broker_away"]) == ("WARN", 2, row["detail"])
    time.sleep(max(0.0, soak.went_at + away_s - time.monotonic()))
    assert (len(soak.incidents("BROKER_AWAY")), soak.incidents("BROKER_BACK")) == (1, [])
    own_kafka.come(way)
    until(lambda: not soak.metric("violet_broker_away_timestamp_seconds"), 20)
    assert violet("status", *soak.where, "--json").json[0]["broker_away"] == ""
    soak.more(FIRST, COUNT)
    soak.whole(calm)
    assert (len(soak.incidents("BROKER_AWAY")), len(soak.incidents("BROKER_BACK"))) == (1, 1)


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_a_stop_is_obeyed_while_the_broker_is_away(own_kafka, way, calm, lines, spawn, tmp_path):
    soak = Soaking(spawn, tmp_path, own_kafka, lines)
    own_kafka.go(way)
    time.sleep(8.0)
    left = soak.stop()
    assert (left.code, left.json["state"], "Traceback" in left.err) == (2, "STOPPED", False)
    own_kafka.come(way)
    soak.more(FIRST, COUNT)
    soak.start()
    soak.whole(calm)
    free_of(soak.data)
