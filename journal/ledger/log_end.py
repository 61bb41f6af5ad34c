"""Log ends: where a followed topic ended when its soak last looked, so that others can say how far it is behind.

See docs/design/running.md.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from journal.ledger.pruned import utc
from journal.store import Store


class LogEnd(NamedTuple):
    """The offset after a partition's last record, and when that was seen."""

    offset: int
    looked_at: datetime


def write(store: Store, run_id: str, ends: Mapping[int, int], at: datetime) -> None:
    """Keep the ends of a run's partitions as of now."""
    columns = {
        "run_id": [run_id] * len(ends), "partition": list(ends), "log_end": list(ends.values()),
        "looked_at": [at] * len(ends),
    }  # fmt: skip
    store.put("violet_log_ends", columns, f"{run_id}|{at.timestamp()}")


def read(store: Store, run_id: str) -> dict[int, LogEnd]:
    """The ends of a run's partitions, by partition; empty where it follows no topic."""
    sql = "SELECT partition, log_end, looked_at FROM log_ends WHERE run_id = {run:String}"
    rows = store.rows(sql, {"run": run_id})
    return {row["partition"]: LogEnd(row["log_end"], utc(row["looked_at"])) for row in rows}
