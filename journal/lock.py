"""Locks: one holder for each soak name and for the engine of a data directory, by flock; the file says who.

Those who ask an engine share a lock, and it ends by taking that one alone: so it ends under nobody.

The kernel drops a lock with its process, so the file of a dead process is no obstacle. Files are never
unlinked, which would let two processes lock two files of one name. See docs/design/records.md.
"""

import fcntl
import json
import os
import shlex
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from journal.refusal import Refusal

PATIENCE_S: Final = 0.1  # always waited: `held` looks by taking a shared lock for an instant
POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock. pid 0: it has not written its name yet."""

    pid: int
    command: str


_HELD: Final[set[int]] = set()  # descriptors of this process's locks


def _let_go() -> None:
    """In a child that was forked: a lock is its parent's alone, and free when that one ends."""
    while _HELD:
        os.close(_HELD.pop())


os.register_at_fork(after_in_child=_let_go)


class Lock:
    """A held lock. It goes by `release`, as a context manager or with the process; no child inherits it."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self._fd = path, fd
        _HELD.add(fd)

    @classmethod
    def acquire(cls, path: Path, wait_s: float = 0.0) -> Self:
        """Take the lock.

        Args:
            path: its file; made where it is missing, never removed.
            wait_s: how long to wait for a holder to let go.

        Raises:
            Refusal: another process holds it; it is named.
        """
        fd = _opened(path, os.O_RDWR)
        if not _taken(fd, fcntl.LOCK_EX, max(wait_s, PATIENCE_S)):
            holder = _read(fd)
            os.close(fd)
            raise Refusal(
                f"{path} is locked by pid {holder.pid} ({holder.command}); "
                f"fix: wait until it ends, or stop it with `kill {holder.pid}`"
            )
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(asdict(Holder(os.getpid(), _command()))).encode(), 0)
        except OSError as error:
            os.close(fd)
            error.filename = str(path)
            raise
        return cls(path, fd)

    @classmethod
    def shared(cls, path: Path, wait_s: float) -> Self | None:
        """Take the lock beside others who share it; None where one who has it alone does not let go in time."""
        fd = _opened(path, os.O_RDONLY)
        if _taken(fd, fcntl.LOCK_SH, wait_s):
            return cls(path, fd)
        os.close(fd)
        return None

    @classmethod
    def alone(cls, path: Path) -> Self | None:
        """Take what others may share, without a name in it; None where somebody has it."""
        fd = _opened(path, os.O_RDONLY)
        if _taken(fd, fcntl.LOCK_EX, 0.0):
            return cls(path, fd)
        os.close(fd)
        return None

    @property
    def place(self) -> str:
        """What is the same of two locks if they cannot be held at one time."""
        file = os.fstat(self._fd)
        return f"{socket.gethostname()}:{file.st_dev}:{file.st_ino}"

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._fd in _HELD:
            _HELD.remove(self._fd)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def held(path: Path) -> Holder | None:
    """Who holds the lock, or None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(fd)
    finally:
        os.close(fd)
    return None


def place(path: Path) -> str:
    """What a lock of this file has as its place; empty where the file is not there."""
    try:
        file = path.stat()
    except FileNotFoundError:
        return ""
    return f"{socket.gethostname()}:{file.st_dev}:{file.st_ino}"


def engine_lock(data: Path) -> Path:
    """The lock of a data directory's engine."""
    return data / "locks" / "engine.lock"


def users_lock(data: Path) -> Path:
    """The lock that those share who ask a data directory's engine."""
    return data / "locks" / "users.lock"


def soak_lock(data: Path, name: str) -> Path:
    """The lock of one soak of a data directory."""
    return data / "locks" / f"soak-{name}.lock"


def soaks(data: Path) -> list[Holder]:
    """The soaks that run in a data directory."""
    return [holder for path in sorted((data / "locks").glob("soak-*.lock")) if (holder := held(path))]


def _opened(path: Path, mode: int) -> int:
    """A descriptor of the file; to read one that is there, the disk need take no writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, mode | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _taken(fd: int, kind: int, wait_s: float) -> bool:
    """Whether the lock came within a time. The descriptor is closed where an error ends the wait."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        except BaseException:
            os.close(fd)
            raise


def _read(fd: int) -> Holder:
    try:
        return Holder(**json.loads(os.pread(fd, 65_536, 0)))
    except (ValueError, TypeError):
        return Holder(0, "starting")


def _command() -> str:
    """This process as one would type it: without the interpreter's path, with the script's name."""
    program, *arguments = sys.orig_argv
    while arguments and arguments[0].startswith("-") and arguments[0] not in ("-m", "-c"):
        arguments.pop(0)
    if arguments and not arguments[0].startswith("-"):
        program, *arguments = arguments
    return shlex.join([Path(program).name, *arguments])[:1000]
