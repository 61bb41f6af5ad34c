"""Snapshot: a data directory of its own that holds the journal as of one instant, also while soaks write it.

The engine freezes all tables at once (journal/engine/freeze.py): hard links of parts, which are never written again.
They become a folder beside the target, with the tables' definitions; an engine opens it, every part is read against its
checksums, and each run is audited as a resume does it. Only then does it get its name. What the engine keeps beside the
parts of inserts and changes that it has done stays behind: of a later instant, it would hide rows that are not there.

A copy holds runs whose original may go on, so it keeps the directory that it was made of: see origin.py.
See docs/design/weeks.md.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from journal import directory
from journal.engine.owner import running
from journal.judge import damage
from journal.judge.proof import prove
from journal.keep.backup import UNFINISHED, take
from journal.keep.origin import Origin
from journal.ledger import claim as claims
from journal.ledger import run as runs
from journal.ledger.ledger import audit, positions
from journal.lock import Lock
from journal.refusal import Refusal
from journal.store import Store, connect

_SHADOW: Final = "shadow"  # where the engine freezes to
_NAME: Final = "snapshot"
ALONE_S: Final = 60.0  # waited for a migration, or for another snapshot
_BEHIND: Final = frozenset({_SHADOW, "tmp", "deduplication_logs", "detached"})
_NOT_FILES: Final = ("status", "violet-parts.json", "mutation_", "tmp_")
_PARTS: Final = (
    "SELECT table, name, path, rows, active FROM system.parts WHERE database = currentDatabase() ORDER BY table, name"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was made: its folder, how many parts and rows, and whether their files are hard links."""

    path: str
    origin: Origin
    parts: int
    rows: int
    linked: bool


def make(store: Store, data: Path, target: Path) -> Snapshot:
    """Make and verify a snapshot of a directory's journal.

    Args:
        store: the journal, through the directory's engine, as its writer.
        data: the directory.
        target: a folder that is absent or empty.

    Raises:
        Refusal: the journal is damaged, the target is no such folder, or what was made is not whole.
    """
    damage.require_whole(store)
    target = target.absolute()
    _require_empty(target, data)
    half, shadow = target.with_name(f".{target.name}.part"), data / "engine" / _SHADOW / _NAME
    with Lock.acquire(data / "locks" / "migrate.lock", ALONE_S):
        return _make(store, data, target, half, shadow)


def _make(store: Store, data: Path, target: Path, half: Path, shadow: Path) -> Snapshot:
    """The same, alone. half, shadow: what is removed before, where a kill left it, and behind it."""
    try:
        for left in (half, shadow):
            shutil.rmtree(left, ignore_errors=True)
        directory.claim(half)
        store.command(f"FREEZE JOURNAL WITH NAME '{_NAME}'")
        at = runs.now()
        frozen = _frozen(shadow)
        _copy(data / "engine", half / "engine", is_live=True)
        _copy(shadow, half / "engine", is_live=False)
        linked = all(path.stat().st_nlink > 1 for path in shadow.rglob("checksums.txt"))
        known = _verified(half, frozen)
        made = Origin.of(data, at, known)
        made.write(half, "snapshot")
        half.rename(target)
    except OSError as error:
        raise Refusal(f"no snapshot could be made in {target} ({error}); fix: make room, or another place") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
        shutil.rmtree(shadow, ignore_errors=True)
    return Snapshot(str(target), made, len(frozen), sum(frozen.values()), linked)


def _require_empty(target: Path, data: Path) -> None:
    if Path(os.path.realpath(target)).is_relative_to((data / "engine").resolve()):
        raise Refusal(f"{target} lies in the engine's own folder; fix: another place")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refusal(f"{target} is there already; fix: name a folder that is absent or empty")


def _frozen(shadow: Path) -> dict[str, int]:
    """Rows of every frozen part, by its place."""
    found = shadow.glob("store/*/*/*/count.txt")
    return {_place(path.parent): int(path.read_text("ascii")) for path in found}


def _place(part: Path) -> str:
    """The folders of a part's table and of the part."""
    return "/".join(part.parts[-2:])


def _copy(source: Path, target: Path, *, is_live: bool) -> None:
    """A folder again, parts as links. is_live: one that an engine writes: without its parts, which are frozen apart."""
    for folder, folders, files in os.walk(source):
        here, there = Path(folder), target / Path(folder).relative_to(source)
        if is_live:
            folders[:] = [each for each in folders if not _is_behind(here / each)]
            files[:] = [each for each in files if not each.startswith(_NOT_FILES)]
        there.mkdir(parents=True, exist_ok=True, mode=0o700)
        for each in [*files, *(f for f in folders if (here / f).is_symlink())]:
            take(here / each, there / each, linked="checksums.txt" in files)


def _is_behind(folder: Path) -> bool:
    return folder.name in _BEHIND or folder.name.startswith(UNFINISHED) or (folder / "checksums.txt").exists()


def _verified(half: Path, frozen: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Where each run stands in what was made, once all of it was read. Raises Refusal where it is not whole."""
    # Its engine merges from the first moment on, so a part may be there as one that was merged.
    with running(half) as address, connect(address) as copy:
        there = copy.rows(_PARTS)
        rows = {_place(Path(each["path"])): each["rows"] for each in there}
        if lacking := [place for place, count in frozen.items() if rows.get(place) != count]:
            raise Refusal(f"the snapshot is not whole: it lacks the part {lacking[0]}; fix: once more")
        for table, part in ((each["table"], each["name"]) for each in there if each["active"]):
            if (
                copy.command(f"CHECK TABLE {table} PART '{part}' SETTINGS check_query_single_value_result = 0")[1]
                != "1"
            ):
                raise Refusal(f"the files of {table}/{part} are not what was written; fix: `violet heal`")
        known = {}
        for run_id in runs.ids(copy):
            audit(copy, run_id, prove(copy, run_id))
            known[run_id] = {str(p): at.last + 1 for p, at in positions(copy, run_id).items()}
        claims.let_go(copy)
        return known
