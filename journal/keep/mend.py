"""Mend: put rows of a journal that are gone back, and close what was found damaged.

Which rows they are is computed from the log or the archive: see reactor/run/heal.py. What is written here never
overwrites: rows go where none is, and a part is let go of only where its rows are there again, or where somebody
accepts that they are not. See docs/design/exactly-once.md.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from journal.keep.migrate import pending
from journal.ledger.run import now
from journal.row import TABLES
from journal.store import Store

OF_RUN: Final = (*TABLES.values(), "violet_batches")  # a partition of each is a run
_COUNTED_AGAIN: Final = frozenset({"violet_proofs"})  # the next gate counts what it lacks
_ACTIVE: Final = (
    "SELECT table, name FROM system.parts WHERE active AND database = currentDatabase() "
    "AND startsWith(table, 'violet_') ORDER BY table, name"
)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A part that is gone or set aside. partition: of its name, which is that of a run in tables OF_RUN."""

    table: str
    part: str

    @property
    def partition(self) -> str:
        return self.part.rsplit("_", 2)[0]


def set_aside(store: Store) -> list[str]:
    """Have the engine check every part and set aside those whose files are not what was written; their names."""
    found = []
    for row in store.rows(_ACTIVE):
        table, part = row["table"], row["name"]
        answer = store.command(f"CHECK TABLE {table} PART '{part}' SETTINGS check_query_single_value_result = 0")
        if answer[1] != "1":
            store.command(f"ALTER TABLE {table} DETACH PART '{part}'")
            found.append(f"{table}/{part}")
    return found


def damaged(store: Store) -> list[Damaged]:
    """What is damaged now."""
    return [
        Damaged(row["table"], row["part"]) for row in store.rows("SELECT table, part FROM damage ORDER BY table, part")
    ]


def partitions(store: Store, run_id: str) -> set[str]:
    """How the engine names the partitions of a run in its parts."""
    rows = store.rows(
        "SELECT DISTINCT partition_id FROM system.parts WHERE database = currentDatabase() "
        "AND table IN {tables:Array(String)} AND partition = {run:String}",
        {"tables": list(OF_RUN), "run": run_id},
    )
    return {row["partition_id"] for row in rows}


def mended(store: Store, whole: Collection[str]) -> list[Damaged]:
    """Of what is damaged, that whose rows are there again. whole: partitions of the runs that were found whole."""
    current = not pending(store)
    return [
        each
        for each in damaged(store)
        if (each.table in OF_RUN and each.partition in whole)
        or each.table in _COUNTED_AGAIN
        or (each.table == "violet_migrations" and current)
    ]


def close(store: Store, parts: Sequence[Damaged], how: str) -> None:
    """Let go of damaged parts, for good.

    Args:
        how: why nothing is lost by it, or who accepts that.
    """
    for each in parts:
        for row in store.rows(
            "SELECT name FROM system.detached_parts WHERE database = currentDatabase() AND table = {table:String} "
            "AND concat(ifNull(partition_id, ''), '_', toString(min_block_number), '_', toString(max_block_number)) "
            "= {part:String} OR (table = {table:String} AND isNull(partition_id) AND name = {part:String})",
            {"table": each.table, "part": each.part},
        ):
            store.command(
                f"ALTER TABLE {each.table} DROP DETACHED PART '{row['name']}' SETTINGS allow_drop_detached = 1"
            )
        store.command(
            "INSERT INTO violet_damage SELECT * REPLACE ({how:String} AS mended, 1 AS revision) "
            "FROM (SELECT * FROM violet_damage FINAL WHERE table = {table:String} AND part = {part:String} "
            "AND mended = '')",  # inside, where the new value does not hide the column
            {"table": each.table, "part": each.part, "how": f"{how}, {now():%Y-%m-%d %H:%M} UTC"},
        )
