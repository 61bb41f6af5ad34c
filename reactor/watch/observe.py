"""Observers: whoever watches a soak. Metrics, sketches and events, each off unless asked for, and what is put beside.

They are told of what is journaled already, and none may end the soak, slow it for long or change it: what fails is
dropped, once, with its words. What asks the journal does so on a thread and a connection of its own.
See docs/design/watching.md.
"""

import threading
import time
from collections.abc import Callable
from math import inf
from typing import Final, Protocol, Self

from journal.ledger.patience import Outage
from journal.refusal import Refusal
from journal.row import Batch
from journal.store import Store
from lanes.code import Mode
from reactor.log.presence import Absence
from reactor.run.session import Session
from reactor.run.settings import SoakSettings
from reactor.watch.events import Events
from reactor.watch.measure import Measures, ask
from reactor.watch.metrics import Endpoint, Metrics
from reactor.watch.sketch import WRITE_S, Sketches

ASK_S: Final = 10.0
SKETCH_S: Final = 1.0
IDLE: Final = 19  # times as long as its work a thread rests: it takes a twentieth of a core at most
AGAIN_S: Final = 60.0  # the longest rest after a fault: whoever waited for an answer did not work
LEAVE_S: Final = 2.0  # a query that still runs at the end is left alone


class Beside(Protocol):
    """Works beside a soak, on a thread and a connection of its own."""

    def __call__(self, store: Store) -> None:
        """Do what is due."""

    def finish(self, store: Store) -> None:
        """Do the rest: nothing more is read. Called by the soak, once its thread ended."""

    def close(self) -> None:
        """Let go of connections."""


class Observers:
    """Everything that watches one soak. Opens its port at once, so that a port that is taken is refused first."""

    def __init__(self, soak: SoakSettings, events: Events, say: Callable[[str], None] = lambda words: None) -> None:
        """say: tells people who fails."""
        self.events, self._say = events, say
        self._data = soak.data
        self._sketches = Sketches() if soak.sketches else None
        self._metrics = Metrics() if soak.metrics_port else None
        self._endpoint = Endpoint(self._metrics, soak.metrics_port) if self._metrics else None
        self._measures: Measures | None = None
        self._batch: list[Callable[[Batch], None]] = []
        self._threads: dict[str, _Every] = {}
        self._beside: dict[str, Beside] = {}
        self._segment = 0
        self._session: Session | None = None
        self._is_away = False  # the journal, and every question to it hangs

    def begin(self, session: Session, connect: Callable[[], Store]) -> None:
        """Watch this session. connect: a connection of one's own to the journal."""
        run, segment = session.run, session.segment
        self.events.bind(run.run_id, segment.segment)
        if self.events.on:
            self._batch.append(self.events.batch)
        if self._metrics is not None:
            metrics = self._metrics
            ends = session.source.known_ends
            self._measures = Measures(metrics, run, lambda: session.ledger.latency_s, ends, session.taps)
            self._batch.append(self._measures.batch)
            self._every("health", lambda store: ask(metrics, store, run, self._data), ASK_S, connect)
        if self._sketches is not None:
            sketches = self._sketches
            try:
                session.ledger.insist(lambda store: sketches.load(store, run.run_id))
            except Refusal as error:
                self._failed("sketches", error)
            else:
                self._batch.append(sketches.batch)
                self.beside("sketches", _Sketching(sketches, self._metrics, run.run_id), SKETCH_S, connect)
        self._session = session

    def beside(self, name: str, work: Beside, every_s: float, connect: Callable[[], Store]) -> None:
        """Let something work beside the soak, every so many seconds."""
        self._beside[name] = work
        self._every(name, work, every_s, connect)

    def batch(self, batch: Batch) -> None:
        """A batch was journaled."""
        if self._session is not None and batch.segment != self._segment:  # a lane's worker gave way to another
            self._segment = batch.segment
            self.events.bind(self._session.run.run_id, batch.segment)
        for told in tuple(self._batch):
            try:
                told(batch)
            except Exception as error:  # noqa: BLE001 - an observer's fault is its own
                self._batch.remove(told)
                self._failed(getattr(told, "__qualname__", "observer"), error)

    def lane_done(self, lane: str) -> None:
        """A lane's loop over a part is over."""
        if self._measures is not None:
            self._measures.lane_done(lane)

    def look(self) -> None:
        """Between polls, now and then."""
        if self._measures is not None:
            try:
                self._measures.look()
            except Exception as error:  # noqa: BLE001 - an observer's fault is its own
                self._measures = None
                self._failed("lag", error)

    def mode(self, mode: Mode) -> None:
        """The soak is in another mode."""
        if self._metrics is not None:
            self._metrics.one_of("violet_mode", mode.name)
        self.events.say("mode", "info" if mode is Mode.RUN else "warning", mode=mode.name)

    def away(self, outage: Outage | None) -> None:
        """ClickHouse does not answer, or does again."""
        self._is_away = outage is not None
        if self._metrics is not None:
            self._metrics.set("violet_journal_away_timestamp_seconds", outage and outage.since.timestamp())
        if outage is None:
            self.events.say("journal_back")
        else:
            self.events.say("journal_away", "error", detail=str(outage))

    def broker_away(self, absence: Absence | None) -> None:
        """The broker does not answer, or does again: its incidents say so in the log."""
        if self._metrics is not None:
            self._metrics.set("violet_broker_away_timestamp_seconds", absence and absence.since.timestamp())

    def rest(self) -> None:
        """Stop asking; what works beside finishes, unless the journal is away."""
        self._leave()
        session, self._session = self._session, None
        if session is None:
            return
        for name, work in self._beside.items():
            if self._threads[name].is_alive():
                continue  # it is in a query that may last, and what it holds is its own
            try:
                if not self._is_away:
                    work.finish(session.ledger.store)
            except Exception as error:  # noqa: BLE001 - an observer's fault is its own
                self._failed(name, error)
            finally:
                work.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()
        if self._endpoint is not None:
            self._endpoint.close()

    def _leave(self) -> None:
        """Ask all threads to end, and wait a little, once."""
        asked = [thread for thread in self._threads.values() if not thread.over.is_set()]
        for thread in asked:
            thread.over.set()
        end = time.monotonic() + (0.0 if self._is_away else LEAVE_S)
        for thread in asked:
            thread.join(max(0.0, end - time.monotonic()))

    def _every(self, name: str, call: Callable[[Store], None], every_s: float, connect: Callable[[], Store]) -> None:
        self._threads[name] = _Every(name, call, every_s, connect, self._failed)
        self._threads[name].start()

    def _failed(self, who: str, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}"[:300]
        self._say(f"{who} failed, and the soak goes on: {words}")
        self.events.say("observer_failed", "warning", who=who, detail=words)


