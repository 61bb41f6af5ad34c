"""Proving: what a soak journals is counted while it runs, beside it, so that a gate or a resume adds up at once.

Without it the first look at a run of weeks, or a resume after a kill, would count all of its rows.
See docs/design/running.md.
"""

from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from journal.judge.proof import STRETCH, advance, rows
from journal.refusal import Refusal
from journal.store import Store

LOOK_S: Final = 5.0  # between two looks: at 100,000 scans/s a stretch comes in that time
END_S: Final = 2.0  # waited for a stretch that is counted at the end


class Proving:
    """Proves a run's full stretches on a thread and a connection of its own, until it is closed."""

    def __init__(self, run_id: str, connect: Callable[[], Store]) -> None:
        """connect: gives a connection to the journal."""
        self._run_id, self._connect, self._over = run_id, connect, Event()
        self._proved = 0  # rows of the run that were looked at, about
        self._thread = Thread(target=self._run, name="proving", daemon=True)
        self._thread.start()

    def close(self, *, is_away: bool = False) -> None:
        """End it. is_away: the journal is, and nothing is waited for."""
        self._over.set()
        self._thread.join(0.0 if is_away else END_S)

    def _run(self) -> None:
        store = None
        while not self._over.wait(LOOK_S):
            try:
                store = store or self._connect()
                self._look(store)
            except Refusal:  # away, or no memory for it: whoever asks for a figure counts what is not proved
                if store is not None:
                    store.close()
                store = None
        if store is not None:
            store.close()

    def _look(self, store: Store) -> None:
        if stretches := (rows(store, self._run_id) - self._proved) // STRETCH:
            advance(store, self._run_id, self._over.is_set)
            self._proved += stretches * STRETCH
