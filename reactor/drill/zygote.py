"""A zygote: starts commands as forks of a process that has imported everything. See reactor/cli/drilled.py.

Real processes, each with its own session, exit code and output files.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journal import tied
from journal.child import environment

ENDS_S = 10.0


class Zygote:
    """Starts commands. It and all of them end with the thread that made it."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        """folder: for what the commands write. env: their environment; this process's where it is not given."""
        self._folder, self._count, self._rest = folder, 0, b""
        self._codes: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", tied.__name__, str(os.getpid()), "-m", "reactor.cli.drilled"],
            env=dict(environment() if env is None else env), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def close(self) -> None:
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("must have pipes")
        self._process.stdin.close()
        self._process.wait(ENDS_S)
        self._process.stdout.close()

    def spawn(self, *arguments: object, **more: Any) -> "Forked":
        """Start a command. more: what else is asked for; see reactor/cli/drilled.py."""
        self._count += 1
        out, err = (self._folder / f"{self._count}.{name}" for name in ("out", "err"))
        request = {"arguments": [str(each) for each in arguments], "out": str(out), "err": str(err), **more}
        for path in (out, err):
            path.touch()
        if self._process.stdin is None:
            raise AssertionError("must have pipes")
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        while (pid := self._listen(None)) is None:
            pass
        return Forked(self, pid, out, err)

    def code(self, pid: int, timeout_s: float) -> int | None:
        """Exit code of a child, or None where it still runs after the time."""
        deadline = time.monotonic() + timeout_s
        while pid not in self._codes:
            left = deadline - time.monotonic()
            self._listen(max(0.0, left))
            if left <= 0:
                break
        return self._codes.get(pid)

    def _listen(self, timeout_s: float | None) -> int | None:
        pipe = self._process.stdout
        if pipe is None:
            raise AssertionError("must have pipes")
        ready, _, _ = select.select([pipe], [], [], timeout_s)
        if not ready:
            return None
        if not (read := os.read(pipe.fileno(), 65_536)):
            raise AssertionError("the zygote ended")
        *answers, self._rest = (self._rest + read).split(b"\n")
        started = None
        for answer in map(json.loads, answers):
            if "ended" in answer:
                self._codes[answer["ended"]] = answer["code"]
            if "started" in answer:
                started = int(answer["started"])
                self._codes.pop(started, None)  # of an earlier child: the system gives a pid again
        return started


@dataclass(frozen=True)
class Forked:
    """A command that a zygote runs; as much of Popen as is used."""

    zygote: Zygote
    pid: int
    out: Path
    err: Path

    def poll(self) -> int | None:
        return self.zygote.code(self.pid, 0.0)

    def send_signal(self, number: int) -> None:
        """Send it a signal, where it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Standard output and error, once it ended. Raises subprocess.TimeoutExpired."""
        if self.zygote.code(self.pid, timeout) is None:
            raise subprocess.TimeoutExpired(str(self.out), timeout)
        return self.out.read_text("utf-8", "replace"), self.err.read_text("utf-8", "replace")

    @property
    def returncode(self) -> int | None:
        return self.poll()
