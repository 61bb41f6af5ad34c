"""Starting, finding and ending the engine of a data directory.

The engine belongs to the directory: it ends with the last command that uses it, or with the last soak of the
directory. Its words go to DIR/engine.log. See docs/design/records.md.
"""

import os
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from journal import child, directory
from journal.child import Child
from journal.engine.address import READER, Address, answers, attach, read
from journal.lock import Lock, engine_lock, held, soaks, users_lock
from journal.refusal import Refusal

START_S: Final = 30.0
END_S: Final = 8.0  # the engine gives running inserts 5
ALIVE_S: Final = 1.0
FOUND_S: Final = 10.0
POLL_S: Final = 0.02

__all__ = ["Address", "Engine", "attach", "ensure", "reading", "running", "start"]


class Engine:
    """An engine process that this process started, and uses until it is closed."""

    def __init__(self, data: Path, process: Child, address: Address, use: Lock) -> None:
        self.address, self._data, self._process, self._use = address, data, process, use

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.code is None

    def close(self, *, is_away: bool = False) -> None:
        """End it and return when it is gone. It stays where another process uses it, and ends with that one.

        is_away: it is known not to answer; stopped, it would not hear that it is to end.
        """
        self._use.release()
        if any(holder.pid != os.getpid() for holder in soaks(self._data)):
            return
        if (last := Lock.alone(users_lock(self._data))) is None and not is_away:
            return
        try:
            self._process.end(END_S if not is_away and answers(self.address, ALIVE_S) else ALIVE_S)
        finally:
            if last is not None:
                last.release()


def start(data: Path) -> Engine:
    """Start the directory's engine and wait until it answers. Raises Refusal with the engine's own words."""
    _, engine = _start(data, shared=False)
    if engine is None:
        raise AssertionError("must be our own engine where none is shared")
    return engine


def _start(data: Path, *, shared: bool) -> tuple[Address, Engine | None]:
    """The engine that was started; or, if shared, that of another who was quicker, and ours has gone."""
    use = _use(data)
    data = data.resolve()
    # Not tied: it ends by itself, in good order, once nobody uses it and every soak of the directory is gone.
    process = child.module(
        "journal.engine.process", "--data", str(data), "--until-unused", words=data / "engine.log", is_tied=False
    )
    deadline = time.monotonic() + START_S
    with ExitStack() as undo:
        undo.callback(process.end, END_S)
        undo.callback(use.release)
        while process.code is None and time.monotonic() < deadline:
            holder = held(engine_lock(data))
            if holder is not None and (address := attach(data)) and held(engine_lock(data)) == holder:
                if holder.pid == process.pid:
                    undo.pop_all()
                    return address, Engine(data, process, address, use)
                if shared:
                    return address, None
            time.sleep(POLL_S)
        code = process.code
    words = process.words()
    how = f"did not answer within {START_S:.0f} s" if code is None else f"ended with {code}"
    raise Refusal(f"the engine of {data} {how}: {words.removeprefix('refused: ') or 'it printed nothing'}")


def _use(data: Path) -> Lock:
    """What keeps the directory's engine from ending. Raises Refusal where one does not come to its end."""
    directory.claim(data)
    if (use := Lock.shared(users_lock(data), FOUND_S)) is None:
        raise Refusal(
            f"the engine of {data} has been ending for {FOUND_S:.0f} s; fix: ask again, or see {data / 'engine.log'}"
        )
    return use


def ensure(data: Path) -> tuple[Address, Engine | None]:
    """The writer's address of the directory's engine, and the engine if it had to be started.

    An engine of somebody else stays while the caller has a soak's lock of the directory, or is in `running`.
    """
    with _use(data):
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


def wait_unused(data: Path) -> None:
    """Return when the directory's engine, which is in use here no more, is gone; or others use it for END_S."""
    deadline = time.monotonic() + END_S
    while held(engine_lock(data)) and time.monotonic() < deadline:
        time.sleep(POLL_S)


@contextmanager
def running(data: Path) -> Generator[Address]:
    """The writer's address for the duration."""
    with ExitStack() as after, _use(data):
        address, engine = ensure(data)
        if engine:
            after.callback(engine.close)
        yield address


@contextmanager
def reading(data: Path) -> Generator[Address]:
    """The reader's address for the duration. While a soak holds the directory, waits for its engine."""
    directory.require_journal(data)
    with _use(data):
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
