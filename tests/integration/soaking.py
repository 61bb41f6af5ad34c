"""Soaks for the tests: in this process where nothing is killed, as a process of its own where something is.

Engine, brokers and journal are the real ones. A Journal is a data directory whose engine runs as long as the tests that
share it, so that a soak costs what a soak costs; every run in it has a name of its own.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from confluent_kafka import Producer

from journal.engine import owner
from journal.engine.address import READER, read
from journal.judge.gate import Scope, figures
from journal.ledger.run import find
from journal.ledger.steady import STILL_S, Kept, _running_s, boot_id
from journal.store import connect
from reactor.cli import soak as soaks
from reactor.cli.main import run as command_line
from reactor.drill.zygote import Zygote
from reactor.run.settings import load

__all__ = ["Zygote"]  # which some of the tests start by themselves

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared/data"
KLINES, FUNDING = DATA / "klines_1m_binance_2025.parquet", DATA / "funding_8h_binance_2025.parquet"
VIOLET = [sys.executable, "-P", "-c", "from reactor.cli.main import main; main()"]
COUNTS = ("records", "decisions", "evaluations", "planes", "rejects", "lost", "doubled", "corrupt", "skipped")


@dataclass(frozen=True)
class Soaked:
    """What a soak left: exit code, summary, words."""

    code: int
    summary: dict
    err: str

    @property
    def hash(self):
        return self.summary["content_hash"]

    @property
    def run_id(self):
        return self.summary["run_id"]

    @property
    def counts(self):
        return {name: self.summary[name] for name in COUNTS}


@dataclass(frozen=True)
class Said:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        assert self.out, f"exit {self.code}, and it said: {self.err}"
        return json.loads(self.out)


class Journal:
    """A data directory with its engine running."""

    def __init__(self, data):
        self.data, self._engine = data, owner.start(data)
        self.store = connect(self._engine.address)
        self.reader = read(data, READER)

    def close(self):
        self.store.close()
        self._engine.close()

    def soak(self, **flags):
        """`violet soak` in this process, under a new name where none is given. Raises its refusal."""
        return soak(self.data, **{"name": uuid.uuid4().hex[:8], **flags})

    def rows(self, sql, **params):
        return self.store.rows(sql, params)

    def value(self, sql, **params):
        (row,) = self.rows(sql, **params)
        (value,) = row.values()
        return value

    def run(self, name):
        return find(self.store, name=name)

    def figures(self, run_id):
        return figures(self.store, find(self.store, run_id=run_id), Scope.of(self.store, run_id))

    def violet(self, *arguments):
        return violet(*arguments, "--data", self.data)


@dataclass(frozen=True)
class Topic:
    """A topic and how many records it holds."""

    broker: Any
    name: str
    count: int

    @property
    def source(self):
        """The flags that follow it to its end."""
        return {"bootstrap_servers": self.broker.bootstrap, "topic": self.name, "until": str(self.count)}

    @property
    def flags(self):
        """The same for a command line."""
        return [each for name, value in self.source.items() for each in (f"--{name.replace('_', '-')}", value)]


def soak(data, seam=lambda name: None, config=None, **flags):
    """`violet soak` in this process. Raises its refusal."""
    flags = {name.rstrip("_"): value for name, value in flags.items()}
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = soaks.run(load({"data": data, **flags}, config), as_json=True, seam=seam)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Soaked(code, json.loads(out.getvalue()), err.getvalue())


def interrupted(data, batches=1, **flags):
    """A soak of this process that a real SIGINT stops once so many batches are complete."""
    seen = 0

    def seam(step):
        nonlocal seen
        seen += step == "after_completion"
        if step == "after_completion" and seen == batches:  # once: a second signal would end this process
            os.kill(os.getpid(), signal.SIGINT)

    left = soak(data, seam, **flags)
    assert (left.code, left.summary["state"]) == (2, "STOPPED")
    return left


def violet(*arguments):
    """A command line in this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command_line([str(each) for each in arguments])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Said(code, out.buffer.getvalue().decode(), err.getvalue())


def fresh(*arguments, env=None, by=()):
    """A command as a process of its own, interpreter and all. by: a command that starts it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    return subprocess.Popen(
        [*by, *VIOLET, *map(str, arguments)], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process, timeout_s=60):
    """Its end, as what it said."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate(timeout=10)
        raise AssertionError(f"did not end within {timeout_s} s: {err[-2000:]}") from None
    except BaseException:
        process.kill()
        raise
    return Said(process.returncode, out, err)


def recorded_month(path):
    """The recorded bars as a scan archive at a path; False where they are not at hand."""
    if not KLINES.is_file():
        return False
    made = ended(fresh("scan", "--klines", KLINES, "--funding", FUNDING, "--out", path), 200)
    assert made.code == 0, made.err
    return True


def another_version(folder, migration=None):
    """A copy of the packages with other code that decides, and a migration more: NAME.sql -> text. Compiled code comes along."""
    for package in ("lanes", "journal", "reactor", "sql"):
        shutil.copytree(ROOT / package, folder / package)
    with (folder / "reactor/evaluate/asset.py").open("a", encoding="utf-8") as file:
        file.write(f"# {folder.name}: decides alike, and yet is another version\n")
    for name, text in (migration or {}).items():
        (folder / "sql" / name).write_text(text, "utf-8")
    return {"PYTHONPATH": str(folder)}


def until(holds, within_s=20.0, every_s=0.05):
    """Wait until something holds; its value."""
    deadline = time.monotonic() + within_s
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come to hold within {within_s} s: {holds}")
        time.sleep(every_s)
    return value


def stand_still(data):
    """Let the soaks of a directory know the wall clock for two hours already: what is dropped for good waits for one."""
    seen = _running_s()
    ahead = time.time() - seen
    kept = Kept(boot_id(), ahead=ahead, doubted=ahead, since=seen - 2 * STILL_S, seen=seen)
    (data / "clock.json").write_bytes(msgspec.json.encode(kept))


def producer(bootstrap, **config):
    return Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 0, **config})


def produce(bootstrap, topic, lines, partition=0, **config):
    """Put lines into a topic as they are."""
    made = producer(bootstrap, **config)
    for number, each in enumerate(lines):
        if number % 50_000 == 49_999:
            made.flush(20.0)
        made.produce(topic, each, partition=partition)
    assert made.flush(20.0) == 0


def listing(folder):
    """Every path below a folder with its size and time of change."""
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def processes(mention):
    """Live processes whose command line mentions a text: pid -> command."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(mention) in command and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found[int(entry.name)] = command
    return found


def free_of(data, port=None, within_s=10.0):
    """No process of a data directory is left, and nobody listens on its engine's port."""
    until(lambda: not processes(data), within_s)
    address = read(Path(data), READER)
    port = port or (address and urlsplit(address.url).port)
    if port:
        listening = f"0100007F:{port:04X} 00000000:0000 0A"
        until(lambda: listening not in Path("/proc/net/tcp").read_text(), within_s)
