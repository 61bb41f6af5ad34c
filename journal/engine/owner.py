"""Starting, finding and ending the engine of a data directory.

The engine belongs to the directory: it ends with the command that started it, unless a soak of the directory
still runs, and then with that soak. Its words go to DIR/engine.log. See docs/design/records.md.
"""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from journal import child, directory
from journal.child import Child
from journal.engine.address import READER, Address, answers, attach, read
from journal.lock import engine_lock, held, soaks
from journal.refusal import Refusal

START_S: Final = 30.0
END_S: Final = 8.0  # the engine gives running inserts 5
ALIVE_S: Final = 1.0
FOUND_S: Final = 10.0
POLL_S: Final = 0.02

__all__ = ["Address", "Engine", "attach", "ensure", "reading", "running", "start"]


class Engine:
    """An engine process that this process started."""

    def __init__(self, data: Path, process: Child, address: Address) -> None:
        self.address, self._data, self._process = address, data, process

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.code is None

    def close(self, *, is_away: bool = False) -> None:
        """End it and return when it is gone. It stays where another process's soak of the directory runs.

        is_away: it is known not to answer; stopped, it would not hear that it is to end.
        """
        if any(holder.pid != os.getpid() for holder in soaks(self._data)):
            return
        self._process.end(END_S if not is_away and answers(self.address, ALIVE_S) else ALIVE_S)


def start(data: Path) -> Engine:
    """Start the directory's engine and wait until it answers. Raises Refusal with the engine's own words."""
    _, engine = _start(data, shared=False)
    if engine is None:
        raise AssertionError("must be our own engine where none is shared")
    return engine


def _start(data: Path, *, shared: bool) -> tuple[Address, Engine | None]:
    """The engine that was started; or, if shared, that of another who was quicker, and ours has gone."""
    directory.claim(data)
    data = data.resolve()
    # Not tied: it ends by itself, in good order, once its parent and every soak of the directory are gone.
    process = child.module(
        "journal.engine.process", "--data", str(data), "--until-orphaned", str(os.getpid()), words=data / "engine.log",
        is_tied=False,
    )  # fmt: skip
    deadline = time.monotonic() + START_S
    try:
        while process.code is None and time.monotonic() < deadline:
            holder = held(engine_lock(data))
            if holder is not None and (address := attach(data)) and held(engine_lock(data)) == holder:
                if holder.pid == process.pid:
                    return address, Engine(data, process, address)
                if shared:
                    process.end(END_S)
                    return address, None
            time.sleep(POLL_S)
    except BaseException:
        process.end(END_S)
        raise
    code = process.code
    process.end(END_S)
    words = process.words()
    how = f"did not answer within {START_S:.0f} s" if code is None else f"ended with {code}"
    raise Refusal(f"the engine of {data} {how}: {words.removeprefix('refused: ') or 'it printed nothing'}")


def ensure(data: Path) -> tuple[Address, Engine | None]:
    """The writer's address of the directory's engine, and the engine if it had to be started."""
    deadline = time.monotonic() + FOUND_S
    while not (address := attach(data)) and held(engine_lock(data)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if address:
        return address, None
    if holder := held(engine_lock(data)):
        raise Refusal(
            f"the engine of {data}, pid {holder.pid}, does not answer; fix: look at {data / 'engine.log'}, let the "
            "process go on where it is stopped, or end it"
        )
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
    directory.require_journal(data)
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
