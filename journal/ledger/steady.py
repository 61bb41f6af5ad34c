"""The clock of what is written: the wall clock, but for a jump until it has stood still for an hour.

A wall clock may be wrong for some seconds or minutes. What it stamps and ends meanwhile could not be undone: inputs
dropped by age, the line of a day, a run that lasts `--for` so long. So time goes on as before a jump, by the clock of
the machine's running, and the wall clock is believed again once it agrees with that or has stood still.

A clock may also be wrong when a soak starts. So what cannot be undone waits until the clock has stood still for an hour
(`is_sure`). A file in the data directory keeps what is known of the clock, from one soak to the next, while the machine
runs; a clock that is behind the journal's last word is one that jumped.
See docs/design/weeks.md.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

STILL_S: Final = 3_600.0  # a clock that was set for good waits so long; an NTP server that errs is found within minutes
JUMP_S: Final = 2.0  # more at once is a jump
SLEW: Final = 1e-3  # of the time between two looks: NTP turns a clock by at most half of it without a jump
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def _running_s() -> float:
    """Seconds of the machine's running, its sleep included, where the system counts that."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Kept(msgspec.Struct, frozen=True):
    """What is known of a clock. boot: of the machine, since the running clock begins with it; the rest in seconds.

    ahead: of the running clock, as it is believed. doubted: the same, as it is since the last jump. since, seen: of the
    running clock, when it jumped last, and when it was looked at last.
    """

    boot: str
    ahead: float
    doubted: float
    since: float
    seen: float


class Clock:
    """Tells the time; threads may share it.

    Args:
        wall: seconds since 1970, whatever they are worth.
        running: seconds that only grow.
        boot: tells one running of the machine from another; empty where nobody knows.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, running: Callable[[], float] = _running_s, boot: str = ""
    ) -> None:
        self._wall, self._running, self._boot, self._lock = wall, running, boot, Lock()
        self._seen = self._since = running()
        self._ahead = self._doubted = wall() - self._seen
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

    @property
    def is_sure(self) -> bool:
        """Whether the wall clock is believed and has stood still for so long that what it ends may be lost for good."""
        self.now()
        with self._lock:
            return self._ahead == self._doubted and self._seen - self._since >= STILL_S

    def take_jump(self) -> float | None:
        """By how many seconds the wall clock is off since it jumped last; None where it has not since the last call."""
        with self._lock:
            jump_s, self._jump_s = self._jump_s, 0.0
            return jump_s or None

    def begin(self, path: Path, last: datetime) -> None:
        """Go on with what a file knows of this clock; else, where it is behind the journal's last word, with that."""
        with suppress(OSError, msgspec.MsgspecError), self._lock:
            kept = msgspec.json.decode(path.read_bytes(), type=Kept)
            if kept.boot == self._boot != "" and kept.since < self._since:
                self._ahead, self._doubted = kept.ahead, kept.doubted
                self._since, self._seen = kept.since, min(kept.seen, self._seen)
        if self.is_sure:
            return
        with self._lock:
            behind_s = last.timestamp() - (self._seen + self._ahead)
            if behind_s > JUMP_S:
                self._ahead += behind_s
                self._jump_s, self._since = self._doubted - self._ahead, self._seen

    def keep(self, path: Path) -> None:
        """Write what is known of this clock to a file, which may be lost: the next soak then knows it for less long."""
        with self._lock:
            kept = Kept(self._boot, self._ahead, self._doubted, self._since, self._seen)
        part = path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            part.write_bytes(msgspec.json.encode(kept))
            part.replace(path)


def boot_id() -> str:
    """Names this running of the machine; empty where the system does not say."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


CLOCK: Final = Clock(boot=boot_id())
