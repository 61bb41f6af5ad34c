"""Readers while a soak runs: right answers at once, and nothing that they do shows in what is journaled."""

import json
import os
import shutil
import subprocess
import threading
import time
from statistics import median, quantiles

import pytest
from clickhouse_connect import get_client
from clickhouse_connect.driver.exceptions import DatabaseError

from journal.engine.address import READER, read
from tests.integration import records
from tests.integration.soaking import Topic, ended, free_of, produce, producer, soak, until, violet

RATE = 200  # scans a second
FAST, SLOW = 400, 3
VISIBLE_S = 2.0
ATTACKS = (
    "DROP TABLE violet_decisions",
    "TRUNCATE TABLE violet_decisions",
    "INSERT INTO violet_incidents (run_id) VALUES ('x')",
    "ALTER TABLE violet_decisions DELETE WHERE 1",
    "OPTIMIZE TABLE violet_decisions FINAL",
    "SELECT 1; DROP TABLE violet_decisions",
    "EXPLAIN AST SELECT 1; DROP TABLE violet_decisions",
    "SELECT 1) SETTINGS readonly=0; DROP TABLE violet_decisions; SELECT * FROM (SELECT 1",
    "SELECT * FROM violet_decisions INTO OUTFILE '{out}'",
    "SELECT file('{token}')",
    "SELECT * FROM file('/etc/hostname', 'RawBLOB')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'RawBLOB')",
    "SELECT 1 SETTINGS readonly = 0",
    "SET readonly = 0",
    "KILL QUERY WHERE 1",
    "SYSTEM STOP MERGES",
    "SYSTEM SHUTDOWN",
)


def scans(count, first=0):
    """Scans that all decide, every one with a signal of its own."""
    return [records.scan(n, vel_div=-0.021 - n / 1e6) for n in range(first, first + count)]


def publish_live(bootstrap, topic, lines, rate, sent):
    """Put records into a topic at a pace; sent[n]: when the n-th went."""
    made, began = producer(bootstrap), time.monotonic()
    for number, line in enumerate(lines):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        sent.append(time.monotonic())
        made.produce(topic, line, partition=0)
        made.poll(0)
    assert made.flush(10.0) == 0


class Eye:
    """Looks, over HTTP as the reader, which scan is the newest; seen[n]: when the n-th was first there."""

    def __init__(self, address):
        self.seen, self.answers, self._stop = [], [], threading.Event()
        self._client = get_client(host=address.host, port=address.port, username=address.user, password=address.token)
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self):
        while not self._stop.wait(0.04):
            began = time.monotonic()
            ((there,),) = self._client.query("SELECT count() FROM decisions WHERE run_id = {run:String}").result_rows
            now = time.monotonic()
            self.answers.append(now - began)
            self.seen += [now] * (there - len(self.seen))

    def close(self):
        self._stop.set()
        self._thread.join()
        self._client.close()


@pytest.fixture(scope="module", params=[pytest.param("tansu", marks=pytest.mark.slow), "kafka"])
def live(request, tmp_path_factory, spawn):
    """A soak of its own directory that follows a topic; ends when the records of both paces are journaled."""
    broker = request.getfixturevalue(f"session_{request.param}")
    data = tmp_path_factory.mktemp("live")
    topic = Topic(broker, broker.create_topic(), FAST + SLOW)
    process = spawn("soak", *topic.flags, "--data", data, "--json")
    address = until(lambda: read(data, READER))
    until(lambda: violet("sql", "SELECT {run:String}", "--data", data, "--json").code == 0, 20, 0.2)
    yield data, topic, process, address
    process.kill()


def told(name, times):
    cut = quantiles(times, n=100)
    print(f"{name}: median {median(times):.3f} s, p99 {cut[98]:.3f} s, most {max(times):.3f} s of {len(times)}")


