"""Slot: decisions and trades at one grain, so that how often each side trades can be compared.

The run decides on every scan; BLUE holds one trade at a time. Two things make them comparable:

episode  a maximal run of decisions of a stream on one asset in consecutive scans; a repeated scan, and one that the
         cadence passes over, breaks none
slot     the decisions as one slot would trade them. From BLUE's entry to its exit the slot is taken, and a decision is
         no trade. A decision while it is free is one that BLUE did not take: `missed`. It takes the slot for BLUE's
         median holding time, or until BLUE's next entry, so that one miss moves nothing that follows.

A scan that comes late ends a trade late: a decision that stands before it in the log found the slot taken, whatever
their event times say. The time that counts lies between BLUE's first entry and its last exit. Beyond it a trade may be
open that nobody recorded, for as long as BLUE's longest; decisions further out are `untold`, as are those from a trade
without an exit to the next entry. Of a run with several streams those count on which BLUE's pairs are.
Source: findings 9 (sticky signals, one slot), 10 item 3. See docs/design/blue.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Final

from journal.store import Store
from lanes.code import Reason

BARS_ARE_SCANS: Final = (0.5, 1.5)  # bars a scan, beyond which BLUE's bars are something else
_REPEAT: Final = 1 << Reason.DUP_SCAN
_CADENCE: Final = 1 << Reason.CADENCE
_HERE: Final = (
    "run_id = {run:String} AND ts_ms >= {from_ms:Int64} AND ts_ms < {to_ms:Int64} "
    "AND (empty({streams:Array(String)}) OR stream IN {streams:Array(String)})"
)
_SEEN: Final = f"""
    SELECT stream, partition, log_offset, ts_ms, toString(asset) AS asset, 0 AS reasons
    FROM violet_decisions FINAL WHERE {_HERE}
    UNION ALL
    SELECT stream, partition, log_offset, ts_ms, '', reasons FROM violet_evaluations FINAL
    WHERE {_HERE} AND bitAnd(reasons, {_REPEAT}) = 0"""
_EPISODES: Final = f"""
SELECT stream, asset, partition, min(log_offset) AS first_offset, max(log_offset) AS last_offset,
    min(ts_ms) AS first_ms, max(ts_ms) AS last_ms, count() AS decisions
FROM (
    SELECT * EXCEPT (reasons), row_number() OVER (PARTITION BY stream, partition ORDER BY log_offset)
        - row_number() OVER (PARTITION BY stream, partition, asset ORDER BY log_offset) AS island
    FROM ({_SEEN}) WHERE bitAnd(reasons, {_CADENCE}) = 0
)
WHERE asset != ''
GROUP BY stream, partition, asset, island
ORDER BY first_ms, partition, first_offset"""
# Rows that cleaning drops took BLUE's slot too; of the rows of a trade it is the one that is kept. One without an exit
# takes it until the next entry.
_SLOTS: Final = """
    SELECT trade_id, entry_ts_ms, ifNull(exit_at, next_ms) AS exit_ts_ms, exit_at IS NULL AS is_open,
        if(reason = '' AND NOT is_open, bars_held, NULL) AS bars_held, 1 AS one
    FROM (
        SELECT trade_id, entry_ts_ms, exit_ts_ms AS exit_at, reason, bars_held,
            leadInFrame(entry_ts_ms, 1, {to_ms:Int64}) OVER (
                ORDER BY entry_ts_ms, trade_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) AS next_ms
        FROM blue_cleaning WHERE label = {label:String} AND nth = 1
            AND entry_ts_ms >= {from_ms:Int64} AND entry_ts_ms < {to_ms:Int64}
    )"""
_FREE: Final = f"""
SELECT d.asset AS asset, d.ts_ms AS ts_ms, d.vel_div AS vel_div, d.leverage AS leverage, d.partition AS partition,
    d.log_offset AS log_offset
