"""The clock of what is written: the wall clock, but for a jump until it has stood still for an hour.

A wall clock may be wrong for some seconds or minutes. What it stamps and ends meanwhile could not be undone: inputs
dropped by age, the line of a day, a run that lasts `--for` so long. So time goes on as before a jump, by the clock of
the machine's running, and the wall clock is believed again once it agrees with that or has stood still.
See docs/design/weeks.md.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Final

STILL_S: Final = 3_600.0  # a clock that was set for good waits so long; an NTP server that errs is found within minutes
JUMP_S: Final = 2.0  # more at once is a jump
SLEW: Final = 1e-3  # of the time between two looks: NTP turns a clock by at most half of it without a jump


def _running_s() -> float:
    """Seconds of the machine's running, its sleep included, where the system counts that."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """Tells the time; threads may share it.

    Args:
        wall: seconds since 1970, whatever they are worth.
        running: seconds that only grow.
    """

    def __init__(self, wall: Callable[[], float] = time.time, running: Callable[[], float] = _running_s) -> None:
        self._wall, self._running, self._lock = wall, running, Lock()
        self._seen = running()
        self._ahead = wall() - self._seen  # of the running clock, as it is believed
        self._doubted, self._since = self._ahead, self._seen  # the same, as it is since a jump
        self._jump_s = 0.0

    def now(self) -> datetime:
        """The time, UTC."""
        with self._lock:
            at = self._running()
            ahead, slew = self._wall() - at, JUMP_S + SLEW * (at - self._seen)
            self._seen = at
            if abs(ahead - self._doubted) > slew:
                self._jump_s, self._since = ahead - self._ahead, at
            self._doubted = ahead
            if abs(ahead - self._ahead) <= slew or at - self._since >= STILL_S:
                self._ahead = ahead
            return datetime.fromtimestamp(at + self._ahead, UTC)

    def take_jump(self) -> float | None:
        """By how many seconds the wall clock is off since it jumped last; None where it has not since the last call."""
        with self._lock:
            jump_s, self._jump_s = self._jump_s, 0.0
            return jump_s or None


CLOCK: Final = Clock()
