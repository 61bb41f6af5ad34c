"""A child process dies with its parent, is named by its last words, and is not started for ever."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from journal import child, tied
from journal.child import Kept
from journal.refusal import Refusal

ROOT = Path(__file__).parents[2]
PARENT = """
import sys, time
from pathlib import Path
from journal import child
words = Path(sys.argv[1])
started = child.program(["sleep", "60"], words) if sys.argv[2] == "program" else child.module("sleeper", words=words)
print(started.pid, flush=True)
time.sleep(60)
"""


def until(true, within_s=5.0):
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, "did not come to be"
        time.sleep(0.02)
    return found


def gone(pid):
    """Whether a process that is no child of ours is gone, or dead and not yet waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """modules(NAME, code) makes a module that a child can run."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def write(name, code):
        (folder / f"{name}.py").write_text(code)
        return name

    return write


@pytest.fixture
def words(tmp_path):
    return tmp_path / "words.log"


@pytest.mark.parametrize("kind", ["module", "program"])
def test_a_child_is_gone_when_its_parent_was_killed(modules, words, kind):
    modules("sleeper", "import time; print('up', flush=True); time.sleep(60)")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ['PYTHONPATH']}"}
    command = [sys.executable, "-c", PARENT, str(words), kind]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as parent:
        try:
            pid = int(parent.stdout.readline())
            until(lambda: command_line(pid)[0] == b"sleep" if kind == "program" else words.read_text() == "up\n")
            assert not gone(pid)
        finally:
            parent.kill()
    try:
        until(lambda: gone(pid), 2.0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("command", [["-m", "this"], ["echo", "it ran"]])
def test_a_child_whose_parent_is_gone_before_it_began_ends_by_itself(command):
    other = os.getppid()  # alive, and not the parent of what is started here
    done = subprocess.run(
        [sys.executable, tied.__file__, str(other), *command], capture_output=True, timeout=10, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (tied.ORPHANED, b"", b"")


def test_a_child_dies_with_the_thread_that_started_it(words):
    started = []

    def start():
        started.append(child.program(["sleep", "60"], words))
        until(lambda: command_line(started[0].pid)[0] == b"sleep")

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert until(lambda: started[0].code) == -signal.SIGKILL


def test_a_module_runs_as_main_with_its_arguments_and_none_of_the_callers_folder(modules, words, tmp_path, monkeypatch):
    name = modules("speaks", "import sys; print(__name__, sys.argv[1:]); import stranger")
    (tmp_path / "stranger.py").write_text("print('imported')")
    monkeypatch.chdir(tmp_path)
    started = child.module(name, "a", "b c", words=words)
    assert until(lambda: started.code) == 1
    assert started.words().startswith("__main__ ['a', 'b c']")
    assert started.words().endswith("No module named 'stranger'")


def test_a_module_may_import_the_product_wherever_it_stands(modules, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = child.module(modules("imports", "import journal.child, lanes; print('there')"), words=words)
    until(lambda: started.code is not None)
    assert (started.code, started.words()) == (0, "there")


def test_a_child_has_a_session_of_its_own_and_pipes_where_they_are_wanted(modules, words):
    code = "import os, sys; print(os.getsid(0), sys.stdin.readline().strip()); print('words', file=sys.stderr)"
    started = child.module(modules("echo", code), words=words, piped=True)
    given, answers = started.pipes
    with given:
        given.write(b"hello\n")
    with answers:
        assert answers.read().split() == [str(started.pid).encode(), b"hello"]
    assert until(started.words) == "words"
    started.kill()


def test_words_are_of_this_start_private_and_begun_anew_when_they_are_many(modules, words, monkeypatch):
    name = modules("says", "import sys; print(sys.argv[1])")

    def say(what):
        started = child.module(name, what, words=words)
        until(lambda: started.code is not None)
        return started

    assert say("first").words() == "first"
    assert say("second").words() == "second"
    assert words.read_text() == "first\nsecond\n"
    assert stat.S_IMODE(words.stat().st_mode) == 0o600
    monkeypatch.setattr(child, "WORDS_BYTES", 12)
    assert say("third").words() == "third"
    assert words.read_text() == "third\n"
    assert len(say("x" * 5_000).words()) == child.LAST_BYTES - 1  # without the line feed


def test_a_silent_death_is_named_by_its_code(modules, words):
    started = child.module(modules("falls", "raise SystemExit(7)"), words=words)
    assert started.failure() == "exit code 7, and no word of why"
    sleeping = child.program(["sleep", "60"], words)
    sleeping.kill()
    assert sleeping.failure() == "exit code -9, and no word of why"


def test_an_end_is_asked_for_before_it_is_forced(modules, words):
    obeys = child.module(modules("obeys", "import time; print('up', flush=True); time.sleep(60)"), words=words)
    until(obeys.words)
    obeys.end(10.0)
    assert obeys.code == -signal.SIGTERM
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    stays = child.module(modules("stays", code), words=words)
    until(stays.words)
    stays.end(0.1)
    assert stays.code == -signal.SIGKILL


class Clock:
    """Monotonic seconds that a test turns."""

    def __init__(self, monkeypatch):
        self.s = 1_000.0
        monkeypatch.setattr(child, "time", SimpleNamespace(monotonic=lambda: self.s))


@pytest.fixture
def kept(modules, words, monkeypatch):
    """A child that dies at once, kept; its starts are counted; and the clock that judges it."""
    name, starts, clock = modules("dies", "import sys; sys.exit('no such lane')"), [], Clock(monkeypatch)

    def start():
        started = child.module(name, words=words)
        starts.append(started)
        return started

    keeper = Kept("the worker of lanes dc", start)
    yield keeper, starts, clock
    keeper.close()


def die(starts):
    starts[-1]._process.wait(10)


def test_a_child_that_dies_at_its_start_is_started_so_many_times_and_then_named_with_its_words(kept):
    keeper, starts, clock = kept
    keeper.look()  # before it is started there is nothing to see
    keeper.start()

    def watch():
        for _ in range(100):
            die(starts)
            keeper.look()
            clock.s += child.AGAIN_S
            keeper.look()

    with pytest.raises(Refusal) as refusal:
        watch()
    assert len(starts) == child.QUICK_DEATHS
    assert "the worker of lanes dc ended 4 times within 30 s of its start: no such lane; fix: " in str(refusal.value)


def test_a_child_that_lived_or_whose_needs_were_away_is_started_again_for_as_long_as_it_takes(kept):
    keeper, starts, clock = kept
    keeper.start()
    for excused in (True, False):
        for _ in range(2 * child.QUICK_DEATHS):
            die(starts)
            clock.s += 0.0 if excused else child.QUICK_S
            keeper.look(excused=excused)
            clock.s += child.AGAIN_S
            keeper.look()
    assert len(starts) == 1 + 4 * child.QUICK_DEATHS


def test_a_dead_child_waits_before_its_next_start(kept):
    keeper, starts, clock = kept
    keeper.start()
    die(starts)
    keeper.look()
    clock.s += child.AGAIN_S / 2
    keeper.look()
    assert len(starts) == 1
    clock.s += child.AGAIN_S / 2
    keeper.look()
    assert len(starts) == 2


def test_words_are_bounded_while_a_child_runs_and_after(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "WORDS_BYTES", 2000)
    words = tmp_path / "words"
    started = child.program(
        ["sh", "-c", "for i in $(seq 200); do echo a line of some words; done; echo last; sleep 30"], words
    )
    until(lambda: words.exists() and words.stat().st_size > 4000)
    assert started.code is None
    assert words.stat().st_size == 1000
    assert started.words().endswith("words\nlast")
    started.kill()
