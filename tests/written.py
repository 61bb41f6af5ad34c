"""Small runs, written by the reactor's own step and the real ledger into a real engine: no broker, no process.

Each has an id of its own, so all tests share one journal.
"""

import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace

from journal.ledger.ledger import Ledger
from journal.ledger.run import Run, Segment, now, open_segments, save
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from tests.strategies import START_MS, encode, plane, planes, scan

BLUE = PROFILES["blue_8b"]
MINUTE_MS = 60_000
ABSENT = ["acb", "meta", "mc", "ob", "esof"]  # planes that a run lacks by default: most tests are about something else
TABLES = ("runs", "segments", "batches", "decisions", "evaluations", "planes", "rejects", "incidents")


class Crash(Exception):
    """The process died at this step."""


def decisions(count, first=0, **fields):
    """So many scans that decide, a minute apart."""
    return [encode(scan(scan_id=n, ts_ms=START_MS + n * MINUTE_MS, **fields)) for n in range(first, first + count)]


def every_kind(first=0):
    """13 records: 7 planes, 3 decisions, an evaluation, a reject that is no plane, and one that is."""
    at = START_MS + first * MINUTE_MS
    return [
        *map(encode, planes(at)), *decisions(3, first), encode(scan(scan_id=first + 3, ts_ms=at, vel_div=-0.01)),
        b"{", encode(plane("acb", {"scale": 1.0})),
    ]  # fmt: skip


@dataclass
class Written:
    """A run, the ledger that writes it, and what it has written of each partition."""

    store: object
    run: Run
    rules: Rules
    ledger: Ledger
    segment: int = 1
    lines: dict = field(default_factory=dict)
    states: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)
    committed: dict = field(default_factory=dict)
    crash_at: str = ""

    @property
    def run_id(self):
        return self.run.run_id

    def batch(self, lines, partition=0, after=0):
        """The next records as a batch; `after` offsets were never delivered before them."""
        known = self.lines.setdefault(partition, {})
        expected = max(known, default=-1) + 1
        offsets = [expected + after + n for n in range(len(lines))]
        known.update(zip(offsets, lines, strict=True))
        state = self.states.setdefault(partition, State())
        chunk = Chunk(partition, offsets, list(lines))
        return step(state, chunk, self.rules, Decoder(), topic="t", segment=self.segment, expected=expected)

    def append(self, lines, partition=0, after=0):
        batch = self.batch(lines, partition, after)
        self.ledger.append(batch, 0.0, self.committed.update)
        return batch

    def crash(self, batch, step):
        """Append until a step, and no further."""
        self.crash_at = step
        with suppress(Crash):
            self.ledger.append(batch, 0.0, self.committed.update)
        self.crash_at = ""

    def seam(self, name):
        if name == self.crash_at:
            raise Crash(name)
        self.steps.append(name)

    def set(self, **changes):
        """Save the run changed."""
        self.run = save(self.store, replace(self.run, **changes))
        return self.run

    def value(self, sql, **params):
        """The one value that a query over this run gives."""
        (row,) = self.store.rows(sql, {"run": self.run_id, **params})
        (value,) = row.values()
        return value

    def copied(self, table="", *, put=None, where="true", without="false"):
        """The run once more, under another id: in some rows of a table with other values, or without some rows.

        Faster by far than to change stored rows, which waits for the engine's merges.
        """
        copy = replace(self, run=replace(self.run, run_id=uuid.uuid4().hex[:12]), ledger=None)
        for each in TABLES:
            changes = [
                f"if({where}, {value}, {name}) AS {name}" for name, value in (put or {}).items() if each == table
            ]
            columns = ", ".join(["{copy:String} AS run_id", *changes])
            kept = f" AND NOT ({without})" if each == table else ""
            self.store.command(
                f"INSERT INTO violet_{each} SELECT * REPLACE ({columns}) FROM "
                f"(SELECT * FROM violet_{each} WHERE run_id = {{run:String}}{kept})",
                {"run": self.run_id, "copy": copy.run_id},
            )
        return copy


def begin(store, profile=BLUE, partitions=(0,), first=0, **fields):
    """A run that is open and has no batch yet."""
    run_id = uuid.uuid4().hex[:12]
    rules = Rules(profile)
    run = Run(**{
        "run_id": run_id, "name": f"n-{run_id}", "state": "RUNNING", "profile": profile.name, "source": {"kind": "broker"},
        "until": {}, "start": {str(p): first for p in partitions}, "warm": "EXACT", "standins": (), "versions": {},
        "asked": {"absent": ABSENT}, "started_at": now().replace(microsecond=0), **fields,
    })  # fmt: skip
    text = profile.model_dump_json()
    open_segments(
        store,
        [Segment(run_id, 1, "t", p, first, "start", profile.name, text, profile.hash, "c0de") for p in partitions],
    )
    written = Written(store, save(store, run), rules, None)
    reread = lambda partition, offsets: [written.lines[partition][at] for at in offsets]  # noqa: E731
    written.ledger = Ledger(store, run_id, reread, seam=written.seam)
    return written
