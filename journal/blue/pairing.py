"""Pairing: which decision of a run stands beside which of BLUE's trades, one to one.

A trade that recorded its scan is paired by that alone: stream, scan and asset. Another one is paired with a decision on
its asset within the tolerance. Of all of these the nearest come first; of two as near the trade that was entered first,
then the smaller trade_id, then the earlier decision, then the first in the log. So the pairs of a smaller tolerance are
among those of a larger one. ClickHouse finds the candidates, so that what comes here grows with the trades.
Source: findings 9 (same asset, within 5 minutes). See docs/design/blue.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Final, Literal, TypeVar

from journal.store import Store

TOLERANCES_MS: Final = (60_000, 300_000, 900_000)  # beside that of one scan
ID_REACH_MS: Final = 3_600_000  # numbers of scans may begin anew: a scan id says nothing of a decision further away
KEPT: Final = 16  # candidates of a trade, the nearest: more than trades that could have taken them
ENOUGH: Final = 20  # trades, below which a shift of the clock is not told by vel_div
_BLOCK: Final = 2_000  # rows asked for in one statement, whose text has a bound

_TRADES: Final = """
    SELECT * FROM blue_trades
    WHERE label = {label:String} AND entry_ts_ms >= {from_ms:Int64} AND entry_ts_ms < {to_ms:Int64}"""
_ASKED: Final = f"""
    SELECT trade_id, asset, scan_stream, entry_ts_ms, scan_id, vel_div FROM ({_TRADES}) WHERE side = 'SHORT'"""
# Two steps: beside REPLACE, a WHERE would see what replaced the NULL.
_WITH_ID: Final = f"""
    SELECT * REPLACE (assumeNotNull(scan_id) AS scan_id) FROM (SELECT * FROM ({_ASKED}) WHERE scan_id IS NOT NULL)"""
_NEAR: Final = f"""groupArraySorted({KEPT})((
        abs(d.ts_ms - t.entry_ts_ms), d.ts_ms > t.entry_ts_ms, d.topic, d.partition, d.log_offset)) AS near"""
_BY_ID: Final = f"""
SELECT t.trade_id AS trade_id, count() AS candidates, 0 AS same, 0 AS same_gap, {_NEAR}
FROM (
    SELECT topic, partition, log_offset, stream, scan_id, asset, ts_ms FROM violet_decisions FINAL
    WHERE run_id = {{run:String}} AND scan_id IN (SELECT scan_id FROM ({_WITH_ID}))
) AS d
INNER JOIN ({_WITH_ID}) AS t ON d.scan_id = t.scan_id AND d.asset = t.asset
WHERE t.scan_stream IN ('', d.stream) AND abs(d.ts_ms - t.entry_ts_ms) <= {ID_REACH_MS}
GROUP BY trade_id"""
_NEAREST: Final = f"""
SELECT t.trade_id AS trade_id, countIf(abs(d.ts_ms - t.entry_ts_ms) <= {{tolerance:Int64}}) AS candidates,
    countIf(d.vel_div = t.vel_div) AS same,
    argMinIf(d.ts_ms - t.entry_ts_ms, abs(d.ts_ms - t.entry_ts_ms), d.vel_div = t.vel_div) AS same_gap, {_NEAR}
