"""Scope: which rows of a run a judgment is about.

See docs/design/running.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

from journal.ledger.pruned import Pruned, dropped_sql, pruned
from journal.store import Store


@dataclass(frozen=True, slots=True)
class Scope:
    """Rows that are judged: a run, one of its segments or all, from an event time on (milliseconds).

    `ends`: the last completed offset of each partition. What lies behind is in doubt or was appended meanwhile, and is
    nobody's fault: a verdict may be asked for at any moment. `starts`: the first offset of each, where it is not the
    run's. `dropped`: up to where retention dropped planes, which their batches alone still count. `on`: the UTC day
    whose incidents count, where it is not every one.
    """

    run_id: str
    ends: Mapping[int, int]
    segment: int | None = None
    since_ms: int | None = None
    starts: Mapping[int, int] = field(default_factory=dict)
    dropped: Mapping[int, Pruned] = field(default_factory=dict)
    on: date | None = None

    @classmethod
    def of(cls, store: Store, run_id: str, since_ms: int | None = None) -> Self:
        """A run as far as its batches are complete now."""
        ends = {partition: end - 1 for partition, end in completed(store, run_id).items()}
        return cls(run_id, ends, since_ms=since_ms, dropped=pruned(store, run_id))

    @property
    def is_whole(self) -> bool:
        """Whether it is all of a run or of a segment, as far as its batches are complete."""
        return self.since_ms is None and not self.starts and self.on is None

    @property
    def where(self) -> str:
        return self._where("last_offset")

    @property
    def where_rows(self) -> str:
        return self._where("log_offset")

    @property
    def where_scans(self) -> str:
        return self.where_rows + self.and_since

    @property
    def and_since(self) -> str:
        return " AND ts_ms >= {since:Int64}" if self.since_ms is not None else ""

    @property
    def where_kept(self) -> str:
        """Rows of planes that retention did not drop."""
        return f"{self.where_rows} AND NOT {dropped_sql(self.dropped_ends)}"

    @property
    def dropped_ends(self) -> dict[int, int]:
        return {partition: each.last_offset for partition, each in self.dropped.items()}

    def _where(self, offset: str) -> str:
        places = [
            f"partition = {partition} AND {offset} BETWEEN {self.starts.get(partition, 0)} AND {end}"
            for partition, end in self.ends.items()
        ]
        parts = ["run_id = {run:String}", f"({' OR '.join(places) or 'false'})"]
        if self.segment is not None:
            parts.append("segment = {segment:UInt32}")
        return " AND ".join(parts)

    @property
    def params(self) -> dict[str, Any]:
        return {"run": self.run_id, "segment": self.segment or 0, "since": self.since_ms or 0}


def completed(store: Store, run_id: str) -> dict[int, int]:
    """Offset after the last completed batch of each partition: what lies behind it is not all there yet."""
    rows = store.rows(
        "SELECT partition, max(last_offset) + 1 AS end FROM violet_batches WHERE run_id = {run:String} "
        "AND phase = 'COMPLETE' GROUP BY partition ORDER BY partition",
        {"run": run_id},
    )
    return {row["partition"]: row["end"] for row in rows}
