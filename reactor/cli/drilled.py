"""Commands of a drill: a process that has imported everything, and forks one `violet` for each request.

    python -m reactor.cli.drilled

They are real processes at a tenth of the price. A line of JSON on standard input, {"arguments", "out", "err"}, starts
one. "seam" and "at" have it do something to itself the at-th time that its ledger comes to that step: a "signal" that
it sends itself (SIGKILL where none is named), or "clock_s", by which its wall clock is off from then on. "cwd",
"environ" and "reach_s" (how long a broker is waited for) change where and how it runs.
Answers: {"started": pid}, and when one ends {"ended": pid, "code"}. They lead a session of their own, and die with this
process.
"""

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

SEAMS: Final = (
    "before_intent", "after_intent", "after_decisions", "after_evaluations", "after_planes", "after_rejects",
    "before_completion", "after_completion", "after_commit",
)  # fmt: skip


class Clock:
    """The wall clock of this process, as `time.time` tells it."""

    def __init__(self) -> None:
        self.off_s, self._true = 0.0, time.time

    def __call__(self) -> float:
        return self._true() + self.off_s


CLOCK: Final = Clock()
if __name__ == "__main__":
    time.time = CLOCK  # before anybody keeps the function

from journal.refusal import Refusal  # noqa: E402
from journal.tied import tie  # noqa: E402
from lanes.profile import PROFILES  # noqa: E402
from reactor.cli import soak  # noqa: E402
from reactor.cli.main import run  # noqa: E402
from reactor.drill import lines  # noqa: E402
from reactor.evaluate.chunk import Chunk  # noqa: E402
from reactor.evaluate.record import Decoder  # noqa: E402
from reactor.evaluate.state import State  # noqa: E402
from reactor.evaluate.step import step  # noqa: E402
from reactor.evaluate.walk import Rules  # noqa: E402
from reactor.log import admin, kafka  # noqa: E402
from reactor.run.settings import load  # noqa: E402


def soak_until(arguments: Sequence[str], seam: str, at: int, deed: Callable[[], None]) -> int:
    """`violet soak` with these flags, up to a step of its ledger; its exit code where it never comes there."""
    left = at

    def hear(name: str) -> None:
        nonlocal left
        left -= name == seam
        if name == seam and not left:
            deed()

    with soak.command.make_context("soak", [*arguments]) as context:
        given = {name: value for name, value in context.params.items() if value is not None and value is not False}
    as_json, config = bool(given.pop("as_json", False)), given.pop("config", None)
    return soak.run(load(given, config), as_json, hear)


def _deed(request: Mapping[str, Any]) -> Callable[[], None]:
    if "clock_s" in request:
        return lambda: setattr(CLOCK, "off_s", request["clock_s"])
    number = signal.Signals[request.get("signal", "SIGKILL")]
    return lambda: os.kill(os.getpid(), number)


def _be(request: Mapping[str, Any]) -> None:
    """Become the command that was asked for."""
    os.setsid()
    tie(os.getppid())
    for number, mode, path in (
        (0, os.O_RDONLY, os.devnull), (1, os.O_WRONLY, request["out"]), (2, os.O_WRONLY, request["err"]),
    ):  # fmt: skip
        fd = os.open(path, mode | os.O_CREAT, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    sys.orig_argv = ["violet", *request["arguments"]]
    os.chdir(request.get("cwd", "."))
    os.environ.update(request.get("environ", {}))
    for module in (admin, kafka):  # the latter has its own name of it
        module.REACH_S = request.get("reach_s", admin.REACH_S)  # type: ignore[attr-defined]
    code = 3
    try:
        if "seam" in request:
            code = soak_until(request["arguments"][1:], request["seam"], request["at"], _deed(request))
        else:
            code = run(request["arguments"])
    except Refusal as error:
        sys.stderr.write(f"violet: {error}\n")
    finally:
        if (last := sys.exc_info()[1]) is not None:
            traceback.print_exception(last)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _answer(**fields: int) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def _compile_kernels() -> None:
    rules = Rules(PROFILES["blue_8b"])
    step(
        State(),
        Chunk(0, [*range(60)], [*lines.mixed(60, long=False)]),
        rules,
        Decoder(),
        topic="t",
        segment=1,
        expected=0,
    )


def _reap() -> None:
    """Tell of each that ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _answer(ended=pid, code=os.waitstatus_to_exitcode(status))


def main() -> None:
    """Serve requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as the command does, where it was ignored at its start
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored, and a soak would go on
    _compile_kernels()
    wake, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    rest = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 512)
        _reap()
        if 0 in ready:
            if not (read := os.read(0, 65_536)):
                return
            *requests, rest = (rest + read).split(b"\n")
            for request in requests:
                if not (pid := os.fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(wake)
                    os.close(bell)
                    _be(json.loads(request))
                _answer(started=pid)


if __name__ == "__main__":
    main()
