"""Health: how a soak does right now, for people and for a watchdog.

Health is about the process and what it journals, so a verdict that only waits for its hundredth decision does not make
a young soak sick; a verdict of FAIL does. What was judged in the lines of past days is not judged again: integrity is
the sum of those lines and of what came since, so a look costs a day at most, whatever the soak's age.
Source: SPEC section 5.
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from journal.day import disk_bytes
from journal.gate import FAIL, PASS, judge, worst
from journal.pruned import utc
from journal.run import Run, find
from journal.scope import Scope, completed
from journal.store import Store

HEALTHY: Final = "HEALTHY"
NOT_SURE: Final = "NOT SURE"
FAILING: Final = "FAILING"
EXIT: Final = {HEALTHY: 0, FAILING: 1, NOT_SURE: 2}
DISK_TAPS: Final = 0.80  # from here on taps drop
DISK_DEGRADED: Final = 0.85
DISK_HALT: Final = 0.92
SILENT_S: Final = 60.0  # a live scanner may be silent as long, or for so many of its usual steps
SILENT_STEPS: Final = 5
_USUAL: Final = 1_000  # scans of each partition that tell the usual step
_MEASURED: Final = ("coverage", "time_coverage", "rejects")  # clauses whose HOLD is a finding, not a lack of data
_INTEGRITY: Final = ("lost", "doubled", "corrupt")


def health(store: Store, run: Run, data: Path, *, alive: bool, at: datetime) -> dict[str, Any]:
    """Everything that a look shows. alive: whether a process holds the soak's lock: it journals the newest run."""
    newest = find(store, name=run.name) or run
    alive = alive and newest.run_id == run.run_id
    found = {
        "run_id": run.run_id,
        "name": run.name,
        "state": run.state if run.state != "RUNNING" or alive else "INTERRUPTED",
        "reason": run.reason,
        "replay_of": run.replay_of,
        "replaced_by": newest.run_id if newest.run_id != run.run_id else "",
        "trading_mode": "DARK",
        "is_trading_allowed": False,
        "profile": run.profile,
        **_mode(store, run, alive=alive),
        **_flow(store, run, at),
        **_judged(store, run),
        **_incidents(store, run),
        "missing_lanes": _missing_lanes(store, run),
        "disk_used": _disk(data),
        "journal_bytes": disk_bytes(store),
        "parts": store.rows(
            "SELECT count() AS n FROM system.parts WHERE active AND database = currentDatabase()"
        )[0]["n"],
    }  # fmt: skip
    found["mode_s"] = (at - found["since"]).total_seconds()
    failing, unsure = _why(run, found)
    found["health"] = FAILING if failing else NOT_SURE if unsure else HEALTHY
    found["healthy"] = found["health"] == HEALTHY
    found["why"] = [*failing, *unsure]
    return found


def _mode(store: Store, run: Run, *, alive: bool) -> dict[str, Any]:
    """RUN, DEGRADED or HALTED, or how the run was left; and since when."""
    changed = store.rows("SELECT changed_at FROM runs WHERE run_id = {run:String}", {"run": run.run_id})[0]
    since = utc(changed["changed_at"])
    if run.state != "RUNNING":
        return {"mode": run.state, "since": since}
    if not alive:
        return {"mode": "INTERRUPTED", "since": since}
    disk = store.rows(
        "SELECT at, startsWith(detail, 'DEGRADED') AS degraded FROM violet_incidents WHERE run_id = {run:String} "
        "AND code = 'DISK_SHORT' ORDER BY at DESC LIMIT 1",
        {"run": run.run_id},
    )
    if disk and disk[0]["degraded"] and utc(disk[0]["at"]) >= since:
        return {"mode": "DEGRADED", "since": utc(disk[0]["at"])}
    return {"mode": "RUN", "since": since}


def _flow(store: Store, run: Run, at: datetime) -> dict[str, Any]:
    """Counts, the last scan, how long it is silent, how far it is behind."""
    counts = store.rows(
        "SELECT sum(decisions) AS n_decisions, sum(evaluations) AS n_evaluations, sum(planes) AS n_planes, "
        "sum(rejects) AS n_rejects, count() AS n_batches, max(written_at) AS last_batch, max(last_offset) AS last, "
        "argMaxIf(drift_ms, written_at, decisions + evaluations > 0) AS drift, "
        "maxIf(written_at, decisions + evaluations > 0) AS scanned_at, "
        "round(quantileExact(0.99)(latency_ms)) AS p99_ms FROM batches WHERE run_id = {run:String}",
        {"run": run.run_id},
    )[0]
    latest = " UNION ALL ".join(
        "SELECT stream, ts_ms FROM (SELECT stream, ts_ms, log_offset FROM (SELECT * FROM violet_decisions UNION ALL "
        f"SELECT * FROM violet_evaluations) WHERE run_id = {{run:String}} AND partition = {partition} "
        "ORDER BY log_offset DESC LIMIT {n:UInt32})"
        for partition in completed(store, run.run_id)
    )
    sql = (
        "SELECT max(ts_ms) AS last, quantileExact(0.5)(d) AS step FROM (SELECT ts_ms, "
        "ts_ms - lagInFrame(ts_ms, 1, ts_ms) OVER (PARTITION BY stream ORDER BY ts_ms) AS d "
        f"FROM ({latest})) HAVING count() > 0"
    )
    steps = store.rows(sql, {"run": run.run_id, "n": _USUAL}) if latest else []
    end = run.until.get("ends", {}).get("0") if len(run.start) == 1 else None
    some = bool(counts["n_batches"])
    scanned = bool(counts["n_decisions"] or counts["n_evaluations"])
    return {
        **{name: counts[f"n_{name}"] for name in ("decisions", "evaluations", "planes", "rejects", "batches")},
        "last_batch": utc(counts["last_batch"]) if some else None,
        "latency_ms_p99": counts["p99_ms"] if some else None,
        "drift_s": counts["drift"] / 1e3 if scanned else None,
        "last_scan": datetime.fromtimestamp(steps[0]["last"] / 1e3, at.tzinfo) if steps else None,
        "usual_step_s": steps[0]["step"] / 1e3 if steps else None,
        "silence_s": (at - utc(counts["scanned_at"])).total_seconds() if scanned else None,
        "lag_records": max(0, int(end) - counts["last"] - 1) if end is not None and some else None,
    }


