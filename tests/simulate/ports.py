"""What stands behind the ports of a soak while it is simulated: journal, clock, threads, disk.

All that decides is the product's own: session, loop, ledger, claims, patience, upkeep, retention, the clock's doubts.
"""

import random
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from journal.keep import retention
from journal.ledger import claim, ledger, patience, run
from journal.ledger.patience import Revived
from journal.store import TIMEOUT_S, JournalAway, JournalRefused, Store
from reactor.run import attend, loop, resume, session, upkeep
from tests.simulate.tables import Tables

REFUSED = 469  # a row breaks a constraint


class Asked(NamedTuple):
    sql: str
    params: dict
    answer: list


class Put(NamedTuple):
    table: str
    columns: dict
    token: str


class Told(NamedTuple):
    sql: str
    params: dict


class Server:
    """ClickHouse: its tables, how it fails now, and all that it was asked and told, in order.

    faults: name -> probability of each call. on_row: told of every row of a batch or a pruning that is new, and
    when it was sent. refuses: (partition, offset) of decisions that break a constraint.
    """

    def __init__(self, world, faults, on_row):
        self.world, self.faults, self.tables, self.history, self._on_row = world, faults, Tables(), [], on_row
        self.state, self.refuses, self.under_way, self.generation = "up", set(), 0, 0

    def latency(self):
        rng = self.world.rng
        if rng.random() < self.faults.get("slow", 0.0):
            return rng.choice((0.3, 1.0, 5.0, 30.0))
        return rng.uniform(0.001, 0.01)

    def happens(self, fault):
        return self.world.rng.random() < self.faults.get(fault, 0.0)

    def forget(self):
        """More inserts came than ClickHouse remembers tokens of."""
        self.generation += 1
        self.tables.forget()

    def take(self, table, columns, token, sent_at):
        """An insert arrives; what it gets for an answer."""
        if table == "violet_decisions" and self.refuses:
            places = zip(columns["partition"].tolist(), columns["log_offset"].tolist(), strict=True)
            if self.refuses.intersection(places):
                return JournalRefused(REFUSED, "Code: 469. Constraint is violated")
        if self.tables.insert(table, columns, token) and table in ("violet_batches", "violet_pruned"):
            self._on_row(table, self.tables.rows[table][-1], sent_at)
        self.history.append(Put(table, columns, f"{token}|{self.generation}"))
        return None


class SimStore(Store):
    """A connection to the simulated server, in place of that over HTTP."""

    def __init__(self, server):
        self._server, self.url = server, "http://simulated"

    def rows(self, sql, params=None):
        self._reach()
        answer = self._server.tables.ask(sql, params)
        self._server.history.append(Asked(sql, dict(params or {}), answer))
        self._answered()
        return [dict(row) for row in answer]

    def command(self, sql, params=None):
        self._reach()
        self._server.tables.command(sql, params)
        self._server.history.append(Told(sql, dict(params)))
        self._answered()

    def put(self, table, columns, token):
        self.insert(table, columns, {}, token)

    def insert(self, table, columns, types, token):
        """It lands some time after it was sent, whatever became of the sender; of a process that died perhaps not."""
        server, world, landed = self._server, self._server.world, []
        process = world.task.process if world.task is not None else None
        sent_at = world.now
        is_whole = world.rng.random() < 0.7  # sent to its end when the sender dies

        def arrive():
            if server.state == "silent":
                world.at(0.5, arrive)
                return
            server.under_way -= 1
            if server.state == "up" and (process is None or not process.dead or is_whole):
                landed.append(server.take(table, columns, token, sent_at))
                if server.happens("resend"):  # the driver does that by itself where a connection breaks
                    server.take(table, columns, token, sent_at)

        if server.state == "down" or server.happens("reset"):
            world.wait(server.latency())
            raise JournalAway("connection refused")
        server.under_way += 1
        way = server.latency()
        world.at(way, arrive)
        world.wait(way + world.rng.uniform(0.0005, 0.005))
        waited = way
        while server.state == "silent" and not landed and waited < TIMEOUT_S:
            world.wait(0.6)
            waited += 0.6
        if not landed or server.happens("lost answer"):
            raise JournalAway("connection reset")
        if landed[0] is not None:
            raise landed[0]

    def answers(self):
        self._server.world.wait(0.002 if self._server.state == "up" else 2.0)
        return self._server.state == "up"

    def close(self):
        pass

    def _reach(self):
        server = self._server
        server.world.wait(server.latency())
        waited = 0.0
        while server.state == "silent" and waited < TIMEOUT_S:
            server.world.wait(0.6)
            waited += 0.6
        if server.state != "up" or server.happens("reset"):
            raise JournalAway("connection refused")

    def _answered(self):
        self._server.world.wait(self._server.world.rng.uniform(0.0005, 0.005))
        if self._server.state == "down":
            raise JournalAway("connection reset")


