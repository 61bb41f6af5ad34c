"""A process that has imported everything and forks one `violet` for each request: real processes at a tenth of the price.

    python -m tests.integration.zygote

A line of JSON on standard input, {"arguments", "out", "err"}, starts a child; "seam" and "at" make it kill itself the
at-th time that the ledger comes to that step, or send itself another "signal" there; "cwd", "environ" and "reach_s" (how long a broker is waited for) change
what they say. Answers: {"started": pid}, and when a child ends {"ended": pid, "code"}.
Children lead a session of their own, and die with this process.
"""

import json
import os
import select
import signal
import sys
import traceback

import reactor.cli.end
import reactor.cli.publish
import reactor.cli.replay
import reactor.cli.soak
import reactor.cli.verify  # noqa: F401 what the commands import is imported once, here
from journal.tied import tie
from lanes.profile import PROFILES
from reactor.cli.main import run
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import Rules, step
from reactor.log import kafka
from tests.fault.soak_until import soak_until
from tests.integration import records


def child(request):
    os.setsid()
    tie(os.getppid())
    for number, mode, path in (
        (0, os.O_RDONLY, "/dev/null"),
        (1, os.O_WRONLY, request["out"]),
        (2, os.O_WRONLY, request["err"]),
    ):
        fd = os.open(path, mode | os.O_CREAT, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    sys.orig_argv = ["violet", *request["arguments"]]
    os.chdir(request.get("cwd", "."))
    os.environ.update(request.get("environ", {}))
    kafka.REACH_S = request.get("reach_s", kafka.REACH_S)
    code = 3
    try:
        if "seam" in request:
            code = soak_until(
                request["arguments"][1:],
                request["seam"],
                request["at"],
                signal.Signals[request.get("signal", "SIGKILL")],
            )
        else:
            code = run(request["arguments"])
    finally:
        if (error := sys.exc_info()[1]) is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer(**fields):
    os.write(1, json.dumps(fields).encode() + b"\n")


def compile_kernels():
    lines = records.mixed(60, long=False)
    step(
        State(),
        Chunk(0, [*range(60)], lines),
        Rules(PROFILES["blue_8b"]),
        Decoder(),
        topic="t",
        segment=1,
        expected=0,
    )


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as the command does, where it was ignored at its start
    compile_kernels()
    wake, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    buffer = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 512)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            answer(ended=pid, code=os.waitstatus_to_exitcode(status))
        if 0 in ready:
            if not (read := os.read(0, 65_536)):
                return
            *lines, buffer = (buffer + read).split(b"\n")
            for line in lines:
                if not (pid := os.fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(wake)
                    os.close(bell)
                    child(json.loads(line))
                answer(started=pid)


if __name__ == "__main__":
    main()
