"""Rejects of a run: how many of each code, and the records themselves.

See docs/design/running.md.
"""

from typing import Any, Final

from journal.store import Store

# What a retry of a run passed.
_PASSED: Final = (
    "SELECT DISTINCT partition, log_offset FROM (SELECT run_id, partition, log_offset FROM violet_decisions UNION ALL "
    "SELECT run_id, partition, log_offset FROM violet_evaluations UNION ALL "
    "SELECT run_id, partition, log_offset FROM violet_planes) WHERE run_id IN (SELECT run_id FROM violet_runs FINAL "
    "WHERE JSONExtractString(source, 'replay_of') = {run:String} AND JSONExtractString(source, 'kind') = 'retry')"
)


def by_code(store: Store, run_id: str) -> list[dict[str, Any]]:
    """How many of each code and lane, most first, with the first offset and an example of what is wrong.

    retried: those of them that passed when they were evaluated again, by `violet rejects retry`.
    """
    return store.rows(
        f"SELECT code, lane, count() AS n, countIf((partition, log_offset) IN ({_PASSED})) AS retried, "
        "min(log_offset) AS first_offset, any(detail) AS detail FROM rejects "
        "WHERE run_id = {run:String} GROUP BY code, lane ORDER BY n DESC",
        {"run": run_id},
    )


def of_code(store: Store, run_id: str, code: str, limit: int) -> list[dict[str, Any]]:
    """The first records of a code, each with what is wrong and its first 200 bytes as text."""
    return store.rows(
        "SELECT topic, partition, log_offset, lane, kind, stream, scan_id, bytes, digest, detail, "
        "substring(toValidUTF8(raw), 1, 200) AS raw FROM rejects WHERE run_id = {run:String} "
        "AND code = {code:String} ORDER BY topic, partition, log_offset LIMIT {n:UInt32}",
        {"run": run_id, "code": code, "n": limit},
    )


def offsets(store: Store, run_id: str, code: str) -> set[tuple[int, int]]:
    """Partition and offset of every reject of a code."""
    sql = "SELECT partition, log_offset FROM rejects WHERE run_id = {run:String} AND code = {code:String}"
    return _places(store, sql, {"run": run_id, "code": code})


def passed(store: Store, run_id: str, but: str) -> set[tuple[int, int]]:
    """Partition and offset of every reject of a run that passed in a retry. but: a retry that is not asked."""
    return _places(store, f"{_PASSED} AND run_id != {{but:String}}", {"run": run_id, "but": but})


def gone(store: Store, run_id: str) -> set[tuple[int, int]]:
    """Partition and offset of every reject of which not all bytes are stored: cut, too large, or dropped by age."""
    sql = "SELECT partition, log_offset FROM violet_rejects FINAL WHERE run_id = {run:String} AND length(raw) < bytes"
    return _places(store, sql, {"run": run_id})


def _places(store: Store, sql: str, params: dict[str, Any]) -> set[tuple[int, int]]:
    return {(row["partition"], row["log_offset"]) for row in store.rows(sql, params)}
