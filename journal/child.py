"""Child: the one way to start a child process, and to start it again where it died.

A child has a session of its own, so that a Ctrl-C is its parent's to handle, and writes its words into a file, of which
the end is quoted where it fails. A tied child dies with its parent. See docs/design/records.md.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import journal
from journal import tied
from journal.refusal import Refusal

WORDS_BYTES: Final = 1 << 20  # a file of words that grew beyond this is begun anew
LAST_BYTES: Final = 1_000  # of a child's words, quoted where it failed
QUICK_S: Final = 30.0  # a child that dies sooner died at its start: a worker imports for seconds on a busy machine
QUICK_DEATHS: Final = 4  # in a row, then it is not started again
AGAIN_S: Final = 1.0  # from a death to the next start


class Child:
    """A child process of this process."""

    def __init__(self, process: subprocess.Popen[bytes], words: Path, begin: int) -> None:
        """begin: where in `words` its own begin."""
        self._process, self._words, self._begin = process, words, begin

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs. Whoever asks keeps its words within bounds."""
        if bound(self._words):
            self._begin = 0
        return self._process.poll()

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its standard input and output, where it was started with `piped`."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("must be a child with pipes")
        return self._process.stdin, self._process.stdout

    def words(self) -> str:
        """The end of what it wrote."""
        with self._words.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(self._begin if self._begin <= size else 0)  # or it was begun anew meanwhile
            return file.read()[-LAST_BYTES:].decode(errors="replace").strip()

    def failure(self) -> str:
        """How it ended, for people: its last words, else its exit code. Waits for its end."""
        return self.words() or f"exit code {self._process.wait()}, and no word of why"

    def kill(self) -> None:
        """End it at once; returns when it is gone."""
        self._process.kill()
        self._process.wait()

    def end(self, patience_s: float) -> None:
        """Ask it to end, and kill it where it has not after patience_s; returns when it is gone."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


class Kept:
    """A child that is started again where it dies, unless it dies at its start again and again."""

    def __init__(self, name: str, start: Callable[[], Child]) -> None:
        """name: what it is, for people."""
        self._name, self._start = name, start
        self._child: Child | None = None
        self._began = self._died = 0.0
        self._quick = 0

    def start(self) -> None:
        """Start it, in place of the one that may run."""
        self.close()
        self._began, self._died = time.monotonic(), 0.0
        self._child = self._start()

    def look(self, *, excused: bool = False) -> None:
        """Start it again where it died AGAIN_S ago. Raises Refusal with its words after QUICK_DEATHS quick ones.

        Args:
            excused: what it needs is away, so that its death says nothing of it.
        """
        if self._child is None or self._child.code is None:
            return
        now = time.monotonic()
        if not self._died:
            self._died = now
            self._quick = 0 if excused or now - self._began >= QUICK_S else self._quick + 1
            if self._quick >= QUICK_DEATHS:
                raise Refusal(
                    f"{self._name} ended {self._quick} times within {QUICK_S:.0f} s of its start: "
                    f"{self._child.failure()}; fix: mend that"
                )
        if now - self._died >= AGAIN_S:
            self.start()

    def close(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.kill()
            self._child = None


def module(
    name: str, *arguments: str, words: Path, is_tied: bool = True, piped: bool = False, given: bytes = b""
) -> Child:
    """Start a module of ours.

    Args:
        name: of the module, which is run as `__main__`.
        arguments: of its command line.
        words: file that its words are added to: standard error, and standard output unless piped.
        is_tied: it dies with the thread that calls this, so call it from one that lives as long as it should.
        piped: its standard input and output are pipes.
        given: what it reads from its standard input; a secret goes this way, for arguments are for all to see.
    """
    # -P: what lies in the caller's folder is not to be imported.
    begin = ["-m", tied.__name__, str(os.getpid())] if is_tied else []
    return _start([sys.executable, "-P", *begin, "-m", name, *arguments], words, piped=piped, given=given)


def program(command: Sequence[str], words: Path) -> Child:
    """Start another program, tied as a module is; the first of `command` is its path."""
    # Neither -I nor -S lets it import anything of an installation: its start costs little.
    return _start([sys.executable, "-I", "-S", tied.__file__, str(os.getpid()), *command], words)


def bound(words: Path) -> bool:
    """Keep the end alone of a file of words that is too long, and say so; who writes it goes on at its end."""
    with suppress(OSError):
        if (size := words.stat().st_size) > WORDS_BYTES:
            with words.open("r+b") as file:
                file.seek(max(0, size - LAST_BYTES))
                end = file.read()
                file.truncate(0)
            with words.open("ab") as file:
                file.write(end)
            return True
    return False


def environment() -> dict[str, str]:
    """This environment, with the place of these packages where they are not installed."""
    root = Path(journal.__file__).resolve().parent.parent
    path = os.environ.get("PYTHONPATH", "")
    if root.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (path, str(root))))}


def _start(command: Sequence[str], words: Path, *, piped: bool = False, given: bytes = b"") -> Child:
    fd = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(fd).st_size > WORDS_BYTES:
            os.ftruncate(fd, 0)
        begin = os.fstat(fd).st_size
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE if piped or given else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else fd, stderr=fd, env=environment(), start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(fd)
    if given and process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin:  # where it died at once, its words say why
            process.stdin.write(given)
    return Child(process, words, begin)
