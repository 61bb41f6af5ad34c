"""Origin: what a data directory, or a run in it, was copied from, so that no copy becomes a second writer unnoticed.

Two journals of one run know nothing of each other. So a copy keeps the directory that it was made of: while it is
written, it holds the lock of the soak's name there too, and the first resume of a copied run is an incident.
See docs/design/weeks.md.
"""

import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import msgspec

from journal import directory
from journal.ledger.ledger import Ledger
from journal.lock import Lock, soak_lock
from journal.refusal import Refusal
from lanes.code import Incident, Severity

_FILE: Final = "origin-{what}.json"


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a copy comes from.

    host, data: the directory. mark: of its marker file, by which it is known again. at: ISO 8601. runs: run id -> next
    offset of each partition.
    """

    host: str
    data: str
    mark: str
    at: str
    runs: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, data: Path, at: datetime, known: Mapping[str, Mapping[str, int]]) -> Self:
        """A directory as it was at a time."""
        where = str(data.resolve())
        return cls(socket.gethostname(), where, _mark(data), at.isoformat(timespec="milliseconds"), known)

    def write(self, data: Path, what: str) -> None:
        """Keep it in a directory. what: of what it is the origin."""
        text = msgspec.json.format(msgspec.json.encode(self))
        (data / _FILE.format(what=what)).write_bytes(text + b"\n")

    def hold(self, name: str) -> AbstractContextManager[object]:
        """The lock of a soak's name in the original, where that is still there: the two never write at one time.

        Raises:
            Refusal: the original's soak of this name runs.
        """
        original = Path(self.data)
        if self.host != socket.gethostname() or not self.mark or _mark(original) != self.mark:
            return nullcontext()
        return Lock.acquire(soak_lock(original, name))


@contextmanager
def held(data: Path, name: str) -> Iterator[list[Origin]]:
    """What a directory was copied from, each one's lock of a soak's name held."""
    found = origins(data)
    with ExitStack() as stack:
        for each in {each.mark: each for each in found}.values():  # one may be that of several runs
            stack.enter_context(each.hold(name))
        yield found


def note(copied: Iterable[Origin], ledger: Ledger, run_id: str) -> None:
    """Note, once, that a run of an original goes on here."""
    once = "SELECT count() FROM violet_incidents WHERE run_id = {run:String} AND code = 'COPY_RESUMED'"
    for each in copied:
        if run_id in each.runs and not ledger.store.count(once, {"run": run_id}):
            words = f"this is a copy of {each.data} on {each.host}, made at {each.at}; the original may have gone on"
            ledger.note(Severity.WARN, Incident.COPY_RESUMED, words)


def origins(data: Path) -> list[Origin]:
    """What a data directory was copied from; nothing of one that was not."""
    found = []
    for path in sorted(data.glob(_FILE.format(what="*"))):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Origin))
        except (OSError, msgspec.MsgspecError) as error:
            raise Refusal(f"{path} cannot be read ({error}); fix: make the copy again") from None
    return found


def _mark(data: Path) -> str:
    """What is the same of a data directory as long as it is that one."""
    try:
        file = (data / directory.MARKER).stat()
    except OSError:
        return ""
    return f"{file.st_dev}:{file.st_ino}"
