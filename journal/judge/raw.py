"""What a run's rows say before any view has chosen among them, for those who doubt the journal itself: the drill.

See docs/design/faults.md.
"""

from typing import Any, Final, NamedTuple

from journal.store import Store

_KINDS: Final = ("decisions", "evaluations", "planes", "rejects")
_OF_NAME: Final = "run_id IN (SELECT run_id FROM runs WHERE name = {name:String})"


class Outcomes(NamedTuple):
    """Outcomes of a run: how many, at how many offsets of how many partitions, and between which offsets."""

    rows: int
    offsets: int
    first: int
    last: int


def outcomes(store: Store, run_id: str) -> Outcomes:
    """The final rows of all four kinds together."""
    kinds = " UNION ALL ".join(
        f"SELECT partition, log_offset FROM violet_{kind} FINAL WHERE run_id = {{run:String}}" for kind in _KINDS
    )
    (row,) = store.rows(
        "SELECT count() AS n, uniqExact(partition, log_offset) AS offsets, min(log_offset) AS first, "
        f"max(log_offset) AS last FROM ({kinds})",
        {"run": run_id},
    )
    return Outcomes(*map(int, row.values()))


def spans(store: Store, run_id: str, partition: int = 0) -> list[tuple[int, int]]:
    """First and last offset of every completion that was written, twice where it was written twice."""
    rows = store.rows(
        "SELECT first_offset, last_offset FROM violet_batches WHERE run_id = {run:String} AND phase = 'COMPLETE' "
        "AND partition = {partition:UInt32} ORDER BY first_offset, last_offset",
        {"run": run_id, "partition": partition},
    )
    return [(int(row["first_offset"]), int(row["last_offset"])) for row in rows]


def incidents(store: Store, name: str) -> list[dict[str, Any]]:
    """Incidents of all runs of a name, the first one first."""
    return store.rows(f"SELECT severity, code, detail FROM incidents WHERE {_OF_NAME} ORDER BY at", {"name": name})


def journaled(store: Store, name: str) -> int:
    """Outcomes in the completed batches of all runs of a name."""
    sql = f"SELECT sum(decisions + evaluations + planes + rejects) AS n FROM batches WHERE {_OF_NAME}"
    return int(store.rows(sql, {"name": name})[0]["n"])


def streams(store: Store, name: str) -> dict[str, int]:
    """Scans of each stream in all runs of a name."""
    sql = f"SELECT stream, count() AS n FROM scans WHERE {_OF_NAME} GROUP BY stream ORDER BY stream"
    return {row["stream"]: int(row["n"]) for row in store.rows(sql, {"name": name})}


def reasons(store: Store, name: str) -> dict[str, int]:
    """How many scans of all runs of a name bear each reason."""
    sql = f"SELECT arrayJoin(reasons) AS reason, count() AS n FROM scans WHERE {_OF_NAME} GROUP BY reason"
    return {row["reason"]: int(row["n"]) for row in store.rows(sql, {"name": name})}


def epochs(store: Store, name: str) -> int:
    """How often a name was claimed."""
    sql = "SELECT max(epoch) AS n FROM violet_claims WHERE name = {name:String}"
    return int(store.rows(sql, {"name": name})[0]["n"])


def days(store: Store, name: str) -> int:
    """How many lines of a day all runs of a name have."""
    return int(store.rows(f"SELECT count() AS n FROM days WHERE {_OF_NAME}", {"name": name})[0]["n"])


def rejects(store: Store, run_id: str) -> dict[int, str]:
    """Offset of each reject -> its code."""
    sql = "SELECT log_offset, code FROM rejects WHERE run_id = {run:String} ORDER BY log_offset"
    return {int(row["log_offset"]): row["code"] for row in store.rows(sql, {"run": run_id})}
