"""Harm that a drill does to a scratch journal by the means that an operator has: never to one that somebody needs.

See docs/design/faults.md.
"""

from typing import Final

from journal.store import Store

OUTCOMES: Final = ("violet_decisions", "violet_evaluations", "violet_planes", "violet_rejects")
SYNC: Final = "SETTINGS mutations_sync = 1"


def forget_tokens(store: Store) -> None:
    """Have ClickHouse forget which inserts it has: their window is one insert, and each table gets another one."""
    for table in OUTCOMES:
        store.command(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0")


def refuse_scan(store: Store, scan_id: int) -> None:
    """Have ClickHouse refuse every row of a scan."""
    for table in OUTCOMES[:2]:
        store.command(f"ALTER TABLE {table} ADD CONSTRAINT drilled CHECK scan_id != {scan_id}")


def hide(store: Store, table: str) -> None:
    """Give a table another name."""
    store.command(f"RENAME TABLE {table} TO drilled_{table}")


def refuse_inserts(store: Store, table: str) -> None:
    """Have every insert into a table fail, for a reason that will not pass by itself."""
    store.command(
        f"CREATE MATERIALIZED VIEW drilled_view ENGINE = Memory AS SELECT throwIf(1, 'drilled') AS n FROM {table}"
    )


def take_inserts(store: Store) -> None:
    """Undo refuse_inserts."""
    store.command("DROP VIEW drilled_view")


def forge_digest(store: Store, run_id: str, first: int) -> None:
    """Write another digest into the intent of the batch that begins at an offset."""
    store.command(
        f"ALTER TABLE violet_batches UPDATE digest = 'forged' IN PARTITION '{run_id}' "
        f"WHERE phase = 'INTENT' AND first_offset = {first} {SYNC}"
    )


def delete_decision(store: Store, run_id: str) -> int:
    """Delete the first decision of a run; its offset."""
    (row,) = store.rows(
        "SELECT min(log_offset) AS at FROM violet_decisions WHERE run_id = {run:String}", {"run": run_id}
    )
    where = f"IN PARTITION '{run_id}' WHERE log_offset = {row['at']}"
    store.command(f"ALTER TABLE violet_decisions DELETE {where} {SYNC}")
    return int(row["at"])
