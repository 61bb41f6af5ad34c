"""A lock has one holder, names it, and goes with its process."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from journal.lock import Holder, Lock, engine_lock, held, soak_lock, soaks
from journal.refusal import Refusal


def test_a_second_holder_is_refused_by_naming_the_first_and_the_fix(tmp_path):
    path = soak_lock(tmp_path, "a")
    with Lock.acquire(path):
        with pytest.raises(Refusal) as refused:
            Lock.acquire(path)
        assert f"{path} is locked by pid {os.getpid()} (" in str(refused.value)
        assert f"kill {os.getpid()}" in str(refused.value)
        assert "pytest" in str(refused.value)
    Lock.acquire(path).release()


def test_looking_does_not_take_and_tells_who(tmp_path):
    path = engine_lock(tmp_path)
    assert held(path) is None
    assert not path.exists()
    with Lock.acquire(path):
        holder = held(path)
        assert isinstance(holder, Holder)
        assert holder.pid == os.getpid()
        assert json.loads(path.read_text()) == {"pid": holder.pid, "command": holder.command}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert held(path) is None
    with Lock.acquire(path):
        pass


def test_the_file_of_a_dead_process_is_no_obstacle(tmp_path):
    path = soak_lock(tmp_path, "a")
    path.parent.mkdir()
    path.write_text('{"pid": 1, "command": "gone"}')
    assert held(path) is None
    with Lock.acquire(path):
        assert held(path).pid == os.getpid()
    path.write_text("not json")
    with Lock.acquire(path):
        pass


def test_a_child_does_not_inherit_the_lock(tmp_path):
    path = soak_lock(tmp_path, "a")
    with Lock.acquire(path):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False)
    try:
        deadline = time.monotonic() + 2  # exec closes the file an instant after it wakes the parent
        while held(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert held(path) is None
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_a_child_that_is_forked_holds_no_lock_and_its_end_frees_none(tmp_path):
    path, (seen, say) = soak_lock(tmp_path, "a"), os.pipe()
    with Lock.acquire(path) as lock:
        if (child := os.fork()) == 0:
            lock.release()  # what it holds no more is not let go of again: the number may be another file's by now
            os.write(say, b"x")
            signal.pause()
        try:
            assert os.read(seen, 1) == b"x"
            assert held(path).pid == os.getpid()
            lock.release()
            assert held(path) is None
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_waiting_gets_the_lock_as_soon_as_it_is_free(tmp_path):
    path = soak_lock(tmp_path, "a")
    code = (
        "import sys, time; from pathlib import Path; from journal.lock import Lock; "
        "lock = Lock.acquire(Path(sys.argv[1])); print(1, flush=True); time.sleep(0.5)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, env=environment)
    child.stdout.readline()
    assert held(path).pid == child.pid
    began = time.monotonic()
    with Lock.acquire(path, wait_s=10):
        assert time.monotonic() - began < 5
    child.communicate()


def test_soaks_lists_those_that_run(tmp_path):
    with Lock.acquire(soak_lock(tmp_path, "a")), Lock.acquire(engine_lock(tmp_path)):
        Lock.acquire(soak_lock(tmp_path, "b")).release()
        assert [holder.pid for holder in soaks(tmp_path)] == [os.getpid()]
    assert soaks(tmp_path) == []
