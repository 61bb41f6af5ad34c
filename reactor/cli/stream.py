"""The standard streams of a command: a soak outlives whoever reads them, and its answer is its own.

What cannot be written to standard error is dropped: its reader went away, or stopped reading, or its disk is full.
Foreign code writes to standard error, whichever way it tries.
"""

import io
import os
import select
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

PIECE_BYTES: Final = 4_096  # what a pipe that can be written takes without waiting (PIPE_BUF)
LEAVE: Final = os._exit
PATIENCE_S: Final = 2.0  # for a reader that is only slow; after that only what fits at once is written


class Lasting(io.RawIOBase):
    """A descriptor that never fails and never waits for long."""

    def __init__(self, fd: int) -> None:
        self._fd, self._patience_s = fd, PATIENCE_S
        self._is_cut = self._is_within = False  # a line is cut off where we are; we are within a line

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._is_cut = self._is_cut and not self._put(memoryview(b"\n"))
        left = view[len(view) :] if self._is_cut else view
        while left and (put := self._put(left[:PIECE_BYTES])):
            left = left[put:]
        self._is_cut = self._is_cut or (bool(left) and self._is_within)
        return len(view)

    def _put(self, piece: memoryview) -> int:
        """Write what fits; the first time that nothing does it is waited for."""
        watched = select.poll()
        watched.register(self._fd, select.POLLOUT)
        fits = bool(watched.poll(self._patience_s * 1e3))
        self._patience_s = PATIENCE_S if fits else 0.0
        try:
            put = os.write(self._fd, piece) if fits else 0
        except OSError:
            put = 0
        if put:
            self._is_within = piece[put - 1] != ord("\n")
        return put


def settle() -> None:
    """See that a process has its three streams, and that standard error lasts. Once, before anything is opened.

    A stream that is closed is opened on /dev/null: its number would else go to a file of ours, which a library that
    writes to its standard error would spoil.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(fd, True)  # noqa: FBT003
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r", closefd=False, encoding="utf-8"))
    # Without a buffer, since a signal's handler writes too, and a buffer is not to be entered twice.
    sys.stderr = io.TextIOWrapper(
        Lasting(2), encoding=sys.stderr.encoding, errors="backslashreplace", write_through=True,
    )  # fmt: skip


def resign() -> None:
    """Our answer is written and flushed: what foreign code still writes to standard output goes to standard error."""
    os.dup2(2, 1)


@contextmanager
def foreign_code() -> Generator[None]:
    """Foreign code may run within: what it writes to standard output goes to standard error, and it cannot exit.

    An exit that is not ours would be taken for a verdict. Our own uses LEAVE.
    """
    ours = sys.stdout
    ours.flush()
    kept, mine = os.dup(1), os.getpid()

    def refused(status: int) -> None:
        if os.getpid() == mine:
            raise SystemExit(status)
        LEAVE(status)

    os.dup2(2, 1)
    sys.stdout = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    os._exit = refused  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = LEAVE
        with suppress(OSError, ValueError):  # it may have closed it
            sys.stdout.close()
        sys.stdout = ours
        os.dup2(kept, 1)
        os.close(kept)
