"""Identities: the last scans of each stream that a run journaled, by which a resume knows repeats.

See docs/design/exactly-once.md.
"""

from collections.abc import Collection
from typing import Final

from journal.store import Store
from lanes.code import Reject

STEP: Final = 4  # times as many offsets as identities are wanted: planes and rejects stand between them
# A scan that ends in one of these still counts among its stream's identities.
_SCAN_REJECTS: Final = (Reject.LANE_NON_FINITE.value, Reject.LANE_ERROR.value, Reject.BLOCK_REFUSED.value)


def identities(
    store: Store, run_id: str, partition: int, last: int, limit: int, streams: Collection[str] = ()
) -> list[tuple[str, int, int]]:
    """The last scans of each stream up to an offset, (stream, scan_id, ts_ms), in offset order.

    Args:
        store: the journal.
        run_id: the run.
        partition: of its topic.
        last: offset up to which, that included.
        limit: how many of each stream, at most.
        streams: those that are there, where they are known: then no more is read than their last scans need.
    """
    found: dict[str, list[tuple[int, int, int]]] = {}
    wanted, first, high = set(streams), last + 1, last
    while high >= 0 and (wanted or not streams):
        first = max(0, first - STEP * limit) if streams and first > last - 64 * limit else 0
        rows = _identities(store, run_id, partition, (first, high), limit, wanted)
        for stream, scan_id, ts_ms, offset in rows:
            found.setdefault(stream, []).append((offset, scan_id, ts_ms))
        wanted = {stream for stream in wanted if len(found.get(stream, ())) < limit}
        high = first - 1
    kept = ((stream, *each) for stream, of in found.items() for each in sorted(of, reverse=True)[:limit])
    return [(stream, scan_id, ts_ms) for stream, _, scan_id, ts_ms in sorted(kept, key=lambda each: each[1])]


def _identities(
    store: Store, run_id: str, partition: int, span: tuple[int, int], limit: int, streams: Collection[str]
) -> list[tuple[str, int, int, int]]:
    """Of some streams, or all, the last scans between two offsets, both included."""
    scans = " UNION ALL ".join(
        f"SELECT stream, scan_id, ts_ms, log_offset FROM {table} WHERE run_id = {{run:String}} "
        "AND partition = {partition:UInt32} AND log_offset BETWEEN {first:Int64} AND {last:Int64} "
        f"AND (empty({{streams:Array(String)}}) OR stream IN {{streams:Array(String)}}){extra}"
        for table, extra in (
            ("violet_decisions", ""),
            ("violet_evaluations", ""),
            ("violet_rejects", f" AND scan_id >= 0 AND code IN ({', '.join(map(str, _SCAN_REJECTS))})"),
        )
    )
    found = store.rows(
        f"SELECT stream, scan_id, ts_ms, log_offset FROM (SELECT DISTINCT * FROM ({scans}) "
        "ORDER BY log_offset DESC LIMIT {n:UInt32} BY stream)",
        {"run": run_id, "partition": partition, "first": span[0], "last": span[1], "n": limit,
         "streams": sorted(streams)},
    )  # fmt: skip
    return [(row["stream"], row["scan_id"], row["ts_ms"], row["log_offset"]) for row in found]
