"""Readings: where a lane's readings are that meet a condition, and figures of each lane, over the view lane_readings.

See docs/design/running.md.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from journal.engine.reader import QueryError, admit, quoted
from journal.engine.setting import caps
from journal.refusal import Refusal
from journal.store import JournalRefused, Store

MEMORY: Final = 2 << 30  # bytes of the engine that a condition of a user may take
_FIGURES: Final = """
WITH (SELECT (min(ts), max(ts)) FROM lane_readings WHERE run_id = {run:String} AND lane = 'base') AS span,
    quantilesExactLow(0.05, 0.5, 0.95, 0.99)(value) AS q,
    least({ms:Int64}, toUnixTimestamp64Milli(span.2) - toUnixTimestamp64Milli(span.1)) AS recent_ms
SELECT lane, count() AS n, argMax(value, (ts, log_offset)) AS last, min(value) AS low, max(value) AS high,
    q[1] AS q05, q[2] AS q50, q[3] AS q95, q[4] AS q99,
    if(recent_ms = 0, NULL, countIf(ts > span.2 - toIntervalMillisecond(recent_ms)) / recent_ms * 1000) AS rate_per_s
FROM lane_readings WHERE run_id = {run:String} GROUP BY lane
"""


def figures(store: Store, run_id: str, recent_ms: int) -> dict[str, dict[str, Any]]:
    """Of each lane of a run: n, last, low, high, quantiles, and the rate (1/s) over its last ms of event time."""
    return {row["lane"]: row for row in store.rows(_FIGURES, {"run": run_id, "ms": recent_ms})}


class Places:
    """Where the readings of one lane of a run are: rows of partition, log_offset, stream.

    Args:
        where: a user's condition on the columns of lane_readings; it passes the read-only gate.
        stream: of this stream alone.
    """

    def __init__(self, store: Store, run_id: str, lane: str, where: str | None, stream: str | None) -> None:
        self._store, self._where = store, where
        of = f" AND stream = {quoted(stream)}" if stream is not None else ""
        self._all = (
            "SELECT partition, log_offset, stream, ts FROM lane_readings "
            f"WHERE run_id = {quoted(run_id)} AND lane = {quoted(lane)}{of}"
        )

    def of_scan(self, scan_id: int) -> list[dict[str, Any]]:
        """Readings of a scan id, by offset, whatever `where` says."""
        return self._ordered("scan_id = {n:Int64}", scan_id)

    def at(self, offset: int) -> list[dict[str, Any]]:
        """Readings at an offset, whatever `where` says."""
        return self._ordered("log_offset = {n:Int64}", offset)

    def since(self, ts_ms: int) -> dict[int, int]:
        """First offset of each partition at or after an event time; a partition without one is left out."""
        inner = f"{self._all} AND ts >= fromUnixTimestamp64Milli({{ts:Int64}}, 'UTC')"
        rows = self._store.rows(
            f"SELECT partition, min(log_offset) AS at FROM ({inner}) GROUP BY partition", {"ts": ts_ms}
        )
        return {row["partition"]: row["at"] for row in rows}

    def latest_ms(self) -> int:
        """Event time of the latest scan; 0 where there is none."""
        return self._store.count(f"SELECT toUnixTimestamp64Milli(max(ts)) FROM ({self._all})")

    def last(self, n: int, ends: Mapping[int, int]) -> Iterable[dict[str, Any]]:
        """The last n readings of each partition before its end that meet `where`."""
        within = " OR ".join(f"partition = {p} AND log_offset < {end}" for p, end in ends.items()) or "false"
        return self._matching(within, f"log_offset DESC LIMIT {n} BY partition") if n else ()

    def between(self, partition: int, first: int, end: int, n: int) -> list[int]:
        """The first n offsets of a range, its end excluded, whose readings meet `where`."""
        within = f"partition = {partition} AND log_offset >= {first} AND log_offset < {end}"
        return sorted(row["log_offset"] for row in self._matching(within, f"log_offset LIMIT {n}"))

    def _ordered(self, condition: str, n: int) -> list[dict[str, Any]]:
        return self._store.rows(f"{self._all} AND {condition} ORDER BY partition, log_offset", {"n": n})

    def _matching(self, within: str, order: str) -> list[dict[str, Any]]:
        inside = f"{self._all} AND ({within})"
        if self._where is None:
            return self._store.rows(f"{inside} ORDER BY {order}")

        def canonical(text: str) -> str:
            return str(self._store.rows("SELECT formatQuerySingleLine({q:String}) AS text", {"q": text})[0]["text"])

        try:
            text = f"{inside} AND (\n{self._where}\n) ORDER BY {order}"
            return self._store.rows(admit(text, canonical, caps(MEMORY)).sql)
        except (QueryError, JournalRefused) as error:
            raise Refusal(f"--where {self._where!r}: {error}; fix: a condition such as 'value < 1'") from None
