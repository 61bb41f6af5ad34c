"""First look: a run beside BLUE's trades, from the views alone. Every figure comes with its N; none is a verdict.

Source: findings 9 (universe, co-location), 8 (recovery, tail), 3 (median curve).
"""

from collections.abc import Mapping, Sequence
from statistics import StatisticsError, correlation
from typing import Any, Final

from journal.blue.clock import best_shift, decided
from journal.blue.intake import LABELS, REAL, STANDIN
from journal.judge.scope import Scope
from journal.ledger.run import Run
from journal.refusal import Refusal
from journal.store import Store

TRUST: Final = {
    REAL: "HOLD (a first look: no comparison contract, no kernels of BLUE; nothing is judged)",
    STANDIN: "HOLD (the trades are STAND-IN, made by `violet blue simulate`, not BLUE's)",
}
_MINE: Final = "WHERE run_id = {run:String} AND label = {label:String}"
OUTSIDE: Final = 5  # trades named whose nearest decision is further than 5 minutes


def look(store: Store, run: Run, label: str | None = None) -> dict[str, Any]:
    """Everything there is to see. Raises Refusal where no trades were brought in."""
    label = _label(store, label)
    params, until = {"run": run.run_id, "label": label}, _until(store, run)

    def rows(sql: str) -> list[dict[str, Any]]:
        return store.rows(sql + until, params)

    pairs = rows(
        "SELECT count() AS trades, countIf(is_colocated) AS colocated, countIf(side = 'SHORT') AS short, "
        "countIf(recorded IS NOT NULL AND is_colocated) AS sized, "
        "countIf(recorded_vel_div IS NOT NULL AND is_colocated) AS with_vel_div, "
        "countIf(is_colocated AND recorded_vel_div = vel_div) AS same_vel_div, "
        f"quantileExactInclusiveIf(0.5)(gap_ms, is_colocated) AS gap_ms FROM blue_pairs {_MINE}"
    )[0]
    window = rows(
        "SELECT min(ts) AS first, max(ts) AS last, count() AS scans FROM (SELECT ts FROM decisions "
        "WHERE run_id = {run:String} UNION ALL SELECT ts FROM evaluations WHERE run_id = {run:String})"
    )[0]
    n = pairs["trades"]
    universe = rows(f"SELECT * EXCEPT (run_id, label) FROM blue_universe {_MINE} ORDER BY trades DESC, asset")
    covered = sum(row["trades"] for row in universe if row["is_covered"])
    curve = rows(f"SELECT * EXCEPT (run_id, label) FROM blue_curve {_MINE} ORDER BY vel_div_from DESC")
    buckets = rows(
        f"SELECT * EXCEPT (run_id, label) FROM blue_buckets {_MINE} ORDER BY vel_div = 'all', vel_div, "
        "dc_status = 'all', dc_status"
    )
    tidied = cleaned(store, label)
    return {
        "run_id": run.run_id, "name": run.name, "label": label, "verdict": None, "trust": TRUST[label],
        "window": window,
        "cleaning": tidied,
        "trades": {"n": tidied["kept"], "inside": n, "outside": tidied["kept"] - n, "short": pairs["short"]},
        "universe": {"n": n, "covered": covered, "share": _share(covered, n), "assets": universe},
        "colocation": {
            "n": n, "within_5_min": pairs["colocated"], "share": _share(pairs["colocated"], n),
            "gap_ms_median": pairs["gap_ms"] if pairs["colocated"] else None,
            "outside": rows(
                "SELECT trade_id, asset, entry_ts, gap_ms FROM blue_pairs "
                f"{_MINE} AND NOT is_colocated AND gap_ms IS NOT NULL ORDER BY abs(gap_ms), trade_id LIMIT {OUTSIDE}"
            ),
        },
        "clock": _clock(store, params, until),
        "vel_div": {
            "n": pairs["with_vel_div"], "same": pairs["same_vel_div"],
            "share": _share(pairs["same_vel_div"], pairs["with_vel_div"]),
        },
        "leverage": {"n": pairs["sized"], **_sizing(buckets)},
        "buckets": buckets,
        "curve": {"n": sum(row["n"] for row in curve), **fit(curve), "steps": curve},
        "recovery": {
            "n": pairs["sized"],
            "bands": rows(f"SELECT * EXCEPT (run_id, label, readings) FROM blue_recovery {_MINE} ORDER BY band"),
        },
        "unmatched": {
            "n": n - pairs["colocated"],
            "why": rows(f"SELECT why, count() AS trades FROM blue_unmatched {_MINE} GROUP BY why ORDER BY trades DESC"),
        },
    }  # fmt: skip