def connect(server):
    """A connection, where somebody answers."""
    store = SimStore(server)
    store.require_answer()
    return store


def revive(server):
    """What `attend.Journal.revive` gives."""
    try:
        return Revived(connect(server), is_new_engine=False)
    except JournalAway:
        return None


class SimFile:
    """A file of a data directory, which outlives its process."""

    def __init__(self):
        self._content = None

    def write_bytes(self, content):
        self._content = content

    def read_bytes(self):
        if self._content is None:
            raise FileNotFoundError
        return self._content

    def unlink(self, *, missing_ok):
        self._content = None

    def with_suffix(self, suffix):
        return SimFile()

    def replace(self, other):
        other.write_bytes(self._content)


class _Event:
    """threading.Event on simulated time."""

    def __init__(self, world):
        self._world, self._is_set, self._waiting = world, False, None

    def set(self):
        self._is_set = True
        if self._waiting is not None:
            self._world.wake(self._waiting)

    def wait(self, timeout):
        if not self._is_set:
            self._waiting = self._world.task
            self._world.wait(timeout)
            self._waiting = None
        return self._is_set


class _Thread:
    """threading.Thread on simulated time."""

    def __init__(self, world, target):
        self._world, self._target, self._task = world, target, None

    def start(self):
        self._task = self._world.spawn(self._world.task.process, self._target)

    def join(self, timeout):
        end = self._world.now + timeout
        while not self._task.done and self._world.now < end:
            self._world.wait(0.05)


class _Clock:
    """Each process has a clock of its own; who asks is the process that runs."""

    def __init__(self, world):
        self._world = world

    def __getattr__(self, name):
        return getattr(self._world.task.process.clock, name)

    def keep(self, path):
        self.__getattr__("keep")(self._world.task.process.clock_file)


def _beside(world):
    def beside(call, between):
        world.task.between = between
        try:
            return call()
        finally:
            world.task.between = None

    return beside


_code_hash = cache(resume.code_hash)
_versions = cache(session.versions)


@contextmanager
def installed(world, disk):
    """Let the product run in a world. disk: gives used and total bytes.

    What is not simulated gives nothing: proofs, the line of a day and the summary are the judge's.
    """
    time = SimpleNamespace(monotonic=world.running, sleep=world.wait, time=world.wall)
    dice = random.Random(world.rng.random())
    secrets = SimpleNamespace(token_hex=lambda n: dice.randbytes(n).hex())
    nothing = SimpleNamespace(collect=int, freeze=int, unfreeze=int, enable=int, disable=int)
    put = [
        *((module, "time", time) for module in (attend, claim, ledger, loop, patience, session)),
        *((module, "secrets", secrets) for module in (claim, session)),
        *((module, "CLOCK", _Clock(world)) for module in (attend, run, upkeep)),
        (claim, "os", SimpleNamespace(getpid=lambda: world.task.process.name)),
        (claim, "socket", SimpleNamespace(gethostname=lambda: world.task.process.place)),
        (claim, "Event", lambda: _Event(world)),
        (claim, "Thread", lambda target, name, daemon: _Thread(world, target)),
        (patience, "beside", _beside(world)),
        (loop, "gc", nothing),
        (attend, "shutil", SimpleNamespace(disk_usage=lambda path: disk())),
        (attend, "summary", lambda store, run: {}),
        (attend.trust, "in_words", lambda store, run: ""),
        (session, "prove", lambda store, run_id: {}),
        (session, "versions", _versions),
        (resume, "code_hash", _code_hash),
        (upkeep, "due", lambda store, run, at: []),
        (upkeep, "close", lambda store, run, at: []),
        (retention, "marks", lambda store, run_id: {}),
        (retention, "restamp", lambda store, run_id, before: None),
    ]
    were = [(where, name, getattr(where, name)) for where, name, _ in put]
    for where, name, value in put:
        setattr(where, name, value)
    try:
        yield
    finally:
        for where, name, value in were:
            setattr(where, name, value)
