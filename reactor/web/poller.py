"""The poller: the page's one way to the journal, and what it sends to a browser while the run goes on.

It asks one query at a time. Between two rounds it waits several times as long as the last round took: the engine is
there for the soak first, however large the run is. Without a browser it asks nothing. It tries again when the journal
did not answer.
See docs/design/watching.md.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from journal.engine.address import Address
from journal.engine.owner import reading
from journal.judge import page
from journal.keep.migrate import require
from journal.ledger import run as runs
from journal.refusal import Refusal
from journal.store import JournalAway, Store, connect

T = TypeVar("T")
Message = tuple[str, Mapping[str, Any]]
TICK_S: Final = 1.0
REST: Final = 4.0  # after a window it rests so many times what that took: a short one runs a fifth of the time at most
REST_S: Final = 5.0  # but no longer: what a window costs is bounded, and a machine that is busy makes it seem more
WHOLE_S: Final = 3.0
WHOLE_REST: Final = 20.0  # whole-run figures cost what the run is long, so here no bound
WIDER: Final = 200_000  # records that the list of decisions may look back through: a window may hold too few


@contextmanager
def reader(data: Path, server: Address | None) -> Iterator[Store]:
    """The journal of a directory by its reader's login, its engine started where none runs; or a server's."""
    with ExitStack() as stack, connect(server or stack.enter_context(reading(data))) as store:
        require(store)
        yield store


class _OneAtATime(Store):
    """A store that takes one query at a time."""

    def __init__(self, store: Store, busy: Lock) -> None:
        self._store, self._busy = store, busy

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._busy:
            return self._store.rows(sql, params)


class Poller:
    """Asks one journal for all browsers. It opens the journal at the first question, and again after it was away."""

    def __init__(self, data: Path, opened: Callable[[], AbstractContextManager[Store]]) -> None:
        self.data, self._opened = data, opened
        self._lock, self._busy = Lock(), Lock()
        self._stack = ExitStack()
        self._store: Store | None = None

    def ask(self, call: Callable[[Store], T]) -> T:
        """What the call finds. Raises JournalAway while there is no journal, Refusal where it refuses."""
        store = self._open()
        try:
            return call(store)
        except JournalAway:
            self._close(store)
            raise

    def close(self) -> None:
        """Let go of the journal, and of an engine that was started for it."""
        if self._store is not None:
            self._close(self._store)

    def _open(self) -> Store:
        with self._lock:
            if self._store is not None:
                return self._store
            with ExitStack() as stack:
                store = _OneAtATime(stack.enter_context(self._opened()), self._busy)
                self._stack, self._store = stack.pop_all(), store
                return store

    def _close(self, store: Store) -> None:
        with self._lock:
            if self._store is store:  # not one that another thread has opened since
                self._store = None
                self._stack.close()


class Viewer:
    """What one browser is sent: of a run, or of the newest, over the window that it chose."""

    def __init__(self, data: Path, run_id: str | None, records: int) -> None:
        self._data, self._asked, self._records = data, run_id, records
        self._begin()

    def _begin(self) -> None:
        self._run: runs.Run | None = None
        self._progress = page.Progress()
        self._latest = page.Latest()
        self._feed: list[dict[str, Any]] = []
        self._seen: dict[int, int] = {}

    def pulse(self, store: Store) -> Message:
        """Which run it is, its counts and its silence, from the batches since the last question."""
        run = runs.pick(store, self._asked)
        if self._run is None or run.run_id != self._run.run_id:
            self._begin()
        self._run = run
        self._progress.read(store, run.run_id)
        return "pulse", self._progress.counts(run, runs.now())

    def window(self, store: Store) -> Message | None:
        """Lanes, fan-in and decisions of the latest records; None where nothing came since then."""
        run, ends = self._run, dict(self._progress.ends)
        if run is None or ends == self._seen or not ends:
            return None
        window = page.Window.of(run, ends, self._records)
        feed = self._listed(store, page.Window.of(run, ends, WIDER))
        found = {
            "run_id": run.run_id,
            "records": sum(last - first + 1 for first, last in window.spans.values()),
            "series": page.series(store, window),
            "distribution": page.distribution(store, window),
            "bounds": page.bounds(store, window),
            "latest": self._latest(store, window),
            "feed": feed,
        }
        self._feed, self._seen = feed, ends
        return "window", found

    def _listed(self, store: Store, window: page.Window) -> list[dict[str, Any]]:
        """The latest decisions, the newest first; those listed before only where no record between was passed over."""
        joins = all(first <= self._seen.get(p, -1) + 1 for p, (first, _) in window.spans.items())
        new, known = page.feed(store, window, self._seen if joins else {}), self._feed if joins else []
        newest = sorted((*new, *known), key=lambda row: (row["ts_ms"], row["log_offset"]), reverse=True)
        return newest[: page.FEED]

    def whole(self, store: Store) -> Message | None:
        """Figures of the whole run."""
        run = self._run
        return None if run is None else ("whole", page.whole(store, run, self._data, runs.now()))


async def stream(poller: Poller, viewer: Viewer) -> AsyncGenerator[Message]:
    """Messages for a browser, each a name and its content, for as long as it listens."""
    whole: asyncio.Task[Message | None] | None = None  # goes on beside the windows, its queries between theirs
    whole_at = whole_began = 0.0
    try:
        while True:
            began = time.monotonic()
            try:
                for part in (viewer.pulse, viewer.window):
                    if (found := await asyncio.to_thread(poller.ask, part)) is not None:
                        yield found
                if whole is None and time.monotonic() >= whole_at:
                    whole_began = time.monotonic()
                    whole = asyncio.create_task(asyncio.to_thread(poller.ask, viewer.whole))
                elif whole is not None and whole.done():
                    done, whole = whole, None
                    whole_at = time.monotonic() + max(WHOLE_S, WHOLE_REST * (time.monotonic() - whole_began))
                    if (found := done.result()) is not None:
                        yield found
            except Refusal as error:
                yield "away", {"why": str(error)[:300], "is_away": isinstance(error, JournalAway)}
                whole_at = 0.0
            took = time.monotonic() - began
            rest_s = max(TICK_S - took, min(REST * took, REST_S))
            if whole is None:
                await asyncio.sleep(rest_s)
            else:
                await asyncio.wait((whole,), timeout=rest_s)
    finally:
        if whole is not None:
            whole.cancel()