FROM (
    SELECT topic, partition, log_offset, stream, asset, ts_ms, vel_div, intDiv(ts_ms, {{reach:Int64}}) AS bucket
    FROM violet_decisions FINAL
    WHERE run_id = {{run:String}} AND asset IN (SELECT asset FROM ({_ASKED}))
        AND ts_ms BETWEEN {{from_ms:Int64}} - {{reach:Int64}} AND {{to_ms:Int64}} + {{reach:Int64}}
) AS d
INNER JOIN (
    SELECT trade_id, asset, scan_stream, entry_ts_ms, vel_div,
        intDiv(entry_ts_ms, {{reach:Int64}}) + arrayJoin([-1, 0, 1]) AS bucket
    FROM ({_ASKED}) WHERE scan_id IS NULL
) AS t ON d.asset = t.asset AND d.bucket = t.bucket
WHERE t.scan_stream IN ('', d.stream) AND abs(d.ts_ms - t.entry_ts_ms) <= {{reach:Int64}}
GROUP BY trade_id"""
_IN_WINDOW: Final = "run_id = {run:String} AND ts_ms >= {from_ms:Int64} AND ts_ms < {to_ms:Int64}"
_SCAN_MS: Final = f"""
SELECT toInt64(ifNull(quantileExact(0.5)(gap), 0)) AS scan_ms FROM (
    SELECT ts_ms - lagInFrame(ts_ms) OVER (ORDER BY ts_ms ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS gap,
        row_number() OVER (ORDER BY ts_ms) AS nth
    FROM (
        SELECT ts_ms FROM violet_decisions WHERE {_IN_WINDOW} UNION DISTINCT
        SELECT ts_ms FROM violet_evaluations WHERE {_IN_WINDOW}
    )
) WHERE nth > 1"""
_IDS: Final = f"SELECT scan_id FROM ({_WITH_ID}) WHERE trade_id IN {{ids:Array(String)}}"
_OF_SCAN: Final = f"""
SELECT t.trade_id AS trade_id, groupUniqArray(s.asset) AS assets, groupUniqArrayArray(s.reasons) AS reasons,
    any(s.vel_div) AS vel_div
FROM (
    SELECT stream, scan_id, ts_ms, asset, vel_div, CAST([], 'Array(String)') AS reasons FROM violet_decisions FINAL
    WHERE run_id = {{run:String}} AND scan_id IN ({_IDS})
    UNION ALL
    SELECT stream, scan_id, ts_ms, '', vel_div, arrayMap(each -> toString(each), reasons) FROM evaluations
    WHERE run_id = {{run:String}} AND scan_id IN ({_IDS})
) AS s
INNER JOIN ({_WITH_ID}) AS t ON s.scan_id = t.scan_id
WHERE t.trade_id IN {{ids:Array(String)}} AND t.scan_stream IN ('', s.stream)
    AND abs(s.ts_ms - t.entry_ts_ms) <= {ID_REACH_MS}
GROUP BY trade_id"""

_T = TypeVar("_T")
Place = tuple[str, int, int]  # topic, partition, offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A trade of BLUE beside a decision.

    trade: a row of `blue_trades`; decision: a row of `decisions`; by: how they were found; gap_ms: decision minus
    entry; candidates: decisions that the rule would take, the one of the pair among them.
    """

    trade: Mapping[str, Any]
    decision: Mapping[str, Any]
    by: Literal["id", "nearest"]
    gap_ms: int
    candidates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """All pairs of a window, in the order of their entries.

    unpaired: trades without a decision, each with `why` and with scan_vel_div, which its scan had here, or None.
    ambiguous: pairs with a second decision that is as near, or of the same scan. scan_ms: median time from scan to
    scan. sensitivity: tolerance in ms -> pairs, that of one scan among them. offset_ms: how far BLUE's clock seems
    ahead, reported and never applied; by `offset_by` of `offset_n` trades: their scan ids, or their vel_div where that
    tells a decision; None where neither does.
    """

    pairs: Sequence[Pair]
    unpaired: Sequence[Mapping[str, Any]]
    ambiguous: int
    scan_ms: int
    sensitivity: Mapping[int, int]
    offset_ms: int | None
    offset_by: Literal["id", "vel_div", ""]
    offset_n: int


@dataclass(frozen=True, slots=True)
class _Found:
    """The candidates of a trade: how many, the nearest, and the gap to the nearest of the same vel_div."""

    candidates: int
    near: Sequence[tuple[int, int, str, int, int]]
    same_gap: int | None

    @property
    def is_tied(self) -> bool:
        return len(self.near) > 1 and self.near[0][0] == self.near[1][0]


def pair(store: Store, run_id: str, label: str, window: tuple[int, int], tolerance_ms: int) -> Pairing:
    """Pair the trades of a window with a run's decisions.

    Args:
        store: the journal.
        run_id: of the decisions.
        label: of the trades.
        window: entries from the first, up to and without the second, UTC milliseconds.
        tolerance_ms: largest gap of a trade without a scan id.
    """
    reach = max(tolerance_ms, *TOLERANCES_MS)
    params = {
        "run": run_id, "label": label, "from_ms": window[0], "to_ms": window[1], "tolerance": tolerance_ms,
        "reach": reach,
    }  # fmt: skip
    trades = store.rows(f"SELECT * FROM ({_TRADES}) ORDER BY entry_ts_ms, trade_id", params)
    by_id, nearest = _candidates(store, _BY_ID, params), _candidates(store, _NEAREST, params)
    scan_ms = store.count(_SCAN_MS, params)
    chosen = _one_to_one(trades, by_id, set())
    taken = {place for _, place in chosen.values()}
    loose = _one_to_one(trades, nearest, taken)
    gaps = [abs(gap) for gap, _ in loose.values()]
    chosen_near = {trade_id: each for trade_id, each in loose.items() if abs(each[0]) <= tolerance_ms}
    rows = _decisions(store, run_id, [place for _, place in (*chosen.values(), *chosen_near.values())])
    pairs = [
        Pair(
            trade=trade, decision=rows[place], by="id" if trade["trade_id"] in chosen else "nearest", gap_ms=gap,
            candidates=(by_id if trade["trade_id"] in chosen else nearest)[trade["trade_id"]].candidates,
        )
        for trade in trades
        for gap, place in [(chosen | chosen_near).get(trade["trade_id"], (0, None))]
        if place is not None
    ]  # fmt: skip
    offset = _offset([gap for gap, _ in chosen.values()], nearest)
    return Pairing(
        pairs=pairs, unpaired=_unpaired(store, params, trades, {each.trade["trade_id"] for each in pairs}, nearest),
        ambiguous=sum(
            by_id[each.trade["trade_id"]].candidates > 1 if each.by == "id" else nearest[each.trade["trade_id"]].is_tied
            for each in pairs
        ),
        scan_ms=scan_ms,
        sensitivity={
            each: len(chosen) + sum(gap <= each for gap in gaps) for each in sorted({scan_ms, *TOLERANCES_MS})
        },
        offset_ms=offset[0], offset_by=offset[1], offset_n=offset[2],
    )  # fmt: skip


def _candidates(store: Store, sql: str, params: Mapping[str, Any]) -> dict[str, _Found]:
    return {
        row["trade_id"]: _Found(row["candidates"], row["near"], row["same_gap"] if row["same"] else None)
        for row in store.rows(sql, params)
    }


def _one_to_one(
    trades: Iterable[Mapping[str, Any]], found: Mapping[str, _Found], taken: set[Place]
) -> dict[str, tuple[int, Place]]:
    """Of each trade that gets one, its decision: gap and place. The nearest first, see the module."""
    edges = sorted(
        (gap, trade["entry_ts_ms"], trade["trade_id"], is_later, (topic, partition, offset))
        for trade in trades
        if trade["trade_id"] in found
        for gap, is_later, topic, partition, offset in found[trade["trade_id"]].near
    )
    chosen: dict[str, tuple[int, Place]] = {}
    used = set(taken)
    for gap, _, trade_id, is_later, place in edges:
        if trade_id not in chosen and place not in used:
            chosen[trade_id] = gap if is_later else -gap, place
            used.add(place)
    return chosen


def _decisions(store: Store, run_id: str, places: Sequence[Place]) -> dict[Place, dict[str, Any]]:
    """The whole rows of decisions, by their place."""
    found: dict[Place, dict[str, Any]] = {}
    for block in _blocks(sorted(places), _BLOCK):
        offsets = ", ".join(f"({partition}, {offset})" for _, partition, offset in block)
        rows = store.rows(
            "SELECT * FROM decisions WHERE run_id = {run:String} AND log_offset BETWEEN {first:Int64} AND {last:Int64} "
            f"AND (partition, log_offset) IN ({offsets})",
            {"run": run_id, "first": min(o for *_, o in block), "last": max(o for *_, o in block)},
        )
        found |= {(row["topic"], row["partition"], row["log_offset"]): row for row in rows}
    return found


def _offset(
    id_gaps: Sequence[int], nearest: Mapping[str, _Found]
) -> tuple[int | None, Literal["id", "vel_div", ""], int]:
    """How far BLUE's clock is ahead, what tells it, and of how many trades."""
    if id_gaps:
        return -median_low(id_gaps), "id", len(id_gaps)
    same = [each.same_gap for each in nearest.values() if each.same_gap is not None]
    return (-median_low(same), "vel_div", len(same)) if len(same) >= ENOUGH else (None, "", 0)


def _unpaired(
    store: Store, params: Mapping[str, Any], trades: Iterable[Mapping[str, Any]], paired: set[str],
    nearest: Mapping[str, _Found],
) -> list[dict[str, Any]]:  # fmt: skip
    """The trades that no decision stands beside, each with the reason."""
    left = [trade for trade in trades if trade["trade_id"] not in paired]
    if not left:
        return []
    ids = [trade["trade_id"] for trade in left if trade["scan_id"] is not None]
    scans: dict[str, Mapping[str, Any]] = {}
    for block in _blocks(ids, _BLOCK // 10):
        scans |= {row["trade_id"]: row for row in store.rows(_OF_SCAN, {**params, "ids": list(block)})}
    known = {
        row["asset"]
        for row in store.rows("SELECT DISTINCT asset FROM violet_decisions WHERE run_id = {run:String}", params)
    }
    return [
        {
            **trade,
            "why": _why(trade, known, scans.get(trade["trade_id"]), nearest.get(trade["trade_id"])),
            "scan_vel_div": scans.get(trade["trade_id"], {}).get("vel_div"),
        }
        for trade in left
    ]


def _blocks(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    yield from (list(items[at : at + size]) for at in range(0, len(items), size))


def _why(trade: Mapping[str, Any], known: set[str], scan: Mapping[str, Any] | None, near: _Found | None) -> str:
    """LONG, ASSET_NEVER_DECIDED, NO_SCAN, OTHER_ASSET, TAKEN, NO_DECISION_NEAR, or why its scan did not decide."""
    if trade["side"] != "SHORT":
        return "LONG"
    if trade["asset"] not in known:
        return "ASSET_NEVER_DECIDED"
    if trade["scan_id"] is None:
        return "TAKEN" if near and near.candidates else "NO_DECISION_NEAR"
    if scan is None:
        return "NO_SCAN"
    assets = {*scan["assets"]} - {""}
    if assets:
        return "TAKEN" if trade["asset"] in assets else "OTHER_ASSET"
    blocking = [reason for reason in scan["reasons"] if reason in _BLOCKING]
    return blocking[0] if blocking else "NO_DECISION"


_BLOCKING: Final = ("DUP_SCAN", "NO_SIGNAL", "CADENCE", "NO_ELIGIBLE_ASSET")
