"""Taps: readings of a running soak's lanes as records of their topics, so that one lane can be watched from anywhere.

They are harmless by construction. The reactor's thread hands a journaled batch over and goes on; a thread of their own
makes readings of it, a part at a time, rests in between so that it takes at most SHARE of a core, and gives them to the
broker's client, whose queue is bounded. What does not fit is dropped and counted: the journal has it. A reading comes
after its row is journaled, so a topic never says what the journal does not. See docs/design/watching.md.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import msgspec
import numpy as np

from journal.row import Batch
from lanes.code import Incident, Outcome, Severity
from reactor.tap.reading import decode, encode, readings, seen_by, tap_topic

ROWS_MAX: Final = 262_144  # scans that wait at most; two full batches of the default size
PART: Final = 512  # scans made into readings at a time: some milliseconds, after which the reactor's thread may go on
SHARE: Final = 0.25  # of a core, while the soak reads
IDLE_S: Final = 0.25  # between looks at what the broker said
AGAIN_S: Final = 5.0  # until a topic that could not be made is tried again
OTHERS_S: Final = 10.0  # between looks for somebody else's records in the topics
DRAIN_S: Final = 10.0  # at the end of a session, for what waits; then it is dropped
FULL: Final = "they come faster than they go"
DISK: Final = "the disk is short"
AWAY: Final = "the broker does not take them"
_SCANS: Final = (Outcome.DECISION, Outcome.EVALUATION)


class Writer(Protocol):
    """Where readings go: a broker's topics."""

    refused: int  # writes to a topic that is not one of the soak's taps

    def create(self, partitions: int) -> bool:
        """Make topics that are missing; whether all are there."""

    def write(self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]) -> int:
        """Queue keys and values; how many were taken. Never waits."""

    def serve(self) -> Mapping[str, int]:
        """Records of each topic that failed after they were taken, since the last call."""

    def latest(self) -> Mapping[str, bytes]:
        """The last record of each topic that got any since the call before; of several partitions, of one."""

    def close(self, timeout_s: float) -> None:
        """Send what is queued within a time, and give up the rest."""


