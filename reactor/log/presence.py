"""Presence: whether a broker answers, noticed while it does not.

A broker that is killed breaks its connections; one that is stopped, or behind a dead network, says nothing at all. So
it is asked where a connection broke, and where nothing came for a while. See docs/design/running.md.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

QUIET_S: Final = 3.0  # nothing came for so long: ask
ASK_S: Final = 1.0  # for one answer
AGAIN_S: Final = 2.0  # from one question without an answer to the next
ALARM_S: Final = 4.0  # since the first of these; with the quiet and the last one: people know within ten seconds


class Absence(NamedTuple):
    """A broker does not answer since a time; what was heard last of its connections, if anything."""

    since: datetime
    servers: str
    why: str

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"the broker at {self.servers} does not answer since {self.since:%H:%M:%S} UTC{why}"


class Over(NamedTuple):
    """An absence that is over. lasted_s: its length."""

    absence: Absence
    lasted_s: float

    def __str__(self) -> str:
        return f"the broker at {self.absence.servers} answers again, after {self.lasted_s:.1f} s"


class Presence:
    """Whether a broker answers.

    Args:
        ask: puts a question that takes so many seconds at most; whether it was answered.
        servers: the broker's, for people.
        why: what was heard last of its connections.

    `now` is an absence that lasts for ALARM_S already, or None.
    """

    def __init__(self, ask: Callable[[float], bool], servers: str, why: Callable[[], str]) -> None:
        self._ask, self._servers, self._why = ask, servers, why
        self.now: Absence | None = None
        self.in_doubt = False
        self._heard_at = self._next = time.monotonic()
        self._since: float | None = None  # the first question without an answer
        self._changes: list[Absence | Over] = []

    def heard(self) -> None:
        """The broker answered, or a record came."""
        at = time.monotonic()
        if self._since is not None:
            self._changes.append(Over(self.now or self._begin(self._since), at - self._since))
        self._heard_at, self._since, self.in_doubt, self.now = at, None, False, None

    def doubt(self) -> None:
        """A connection broke."""
        if not self.in_doubt:
            self.in_doubt, self._next = True, 0.0

    def answers(self, within_s: float) -> bool:
        """Ask, where there is doubt; whether there is none."""
        if self.in_doubt and self._ask(within_s):
            self.heard()
        return not self.in_doubt

    def look(self) -> list[Absence | Over]:
        """Ask where it is due; what began and what ended since the last call. Called often."""
        at = time.monotonic()
        if at >= self._next and (self.in_doubt or at - self._heard_at >= QUIET_S):
            if self._ask(ASK_S):
                self.heard()
            else:
                self._since, self.in_doubt, self._next = self._since or at, True, at + AGAIN_S
        if self._since is not None and self.now is None and time.monotonic() - self._since >= ALARM_S:
            self.now = self._begin(self._since)
        changes, self._changes = self._changes, []
        return changes

    def _begin(self, since: float) -> Absence:
        began = datetime.fromtimestamp(time.time() - (time.monotonic() - since), UTC)
        self._changes.append(found := Absence(began, self._servers, self._why()))
        return found
