"""Rerun: a replay from its run's name to its summary, for a command, a notebook or a program of one's own.

See docs/replay.md.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from journal import directory
from journal.judge.sibling import columns, compare
from journal.keep.migrate import require
from journal.ledger import run as runs
from journal.lock import Lock, soak_lock
from reactor.log.connection import Connection
from reactor.run import replay as replays
from reactor.run.attend import Journal, Watcher, attend
from reactor.run.settings import JournalSettings, Settings, of_flags


def rerun(
    data: Path, remote: JournalSettings, run_id: str | None, *,
    profile: str | None = None, assignments: Sequence[str] = (), name: str | None = None,
    batch_size: int | None = None, new: bool = False, assert_identical: bool = False, broker: Connection,
    say: Callable[[str], None], watch: Callable[[Settings], Watcher], stop: Callable[[], Callable[[], bool]],
) -> dict[str, Any]:  # fmt: skip
    """Evaluate a run's records once more, as another run; its summary, and what differs from the original.

    Args:
        data: the directory of the journal.
        remote: a server that holds the journal instead.
        run_id: the run, by id, prefix or name; None for the latest.
        profile: to evaluate under; the run's own params where none is given.
        assignments: params over it, TABLE.KEY=VALUE.
        name: of the replay; by default that of the run and -replay.
        batch_size: records that are journaled together at most.
        new: start another replay instead of resuming one that did not end.
        assert_identical: compare every row and the content hash too: `identical` and what differs.
        broker: the one that holds the run's topic; one that names none, where archive or stored inputs are read.
        say: takes a line for people.
        watch: makes the watcher, once the settings are known.
        stop: makes what is asked between two polls, once the run is about to be opened.

    Raises:
        Refusal: the records are not to be had, or a param or the name does not fit.
    """
    with ExitStack() as stack:
        journal = Journal(data, remote, stack, say)
        journal.steady(require)
        original = runs.pick(journal.store, run_id)
        chosen = replays.params(journal.store, original, profile, assignments)
        flags = {"data": data, "name": name or f"{original.name}-replay", "new": new}
        flags |= {} if batch_size is None else {"batch_size": batch_size}
        settings = of_flags(flags, remote, chosen, original.absent)
        directory.claim(data)
        held = stack.enter_context(Lock.acquire(soak_lock(data, settings.soak.name)))
        replays.refuse_taken(journal.store, settings, original)
        source = replays.ReplaySource(journal.store, original, broker, chosen)
        stack.callback(source.close)
        session = journal.session(replays.Replay, settings, source, journal.claim(settings.soak.name, held))
        result = attend(session, watch(settings), stop())
        result |= {"replay_of": original.run_id, "read_from": source.identity["read_from"]}
        if result["state"] == "ENDED":
            result["differing_columns"] = session.ledger.insist(lambda store: columns(store, session.run))
            if assert_identical:
                found = session.ledger.insist(lambda store: compare(store, session.run, original))
                result |= {"identical": found.identical, "original_hash": found.original_hash}
                result |= {"differing": found.differing, "first_differing": found.first}
    return result