class Taps:
    """The taps of one session; of no lanes, nothing. `take` is all that costs the reactor's thread.

    sent, dropped: readings by lane so far. paused: drop everything, for want of disk. partitions: of the topics.
    """

    def __init__(self, lanes: Sequence[str], name: str, kernel_hashes: Mapping[str, str], run_id: str = "") -> None:
        self.lanes = tuple(lanes)
        self.topics = {lane: tap_topic(name, lane) for lane in lanes}
        self.seen = seen_by(lanes)
        self.paused = False
        self.partitions = 1
        self.sent: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter(dict.fromkeys(lanes, 0))  # keys never change: others go over them
        self._hashes, self._run_id = kernel_hashes, run_id
        self._others: dict[str, str] = {}  # lane -> who else writes to its topic, not told yet
        self._known: set[tuple[str, str]] = set()
        self._not_ours: dict[str, str] = {}  # lane -> why nothing is written to its topic
        self._writer: Writer | None = None
        self._untold: dict[str, Counter[str]] = {}
        self._refused = 0
        self._waiting: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._held = 0  # scans that wait
        self._lock = threading.Lock()
        self._closing, self._given_up = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def refused(self) -> int:
        """Writes that were tried outside the tap topics."""
        return 0 if self._writer is None else self._writer.refused

    def start(self, writer: Writer, partitions: int) -> None:
        """Begin to write; the topics are made with so many partitions, and get more where `partitions` grows."""
        self._writer, self.partitions = writer, partitions
        self._thread = threading.Thread(target=self._run, args=(writer,), name="taps", daemon=True)
        self._thread.start()

    def take(self, batch: Batch) -> None:
        """A journaled batch: keep it for the taps' own thread, or drop its readings. Never waits."""
        if not self.lanes:
            return
        n = sum(len(batch.rows[kind]) for kind in _SCANS)
        with self._lock:
            fits = not self._held or self._held + n <= ROWS_MAX
            if fits and not self.paused:
                self._held += n
                self._waiting.put(batch)
                return
        for lane in self.lanes:
            self._drop(lane, n, FULL if not fits else DISK)

    def tell(self, note: Callable[[Severity, Incident, str], None]) -> None:
        """Note what was dropped or refused since the last call, an incident a reason."""
        with self._lock:
            untold, self._untold = self._untold, {}
            others, self._others = self._others, {}
        for lane, who in others.items():
            note(Severity.WARN, Incident.TAP_SHARED, f"{who} writes to {self.topics[lane]!r} too")
        for reason, lanes in untold.items():
            counts = ", ".join(f"{lane} {lanes[lane]}" for lane in self.lanes if lanes[lane])
            note(Severity.WARN, Incident.TAPS_DROPPED, f"{counts} readings: {reason}")
        while self._refused < self.refused:
            self._refused += 1
            note(Severity.ERROR, Incident.WRITE_REFUSED, "the reactor tried to write outside its tap topics")

    def close(self) -> None:
        """Let go what waits, within DRAIN_S; the rest is dropped."""
        if self._thread is None or self._writer is None:
            return
        self._closing.set()
        self._waiting.put(None)
        self._thread.join(DRAIN_S)
        self._given_up.set()
        self._thread.join(IDLE_S)
        self._thread = None
        self._writer.close(DRAIN_S)
        self._serve(self._writer)
        with self._lock:
            left, self._held = self._held, 0
        for lane in self.lanes:
            self._drop(lane, left, AWAY)

    # -- the taps' own thread ----------------------------------------------------------------------------------------

    def _run(self, writer: Writer) -> None:
        made, again, look = 0, 0.0, 0.0  # partitions of the topics; when they, and others, are asked for again
        while True:
            if made < (wanted := self.partitions) and time.monotonic() >= again:
                made, again = wanted if writer.create(wanted) else made, time.monotonic() + AGAIN_S
            if made and time.monotonic() >= look:
                self._look(writer, is_first=not look)
                look = time.monotonic() + OTHERS_S
            try:
                batch = self._waiting.get(timeout=IDLE_S)
            except queue.Empty:
                self._serve(writer)
                continue
            if batch is None or self._given_up.is_set():
                return
            for part in _parts(batch):
                n = sum(map(len, part.rows.values()))
                if self._given_up.is_set():
                    return
                for lane in self.lanes:
                    if lane in self._not_ours:
                        self._drop(lane, n, self._not_ours[lane])
                    elif part.partition < made:
                        self._write(writer, lane, part, n)
                    else:
                        self._drop(lane, n, AWAY)
                with self._lock:
                    self._held -= n

    def _write(self, writer: Writer, lane: str, part: Batch, n: int) -> None:
        """Readings of a lane to its topic, then a rest."""
        began = time.thread_time()
        try:
            records = [(r.stream.encode(), encode(r)) for r in readings(part, lane, self._hashes[lane], self._run_id)]
            taken = writer.write(self.topics[lane], part.partition, records)
        except Exception as error:  # noqa: BLE001 - whatever happens to a tap, the soak goes on and says so
            self._drop(lane, n, f"{type(error).__name__}: {error}"[:200])
        else:
            self.sent[lane] += taken
            self._drop(lane, n - taken, AWAY)
        self._serve(writer)
        worked_s = time.thread_time() - began
        if not self._closing.is_set():
            self._closing.wait(worked_s * (1.0 / SHARE - 1.0))

    def _look(self, writer: Writer, *, is_first: bool) -> None:
        """Whether somebody else writes to the topics; one that held no readings before is not ours to write to."""
        last = writer.latest()
        for lane, topic in self.topics.items():
            run = _run_of(last[topic]) if topic in last else self._run_id
            if is_first and run is None:
                self._not_ours[lane] = f"{topic!r} holds something else than a lane's readings"
            elif not is_first and run != self._run_id and (lane, run or "") not in self._known:
                self._known.add((lane, run or ""))
                who = "something that writes no readings" if run is None else f"run {run or '(not said)'}"
                with self._lock:
                    self._others[lane] = who

    def _serve(self, writer: Writer) -> None:
        failed = writer.serve()
        for lane, topic in self.topics.items():
            n = failed.get(topic, 0)
            self.sent[lane] -= n
            self._drop(lane, n, AWAY)

    def _drop(self, lane: str, n: int, reason: str) -> None:
        if n:
            with self._lock:
                self.dropped[lane] += n
                self._untold.setdefault(reason, Counter())[lane] += n


def _run_of(record: bytes) -> str | None:
    """The run of a reading, empty where it has none; None where the record is no reading."""
    try:
        return decode(record).run
    except msgspec.MsgspecError:
        return None


def _parts(batch: Batch) -> Iterator[Batch]:
    """The scans of a batch, PART at a time in offset order."""
    offsets = np.sort(np.concatenate([batch.rows[kind].offsets for kind in _SCANS]))
    for at in range(0, len(offsets), PART):
        first, last = offsets[at], offsets[min(at + PART, len(offsets)) - 1]
        rows = {}
        for kind in _SCANS:
            a, b = np.searchsorted(batch.rows[kind].offsets, (first, last + 1))
            rows[kind] = batch.rows[kind].take(np.arange(a, b))
        yield replace(batch, rows=rows)
