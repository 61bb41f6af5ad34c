"""What retention dropped of a run: its stored inputs up to an offset of each partition.

Every count of planes and every hash over a reject's bytes asks here first, so that what was dropped on purpose is not
taken for lost. See docs/design/exactly-once.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from journal.store import Store


@dataclass(frozen=True, slots=True)
class Pruned:
    """One partition: planes and reject bytes up to `last_offset` are gone, all of them journaled before `up_to`."""

    topic: str
    partition: int
    last_offset: int
    up_to: datetime
    planes: int
    rejects: int

    def __str__(self) -> str:
        return (
            f"{self.planes} planes and the bytes of {self.rejects} rejects up to offset {self.last_offset} of "
            f"{self.topic}/{self.partition}, journaled before {self.up_to:%Y-%m-%d %H:%M:%S} UTC"
        )


def pruned(store: Store, run_id: str) -> dict[int, Pruned]:
    """The last pruning of each partition, with the sums of all before it."""
    rows = store.rows(
        "SELECT topic, partition, max(last_offset) AS last, argMax(up_to, last_offset) AS up_to_at, "
        "sum(planes) AS n_planes, sum(rejects) AS n_rejects FROM violet_pruned FINAL WHERE run_id = {run:String} "
        "GROUP BY topic, partition ORDER BY partition",
        {"run": run_id},
    )
    found = (Pruned(*row.values()) for row in rows)
    return {each.partition: replace(each, up_to=utc(each.up_to)) for each in found}


def dropped_sql(ends: Mapping[int, int], offset: str = "log_offset") -> str:
    """Condition that holds where an offset's inputs were dropped."""
    places = [f"(partition = {partition} AND {offset} <= {end})" for partition, end in sorted(ends.items())]
    return f"({' OR '.join(places) or 'false'})"


def utc(at: datetime) -> datetime:
    """A time as the driver gives it, which leaves UTC out."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