class _Sketching:
    """Takes samples in every time, and stores and tells now and then."""

    def __init__(self, sketches: Sketches, metrics: Metrics | None, run_id: str) -> None:
        self._sketches, self._metrics, self._run_id = sketches, metrics, run_id
        self._written_at = time.monotonic()
        self._told_at = 0.0

    def __call__(self, store: Store) -> None:
        self._sketches.work()
        at = time.monotonic()
        if self._metrics is not None and at - self._told_at >= ASK_S:
            self._told_at = at
            self._sketches.tell(self._metrics)
        if at - self._written_at >= WRITE_S:
            self._written_at = at
            self._sketches.write(store, self._run_id)

    def finish(self, store: Store) -> None:
        self._sketches.work()
        self._sketches.write(store, self._run_id)

    def close(self) -> None:
        """It holds none."""


class _Every(threading.Thread):
    """Calls something now and then until `over`, with a connection that is made again after a fault."""

    def __init__(
        self, name: str, call: Callable[[Store], None], every_s: float, connect: Callable[[], Store],
        failed: Callable[[str, Exception], None],
    ) -> None:  # fmt: skip
        super().__init__(name=name, daemon=True)
        self._call, self._every_s, self._connect, self._failed = call, every_s, connect, failed
        self.over = threading.Event()
        self._fault = ""

    def run(self) -> None:
        store: Store | None = None
        pause_s = 0.0
        while not self.over.wait(pause_s):
            began = time.monotonic()
            try:
                store = store or self._connect()
                self._call(store)
                self._fault = ""
                most_s = inf
            except Exception as error:  # noqa: BLE001 - a figure that is missing ends no soak
                store, most_s = None, AGAIN_S
                if not self.over.is_set() and type(error).__name__ != self._fault:  # once, not every time
                    self._fault = type(error).__name__
                    self._failed(self.name, error)
            pause_s = max(self._every_s, min(most_s, IDLE * (time.monotonic() - began)))
        if store is not None:
            store.close()
