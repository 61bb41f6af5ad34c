"""Readings: where a lane's readings are that meet a condition, and figures of each lane, over the view lane_readings.

See docs/design/running.md.
"""

from typing import Any, Final

from journal.engine.reader import QueryError, admit, quoted
from journal.engine.setting import caps
from journal.refusal import Refusal
from journal.store import JournalRefused, Store
from journal.template import fill

_LOOK: Final = 65_536  # offsets that are looked at for the last readings, before more are
MEMORY: Final = 2 << 30  # bytes of the engine that a condition of a user may take
_FIGURES: Final = """
WITH (SELECT (min(ts_ms), max(ts_ms)) FROM scans WHERE run_id = {run:String}) AS span,
    least({ms:Int64}, span.2 - span.1) AS recent_ms
SELECT of.1 AS lane, of.2 AS n, of.3 AS last, of.4 AS low, of.5 AS high, of.6[1] AS q05, of.6[2] AS q50, of.6[3] AS q95,
    of.6[4] AS q99, if(recent_ms = 0, NULL, of.7 / recent_ms * 1000) AS rate_per_s
FROM (
    SELECT [$each_lane{(
            '$lane', count($lane), argMax($lane, (ts_ms, log_offset)), min($lane), max($lane),
            quantilesExactLow(0.05, 0.5, 0.95, 0.99)($lane), countIf(isNotNull($lane) AND ts_ms > span.2 - recent_ms)
        )}$] AS lanes
    FROM scans WHERE run_id = {run:String}
)
ARRAY JOIN lanes AS of WHERE n > 0
"""


def figures(store: Store, run_id: str, recent_ms: int) -> dict[str, dict[str, Any]]:
    """Of each lane of a run: n, last, low, high, quantiles, and the rate (1/s) over its last ms of event time."""
    return {row["lane"]: row for row in store.rows(fill(_FIGURES), {"run": run_id, "ms": recent_ms})}


class Places:
    """Where the readings of one lane of a run are: rows of partition, log_offset, stream.

    Args:
        where: a user's condition on the columns of lane_readings; it passes the read-only gate.
        stream: of this stream alone.
    """

    def __init__(self, store: Store, run_id: str, lane: str, where: str | None, stream: str | None) -> None:
        self._store, self._where = store, where
        mine = f"run_id = {quoted(run_id)}" + (f" AND stream = {quoted(stream)}" if stream is not None else "")
        # Scans have indexes; only a user's condition needs readings as rows.
        self._all = f"SELECT partition, log_offset, stream, ts_ms FROM scans WHERE {mine} AND isNotNull({lane})"
        self._readings = f"SELECT log_offset FROM lane_readings WHERE {mine} AND lane = {quoted(lane)}"

    def of_scan(self, scan_id: int) -> list[dict[str, Any]]:
        """Readings of a scan id, by offset, whatever `where` says."""
        return self._ordered("scan_id = {n:Int64}", scan_id)

    def at(self, offset: int) -> list[dict[str, Any]]:
        """Readings at an offset, whatever `where` says."""
        return self._ordered("log_offset = {n:Int64}", offset)

    def since(self, ts_ms: int) -> dict[int, int]:
        """First offset of each partition at or after an event time; a partition without one is left out."""
        inner = f"{self._all} AND ts_ms >= {{ts:Int64}}"
        rows = self._store.rows(
            f"SELECT partition, min(log_offset) AS at FROM ({inner}) GROUP BY partition", {"ts": ts_ms}
        )
        return {row["partition"]: row["at"] for row in rows}

    def latest_ms(self) -> int:
        """Event time of the latest scan; 0 where there is none."""
        return self._store.count(f"SELECT max(ts_ms) FROM ({self._all})")

    def last(self, partition: int, end: int, n: int) -> list[int]:
        """The last n offsets of a partition before an end whose readings meet `where`, ascending."""
        span = _LOOK
        while True:
            first = max(0, end - span)
            found = self._matching(_within(partition, first, end), f"log_offset DESC LIMIT {n}") if n else []
            if len(found) == n or first == 0:
                return sorted(found)
            span *= 8

    def between(self, partition: int, first: int, end: int, n: int) -> list[int]:
        """The first n offsets of a range, its end excluded, whose readings meet `where`."""
        return sorted(self._matching(_within(partition, first, end), f"log_offset LIMIT {n}"))

    def _ordered(self, condition: str, n: int) -> list[dict[str, Any]]:
        return self._store.rows(f"{self._all} AND {condition} ORDER BY partition, log_offset", {"n": n})

    def _matching(self, within: str, order: str) -> list[int]:
        """Offsets."""
        if self._where is None:
            return [row["log_offset"] for row in self._store.rows(f"{self._all} AND {within} ORDER BY {order}")]

        def canonical(text: str) -> str:
            return str(self._store.rows("SELECT formatQuerySingleLine({q:String}) AS text", {"q": text})[0]["text"])

        try:
            text = f"{self._readings} AND {within} AND (\n{self._where}\n) ORDER BY {order}"
            return [row["log_offset"] for row in self._store.rows(admit(text, canonical, caps(MEMORY)).sql)]
        except (QueryError, JournalRefused) as error:
            raise Refusal(f"--where {self._where!r}: {error}; fix: a condition such as 'value < 1'") from None


def _within(partition: int, first: int, end: int) -> str:
    return f"partition = {partition} AND log_offset >= {first} AND log_offset < {end}"
