"""The comparison of a lane's candidate with the lane, as it is stored: a row for each scan that the candidate read.

See docs/design/running.md.
"""

from collections.abc import Mapping
from typing import Any, Final

from journal.store import Store

CANARY_TYPES: Final = {
    "run_id": "LowCardinality(String)",
    "lane": "LowCardinality(String)",
    "topic": "LowCardinality(String)",
    "partition": "UInt32",
    "log_offset": "Int64",
    "params_hash": "LowCardinality(String)",
    "kernel_hash": "LowCardinality(String)",
    "params": "LowCardinality(String)",
    "stream": "LowCardinality(String)",
    "scan_id": "Int64",
    "ts_ms": "Int64",
    "actuated": "Bool",
    "value": "Float64",
    "candidate": "Nullable(Float64)",
    "leverage": "Float64",
    "candidate_leverage": "Nullable(Float64)",
    "fault": "String",
}


def write(store: Store, columns: Mapping[str, Any], token: str) -> None:
    """Insert rows, given as columns by name; a scan that is written again by its candidate leaves one row."""
    store.insert("violet_canaries", columns, CANARY_TYPES, token)


def done(store: Store, run_id: str, lane: str) -> dict[int, int]:
    """Offset after the last compared one of each partition."""
    rows = store.rows(
        "SELECT partition, max(log_offset) + 1 AS done FROM violet_canaries WHERE run_id = {run:String} "
        "AND lane = {lane:String} GROUP BY partition",
        {"run": run_id, "lane": lane},
    )
    return {row["partition"]: row["done"] for row in rows}
