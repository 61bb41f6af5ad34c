"""Patience: calls of the journal that wait while ClickHouse is away, and meanwhile give an alarm and obey.

A call runs on a thread of its own, so that a server that takes a connection and says nothing cannot hold the one who
asks. An outage that is known is kept in a file as well: the journal, which cannot be written now, learns of it when it
is back, also where the soak ended before that. See docs/design/exactly-once.md.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread, local
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from journal.ledger.run import now
from journal.refusal import Refusal
from journal.store import JournalAway, Store

T = TypeVar("T")
RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)  # pauses while ClickHouse is away; the last one repeats
ALARM_S: Final = 4.0  # and PULSE_S before, and a ping of 2 s at most: people know within ten seconds
PULSE_S: Final = 2.0  # without a call: ask for a sign of life
LOOK_S: Final = 0.25  # between looks at who asks for the end


class JournalGone(Refusal):
    """The end was asked for while ClickHouse was away. What was read and not journaled is read again by a resume."""


class Revived(NamedTuple):
    """Another store in place of one that no longer answers. is_new_engine: its engine was started for that."""

    store: Store
    is_new_engine: bool


class Outage(NamedTuple):
    """ClickHouse does not answer a run since a time, and what it said last, if anything."""

    run_id: str
    since: datetime
    url: str
    why: str

    def __str__(self) -> str:
        said = f" ({self.why})" if self.why else ""
        return f"ClickHouse at {self.url} does not answer since {self.since:%H:%M:%S} UTC{said}"


@dataclass(frozen=True, slots=True)
class Waited:
    """What it took to get an answer: seconds that ClickHouse was away, and engines that were started."""

    away_s: float
    engines: int


class Patience:
    """Makes calls until ClickHouse answers.

    Args:
        store: where; another one may take its place.
        run_id: whose calls they are.
        revive: gives another store where this one no longer answers, or None while there is none.
        stop: whether the end is asked for.
        on_away: called with an outage when it is known, and with None when it is over.
        memory: file that holds an outage until the journal does.

    `answered_at`: monotonic seconds of the last answer.
    """

    def __init__(
        self, store: Store, run_id: str, revive: Callable[[], Revived | None], stop: Callable[[], bool],
        on_away: Callable[[Outage | None], None], memory: Path | None,
    ) -> None:  # fmt: skip
        self.store, self._run_id, self._revive = store, run_id, revive
        self._stop, self._on_away, self._memory = stop, on_away, memory
        self._outage: Outage | None = None
        self.answered_at = time.monotonic()

    def insist(self, call: Callable[[Store], T]) -> tuple[T, Waited]:
        """The answer of a call, and what it took.

        Raises:
            JournalGone: the end was asked for while ClickHouse was away.
            JournalRefused: an answer that is no.
        """
        began, at, attempt, engines, why = time.monotonic(), now(), 0, 0, ""
        while True:
            store = self.store
            try:
                answer = beside(lambda: call(store), lambda: self._look(began, at, why))  # noqa: B023 - made at once
                break
            except JournalAway as away:
                why = str(away)[:300]
            time.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1
            self._look(began, at, why)
            if (revived := beside(self._revive, lambda: self._look(began, at, why))) is not None:  # noqa: B023
                self.store = revived.store
                engines += revived.is_new_engine
        self.answered_at = time.monotonic()
        was_away = bool(attempt) or self._outage is not None  # one that slept answers the very call that waited
        if self._outage is not None:
            self._outage = None
            self._on_away(None)
        return answer, Waited(self.answered_at - began if was_away else 0.0, engines)

    def recalled(self) -> Outage | None:
        """An outage of this run that a soak before did not live to journal."""
        if self._memory is None or (outage := remembered(self._memory)) is None:
            return None
        return outage if outage.run_id == self._run_id else None

    def forget(self) -> None:
        """The journal knows of it."""
        if self._memory is not None:
            self._memory.unlink(missing_ok=True)

    def _look(self, began: float, at: datetime, why: str) -> None:
        """Give the alarm when it is time. Raises JournalGone where the end is asked for and nobody answers."""
        is_due = self._outage is None and time.monotonic() - began >= ALARM_S
        if not (self._stop() or is_due) or (not why and self.store.answers()):
            return
        if self._outage is None:
            self._outage = Outage(self._run_id, at, self.store.url, why)
            if self._memory is not None:
                with suppress(OSError):  # the disk may be full, which is why ClickHouse is away
                    self._memory.write_bytes(msgspec.json.encode(self._outage))
            self._on_away(self._outage)
        if self._stop():
            raise JournalGone(
                f"{self._outage}, and the end was asked for; nothing that was journaled is lost, the rest is read "
                "again; fix: start ClickHouse, then the same command resumes"
            )


def remembered(memory: Path) -> Outage | None:
    """The outage that a file holds, if it does."""
    try:
        return msgspec.json.decode(memory.read_bytes(), type=Outage)
    except (OSError, msgspec.MsgspecError):
        return None


def beside(call: Callable[[], T], between: Callable[[], None]) -> T:
    """What a call gives or raises, made by the thread that does so for this one. between: called while it lasts.

    What `between` raises ends the waiting; the call, which may never end, is left behind with its thread.
    """
    calls: _Calls | None = getattr(_MINE, "calls", None)
    if calls is None or not calls.is_alive():  # also in a process that was forked
        calls = _MINE.calls = _Calls()
        calls.start()
    calls.todo.put(call)
    while True:
        try:
            answer, error = calls.done.get(timeout=LOOK_S)
        except Empty:
            try:
                between()
            except BaseException:
                _MINE.calls = None
                raise
            continue
        if error is not None:
            raise error
        return answer  # type: ignore[no-any-return]


class _Calls(Thread):
    """Makes calls, one at a time, for one other thread."""

    def __init__(self) -> None:
        super().__init__(name="journal", daemon=True)
        self.todo: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self.done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        while True:
            call = self.todo.get()
            try:
                found: tuple[Any, BaseException | None] = call(), None
            except BaseException as error:  # noqa: BLE001 - whatever it is, the one who asked gets it
                found = None, error
            self.done.put(found)
            del call, found


_MINE: Final = local()
