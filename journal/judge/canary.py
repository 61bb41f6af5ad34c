"""The comparison of a lane's candidate with the lane, as it is stored: a row for each scan that the candidate read.

See docs/design/running.md.
"""

from collections.abc import Mapping
from typing import Any

from journal.store import Store


def write(store: Store, columns: Mapping[str, Any], token: str) -> None:
    """Insert rows, given as columns by name; a scan that is written again by its candidate leaves one row."""
    store.put("violet_canaries", columns, token)


def done(store: Store, run_id: str, lane: str) -> dict[int, int]:
    """Offset after the last compared one of each partition."""
    rows = store.rows(
        "SELECT partition, max(log_offset) + 1 AS done FROM violet_canaries WHERE run_id = {run:String} "
        "AND lane = {lane:String} GROUP BY partition",
        {"run": run_id, "lane": lane},
    )
    return {row["partition"]: row["done"] for row in rows}
