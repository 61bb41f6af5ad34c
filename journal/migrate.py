"""Migrations: numbered SQL files, applied in order, checksummed, never edited once applied.

Views are replaced whole whenever their text differs. A journal that is ahead of this code is refused.
Source: SPEC section 6.
"""

import hashlib
import re
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib import resources
from typing import Final

from journal.refusal import Refusal
from journal.store import Store

_NAME: Final = re.compile(r"(\d{4})__([a-z]+)__([a-z_]+)\.sql")
_LEDGER: Final = """CREATE TABLE IF NOT EXISTS violet_migrations (
    version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree ORDER BY (version, name)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"""


@dataclass(frozen=True, slots=True)
class Script:
    """One SQL file. Views have version 0."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]


def scripts() -> list[Script]:
    """The migrations of this code, in order; raises ValueError where the numbers have a gap."""
    entries = sorted(resources.files("sql").iterdir(), key=lambda e: e.name)
    found = [Script(int(match[1]), e.name, e.read_text("utf-8")) for e in entries if (match := _NAME.fullmatch(e.name))]
    if [s.version for s in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations must be numbered 1 to n without a gap, were {[s.version for s in found]}")
    return found


def views() -> list[Script]:
    """The views of this code, by name, each behind those that it reads."""
    folder = resources.files("sql") / "views"
    entries = sorted(folder.iterdir(), key=lambda e: e.name)
    todo = {e.name[:-4]: Script(0, e.name, e.read_text("utf-8")) for e in entries if e.name.endswith(".sql")}
    reads = {
        name: set(re.findall(r"\b(?:FROM|JOIN) (\w+)", s.text)) & (todo.keys() - {name}) for name, s in todo.items()
    }
    return [todo[name] for name in TopologicalSorter(reads).static_order()]


def pending(store: Store) -> list[Script]:
    """What `migrate` would apply, in order. Raises Refusal where the journal and this code cannot go together."""
    store.command(_LEDGER)
    applied = {
        (int(row["version"]), row["name"]): row["checksum"]
        for row in store.rows("SELECT version, name, checksum FROM violet_migrations FINAL")
    }
    mine = scripts()
    newer = [name for version, name in applied if version > len(mine)]
    if newer:
        raise Refusal(
            f"the journal was written by a newer version (it has {', '.join(sorted(newer))}); "
            "fix: use that version, or another --data directory"
        )
    for script in mine:
        was = applied.get((script.version, script.name))
        if was is not None and was != script.checksum:
            raise Refusal(
                f"migration {script.name} was edited after it was applied; fix: restore the file, add a new one"
            )
    due = [s for s in mine if (s.version, s.name) not in applied]
    return due + [v for v in views() if due or applied.get((0, v.name)) != v.checksum]


def migrate(store: Store) -> list[Script]:
    """Apply what is pending; returns it."""
    due = pending(store)
    for script in due:
        store.command(script.text.rstrip().rstrip(";"))
        store.command(
            "INSERT INTO violet_migrations (version, name, checksum) VALUES "
            f"({script.version}, '{script.name}', '{script.checksum}')"
        )
    return due
