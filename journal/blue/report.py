"""Report: everything that a report of a run shows, as one object; each number as SQL gives it.

It reads the journal alone and no clock, so the same journal gives the same report.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from journal.blue import study, trust
from journal.blue.verdict import INVALID
from journal.judge.gate import judge, summary
from journal.ledger.run import Run
from journal.query import find
from journal.refusal import Refusal
from journal.store import Store
from lanes.registry import LANES

BARS: Final = 120  # of the decisions over time, at most
_DOCUMENTS: Final = ("clauses", "measures", "figures")


def collect(store: Store, run: Run, *, against_blue: bool = False) -> dict[str, Any]:
    """The report of a run; beside BLUE its latest comparison, which `violet compare` made.

    Raises:
        Refusal: the run was not compared with BLUE.
    """
    found: dict[str, Any] = {
        "run": summary(store, run),
        "clauses": [
            {"segment": each.segment, **asdict(clause)} for each in judge(store, run) for clause in each.clauses
        ],
        "trust": _trust(store, run),
        "window": _window(store, run.run_id),
        "conviction": _saved(store, "conviction", run.run_id),
        "lanes": _saved(store, "lane_pull", run.run_id),
        "bounds": _saved(store, "clamps", run.run_id),
        "compare": None,
    }
    found["over_time"] = _over_time(store, run.run_id, found["window"])
    label = None
    if against_blue:
        found["compare"] = compared = _compared(store, run)
        label = compared["label"]
    studies = {name: study.rows(store, name, run.run_id, label) for name in study.STUDIES}
    if found["compare"] is not None and found["compare"]["verdict"] == INVALID:  # then nothing stands beside anything
        studies = {name: [row for row in rows if not row["label"]] for name, rows in studies.items()}
    return found | {"studies": studies}


def _trust(store: Store, run: Run) -> dict[str, Any]:
    """Where trust stands; of a broken ledger what is wrong with it."""
    try:
        standing = trust.standing(store, run.name, run.standins)
    except Refusal as broken:
        return {"status": trust.HOLD, "words": f"{trust.HOLD} ({broken})"}
    return {"status": standing.status, "words": standing.words}


def _saved(store: Store, name: str, run_id: str) -> list[dict[str, Any]]:
    """The answer of a saved query without its means, whose last bits depend on how ClickHouse cut the rows."""
    rows = store.rows(find(name).sql, {"run": run_id})
    return [{key: value for key, value in row.items() if not key.endswith("avg")} for row in rows]


def _window(store: Store, run_id: str) -> dict[str, Any]:
    return store.rows(
        "SELECT count() AS scans, min(ts_ms) AS first_ms, max(ts_ms) AS last_ms FROM (SELECT ts_ms FROM decisions "
        "WHERE run_id = {run:String} UNION ALL SELECT ts_ms FROM evaluations WHERE run_id = {run:String})",
        {"run": run_id},
    )[0]


def _over_time(store: Store, run_id: str, window: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Decisions and their median leverage, in steps of so many whole minutes that there are at most BARS."""
    step_ms = max(1, -(-(window["last_ms"] - window["first_ms"] + 1) // (BARS * 60_000))) * 60_000
    return store.rows(
        "SELECT {first:Int64} + {step:Int64} * intDiv(ts_ms - {first:Int64}, {step:Int64}) AS from_ms, count() AS n, "
        "quantileExactInclusive(0.5)(leverage) AS leverage_median FROM decisions WHERE run_id = {run:String} "
        "GROUP BY from_ms ORDER BY from_ms",
        {"run": run_id, "first": window["first_ms"], "step": step_ms},
    )


def _compared(store: Store, run: Run) -> dict[str, Any]:
    """The latest comparison of a run, with its contract and what differs, lane by lane."""
    rows = store.rows(
        "SELECT * FROM compares WHERE run_id = {run:String} ORDER BY compared_at DESC, compare_id LIMIT 1",
        {"run": run.run_id},
    )
    if not rows:
        raise Refusal(
            f"run {run.run_id} was not compared with BLUE; fix: `violet compare {run.run_id} --against blue "
            "--contract FILE`"
        )
    row = rows[0] | {name: json.loads(rows[0][name]) for name in _DOCUMENTS}
    asked = {"compare": row["compare_id"], "names": [lane.name for lane in LANES], "contract": row["contract_hash"]}
    contract = store.rows(
        "SELECT document, toUnixTimestamp64Milli(anchored_at) AS anchored_ms, is_before FROM contracts "
        "WHERE contract_hash = {contract:String}",
        asked,
    )[0]
    return row | {
        **contract,
        "attribution": store.rows(
            "SELECT * EXCEPT (compare_id, run_id, label) FROM blue_attribution_sums "
            "WHERE compare_id = {compare:String} "
            "ORDER BY indexOf(arrayPushBack({names:Array(String)}, 'clamp'), term) = 0, "
            "indexOf(arrayPushBack({names:Array(String)}, 'clamp'), term), term",
            asked,
        ),
        "statuses": store.rows(
            "SELECT status, uniqExact(trade_id) AS pairs FROM blue_attribution WHERE compare_id = {compare:String} "
            "GROUP BY status ORDER BY status",
            asked,
        ),
        "largest": store.rows(
            "SELECT trade_id, asset, entry_ts, scan_id, journaled, recorded, journaled - recorded AS difference, "
            "class, class_where FROM compare_pairs WHERE compare_id = {compare:String} AND NOT is_identical "
            "ORDER BY abs(difference) DESC, trade_id LIMIT 10",
            asked,
        ),
    }