def _judged(store: Store, run: Run) -> dict[str, Any]:
    """The verdict so far: past days as their lines have it, the rest from its rows."""
    days = store.rows(
        "SELECT count() AS n, sum(lost) AS n_lost, sum(doubled) AS n_doubled, sum(corrupt) AS n_corrupt, "
        "countIf(verdict = 'FAIL') AS failed, argMax((verdict, held, coverage, time_coverage), day) AS latest "
        "FROM days WHERE run_id = {run:String}",
        {"run": run.run_id},
    )[0]
    past = store.rows(
        "SELECT partition, max(last_offset) AS last FROM violet_batches WHERE run_id = {run:String} "
        "AND phase = 'COMPLETE' AND toDate(written_at, 'UTC') <= "
        "(SELECT max(day) FROM violet_days WHERE run_id = {run:String}) GROUP BY partition",
        {"run": run.run_id},
    )
    whole = Scope.of(store, run.run_id)
    scope = replace(whole, starts={row["partition"]: row["last"] + 1 for row in past}) if days["n"] else whole
    judged = judge(store, run, scope=scope)
    totals = {name: sum(j.figures[name] for j in judged) + days[f"n_{name}"] for name in _INTEGRITY}
    clauses = [c for j in judged for c in j.clauses if c.verdict != PASS]
    shares = {name: [j.figures[name] for j in judged] for name in ("coverage", "time_coverage")}
    known = {name: min((f for f in found if f is not None), default=None) for name, found in shares.items()}
    verdicts, held = [j.verdict for j in judged], "; ".join(dict.fromkeys(f"{c.name} {c.verdict}" for c in clauses))
    if not judged and days["n"]:  # nothing came since the last line
        verdict, held, known["coverage"], known["time_coverage"] = days["latest"]
        verdicts = [verdict]
    return {
        **totals,
        **known,
        "days": days["n"],
        "verdict": worst([*verdicts, FAIL] if days["failed"] else verdicts),
        "held": held,
        "short": sorted({c.name for c in clauses if c.name in _MEASURED and c.figure is not None}),
    }


def _incidents(store: Store, run: Run) -> dict[str, int]:
    row: dict[str, int] = store.rows(
        "SELECT sumIf(count, severity = 'ERROR') AS error_incidents, sumIf(count, severity = 'WARN') AS warnings, "
        "sumIf(count, code = 'WRITE_REFUSED') AS orders "
        "FROM violet_incidents WHERE run_id = {run:String}",
        {"run": run.run_id},
    )[0]
    return row


def _missing_lanes(store: Store, run: Run) -> str:
    """Lanes of the modular topology that the soak waits for, as it told last."""
    rows = store.rows(
        "SELECT argMax(if(code = 'LANE_MISSING', substring(detail, 1, position(detail, ':') - 1), ''), at) AS lanes "
        "FROM violet_incidents WHERE run_id = {run:String} "
        "AND code IN ('LANE_MISSING', 'LANE_BACK', 'STARTED', 'RESUMED')",
        {"run": run.run_id},
    )
    return str(rows[0]["lanes"])


def _disk(data: Path) -> float:
    usage = shutil.disk_usage(next(p for p in (data, *data.absolute().parents) if p.exists()))
    return usage.used / usage.total


def _why(run: Run, found: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What makes it fail, and what leaves doubt, in words."""
    replaced = found["replaced_by"] and f"run {found['replaced_by']} replaced it"
    failing = [f"{name} {found[name]}" for name in _INTEGRITY if found[name]]
    if found["state"] == "HALTED":
        resumed = "fix: look into it, then `violet soak --resume-halted REASON`"
        failing.append(f"HALTED: {run.reason}; {replaced or resumed}")
    if found["error_incidents"]:
        failing.append(f"{found['error_incidents']} incidents of level error: `violet sql` has them in incidents")
    if found["verdict"] == FAIL and not failing:
        failing.append(f"the gate fails: {found['held'] or 'a past day, see days'}")
    if found["disk_used"] >= DISK_HALT:
        failing.append(f"the disk is {found['disk_used']:.0%} full")
    elif found["disk_used"] >= DISK_DEGRADED:
        return failing, [f"the disk is {found['disk_used']:.0%} full"]
    unsure = [f"{name} is beyond its bound" for name in found["short"]]
    if found["state"] in ("STOPPED", "INTERRUPTED"):
        unsure.append(f"{found['state'].lower()}: {replaced or 'the same `violet soak` resumes it'}")
    if found["missing_lanes"] and found["state"] == "RUNNING":
        unsure.append(f"waits for the worker of lane {found['missing_lanes']}")
    if found["mode"] == "DEGRADED":
        unsure.append("DEGRADED")
    if found["state"] == "RUNNING" and run.source.get("kind") == "broker":
        patience_s = max(SILENT_S, SILENT_STEPS * (found["usual_step_s"] or 0.0))
        if min(found["mode_s"], found["silence_s"] or found["mode_s"]) > patience_s:
            unsure.append(f"no scan for more than {patience_s:.0f} s")
    return failing, unsure
