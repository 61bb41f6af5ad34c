"""Migrations: numbered SQL files, applied in order, checksummed, never edited once applied.

Views are replaced whole whenever their text differs. A journal that is ahead of this code is refused. Before migrations
change tables that are there, a backup of them is made: see backup.py. See docs/design/weeks.md.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Final

from journal.keep import dictionary
from journal.ledger.run import now
from journal.refusal import Refusal
from journal.row import TABLES
from journal.store import JournalRefused, Store
from journal.template import fill, texts
from lanes.code import Outcome
from lanes.lane import Lane
from lanes.registry import MORE

UNKNOWN_TABLE: Final = 60
LANES_VERSION: Final = 1_000_000  # behind every numbered file
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
    files = ((f"{name}.sql", text) for name, text in texts("").items())
    found = [Script(int(match[1]), name, text) for name, text in files if (match := _NAME.fullmatch(name))]
    if [s.version for s in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations must be numbered 1 to n without a gap, were {[s.version for s in found]}")
    return [*found, *lane_scripts()]


def lane_scripts() -> list[Script]:
    """The columns and guards of the lanes beyond the five; NULL where the lane was off."""
    return [
        Script(LANES_VERSION, f"lane {lane.name} {table}", _columns_of(lane, table))
        for lane in MORE
        for table in (TABLES[Outcome.DECISION], TABLES[Outcome.EVALUATION])
    ]


def _columns_of(lane: Lane, table: str) -> str:
    parts = [f"ADD COLUMN IF NOT EXISTS {name} Nullable(Float64)" for name in lane.stored]
    sound = " AND ".join(f"(isNull({name}) OR isFinite({name}))" for name in lane.stored)
    sound += "".join(f" AND (isNull({name}) OR {name} >= 0)" for name in lane.made_of)
    return f"ALTER TABLE {table} {', '.join(parts)}, ADD CONSTRAINT IF NOT EXISTS lane_{lane.name} CHECK {sound}"


def views() -> list[Script]:
    """The views of this code, by name, each behind those that it reads."""
    todo = {name: Script(0, f"{name}.sql", fill(text)) for name, text in texts("views").items()}
    reads = {
        name: set(re.findall(r"\b(?:FROM|JOIN) (\w+)", s.text)) & (todo.keys() - {name}) for name, s in todo.items()
    }
    return [todo[name] for name in TopologicalSorter(reads).static_order()]


def pending(store: Store) -> list[Script]:
    """What `migrate` would apply, in order. Raises Refusal where the journal and this code cannot go together."""
    applied = _applied(store)
    mine = {(s.version, s.name): s for s in scripts()}
    strange = sorted((version, name) for version, name in applied if version and (version, name) not in mine)
    if strange and strange[0][0] == LANES_VERSION:
        lanes = ", ".join(dict.fromkeys(name.split()[1] for _, name in strange))
        raise Refusal(
            f"the journal has columns of lanes that are not installed here ({lanes}); "
            "fix: install the packages that bring them, or another --data directory"
        )
    if strange:
        names = ", ".join(name for _, name in strange)
        raise Refusal(
            f"the journal was written by a newer version (it has {names}, which this one does not know); "
            "fix: use that version, or another --data directory"
        )
    for key, script in mine.items():
        was = applied.get(key)
        if was is not None and was != script.checksum:
            raise Refusal(
                f"migration {script.name} was edited after it was applied; fix: restore the file, add a new one"
            )
    due = [script for key, script in mine.items() if key not in applied]
    return due + [v for v in views() if due or applied.get((0, v.name)) != v.checksum]


def changes(store: Store, due: list[Script]) -> bool:
    """Whether scripts would change tables that are there: what a backup is for."""
    return any(s.version for s in due) and any(version for version, _ in _applied(store))


def migrate(store: Store, backup: Callable[[str], object]) -> list[Script]:
    """Apply what is pending, and bring the schema's comments up to date; returns what was applied.

    Args:
        store: the journal.
        backup: called with a name before tables that are there are changed.

    Raises:
        Refusal: the journal and this code cannot go together.
    """
    due = pending(store)
    if changes(store, due):
        backup(name(due))
    if due:
        store.command(_LEDGER)
    for script in due:
        store.command(script.text.rstrip().rstrip(";"))
        store.command(
            "INSERT INTO violet_migrations (version, name, checksum) VALUES "
            f"({script.version}, '{script.name}', '{script.checksum}')"
        )
    dictionary.comment(store)
    return due


def name(due: list[Script]) -> str:
    """Name of the backup that is made before these scripts: the first of them and the time."""
    return f"before-{min(s.version for s in due if s.version):04d}-{now():%Y%m%dT%H%M%S}"


def require(store: Store) -> None:
    """Refuse to read a journal that this code does not know, or that lacks what this code asks for."""
    due = pending(store)
    if due:
        raise Refusal(
            f"the journal lacks {len(due)} scripts of this version, the first {due[0].name}; "
            "fix: `violet migrate`, which makes a backup first, or resume the soak, which does so too"
        )


def _applied(store: Store) -> dict[tuple[int, str], str]:
    try:
        rows = store.rows("SELECT version, name, checksum FROM violet_migrations FINAL")
    except JournalRefused as refused:
        if refused.code != UNKNOWN_TABLE:
            raise
        return {}
    return {(int(row["version"]), row["name"]): row["checksum"] for row in rows}
