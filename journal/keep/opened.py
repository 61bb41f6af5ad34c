"""Opened: a journal for who asks it or works on it: a server's, or a directory's through its engine.

See docs/design/records.md.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from journal import directory
from journal.engine.address import Address, attach
from journal.engine.owner import running
from journal.judge import damage
from journal.keep.migrate import migrate, require
from journal.keep.scratch import readable
from journal.ledger import claim as claims
from journal.lock import Lock
from journal.store import Store, connect

Say = Callable[[str], None]


@contextmanager
def opened(
    data: Path, server: Address | None, say: Say, *, current: bool = True, reads: bool = False
) -> Iterator[Store]:
    """The journal for the duration. Never made here.

    Args:
        data: the directory; not looked at where there is a server.
        server: a ClickHouse server that holds the journal.
        say: takes a line for people: parts are gone, or a copy answers.
        current: refuse where its tables are not those of this version.
        reads: nothing that is written has to last, so a copy answers where the directory cannot be written.
    """
    with ExitStack() as stack:
        place, address = data, server
        if address is None:
            directory.require_journal(data)
            place = stack.enter_context(readable(data, say)) if reads else data
            address = stack.enter_context(running(place))
        store = connect(address)
        if place != data:  # a copy of what may be of an older version, which cannot be migrated where it is
            migrate(store, lambda name: None)
        if current:
            require(store)
            if found := damage.parts(store):
                say(f"the journal is damaged: {damage.some(found)}")
        yield store


def hold(
    store: Store, data: Path, server: Address | None, name: str, path: Path, stack: ExitStack, say: Say
) -> claims.Claim:
    """Claim a name of the journal until the stack is closed, with its lock where the data directory is there.

    The lock keeps out who else works in the directory; the claim also who works with a server's journal elsewhere.
    """
    place = f"{socket.gethostname()}:{os.getpid()}"
    if data.is_dir():  # else the journal is a server's, and nothing of it lies here
        directory.claim(data)
        place = stack.enter_context(Lock.acquire(path)).place
    claim = claims.take(store, name, place, say)
    if (address := server or attach(data)) is not None:
        stack.callback(claims.Beat(claim, lambda: connect(address)).release)
    return claim
