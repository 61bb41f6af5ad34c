"""Health: how a soak does right now, for people and for a watchdog.

Health is about the process and what it journals. A verdict that only waits for its hundredth decision does not make a
young soak sick. A verdict of FAIL does. A soak that goes on is judged by its days: each day that is over has a line
with its figures, and only what came since is judged again. So the cost is that of one day at most, at any age of the
soak. A day that was HOLD stays in the verdict, but the soak may be healthy again. A run that is over has the gate's
judgment. Every figure is a column or a code: no words are read.
See docs/design/running.md.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from journal.judge import damage
from journal.judge.day import disk_bytes
from journal.judge.gate import FAIL, HOLD, MIN_DECISIONS, PASS, PLANE_CLAUSES, Clause, judge, summary, words, worst
from journal.judge.scope import Scope, completed
from journal.ledger import log_end
from journal.ledger.pruned import utc
from journal.ledger.run import Run, find
from journal.store import Store
from lanes.code import Incident, Mode

HEALTHY: Final = "HEALTHY"
NOT_SURE: Final = "NOT SURE"
FAILING: Final = "FAILING"
EXIT: Final = {HEALTHY: 0, FAILING: 1, NOT_SURE: 2}
DISK_TAPS: Final = 0.80  # from here on taps drop
DISK_DEGRADED: Final = 0.85
DISK_HALT: Final = 0.92
SILENT_S: Final = 60.0  # a live scanner may be silent as long, or for so many of its usual steps
SILENT_STEPS: Final = 5
_USUAL: Final = 1_000  # scans of each partition that the usual step is taken from
_SHARES: Final = ("coverage", "time_coverage")
_COUNTED: Final = ("rejects", *PLANE_CLAUSES.values())  # shares that have no column of their own
_MEASURED: Final = (*_SHARES, *_COUNTED)  # clauses whose HOLD is a finding, not a lack of data
_INTEGRITY: Final = ("lost", "doubled", "corrupt")
# The newest of these says whether a lane is waited for, whether the broker is.
_BEGUN: Final = (Incident.STARTED, Incident.RESUMED)
_LANES_SEEN: Final = (Incident.LANE_MISSING, Incident.LANE_BACK, *_BEGUN)
_BROKER_SEEN: Final = (Incident.BROKER_AWAY, Incident.BROKER_BACK, *_BEGUN)


def health(store: Store, run: Run, data: Path, *, writer: str, at: datetime) -> dict[str, Any]:
    """Everything that a look shows. writer: who works on the soak's name, in words, or nothing: the newest run's."""
    newest = find(store, name=run.name) or run
    replaced_by = newest.run_id if newest.run_id != run.run_id and run.state != "ENDED" else ""
    writer = "" if replaced_by else writer
    alive = bool(writer)
    found = {
        "run_id": run.run_id,
        "name": run.name,
        "state": run.state if run.state != "RUNNING" or alive else "INTERRUPTED",
        "reason": run.reason,
        "replay_of": run.replay_of,
        "replaced_by": replaced_by,
        "writer": writer,
        "trading_mode": "DARK",
        "is_trading_allowed": False,
        "profile": run.profile,
        **_mode(store, run, alive=alive),
        **_flow(store, run, at),
        **_lag(store, run),
        **_judged(store, run, over=run.state == "ENDED" or bool(replaced_by)),
        **_incidents(store, run),
        "damaged": damage.parts(store),
        "missing_lanes": _missing_lanes(store, run),
        "broker_away": _broker_away(store, run),
        "disk_used": _disk(data),
        "journal_bytes": disk_bytes(store),
        "parts": store.count("SELECT count() FROM system.parts WHERE active AND database = currentDatabase()"),
    }  # fmt: skip
    found["mode_s"] = (at - found["since"]).total_seconds()
    found["looked_s"] = (at - found["looked_at"]).total_seconds() if found["looked_at"] else None
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
        "SELECT at, mode FROM violet_incidents WHERE run_id = {run:String} AND code = {code:String} "
        "ORDER BY at DESC LIMIT 1",
        {"run": run.run_id, "code": Incident.DISK_SHORT.name},
    )
    if disk and disk[0]["mode"] == Mode.DEGRADED.name and utc(disk[0]["at"]) >= since:
        return {"mode": Mode.DEGRADED.name, "since": utc(disk[0]["at"])}
    return {"mode": Mode.RUN.name, "since": since}


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
    }


def _lag(store: Store, run: Run) -> dict[str, Any]:
    """How many records lie before the log's end that are not journaled, and when that end was seen.

    The end is that of the run where it has one: of an archive its last line. Else it is what the soak saw last.
    """
    bounds = {int(partition): end for partition, end in run.until.get("ends", {}).items()}
    seen = log_end.read(store, run.run_id)
    ends = {p: min(each.offset, bounds.get(p, each.offset)) for p, each in seen.items()} or bounds
    done = completed(store, run.run_id)
    lags = [max(0, int(end) - done.get(p, int(run.start[str(p)]))) for p, end in ends.items()]
    return {
        "lag_records": sum(lags) if len(lags) == len(run.start) else None,
        "looked_at": min((each.looked_at for each in seen.values()), default=None),
    }


def _judged(store: Store, run: Run, *, over: bool) -> dict[str, Any]:
    """The verdict, and what it rests on. over: the run does not go on, so it is judged as a whole."""
    lines = store.rows("SELECT * FROM days WHERE run_id = {run:String} ORDER BY day", {"run": run.run_id})
    found = _so_far(store, run, lines) if lines and not over else _whole(store, run)
    return {"days": len(lines), **found}


def _whole(store: Store, run: Run) -> dict[str, Any]:
    """As the gate and the summary have it."""
    found = summary(store, run)
    clauses = [Clause(**clause) for segment in found["segments"] for clause in segment["clauses"]]
    return {
        **{name: found[name] for name in ("verdict", *_INTEGRITY, *_SHARES)},
        **{f"latest_{name}": found[name] for name in _SHARES},
        "time_coverage_of": "",
        "held": words(clauses),
        "short": sorted({c.name for c in clauses if c.name in _MEASURED and c.figure is not None}),
    }


def _so_far(store: Store, run: Run, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The worst of the days' lines and of what came since them. A lack of data in a part is none if the sum has enough.

    coverage is the run's. time_coverage does not add up: it is the lowest, and `time_coverage_of` says of which part.
    """
    starts = {partition: last + 1 for line in lines for partition, last in line["last_offsets"].items()}
    judged = judge(store, run, scope=replace(Scope.of(store, run.run_id), starts=starts))
    clauses = [
        c
        for j in judged
        for c in j.clauses
        if c.verdict == FAIL or (c.verdict == HOLD and c.name in _MEASURED and c.figure is not None)
    ]
    bad = sorted(
        (line for line in lines if line["verdict"] == FAIL or _is_short(line)),
        key=lambda line: (line["verdict"] == FAIL, line["day"]),
    )
    few = store.rows(
        "SELECT segment FROM batches WHERE run_id = {run:String} GROUP BY segment HAVING sum(decisions) < {n:UInt32}",
        {"run": run.run_id, "n": MIN_DECISIONS},
    )
    held = [words(clauses)] * bool(clauses) + ["decisions HOLD"] * bool(few)
    if bad:
        others = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        held.append(f"{bad[-1]['held']} on {bad[-1]['day']}{others}")
    parts = [*lines, *(j.figures for j in judged)]
    scans, rejected = sum(map(_scans, parts)), sum(part["scan_rejects"] for part in parts)
    since = f"since {lines[-1]['day'] + timedelta(days=1)}"
    of = [*(str(line["day"]) for line in lines), *(since for _ in judged)]
    times = [
        (part["time_coverage"], name) for part, name in zip(parts, of, strict=True) if part["time_coverage"] is not None
    ]
    lowest, lowest_of = min(times, default=(None, ""))
    return {
        **{name: sum(part[name] for part in parts) for name in _INTEGRITY},
        "verdict": worst(
            [PASS, *(c.verdict for c in clauses), *(line["verdict"] for line in bad), *(HOLD for _ in few)]
        ),
        "coverage": scans / (scans + rejected) if scans + rejected else None,
        "time_coverage": lowest,
        "time_coverage_of": lowest_of,
        **{
            f"latest_{name}": min((j.figures[name] for j in judged if j.figures[name] is not None), default=None)
            for name in _SHARES
        },
        "held": "; ".join(held),
        "short": sorted({c.name for c in clauses if c.name in _MEASURED}),
    }


