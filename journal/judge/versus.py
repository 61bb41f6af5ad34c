"""Versus: two runs side by side: what they were made with, what they counted, and where their decisions differ.

Scans are the same where stream, scan_id and ts_ms are, so the runs may have read other logs.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from journal.judge.gate import summary
from journal.ledger.run import Run, segments
from journal.refusal import Refusal
from journal.store import Store

FIGURES: Final = (
    "name", "state", "profile", "verdict", "records", "decisions", "evaluations", "planes", "rejects", "lost",
    "doubled", "corrupt", "skipped", "coverage", "time_coverage", "orders", "math_fingerprint", "content_hash",
)  # fmt: skip
_ROWS: Final = " UNION ALL ".join(
    f"SELECT {side} AS b, {decided} AS decided, stream, scan_id, ts_ms, {columns} FROM {table} FINAL "
    f"WHERE run_id = {{{'ab'[side]}:String}}"
    for side in (0, 1)
    for table, decided, columns in (
        ("violet_decisions", 1, "asset, leverage"),
        ("violet_evaluations", 0, "'' AS asset, 0. AS leverage"),
    )
)
_SCANS: Final = (
    "SELECT stream, scan_id, ts_ms, max(b = 0) AS in_a, max(b = 1) AS in_b, maxIf(decided, b = 0) AS by_a, "
    "maxIf(decided, b = 1) AS by_b, anyIf(asset, decided AND b = 0) AS asset_a, "
    "anyIf(asset, decided AND b = 1) AS asset_b, anyIf(leverage, decided AND b = 0) AS leverage_a, "
    "anyIf(leverage, decided AND b = 1) AS leverage_b, "
    "reinterpretAsUInt64(leverage_a) != reinterpretAsUInt64(leverage_b) AS sized "
    f"FROM ({_ROWS}) GROUP BY stream, scan_id, ts_ms"
)
_BOTH: Final = "in_a AND in_b"
_DIFFERS: Final = f"{_BOTH} AND (by_a != by_b OR asset_a != asset_b OR sized)"
_COUNTS: Final = (
    f"SELECT countIf({_BOTH}) AS scans, countIf(NOT in_b) AS scans_a_only, countIf(NOT in_a) AS scans_b_only, "
    f"countIf(by_a AND by_b) AS decided, countIf({_BOTH} AND by_a AND NOT by_b) AS decided_a_only, "
    f"countIf({_BOTH} AND by_b AND NOT by_a) AS decided_b_only, "
    "countIf(by_a AND by_b AND asset_a != asset_b) AS other_asset, countIf(by_a AND by_b AND sized) AS other_leverage, "
    "if(decided > 0, other_leverage / decided, NULL) AS other_leverage_share, "
    "maxIf(abs(leverage_b - leverage_a), by_a AND by_b) AS largest_difference "
    f"FROM ({_SCANS})"
)
_FIRST: Final = (
    "SELECT stream, scan_id, ts_ms, fromUnixTimestamp64Milli(ts_ms, 'UTC') AS ts, if(by_a, asset_a, NULL) AS asset_a, "
    "if(by_b, asset_b, NULL) AS asset_b, if(by_a, leverage_a, NULL) AS leverage_a, "
    "if(by_b, leverage_b, NULL) AS leverage_b "
    f"FROM ({_SCANS}) AS scans WHERE {_DIFFERS} ORDER BY ts_ms, stream, scan_id LIMIT 1"
)


def versus(store: Store, a: Run, b: Run) -> dict[str, Any]:
    """What differs between two runs.

    Returns:
        a, b: their ids. segments: how many each has. differs: what of the manifests and the counts differs, by name, as
        [of a, of b]. params: the same of params by their dotted name, of the last segments. pairs: counts over the
        scans that both have; a leverage differs where a bit of it does. first: the first scan with another decision,
        None of none; its asset and leverage are null of a run that did not decide.

    Raises:
        Refusal: they are one run.
    """
    if a.run_id == b.run_id:
        raise Refusal(f"both name run {a.run_id}; fix: name two, `violet runs` lists them")
    named = {"a": a.run_id, "b": b.run_id}
    first = store.rows(_FIRST, named)
    ours, theirs = (_made(store, run) for run in (a, b))
    return {
        **named,
        "segments": [len({part.segment for part in segments(store, run.run_id)}) for run in (a, b)],
        "differs": _differing(ours, theirs),
        "params": _differing(*(_params(store, run) for run in (a, b))),
        "pairs": store.rows(_COUNTS, named)[0],
        "first": first[0] if first else None,
    }


def _made(store: Store, run: Run) -> dict[str, Any]:
    """What a run was made with and what it counted."""
    found, parts = summary(store, run), segments(store, run.run_id)
    last = parts[-1] if parts else None
    return {name: found[name] for name in FIGURES} | {
        "source": dict(run.source), "from_until": {name: run.asked.get(name) for name in ("from", "until")},
        "warm": run.warm, "standins": list(run.standins), "absent": list(run.absent),
        "code_hash": last and last.code_hash,
        "kernels": dict(last.kernels) if last else {},
    }  # fmt: skip


def _params(store: Store, run: Run) -> dict[str, Any]:
    """Params of its last segment, by dotted name."""
    parts = segments(store, run.run_id)
    tables = msgspec.json.decode(parts[-1].params) if parts else {}
    return {
        f"{table}.{key}": value
        for table, values in tables.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }


def _differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = dict.fromkeys([*ours, *theirs])
    return {name: [ours.get(name), theirs.get(name)] for name in names if ours.get(name) != theirs.get(name)}
