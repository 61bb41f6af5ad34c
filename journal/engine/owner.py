"""Starting, finding and ending the engine of a data directory.

The engine belongs to the directory: it ends with the command that started it, unless a soak of the directory
still runs, and then with that soak. Its words go to DIR/engine.log. See docs/design/records.md.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import journal
from journal.engine.address import READER, Address, attach, read
from journal.lock import engine_lock, held, soaks
from journal.refusal import Refusal

START_S: Final = 30.0
END_S: Final = 8.0  # the engine gives running inserts 5
FOUND_S: Final = 10.0
POLL_S: Final = 0.02
LOG_BYTES: Final = 1 << 20

__all__ = ["Address", "Engine", "attach", "ensure", "environment", "reading", "running", "start"]


class Engine:
    """An engine process that this process started."""

    def __init__(self, data: Path, process: subprocess.Popen[bytes], address: Address) -> None:
        self.address, self._data, self._process = address, data, process

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it and return when it is gone. It stays where another process's soak of the directory runs."""
        if any(holder.pid != os.getpid() for holder in soaks(self._data)):
            return
        _end(self._process)


def start(data: Path) -> Engine:
    """Start the directory's engine and wait until it answers. Raises Refusal with the engine's own words."""
    _, engine = _start(data, shared=False)
    if engine is None:
        raise AssertionError("must be our own engine where none is shared")
    return engine


def _start(data: Path, *, shared: bool) -> tuple[Address, Engine | None]:
    """The engine that was started; or, if shared, that of another who was quicker, and ours has gone."""
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    log = data / "engine.log"
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if os.fstat(fd).st_size > LOG_BYTES:
        os.ftruncate(fd, 0)
    said = os.fstat(fd).st_size
    arguments = ("--data", str(data), "--until-orphaned", str(os.getpid()))
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "journal.engine.process", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            env=environment(),
            start_new_session=True,  # a Ctrl-C drains the soak, which still needs its journal
        )
    finally:
        os.close(fd)
    deadline = time.monotonic() + START_S
    try:
        while process.poll() is None and time.monotonic() < deadline:
            holder = held(engine_lock(data))
            if holder is not None and (address := attach(data)) and held(engine_lock(data)) == holder:
                if holder.pid == process.pid:
                    return address, Engine(data, process, address)
                if shared:
                    _end(process)
                    return address, None
            time.sleep(POLL_S)
    except BaseException:
        _end(process)
        raise
    code = process.poll()
    _end(process)
    with log.open("rb") as file:
        file.seek(said)
        words = file.read()[-2_000:].decode(errors="replace").strip()
    how = f"did not answer within {START_S:.0f} s" if code is None else f"ended with {code}"
    raise Refusal(f"the engine of {data} {how}: {words.removeprefix('refused: ') or 'it said nothing'}")


def ensure(data: Path) -> tuple[Address, Engine | None]:
    """The writer's address of the directory's engine, and the engine if it had to be started."""
    deadline = time.monotonic() + FOUND_S
    while not (address := attach(data)) and held(engine_lock(data)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if address:
        return address, None
    return _start(data, shared=True)


@contextmanager
def running(data: Path) -> Generator[Address]:
    """The writer's address for the duration."""
    address, engine = ensure(data)
    try:
        yield address
    finally:
        if engine:
            engine.close()


@contextmanager
def reading(data: Path) -> Generator[Address]:
    """The reader's address for the duration. While a soak holds the directory, waits for its engine."""
    if not (data / "engine").is_dir():
        raise Refusal(f"{data} holds no journal; fix: run `violet soak --data {data}` first, or name another --data")
    deadline = time.monotonic() + FOUND_S
    while not (address := attach(data, READER)) and (holders := soaks(data)):
        if time.monotonic() >= deadline:
            raise Refusal(
                f"the soak of pid {holders[0].pid} holds {data}, but its engine did not answer within "
                f"{FOUND_S:.0f} s; fix: ask again, or see {data / 'engine.log'}"
            )
        time.sleep(POLL_S)
    if address:
        yield address
        return
    with running(data):
        found = read(data, READER)
        if found is None:
            raise Refusal(f"{data / 'sql.json'} cannot be read; fix: make it readable for this user")
        yield found


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def environment() -> dict[str, str]:
    """This environment, with the place of these packages where they are not installed."""
    root = Path(journal.__file__).resolve().parent.parent
    path = os.environ.get("PYTHONPATH", "")
    if root.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (path, str(root))))}
