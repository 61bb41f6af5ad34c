"""Queries of readers that run: their places, and their end where the client is gone or cancels.

A place is held only while the engine works. A request that still comes, and an answer that is still read, hold none.
The embedded engine knows no query's id, so a query carries a mark of ours in its log_comment, and is killed by that.
"""

import select
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from journal.engine.reader import QueryError

PLACES: Final = 4  # reader queries at once; the next one waits, the writer never does
LOOK_S: Final = 0.2  # between two looks whether a client is still there
TOO_MANY: Final = 202
SAME_ID: Final = 216


@dataclass(slots=True)
class Query:
    """A query of a reader that has a place. mark: what its log_comment begins with."""

    mark: str
    text: str
    client: socket.socket
    cancelled: bool = False


class Queries:
    """The places of readers and who holds them."""

    def __init__(self, kill: Callable[[str], None]) -> None:
        """kill: ends the query of a mark; none may be there yet."""
        self._kill, self._places = kill, threading.BoundedSemaphore(PLACES)
        self._held: dict[str, Query] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def place(self, query_id: str, mark: str, text: str, client: socket.socket, wait_s: float) -> Generator[None]:
        """Hold a place.

        Raises:
            QueryError: none came free in time, or a query of this id runs.
            ConnectionError: the client went away meanwhile.
        """
        query = Query(mark, text, client)
        self._take(client, wait_s)
        try:
            with self._changed:
                if query_id in self._held:
                    raise QueryError.of(
                        SAME_ID,
                        "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
                        f"Query with id = {query_id} is already running.",
                    )
                self._held[query_id] = query
                self._changed.notify_all()
            try:
                yield
            finally:
                with self._changed:
                    del self._held[query_id]
                    self._changed.notify_all()
        finally:
            self._places.release()

    def cancel(self, query_id: str, wait_s: float) -> tuple[Query, bool] | None:
        """End a query; the query, and whether it has ended within wait_s. None: no reader's query of this id runs."""
        with self._changed:
            if (query := self._held.get(query_id)) is None:
                return None
            query.cancelled = True
            self._changed.notify_all()
            return query, self._changed.wait_for(lambda: query_id not in self._held, wait_s)

    def _take(self, client: socket.socket, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while not self._places.acquire(timeout=LOOK_S):
            if gone(client):
                raise ConnectionAbortedError
            if time.monotonic() > deadline:
                raise QueryError.of(
                    TOO_MANY, "TOO_MANY_SIMULTANEOUS_QUERIES",
                    f"{PLACES} queries of readers still ran after {wait_s:.0f} s; fix: ask again later, or end one",
                )  # fmt: skip

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._held)
                self._changed.wait_for(lambda: any(query.cancelled for query in self._held.values()), LOOK_S)
                held = list(self._held.values())
            doomed = [query for query in held if query.cancelled or gone(query.client)]
            for query in doomed:
                query.cancelled = True
                with suppress(QueryError):  # it is asked again until the query has ended
                    self._kill(query.mark)
            if doomed:
                time.sleep(LOOK_S / 4)


def gone(client: socket.socket) -> bool:
    """Whether a client has closed its connection, or its side of it, which ClickHouse takes for the same."""
    watched = select.poll()
    try:
        watched.register(client, select.POLLRDHUP)
    except (ValueError, OSError):  # closed on our side
        return True
    return bool(watched.poll(0))