@pytest.mark.slow
def test_a_live_soak_answers_readers_and_journals_as_without_them(live, journal, capsys, tmp_path):
    data, topic, process, address = live
    eye, sent, rounds = Eye(address), [], []
    feed = threading.Thread(target=publish_live, args=(topic.broker.bootstrap, topic.name, scans(FAST), RATE, sent))
    feed.start()
    try:
        while feed.is_alive():
            rounds.append(everyone(data, address, tmp_path))
        until(lambda: len(eye.seen) >= FAST)
        fast = [seen - went for seen, went in zip(eye.seen, sent, strict=False)]
        slow = []
        for line in scans(SLOW, FAST):
            time.sleep(0.5)  # far longer than a poll or a flush: each is alone, as at 0.2 scans a second
            began, before = time.monotonic(), len(eye.seen)
            produce(topic.broker.bootstrap, topic.name, [line])
            until(lambda before=before: len(eye.seen) > before, every_s=0.005)
            slow.append(eye.seen[-1] - began)
    finally:
        eye.close()
    said = ended(process, 20)
    summary = json.loads(said.out)
    with capsys.disabled():
        print()
        told(f"visible at {RATE} scans/s", fast)
        told("visible, alone", slow)
        told("HTTP query", eye.answers)
        for name in ("violet sql", "curl", "clickhouse-connect"):
            told(name, [each[name] for each in rounds] * (2 if len(rounds) < 2 else 1))
    assert median(fast) < VISIBLE_S
    assert median(slow) < VISIBLE_S
    assert median(eye.answers) < 1.0
    calm = journal.soak(**topic.source)
    assert (summary["content_hash"], summary["verdict"]) == (calm.hash, calm.summary["verdict"])
    assert {name: summary[name] for name in calm.counts} == calm.counts
    assert (calm.summary["decisions"], calm.summary["lost"], calm.summary["doubled"]) == (FAST + SLOW, 0, 0)
    free_of(data)


def everyone(data, address, folder):
    """Each kind of reader asks once, and one attack of each kind is tried; seconds each took."""
    took = {}
    ask = "SELECT count() AS n, sum(scan_id) AS s FROM decisions WHERE run_id = {run:String}"

    began = time.monotonic()
    (row,) = violet("sql", ask, "--data", data, "--json").json
    took["violet sql"] = time.monotonic() - began
    assert row["s"] == row["n"] * (row["n"] - 1) // 2  # every look is at whole batches without a hole

    began = time.monotonic()
    if shutil.which("curl"):
        command = [
            "curl",
            "-sS",
            "--user",
            f"{address.user}:{address.token}",
            address.url,
            "--data-binary",
            f"{ask} FORMAT JSONEachRow",
        ]
        later = json.loads(
            subprocess.run(
                command, check=True, capture_output=True, timeout=20, env={**os.environ, "no_proxy": "*"}
            ).stdout
        )
        assert int(later["s"]) == int(later["n"]) * (int(later["n"]) - 1) // 2
        assert int(later["n"]) >= row["n"]
        row = {name: int(value) for name, value in later.items()}
    took["curl"] = time.monotonic() - began

    began = time.monotonic()
    client = get_client(host=address.host, port=address.port, username=address.user, password=address.token)
    ((n, s),) = client.query(ask).result_rows
    took["clickhouse-connect"] = time.monotonic() - began
    assert (s, n >= row["n"]) == (n * (n - 1) // 2, True)
    for attack in ATTACKS:
        with pytest.raises(DatabaseError, match="DB::Exception"):
            client.query(attack.format(out=folder / "out", token=data / "writer.json"))
    assert not (folder / "out").exists()
    ((after,),) = client.query("SELECT count() FROM decisions WHERE run_id = {run:String}").result_rows
    assert after >= n
    client.close()
    return took


def test_the_command_refuses_what_the_gate_refuses(journal, topic):
    journal.soak(**topic.source)
    before = journal.value("SELECT count() FROM decisions")
    for attack in (
        "DROP TABLE violet_decisions",
        "SELECT 1; DROP TABLE violet_decisions",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
    ):
        said = journal.violet("sql", attack)
        assert (said.code, said.out) == (3, "")
        assert "fix: " in said.err
    assert journal.value("SELECT count() FROM decisions") == before


@pytest.mark.slow
def test_a_paced_archive_is_visible_while_it_runs(journal, tmp_path):
    """--speed: event time passes at the factor, and a run that is resumed does not wait for what it has."""
    lines = [records.scan(n, ts_ms=records.START_MS + 1_000 * n) for n in range(80)]
    lines.insert(5, records.scan(99, ts_ms=records.START_MS - 60_000))  # late: goes at once
    began = time.monotonic()
    paced = soak(journal.data, scans=records.write(tmp_path / "a.jsonl", lines), name="paced", speed="20x", flush_ms=20)
    assert time.monotonic() - began > 79 / 20
    assert paced.summary["records"] == 81
    (row,) = journal.rows(
        "SELECT dateDiff('millisecond', min(written_at), max(written_at)) AS took, count() AS n FROM batches WHERE run_id = {run:String}",
        run=paced.run_id,
    )
    assert row["took"] > 2_000
    assert row["n"] > 10
