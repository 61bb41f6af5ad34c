"""Backup: what a journal was before migrations changed its tables.

Of a directory: DIR/backups/NAME is DIR/engine again, its parts as hard links, for a part is never written again once it
is there. So a backup costs no time and no space until merges replace what it holds. The last KEPT stay; of those before
one migration, which may fail again and again, the first and the last. The way back:
with nothing running in DIR, move DIR/engine away and DIR/backups/NAME to DIR/engine, and use the version that wrote it.
It guards against a migration, not against a lost disk. Of a server: its own BACKUP, which its operator has to allow.
See docs/design/weeks.md.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from journal.lock import soaks
from journal.refusal import Refusal
from journal.store import JournalRefused, Store

KEPT: Final = 3
UNFINISHED: Final = ("tmp_", "delete_tmp_", "tmp-fetch_")  # parts that an engine makes or removes just now
_WITHOUT: Final = "`violet migrate --without-backup` once you have made one"


def alone(data: Path) -> None:
    """Refuse while another process's soak writes the journal of a directory that is to be changed."""
    writers = [holder for holder in soaks(data) if holder.pid != os.getpid()]
    if writers:
        raise Refusal(
            f"the soak of pid {writers[0].pid} ({writers[0].command}) writes the journal that would be migrated; "
            "fix: stop it first; it resumes with this version"
        )


def link(data: Path, name: str) -> Path:
    """Back up a directory's engine under a name; nobody may write there."""
    engine, target = data / "engine", data / "backups" / name
    part = target.with_name(f".{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for folder, folders, files in os.walk(engine):
            here, there = Path(folder), part / Path(folder).relative_to(engine)
            folders[:] = [each for each in folders if not each.startswith(UNFINISHED)]
            there.mkdir(parents=True, mode=0o700)
            for each in [*files, *(f for f in folders if (here / f).is_symlink())]:
                take(here / each, there / each, linked="checksums.txt" in files)
        part.rename(target)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise Refusal(f"no backup could be made in {target.parent} ({error}); fix: make room, or {_WITHOUT}") from None
    for old in _spent(backups(data)):
        shutil.rmtree(old)
    return target


def _spent(found: Sequence[Path]) -> list[Path]:
    """Those that go, oldest first. Of a migration that fails at each start the first and the last stay."""
    of = [path.name.split("-")[1] for path in found]
    between = [path for n, path in enumerate(found) if of[n] in of[:n] and of[n] in of[n + 1 :]]
    return between + [path for path in found if path not in between][:-KEPT]


def backups(data: Path) -> list[Path]:
    """The backups of a directory, oldest first."""
    found = [path for path in (data / "backups").glob("before-*") if path.is_dir()]
    return sorted(found, key=lambda path: (path.stat().st_ctime_ns, path.name))


def remote(store: Store, name: str) -> None:
    """Have a server back up the journal's tables."""
    try:
        database = store.rows("SELECT currentDatabase() AS name")[0]["name"]
        store.command(f"BACKUP DATABASE {database} TO File('violet-{name}')")
    except JournalRefused as refused:
        raise Refusal(
            f"the server makes no backup ({str(refused)[:200]}); fix: allow it there, or {_WITHOUT}"
        ) from None


def take(source: Path, target: Path, *, linked: bool) -> None:
    """One entry: a symbolic link as it is, a part's file as a hard link where that can be, else a copy."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if linked:
        with suppress(OSError):
            target.hardlink_to(source)
            return
    shutil.copy2(source, target)
