"""Stop: the first signal, the second, and one that comes before the run is open."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reactor.run.stop import Stop

ROOT = Path(__file__).parents[3]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_for_the_end_and_says_so(number):
    handlers = {each: signal.getsignal(each) for each in SIGNALS}
    said = []
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        stop = Stop(said.append)
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert said == ["stopping: journaling what was read; once more stops at once"]
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)


def test_the_second_signal_ends_the_process_at_once():
    code = "import os, signal, sys; from reactor.run.stop import Stop; Stop(print); [os.kill(os.getpid(), signal.SIGINT) for _ in 'ab']; sys.exit(9)"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=60, capture_output=True)  # fmt: skip
    assert done.returncode == 2


@pytest.mark.parametrize(("before", "code"), [("SIG_DFL", 9), ("SIG_IGN", 8)])
def test_a_terminal_that_closes_may_say_so_twice_and_nohup_is_heeded(before, code):
    body = (
        f"import os, signal, sys; signal.signal(signal.SIGHUP, signal.{before}); from reactor.run.stop import Stop; "
        "stop = Stop(print); [os.kill(os.getpid(), signal.SIGHUP) for _ in 'ab']; sys.exit(8 + stop())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", body], env=environment, check=False, timeout=60, capture_output=True)
    assert done.returncode == code


@pytest.mark.parametrize(("opened", "code"), [(False, 2), (True, 9)])
def test_a_run_that_does_not_open_in_time_is_left(opened, code):
    body = (
        "import os, signal, sys, time; from reactor.run import stop; stop.OPENING_S = 0.5; "
        "asked = stop.Stop(lambda words: print(words, flush=True), is_open=False); os.kill(os.getpid(), signal.SIGTERM); "
        f"{'asked.opened(); ' if opened else ''}time.sleep(2); sys.exit(8 + asked())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", body], env=environment, check=False, timeout=60, capture_output=True)
    assert done.returncode == code, done.stderr
    assert (b"the same command goes on" in done.stdout) is not opened