FROM (
    SELECT toString(asset) AS asset, ts_ms, vel_div, leverage, partition, log_offset, 1 AS one
    FROM violet_decisions FINAL WHERE {_HERE}
) AS d
ASOF INNER JOIN ({_SLOTS}) AS t ON d.one = t.one AND d.ts_ms >= t.entry_ts_ms
LEFT JOIN (
    SELECT partition, ts_ms, max(log_offset) AS last_offset FROM ({_SEEN})
    WHERE ts_ms IN (SELECT exit_ts_ms FROM ({_SLOTS})) GROUP BY partition, ts_ms
) AS e ON e.partition = d.partition AND e.ts_ms = t.exit_ts_ms
WHERE d.ts_ms > t.exit_ts_ms AND d.log_offset > e.last_offset
ORDER BY ts_ms, partition, log_offset"""
# Bars are counted as the scans came: each, and each end of a trade, at the latest event time that the log had by then.
_BARS: Final = f"""
WITH came AS (
    SELECT DISTINCT ts_ms, max(ts_ms) OVER (
        PARTITION BY stream ORDER BY partition, log_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS came_ms FROM ({_SEEN})
), ends AS (SELECT ts_ms, max(came_ms) AS came_ms FROM came GROUP BY ts_ms)
SELECT any(t.entry_ts_ms) AS entry_ms, any(t.exit_ts_ms) AS exit_ms, any(t.bars_held) AS bars_held, count() AS scans
FROM (SELECT came_ms, 1 AS one FROM came) AS s
ASOF INNER JOIN (
    SELECT k.*, greatest(k.entry_ts_ms, a.came_ms) AS entered_ms, greatest(k.exit_ts_ms, b.came_ms) AS left_ms
    FROM ({_SLOTS}) AS k
    LEFT JOIN ends AS a ON a.ts_ms = k.entry_ts_ms LEFT JOIN ends AS b ON b.ts_ms = k.exit_ts_ms
) AS t ON s.one = t.one AND s.came_ms > t.entered_ms
WHERE s.came_ms <= t.left_ms
GROUP BY t.trade_id
ORDER BY entry_ms"""

_UNTOLD: Final = f"""
WITH (SELECT min(ts_ms) FROM violet_decisions WHERE {_HERE} AND ts_ms > {{last:Int64}}) AS next
SELECT uniqExact(partition, log_offset) FROM violet_decisions WHERE {_HERE} AND (
    (ts_ms > {{from_ms:Int64}} + {{longest:Int64}} AND ts_ms < {{first:Int64}})
    OR (ts_ms > {{last:Int64}} AND ts_ms > next + {{longest:Int64}})
    OR arrayExists(open -> ts_ms > open.1 AND ts_ms < open.2, {{opens:Array(Tuple(Int64, Int64))}}))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """Decisions in consecutive scans on one asset. Offsets and event times are of the first and the last of them."""

    stream: str
    asset: str
    partition: int
    first_offset: int
    last_offset: int
    first_ms: int
    last_ms: int
    decisions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How often each side trades, at the grain of one slot.

    trades: of BLUE, dropped rows among them. ours: what one slot makes of the decisions: BLUE's, as far
    as they are decisions, and `missed`: rows of asset, ts_ms, vel_div, leverage, partition, log_offset. stacked: BLUE's
    trades that were entered while another was open. hold_ms: BLUE's median holding time. bars_held, scans: of the
    trades that say how many bars they were held, their sum, and how many scans the run saw meanwhile. blind: the times
    of those trades that were held for fewer bars than there were scans. untold: decisions of which nobody recorded
    whether BLUE's slot was free.
    """

    trades: int
    ours: int
    missed: Sequence[Mapping[str, Any]]
    stacked: int
    hold_ms: int | None
    bars_held: int
    scans: int
    blind: Sequence[tuple[int, int]]
    untold: int

    @property
    def share(self) -> float | None:
        """Of the scans while a trade was open, those that BLUE counted as bars; None where its bars are no scans."""
        share = self.bars_held / self.scans if self.scans else 0.0
        return share if BARS_ARE_SCANS[0] <= share <= BARS_ARE_SCANS[1] else None


def episodes(store: Store, run_id: str, window: tuple[int, int]) -> list[Episode]:
    """Episodes of a run, of event times from the first of a window up to and without the second, in their order."""
    params = {"run": run_id, "from_ms": window[0], "to_ms": window[1], "streams": []}
    return [Episode(**row) for row in store.rows(_EPISODES, params)]


def slots(
    store: Store, run_id: str, label: str, window: tuple[int, int], paired: int, streams: Sequence[str] = ()
) -> Slots:
    """The single slot of a window.

    Args:
        store: the journal.
        run_id: of the decisions.
        label: of the trades.
        window: event times from the first, up to and without the second, UTC milliseconds.
        paired: trades that a decision stands beside.
        streams: of these decisions; all where there are none.
    """
    params = {"run": run_id, "label": label, "from_ms": window[0], "to_ms": window[1], "streams": list(streams)}
    rows = store.rows(f"SELECT entry_ts_ms, exit_ts_ms, is_open FROM ({_SLOTS}) ORDER BY entry_ts_ms, trade_id", params)
    held = [(row["entry_ts_ms"], row["exit_ts_ms"]) for row in rows]
    holds = [row["exit_ts_ms"] - row["entry_ts_ms"] for row in rows if not row["is_open"]]
    hold_ms = median_low(holds) if holds else None
    missed = list(_missed(store.rows(_FREE, params), held, hold_ms or 0))
    bars = [row for row in store.rows(_BARS, params) if row["bars_held"] is not None]
    return Slots(
        trades=len(held), ours=paired + len(missed), missed=missed, stacked=_stacked(held), hold_ms=hold_ms,
        bars_held=sum(row["bars_held"] for row in bars), scans=sum(row["scans"] for row in bars),
        blind=[(row["entry_ms"], row["exit_ms"] + 1) for row in bars if row["bars_held"] < row["scans"]],
        untold=_untold(store, params, rows, max(holds, default=0)) if held else 0,
    )  # fmt: skip


def _untold(store: Store, params: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], longest: int) -> int:
    opens = [(row["entry_ts_ms"], row["exit_ts_ms"]) for row in rows if row["is_open"]]
    ends = {"first": rows[0]["entry_ts_ms"], "last": max(row["exit_ts_ms"] for row in rows)}
    return store.count(_UNTOLD, {**params, **ends, "longest": longest, "opens": opens})


def _missed(
    free: Sequence[Mapping[str, Any]], held: Sequence[tuple[int, int]], hold_ms: int
) -> Iterator[Mapping[str, Any]]:
    """The decisions of a free slot that one slot would have traded."""
    last_exit = max((exit_ms for _, exit_ms in held), default=0)
    busy_until, at, open_until = -1, 0, -1
    for row in free:
        while at < len(held) and held[at][0] <= row["ts_ms"]:
            open_until, busy_until = max(open_until, held[at][1]), -1  # BLUE's next entry ends what it missed
            at += 1
        if row["ts_ms"] >= last_exit or row["ts_ms"] <= max(busy_until, open_until):
            continue
        yield row
        busy_until = row["ts_ms"] + hold_ms


def _stacked(held: Sequence[tuple[int, int]]) -> int:
    """Trades that were entered while an earlier one was open."""
    count, open_until = 0, -1
    for entry_ms, exit_ms in held:
        count += entry_ms < open_until
        open_until = max(open_until, exit_ms)
    return count
