"""One real engine for the session, with a table, a run, and a way to ask over plain HTTP."""

import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from journal.engine import owner
from journal.engine.address import Address, read
from journal.store import connect

ROOT = Path(__file__).resolve().parents[3]
TABLE = """CREATE TABLE IF NOT EXISTS {name} (
    n Int64, s String, x Float64, CONSTRAINT finite CHECK isFinite(x))
ENGINE = MergeTree ORDER BY n
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1"""
TYPES = {"n": "Int64", "s": "String", "x": "Float64"}


@dataclass
class Reply:
    status: int
    headers: dict
    body: bytes

    @property
    def code(self):
        return int(self.headers.get("X-ClickHouse-Exception-Code", 0))

    @property
    def text(self):
        return self.body.decode()


def ask(address, text="", *, method="POST", headers=None, body=None, path="/", auth=True, **params):
    """One request over plain HTTP; `text` is the body unless a body is given."""
    connection = HTTPConnection(address.host, address.port, timeout=60)
    login = {"Authorization": "Basic " + b64encode(f"{address.user}:{address.token}".encode()).decode()} if auth else {}
    target = path + ("?" + urlencode(params) if params else "")
    content = body if body is not None else text.encode() or None
    try:
        connection.request(method, target, content, {**login, **(headers or {})}, encode_chunked=True)
        response = connection.getresponse()
        return Reply(response.status, dict(response.headers), response.read())
    finally:
        connection.close()


@dataclass
class Running:
    data: Path
    engine: owner.Engine
    writer: Address
    reader: Address


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    data = tmp_path_factory.mktemp("journal")
    engine = owner.start(data)
    try:
        with connect(engine.address) as store:
            store.command(TABLE.format(name="d"))
            store.insert("d", {"n": [1, 2, 3], "s": ["a", "b", "c"], "x": [0.5, 1.5, 2.5]}, TYPES, "seed")
            store.command("CREATE VIEW v AS SELECT n, s FROM d")
            store.command(
                "CREATE TABLE violet_runs (run_id String, started_at DateTime64(3, 'UTC')) "
                "ENGINE = MergeTree ORDER BY run_id"
            )
            store.command("INSERT INTO violet_runs VALUES ('old', '2025-01-01'), ('new', '2025-02-01')")
        yield Running(data, engine, engine.address, read(data, "reader"))
    finally:
        engine.close()


@pytest.fixture(scope="session")
def http():
    return ask


@pytest.fixture(scope="session")
def store(running):
    with connect(running.writer) as opened:
        yield opened


@pytest.fixture(scope="session")
def table():
    return TABLE, TYPES


@pytest.fixture(scope="session")
def python():
    """Runs python code with these packages in a child, in any folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def spawn(code, *arguments, **options):
        command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
        return subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
        )

    return spawn


@pytest.fixture(scope="session")
def gone():
    """Waits until a process of ours is gone; kills it when it is not."""

    def wait(pid, within_s):
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                left = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                return True
            if left[0] == "Z" and left[17] == "1":  # dead, all threads of it, and only not yet waited for
                return True
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        return False

    return wait
