"""Rejects of a run: how many of each code, and the records themselves.

See docs/design/running.md.
"""

from typing import Any

from journal.store import Store


def by_code(store: Store, run_id: str) -> list[dict[str, Any]]:
    """How many of each code and lane, most first, with the first offset and an example of what is wrong."""
    return store.rows(
        "SELECT code, lane, count() AS n, min(log_offset) AS first_offset, any(detail) AS detail FROM rejects "
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
