"""Claim: which process may write the runs of a soak's name, decided by one conditional write in the journal itself.

Each writer claims the next epoch of its name before it reads where a run stands. The insert of an epoch has a token
that all who want this epoch share, so ClickHouse keeps one of them; and a claim counts only where a look behind it
finds no other of its epoch or above. From then on whoever has a lower epoch is fenced: it finds out before it inserts
rows of another batch. A claim beats while its process lives, so that a second one of a name is refused and does not
take over from one that works. Nobody compares clocks: a beat is a number that changes or does not.
See docs/design/exactly-once.md.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from journal.ledger.run import Run, now
from journal.lock import held, place, soak_lock
from journal.refusal import Refusal
from journal.store import Store

BEAT_S: Final = 3.0
SILENT_S: Final = 10.0  # without a beat: the process is gone, or stopped for so long that another may take over
LOOK_S: Final = 0.5  # between looks at whether it beats
_END_S: Final = 2.0  # waited for a beat that is being written, and for the release


class Fenced(Refusal):
    """Another process claimed the name: nothing more may be written by this one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a name. place: where its lock lies; of two claims of one place the first one's process is gone."""

    name: str
    epoch: int
    holder: str
    place: str
    who: str


@dataclass(frozen=True, slots=True)
class _Seen:
    claim: Claim
    beat: int
    released: bool


def take(store: Store, name: str, where: str, say: Callable[[str], None] = lambda words: None) -> Claim:
    """Claim the next epoch of a name.

    Args:
        store: the journal.
        name: of a soak, or one with a space of something else that must have one writer.
        where: the place of the lock that this process holds.
        say: takes a line for people, where it has to wait.

    Raises:
        Refusal: another process holds the name and works, or claims it at this moment.
    """
    last = _latest(store, name)
    if last is not None and not last.released and last.claim.place != where:
        say(f"{name}: {last.claim.who} wrote last and did not let go; waiting {SILENT_S:.0f} s for a sign of life")
        last = _silent(store, last)
    who = f"pid {os.getpid()} on {socket.gethostname()}"
    for epoch in count(last.claim.epoch + 1 if last is not None else 1):
        mine = Claim(name, epoch, secrets.token_hex(8), where, who)
        _put(store, mine, 0, f"{name}|{epoch}")
        rows = store.rows(
            "SELECT DISTINCT epoch, holder FROM violet_claims WHERE name = {name:String} AND epoch >= {epoch:UInt64}",
            {"name": name, "epoch": epoch},
        )
        if [(row["epoch"], row["holder"]) for row in rows] == [(epoch, mine.holder)]:
            return mine
        if rows:
            raise Refusal(f"{name!r} is claimed by another process at this moment; fix: once more, when that one ends")
    raise AssertionError("never comes here")


def writers(store: Store, data: Path, asked: Iterable[Run]) -> dict[str, str]:
    """Who works on the names of runs that are RUNNING, by name, in words; on whatever machine.

    A name whose process is gone is not among them. Waits for a beat, SILENT_S at most, where one may work elsewhere.
    """
    found, waits = dict[str, str](), dict[str, _Seen]()
    for name in {run.name for run in asked if run.state == "RUNNING"}:
        path = soak_lock(data, name)
        if holder := held(path):
            found[name] = f"pid {holder.pid} on {socket.gethostname()}"
        elif (last := _latest(store, name)) and not last.released and last.claim.place != place(path):
            waits[name] = last
    end = time.monotonic() + SILENT_S
    while waits and time.monotonic() < end:
        time.sleep(LOOK_S)
        for name, last in [*waits.items()]:
            if (seen := _latest(store, name)) != last:
                del waits[name]
                found |= {name: seen.claim.who} if seen is not None and not seen.released else {}
    return found


def release(store: Store, mine: Claim, beat: int = 1) -> None:
    """Let go, so that the next process of the name need not wait. beat: a later one than any before."""
    _put(store, mine, beat, f"{mine.name}|{mine.epoch}|{mine.holder}|{beat}", released=True)


def let_go(store: Store) -> None:
    """Release every name's last claim, in a copy of a journal: who holds it, holds it in the original."""
    for row in store.rows("SELECT DISTINCT name FROM violet_claims"):
        if (last := _latest(store, row["name"])) is not None and not last.released:
            release(store, last.claim, last.beat + 1)


def require(store: Store, mine: Claim) -> None:
    """Raise Fenced where a later epoch of the name was claimed."""
    highest = "SELECT max(epoch) FROM violet_claims WHERE name = {name:String}"
    if store.count(highest, {"name": mine.name}) <= mine.epoch:
        return
    last = _latest(store, mine.name)
    by = f"{last.claim.who} in epoch {last.claim.epoch}" if last is not None else "nobody"
    raise Fenced(
        f"{mine.name!r} of epoch {mine.epoch} was taken over by {by}, and writes no more; nothing is lost: what it did "
        "not journal the other one does; fix: stop one of the two; a soak may have another --name"
    )


class Beat:
    """A claim that is held: it beats until it is released, on a thread and a connection of its own."""

    def __init__(self, claim: Claim, connect: Callable[[], Store]) -> None:
        """connect: gives a connection to the journal."""
        self._claim, self._connect = claim, connect
        self._store: Store | None = None
        self._beat, self._over = 0, Event()
        self._thread = Thread(target=self._run, name="claim", daemon=True)
        self._thread.start()

    def release(self, *, is_away: bool = False) -> None:
        """Let go, so that the next process of the name need not wait. is_away: the journal is, so it has to."""
        self._over.set()
        self._thread.join(0.0 if is_away else _END_S)

    def _run(self) -> None:
        while not self._over.wait(BEAT_S):
            self._write(_beat)
        self._write(release)
        if self._store is not None:
            self._store.close()

    def _write(self, write: Callable[[Store, Claim, int], None]) -> None:
        self._beat += 1
        try:
            self._store = self._store or self._connect()
            write(self._store, self._claim, self._beat)
        except Refusal:  # the journal is away: the soak itself waits for it and says so
            with suppress(Exception):
                if self._store is not None:
                    self._store.close()
            self._store = None


def _latest(store: Store, name: str) -> _Seen | None:
    rows = store.rows(
        "SELECT name, epoch, holder, place, who, beat, released FROM violet_claims FINAL WHERE name = {name:String} "
        "ORDER BY epoch DESC, holder LIMIT 1",
        {"name": name},
    )
    if not rows:
        return None
    row = rows[0]
    beat, released = row.pop("beat"), row.pop("released")
    return _Seen(Claim(**row), beat, bool(released))


def _silent(store: Store, last: _Seen) -> _Seen:
    """The latest claim, once it is released or has not beaten for SILENT_S. Raises Refusal where it lives."""
    end = time.monotonic() + SILENT_S
    while time.monotonic() < end:
        time.sleep(LOOK_S)
        seen = _latest(store, last.claim.name)
        if seen is not None and seen.released:
            return seen
        if seen is not None and seen != last:
            raise Refusal(
                f"{last.claim.name!r} is written to this journal by {seen.claim.who}; fix: stop that one or wait for "
                "its end; a soak may have another --name"
            )
    return last


def _beat(store: Store, mine: Claim, beat: int) -> None:
    _put(store, mine, beat, f"{mine.name}|{mine.epoch}|{mine.holder}|{beat}")


def _put(store: Store, claim: Claim, beat: int, token: str, *, released: bool = False) -> None:
    row: dict[str, Any] = {**asdict(claim), "beat": beat, "released": released, "at": now()}
    store.put_row("violet_claims", row, token)