def fit(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Pearson and largest error between the recorded and the journaled median curve."""
    recorded, journaled = ([step[f"{side}_median"] for step in steps] for side in ("recorded", "journaled"))
    try:
        pearson = correlation(recorded, journaled)
    except StatisticsError:  # of fewer than two steps, or of a flat curve
        pearson = None
    return {
        "pearson": pearson,
        "max_abs_err": max((abs(r - j) for r, j in zip(recorded, journaled, strict=True)), default=None),
    }


def _until(store: Store, run: Run) -> str:
    """The settings that end every figure at one offset, as a soak may go on, and sum in one order, for equal bits."""
    ends = Scope.of(store, run.run_id).ends
    where = " OR ".join(f"(partition = {partition} AND log_offset <= {end})" for partition, end in ends.items()) or "0"
    tables = ", ".join(f"'{table}': '{where}'" for table in ("violet_decisions", "violet_evaluations"))
    return f" SETTINGS max_threads = 1, additional_table_filters = {{{tables}}}"


def _label(store: Store, asked: str | None) -> str:
    """Whose trades: REAL ones where there are any; the two are never mixed."""
    there = {row["label"] for row in store.rows("SELECT DISTINCT label FROM blue_imports WHERE state = 'COMPLETE'")}
    if not there or (asked and asked not in there):
        what = f"{asked} trades" if asked else "trades"
        raise Refusal(f"no {what} of BLUE in this journal; fix: `violet blue import --trades FILE` first")
    return asked or next(label for label in LABELS if label in there)


def cleaned(store: Store, label: str) -> dict[str, Any]:
    """Rows, trades, and what was dropped, by reason."""
    by_reason = store.rows(
        "SELECT reason, count() AS n FROM blue_cleaning WHERE label = {label:String} GROUP BY reason ORDER BY n DESC",
        {"label": label},
    )
    counts = {row["reason"]: row["n"] for row in by_reason}
    most = store.rows(
        "SELECT max(trade_rows) AS n, uniqExact(trade_id) AS ids FROM blue_cleaning WHERE label = {label:String}",
        {"label": label},
    )[0]
    notes = store.rows(
        "SELECT arrayJoin(notes) AS note, count() AS n FROM blue_trades WHERE label = {label:String} "
        "GROUP BY note ORDER BY note",
        {"label": label},
    )
    alone = store.count(
        "SELECT count() FROM blue_legs WHERE label = {label:String} "
        "AND trade_id NOT IN (SELECT trade_id FROM blue_cleaning WHERE label = {label:String})",
        {"label": label},
    )
    found = {row["note"]: row["n"] for row in notes} | ({"LEG_WITHOUT_TRADE": alone} if alone else {})
    return {
        "rows": sum(counts.values()), "trade_ids": most["ids"], "most_rows": most["n"],
        "kept": counts.pop("", 0), "dropped": counts, "notes": found,
    }  # fmt: skip


def _sizing(buckets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last line of the bucket table: everything."""
    names = ("identical", "pearson", "max_abs_err", "share_above", "share_below", "ratio_median")
    return {name: buckets[-1][name] if buckets else None for name in names}


def _clock(store: Store, params: Mapping[str, Any], until: str) -> dict[str, Any]:
    """Whether another shift of the trades' clock would match more of them."""
    trades = store.rows(
        "SELECT asset, entry_ts_ms FROM blue_trades WHERE label = {label:String} AND side = 'SHORT'", params
    )
    shift = best_shift([(row["asset"], row["entry_ts_ms"]) for row in trades], decided(store, params["run"], until))
    return {"n": shift.trades, "matched": shift.matched, "best_other_shift_ms": shift.shift_ms,
            "matched_under_it": shift.shifted, "is_off": shift.is_off}  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