def _scans(part: Mapping[str, Any]) -> int:
    return int(part["decisions"] + part["evaluations"])


def _is_short(line: Mapping[str, Any]) -> bool:
    """Whether a day was silent or a share of it, where there was one, below its bound."""
    shares = [name for name in _SHARES if line[name] is not None]
    return not _scans(line) or any(line["clauses"].get(name) == HOLD for name in (*_COUNTED, *shares))


def _incidents(store: Store, run: Run) -> dict[str, int]:
    row: dict[str, int] = store.rows(
        "SELECT sumIf(count, severity = 'ERROR') AS error_incidents, sumIf(count, severity = 'WARN') AS warnings, "
        "sumIf(count, code = 'WRITE_REFUSED') AS orders "
        "FROM violet_incidents WHERE run_id = {run:String}",
        {"run": run.run_id},
    )[0]
    return row


def _newest(store: Store, run: Run, codes: Sequence[Incident]) -> dict[str, Any]:
    """The newest incident of some codes; of one instant, the end of what began."""
    rows = store.rows(
        "SELECT code, lanes, detail FROM violet_incidents WHERE run_id = {run:String} "
        "AND code IN {codes:Array(String)} ORDER BY at DESC, toInt16(code) DESC LIMIT 1",
        {"run": run.run_id, "codes": [code.name for code in codes]},
    )
    return rows[0] if rows else {"code": ""}


