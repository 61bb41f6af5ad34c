"""An engine belongs to its directory: one at a time, found again, gone with its owner, exact after a kill."""

import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from journal import directory
from journal.engine import owner
from journal.engine.address import answers, read
from journal.lock import Lock, engine_lock, held, soak_lock
from journal.refusal import Refusal
from journal.store import JournalAway, connect

START = """
import sys, time
from pathlib import Path
from journal.engine import owner
from journal.lock import Lock, soak_lock
data = Path(sys.argv[1])
lock = Lock.acquire(soak_lock(data, "own")) if sys.argv[2] == "soak" else None
engine = owner.start(data)
print(engine.pid, flush=True)
time.sleep(60)
"""


def test_files_are_private_and_hold_what_a_client_needs(running):
    told = json.loads((running.data / "sql.json").read_text())
    assert told == {
        "url": running.reader.url,
        "user": "reader",
        "token": running.reader.token,
        "pid": running.engine.pid,
    }
    for name in ("sql.json", "writer.json", "engine.log", "locks/engine.lock"):
        assert stat.S_IMODE((running.data / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE((running.data / "engine").stat().st_mode) == 0o700
    assert running.writer.token not in repr(running.writer)


def test_a_running_engine_is_found_and_not_started_twice(running):
    assert owner.attach(running.data) == running.writer
    assert owner.attach(running.data, "reader") == running.reader
    assert owner.ensure(running.data) == (running.writer, None)
    with owner.reading(running.data) as address:
        assert address == running.reader
    with owner.running(running.data) as address:
        assert address == running.writer
    assert running.engine.alive()


def test_a_second_engine_is_refused_by_naming_the_first(running, python):
    code = "import sys; from journal.engine import process as p; p.LOCK_WAIT_S = 0.2; sys.exit(p.main())"
    second = python(code, "--data", running.data)
    out, err = second.communicate(timeout=30)
    assert (second.returncode, out) == (3, "")
    assert f"locked by pid {running.engine.pid} (python -m journal.engine.process --data {running.data}" in err
    assert f"kill {running.engine.pid}" in err
    assert running.engine.alive()


def test_a_stranger_on_the_port_never_gets_a_token(running, tmp_path):
    (tmp_path / "writer.json").write_text((running.data / "writer.json").read_text())
    (tmp_path / "sql.json").write_text((running.data / "sql.json").read_text())
    assert owner.attach(tmp_path) is None


def test_port_and_tokens_stay_until_a_stranger_takes_the_port(tmp_path, gone):
    first = owner.start(tmp_path)
    address, reader = first.address, read(tmp_path, "reader")
    began = time.monotonic()
    first.close()
    assert time.monotonic() - began < 3.0
    assert not Path(f"/proc/{first.pid}").exists()
    assert not answers(address)
    assert owner.attach(tmp_path) is None
    second = owner.start(tmp_path)
    assert (second.address, read(tmp_path, "reader")) == (address, reader)
    os.kill(second.pid, signal.SIGKILL)
    second.close()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", address.port))
        stranger.listen()
        third = owner.start(tmp_path)
        try:
            assert third.address.port != address.port
            assert third.address.token == address.token
            assert "is taken" in (tmp_path / "engine.log").read_text()
        finally:
            third.close()


def test_an_engine_that_cannot_start_says_why(tmp_path):
    directory.claim(tmp_path)
    (tmp_path / "engine").write_text("not a folder")
    with pytest.raises(Refusal, match=r"engine must be the engine's folder, but is a file"):
        owner.start(tmp_path)


def test_sigkill_in_the_middle_of_inserts_loses_and_doubles_nothing(tmp_path, table):
    sql, types = table
    engine = owner.start(tmp_path)
    store, store_url = connect(engine.address), engine.address.url
    store.command(sql.format(name="d"))
    batches, kills, killed = 40, {7, 23}, 0
    for batch in range(batches):
        rows = {
            "n": list(range(batch * 2_000, batch * 2_000 + 2_000)),
            "s": ["x" * 50] * 2_000,
            "x": [1.0] * 2_000,
        }
        pid = engine.pid
        if batch in kills:
            threading.Timer(0.004, os.kill, (pid, signal.SIGKILL)).start()
        while True:
            try:
                store.insert("d", rows, types, f"token-{batch}")
                if batch not in kills or engine.pid != pid:
                    break  # where the kill came after the answer, the token makes the repeat nothing
            except JournalAway:
                engine.close()
                engine = owner.start(tmp_path)
                killed += 1
                assert engine.address.url == store_url
    assert killed == len(kills)
    try:
        assert store.rows("SELECT count() AS c, uniqExact(n) AS u FROM d") == [
            {"c": batches * 2_000, "u": batches * 2_000}
        ]
        assert store.rows("SELECT count() AS c FROM system.detached_parts") == [{"c": 0}]
    finally:
        store.close()
        engine.close()


def test_an_orphan_ends_at_once_but_stays_while_a_soak_runs(tmp_path, python, gone):
    parent = python(START, tmp_path, "plain")
    pid = int(parent.stdout.readline())
    with Lock.acquire(soak_lock(tmp_path, "other")):
        parent.kill()
        parent.communicate()
        time.sleep(0.8)
        assert held(engine_lock(tmp_path)).pid == pid
        assert owner.attach(tmp_path)
    assert gone(pid, 1.5)


READ = """
import sys
from pathlib import Path
from journal.engine import owner
with owner.reading(Path(sys.argv[1])):
    print(1, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_who_started_an_engine_goes_first_and_it_stays_for_a_reader_and_ends_with_that_one(tmp_path, python, gone, how):
    starter = python(START, tmp_path, "plain") if how == "killed" else None
    engine = owner.start(tmp_path) if starter is None else None
    pid = engine.pid if engine else int(starter.stdout.readline())
    readers = [python(READ, tmp_path, stdin=subprocess.PIPE) for _ in range(2)]
    for reader in readers:
        reader.stdout.readline()
    if engine:
        engine.close()
    else:
        starter.kill()
        starter.communicate()
    readers[0].communicate()
    time.sleep(0.8)
    assert held(engine_lock(tmp_path)).pid == pid
    assert owner.attach(tmp_path, "reader")
    readers[1].communicate()
    assert gone(pid, 3.0)
    if engine:
        engine.close()  # our child: somebody has to collect it


def test_commands_that_follow_one_another_closely_never_find_an_engine_that_is_ending(tmp_path, python):
    """Each ends as the next one begins, which takes its engine over or waits until it is gone."""
    owner.start(tmp_path).close()
    turn = (
        "import sys, time; from pathlib import Path; from journal.engine import owner; from journal.store import connect\n"
        "for _ in range(6):\n"
        "    with owner.running(Path(sys.argv[1])) as address, connect(address) as store:\n"
        "        for _ in range(5): store.rows('SELECT 1')\n"
    )
    for process in [python(turn, tmp_path) for _ in range(4)]:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err) == (0, "", "")


def test_a_killed_soak_leaves_no_process_behind(tmp_path, python, gone):
    soak = python(START, tmp_path, "soak")
    pid = int(soak.stdout.readline())
    soak.kill()
    soak.communicate()
    assert gone(pid, 1.5)


def test_ctrl_c_does_not_reach_the_engine_and_close_leaves_it_to_another_soak(tmp_path, python):
    hold = (
        "import sys; from pathlib import Path; from journal.lock import Lock; "
        "lock = Lock.acquire(Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"
    )
    engine = owner.start(tmp_path)
    assert os.getsid(engine.pid) != os.getsid(0)
    with Lock.acquire(soak_lock(tmp_path, "mine")):
        other = python(hold, soak_lock(tmp_path, "theirs"), stdin=subprocess.PIPE)
        other.stdout.readline()
        engine.close()
        assert engine.alive()
        other.communicate()
        engine.close()
        assert not engine.alive()


def test_a_directory_without_a_journal_is_refused_and_not_created(tmp_path):
    with pytest.raises(Refusal, match="holds no journal"), owner.reading(tmp_path / "no"):
        pass
    assert not (tmp_path / "no").exists()


def test_a_query_waits_for_a_soaks_engine_and_starts_none(tmp_path, monkeypatch):
    (tmp_path / "engine").mkdir()
    monkeypatch.setattr("journal.engine.owner.FOUND_S", 0.3)
    monkeypatch.setattr("journal.engine.owner._start", lambda data, shared: pytest.fail("started an engine"))
    with (
        Lock.acquire(soak_lock(tmp_path, "s")),
        pytest.raises(Refusal, match=f"soak of pid {os.getpid()}"),
        owner.reading(tmp_path),
    ):
        pass
