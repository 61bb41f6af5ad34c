"""Figures: those of a comparison, in SQL over its pairs and over the scans of its window.

The questions of the first look (blue_buckets, blue_curve, blue_recovery) are asked of the comparison's own pairs: their
cost is that of the pairs, however long the journal is. None of them judges; `journal/blue/verdict.py` does.
Source: findings 3 (median curve), 8 (buckets, recovery, tail), 9 (universe, co-location, episodes).
"""

from collections.abc import Sequence
from typing import Any, Final

from journal.blue import anchor, breakdown
from journal.blue.classes import Class, of_unpaired
from journal.blue.contract import Contract, Window
from journal.blue.look import fit
from journal.blue.pairing import Pairing
from journal.blue.slot import Slots, episodes
from journal.store import Store
from journal.template import fill, texts
from lanes.code import Reason
from lanes.registry import LANES

_PAIRS: Final = "(SELECT * FROM compare_pairs WHERE compare_id = {compare:String})"
_INSIDE: Final = f"run_id = {{run:String}} AND {anchor.INSIDE}"
_ORDER: Final = {
    "blue_buckets": "vel_div = 'all', vel_div, dc_status = 'all', dc_status",
    "blue_curve": "vel_div_from DESC",
    "blue_recovery": "band",
}
QUIET_STEPS: Final = 4  # thresholds above the run's own that are asked for
QUIET_STEP: Final = 0.001
_NAMED: Final = 20
_QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def figures(
    store: Store, contract: Contract, compare_id: str, window: Window, pairing: Pairing, traded: Slots,
    trades: Sequence[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    """Every figure of a comparison whose pairs are stored; each with its N. window: what of it is reached."""
    asked = {"compare": compare_id, **anchor.within(contract.run_id, contract.window)}
    curve = _same(store, "blue_curve", asked)
    return {
        "trades": len(trades),
        "pairs": {
            "n": len(pairing.pairs), "by_id": sum(pair.by == "id" for pair in pairing.pairs),
            "ambiguous": pairing.ambiguous, "clock_offset_ms": pairing.offset_ms,
            "sensitivity": {str(ms): n for ms, n in pairing.sensitivity.items()},
        },
        "unpaired": _counted([trade["why"] for trade in pairing.unpaired]),
        "unpaired_classes": _counted([_words(of_unpaired(trade)) for trade in pairing.unpaired]),
        "universe": _universe(pairing),
        "colocation": _colocation(store, asked, len(trades)),
        "lanes": _lanes(store, asked),
        "buckets": _same(store, "blue_buckets", asked),
        "curve": {"n": sum(row["n"] for row in curve), **fit(curve), "steps": curve},
        "recovery": _same(store, "blue_recovery", asked),
        "conviction": _conviction(store, asked),
        "frequency": _frequency(store, contract.run_id, window, len(trades)),
        "slot": _slot(traded),
        "quiet": _quiet(store, contract, asked),
        "classes": _classes(store, asked),
        "by_lane": breakdown.by_lane(store, contract, compare_id),
        "by_day": breakdown.by_day(store, contract, compare_id),
    }  # fmt: skip


def _same(store: Store, view: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """What a view of the first look asks, over the pairs of the comparison."""
    _, _, body = fill(texts("views")[view]).partition(f"VIEW {view} AS")
    if body.count("FROM blue_pairs") != 1:
        raise AssertionError(f"view {view} must read blue_pairs once, to be asked of the pairs of a comparison")
    sql = body.replace("FROM blue_pairs", f"FROM {_PAIRS}").rstrip().rstrip(";")
    return store.rows(f"SELECT * EXCEPT (run_id, label) FROM ({sql}) ORDER BY {_ORDER[view]}", asked)


def _counted(whys: Sequence[str]) -> dict[str, int]:
    return {why: whys.count(why) for why in sorted(set(whys))}


def _words(found: Class) -> str:
    return f"{found.kind} {' and '.join(found.where)}"


def _universe(pairing: Pairing) -> dict[str, Any]:
    """On how many of BLUE's trades the run decided on the asset at all."""
    paired = {pair.trade["asset"] for pair in pairing.pairs}
    every = [pair.trade["asset"] for pair in pairing.pairs] + [trade["asset"] for trade in pairing.unpaired]
    covered = sum(asset in paired for asset in every)
    return {
        "n": len(every), "covered": covered, "share": covered / len(every) if every else None,
        "assets": {asset: every.count(asset) for asset in sorted(set(every))},
    }  # fmt: skip


def _colocation(store: Store, asked: dict[str, Any], trades: int) -> dict[str, Any]:
    row = store.rows(
        "SELECT count() AS paired, countIf(gap_ms = 0) AS at_once, "
        "quantileExactInclusive(0.5)(gap_ms) AS gap_ms_median, "
        f"min(gap_ms) AS gap_ms_min, max(gap_ms) AS gap_ms_max FROM {_PAIRS}",
        asked,
    )[0]
    return {"n": trades, "share": row["paired"] / trades if trades else None, **row}


def _lanes(store: Store, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Each lane's value on both sides, of the pairs whose lane BLUE recorded. above: the mean above the noise floor."""
    names = [lane.name for lane in LANES]
    return store.rows(
        "SELECT lane, count() AS n, countIf(reinterpretAsUInt64(ours) = reinterpretAsUInt64(theirs)) AS identical, "
        "avg(abs(ours - theirs)) AS mean_abs_err, avg(if(delayed = '', abs(ours - theirs), 0)) AS above, "
        "max(abs(ours - theirs)) AS max_abs_err, quantileExactInclusive(0.5)(ours) AS journaled_median, "
        "quantileExactInclusive(0.5)(theirs) AS recorded_median FROM (SELECT "
        "arrayJoin({names:Array(String)}) AS lane, lanes[lane] AS ours, recorded_lanes[lane] AS theirs, delayed, "
        f"mapContains(recorded_lanes, lane) AS is_recorded FROM {_PAIRS}) WHERE is_recorded GROUP BY lane "
        "ORDER BY indexOf({names:Array(String)}, lane)",
        {**asked, "names": names},
    )


def _conviction(store: Store, asked: dict[str, Any]) -> dict[str, Any]:
    """How the leverages spread: of BLUE's trades, of the decisions beside them, and of all decisions of the window."""
    levels = ", ".join(map(str, _QUANTILES))
    found = {}
    for name, column, source in (
        ("recorded", "assumeNotNull(recorded)", f"{_PAIRS} WHERE recorded IS NOT NULL"),
        ("journaled", "journaled", _PAIRS),
        ("decisions", "leverage", f"violet_decisions FINAL WHERE {_INSIDE}"),
    ):
        row = store.rows(
            f"SELECT count() AS n, avg({column}) AS mean, quantilesExactInclusive({levels})({column}) AS q "
            f"FROM {source}",
            asked,
        )[0]
        quantiles = dict(zip(map(str, _QUANTILES), row["q"], strict=True)) if row["n"] else {}
        found[name] = {"n": row["n"], "mean": row["mean"] if row["n"] else None, "quantiles": quantiles}
    return found


def _frequency(store: Store, run_id: str, window: Window, trades: int) -> dict[str, Any]:
    """Trades beside decisions and episodes. hours: of what of the window is reached."""
    found = episodes(store, run_id, (window.from_ms, window.to_ms))
    hours = (window.to_ms - window.from_ms) / 3_600_000
    counts = {"decisions": sum(each.decisions for each in found), "episodes": len(found), "trades": trades}
    return {**counts, "hours": hours, "an_hour": {name: n / hours for name, n in counts.items()}}


def _slot(traded: Slots) -> dict[str, Any]:
    """Both sides at the grain of one slot; of the decisions that BLUE did not take, the first and their vel_div."""
    vel_divs = [row["vel_div"] for row in traded.missed]
    return {
        "ours": traded.ours, "trades": traded.trades, "missed": len(traded.missed), "stacked": traded.stacked,
        "hold_ms_median": traded.hold_ms, "bars_held": traded.bars_held, "scans": traded.scans, "share": traded.share,
        "untold": traded.untold,
        "missed_vel_div": {"min": min(vel_divs, default=None), "max": max(vel_divs, default=None)},
        "missed_first": [dict(row) for row in traded.missed[:_NAMED]],
    }  # fmt: skip


def _quiet(store: Store, contract: Contract, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """How many quiet scans would have been a signal at other thresholds, and how large, as they were journaled.

    That is with a strength of 0, by the run's own threshold; at another one the strength would be larger too. Nobody
    chose an asset for them, so some of them might have had none.
    """
    thr = float(contract.params.values["base"]["thr"])
    levels = [round(thr + QUIET_STEP * step, 9) for step in range(1, QUIET_STEPS + 1)]
    return store.rows(
        "SELECT threshold, countIf(vel_div < threshold) AS decisions_more, if(decisions_more = 0, NULL, "
        "quantileExactInclusiveIf(0.5)(leverage, vel_div < threshold)) AS leverage_median FROM ("
        "SELECT vel_div, leverage, arrayJoin({levels:Array(Float64)}) AS threshold FROM violet_evaluations FINAL "
        f"WHERE {_INSIDE} AND vel_div < {{most:Float64}} AND bitTest(reasons, {{quiet:UInt8}})"
        ") GROUP BY threshold ORDER BY threshold",
        {**asked, "most": max(levels), "levels": levels, "quiet": Reason.NO_SIGNAL.value},
    )


def _classes(store: Store, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The differences by class and lane, the most frequent first, with the money between both sizes and its rank.

    above: how many lie above the noise floor.
    """
    return store.rows(
        "SELECT class, class_group, class_where, count() AS n, countIf(is_allowed) AS allowed, "
        "countIf(delayed = '') AS above, "
        "sum(abs(notional_usd - recorded_notional_usd)) AS usd, row_number() OVER (ORDER BY usd DESC) AS by_money, "
        "max(abs(journaled - recorded)) AS max_abs_err "
        f"FROM {_PAIRS} WHERE class != '' GROUP BY class, class_group, class_where "
        "ORDER BY n DESC, usd DESC, class, class_where",
        asked,
    )