def _missing_lanes(store: Store, run: Run) -> dict[str, str]:
    """Lanes of the modular topology that the soak waits for, each with what is known of why."""
    newest = _newest(store, run, _LANES_SEEN)
    return dict(newest["lanes"]) if newest["code"] == Incident.LANE_MISSING.name else {}


def _broker_away(store: Store, run: Run) -> str:
    """What the soak noted of a broker that it waits for; empty where it waits for none."""
    newest = _newest(store, run, _BROKER_SEEN)
    return str(newest["detail"]) if newest["code"] == Incident.BROKER_AWAY.name else ""


def _disk(data: Path) -> float:
    usage = shutil.disk_usage(next(p for p in (data, *data.absolute().parents) if p.exists()))
    return usage.used / usage.total


def _why(run: Run, found: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What makes it fail, and what leaves doubt, in words."""
    replaced = found["replaced_by"] and f"run {found['replaced_by']} replaced it"
    failing = [f"{name} {found[name]}" for name in _INTEGRITY if found[name]]
    if found["damaged"]:
        failing.append(f"the journal is damaged: {damage.some(found['damaged'])}")
    if found["state"] == "HALTED":
        resumed = "fix: look into it, then `violet soak --resume-halted REASON`"
        failing.append(f"HALTED: {run.reason}; {replaced or resumed}")
    if found["error_incidents"]:
        failing.append(f"{found['error_incidents']} incidents of level error: `violet sql` has them in incidents")
    if found["verdict"] == FAIL and not failing:
        failing.append(f"the gate fails: {found['held']}")
    if found["disk_used"] >= DISK_HALT:
        failing.append(f"the disk is {found['disk_used']:.0%} full")
    unsure = [f"{name} is beyond its bound" for name in found["short"] if name not in PLANE_CLAUSES.values()]
    if unseen := [plane for plane, clause in PLANE_CLAUSES.items() if clause in found["short"]]:
        fix = "publish it, or name it in planes.absent of the config where BLUE has none"
        unsure.append(f"many scans came before plane {', '.join(unseen)} was ever seen; fix: {fix}")
    if found["state"] == "ENDED" and not _scans(found):
        unsure.append("it ended without a scan")
    if DISK_DEGRADED <= found["disk_used"] < DISK_HALT:
        unsure.append(f"the disk is {found['disk_used']:.0%} full")
    if found["state"] in ("STOPPED", "INTERRUPTED"):
        unsure.append(f"{found['state'].lower()}: {replaced or 'the same `violet soak` resumes it'}")
    if found["missing_lanes"] and found["state"] == "RUNNING":
        lanes = (f"{lane} ({why})" if why else lane for lane, why in sorted(found["missing_lanes"].items()))
        unsure.append(f"waits for the worker of lane {', '.join(lanes)}")
    if found["broker_away"] and found["state"] == "RUNNING":
        unsure.append(f"{found['broker_away']}; fix: start the broker, look at its log")
    if found["mode"] == "DEGRADED":
        unsure.append("DEGRADED")
    if found["state"] == "RUNNING" and found["looked_at"] and found["looked_s"] > SILENT_S < found["mode_s"]:
        unsure.append(f"the soak gives no sign of life for {found['looked_s']:.0f} s: it hangs, or the journal is away")
    if found["state"] == "RUNNING" and run.source.get("kind") == "broker":
        patience_s = max(SILENT_S, SILENT_STEPS * (found["usual_step_s"] or 0.0))
        if min(found["mode_s"], found["silence_s"] or found["mode_s"]) > patience_s:
            unsure.append(f"no scan for more than {patience_s:.0f} s")
    return failing, unsure
