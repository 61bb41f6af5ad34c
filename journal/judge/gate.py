"""The soak gate: facts of the recorded soak as clauses, from SQL alone.

Each clause prints its formula, figure and bound, and says where a figure holds by construction. Workflow health is the
verdict; trust is apart and never enters it. A ratio over zero is null and makes its clause HOLD.
Source: findings 9; see docs/design/running.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from journal.judge import count, damage, planes, proof
from journal.judge.scope import Scope
from journal.ledger.pruned import pruned
from journal.ledger.run import CARRIED, UPSTREAM, Run, pick, segments
from journal.refusal import Refusal
from journal.store import Store
from lanes.profile import Profile
from lanes.registry import READ

PASS: Final = "PASS"  # noqa: S105 - a verdict
HOLD: Final = "HOLD"
FAIL: Final = "FAIL"
_WORST: Final = (FAIL, HOLD, PASS)
EXIT: Final = {PASS: 0, FAIL: 1, HOLD: 2}
ENDED_EARLY: Final = "ended before its end"  # by --for or `violet end`: what it did not read is not lost
MIN_DECISIONS: Final = 100
PLANE_CLAUSES: Final = {name: f"plane_{name}" for name in READ}


@dataclass(frozen=True, slots=True)
class Clause:
    """One question of the gate. `figure` is null where it cannot be formed."""

    name: str
    formula: str
    figure: Any
    bound: str
    verdict: str
    by_construction: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A segment's verdict and what it rests on."""

    segment: int
    verdict: str
    clauses: tuple[Clause, ...]
    figures: Mapping[str, Any]


def worst(verdicts: Sequence[str]) -> str:
    """The worst of some verdicts; HOLD of none."""
    return next((v for v in _WORST if v in verdicts), HOLD)


def words(clauses: Sequence[Clause]) -> str:
    """Names and verdicts of some clauses, for people."""
    return "; ".join(dict.fromkeys(f"{c.name} {c.verdict}" for c in clauses))


def figures(store: Store, run: Run, scope: Scope) -> dict[str, Any]:
    """Counts, integrity and time coverage of a scope, as the summary names them."""
    return _figures(store, run, scope, None)[0]


def counted(store: Store, run: Run, scope: Scope) -> dict[str, Any]:
    """The same from the rows themselves, whatever was proved of them before."""
    found = {**count.rows(store, scope), **count.time(store, scope)}
    return _named(store, run, scope, found)


def _figures(store: Store, run: Run, scope: Scope, profile: Profile | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of a scope and, for a profile, the facts of its decisions."""
    while True:
        if scope.is_whole:
            added = proof.add(store, scope)
            found, facts = _named(store, run, scope, added), added
        else:
            found = counted(store, run, scope)
            facts = count.facts(store, scope, profile) if profile is not None else {}
        if not (found["lost"] or found["corrupt"]) or (dropped := pruned(store, scope.run_id)) == scope.dropped:
            return found, facts
        scope = replace(scope, dropped=dropped)  # retention went on meanwhile: what it took is not lost


def _named(store: Store, run: Run, scope: Scope, sums: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: sums[name] for name in ("decisions", "evaluations", "planes", "rejects")}
    outcomes, seen = sum(counts.values()), sums["decisions"] + sums["evaluations"]
    return {
        "records": outcomes,
        **counts,
        "lost": max(0, sums["deliverable"] - sums["journaled"]) + _unread(store, run, scope),
        **{name: sums[name] for name in ("doubled", "corrupt", "skipped", "scan_rejects")},
        "coverage": _ratio(seen, seen + sums["scan_rejects"]),
        "reject_share": _ratio(counts["rejects"], outcomes),
        **{name: sums[name] for name in ("time_coverage", "scan_gaps", "longest_silence_ms")},
        "orders": _incidents(store, scope, "code = 'WRITE_REFUSED'"),
        "content_hash": f"{sums['content_hash']:016x}",
        "pruned": [asdict(each) for each in scope.dropped.values()],
    }


def carried(run: Run, found: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run that was carried here: what it had journaled before, and the content hash of both together.

    found: its figures here.
    """
    if not run.carried:
        return {}
    before = {name: value for name, value in run.carried.items() if name != "marks"}
    whole = (int(found["content_hash"], 16) + int(before["content_hash"], 16)) % 2**64
    return {"carried": before, "whole_content_hash": f"{whole:016x}"}


def _incidents(store: Store, scope: Scope, which: str) -> int:
    """How often something happened to the run of a scope, or on its day."""
    on = " AND toDate(at, 'UTC') = {on:Date}" if scope.on else ""
    sql = f"SELECT sum(count) FROM violet_incidents WHERE run_id = {{run:String}} AND {which}{on}"
    return store.count(sql, {**scope.params, "on": scope.on})


def judge(store: Store, run: Run, since_ms: int | None = None, scope: Scope | None = None) -> list[Judged]:
    """Every segment's verdict; of a scope, that of the segments which have a batch in it."""
    params = {segment.segment: segment.params for segment in segments(store, run.run_id)}  # alike in every partition
    if scope is not None:
        sql = f"SELECT DISTINCT segment FROM violet_batches WHERE phase = 'COMPLETE' AND {scope.where}"
        within = {row["segment"] for row in store.rows(sql, scope.params)}
        params = {number: text for number, text in params.items() if number in within}
    elif not params and store.count(
        "SELECT count() FROM violet_batches WHERE run_id = {run:String}", {"run": run.run_id}
    ):
        raise Refusal(f"the journal has no segment of run {run.run_id}, so it cannot be judged; {damage.FIX}")
    scope = scope or Scope.of(store, run.run_id, since_ms)
    return [
        _judge(store, run, replace(scope, segment=number), Profile.model_validate_json(text))
        for number, text in params.items()
    ]


def verdict(store: Store, run: Run) -> str:
    """The verdict of a run: the worst of its segments'. Raises Refusal where the journal lost what it is judged by."""
    return worst([judged.verdict for judged in judge(store, run)])


def with_verdict(store: Store, listed: Mapping[str, Any]) -> dict[str, Any]:
    """A run as `listed` gives it, with its verdict so far, what people look for first; None where it has none."""
    found = None
    with suppress(Refusal):  # parts of it are gone: `violet gate` says which
        found = verdict(store, pick(store, listed["run_id"]))
    first = {name: listed[name] for name in ("run_id", "name", "state")} | {"verdict": found}
    return first | {name: value for name, value in listed.items() if name not in first}


def basis(run: Run) -> str:
    """What a verdict rests on, for the line that states it."""
    source = "synthetic market" if run.source.get("seeded") else run.source.get("kind", "log")
    if run.replay_of:
        source = f"replay of {run.replay_of} from {run.source['read_from']}"
    lanes = [name for name in run.standins if name not in UPSTREAM]
    upstream = [f"stand-in {name}" for name in UPSTREAM if name in run.standins]
    parts = [str(source), f"{len(lanes)} stand-in lanes", *upstream]
    absent = [f"BLUE has no plane {', '.join(run.absent)}"] * bool(run.absent)
    return ", ".join([*parts, *absent]) + {"COLD": ", cold start", CARRIED: ", state imported"}.get(run.warm, "")


def summary(store: Store, run: Run, since_ms: int | None = None) -> dict[str, Any]:
    """The summary of a run: its counts and hash, and the worst of its segments' verdicts."""
    judged = judge(store, run, since_ms)
    one = len(judged) == 1  # its figures are the run's
    whole = judged[0].figures if one else figures(store, run, Scope.of(store, run.run_id, since_ms))
    held = [f"{c.name} {c.verdict}" for j in judged for c in j.clauses if c.verdict != PASS]
    opened = {s.segment: s for s in segments(store, run.run_id)}  # alike in every partition
    kernels = {k: v for s in opened.values() for k, v in s.kernels.items()}
    listed = [
        {
            "segment": j.segment,
            "verdict": j.verdict,
            "math_fingerprint": opened[j.segment].math_fingerprint,
            "clauses": [asdict(c) for c in j.clauses if c.verdict != PASS],
        }
        for j in judged
    ]
    return {
        "run_id": run.run_id, "name": run.name, "state": run.state, "profile": run.profile, "source": dict(run.source),
        "kernels": kernels,
        "standin_lanes": [name for name in run.standins if name not in UPSTREAM],
        "math_fingerprint": ", ".join(dict.fromkeys(s.math_fingerprint or "unknown" for s in opened.values())),
        "segments": listed,
        "verdict": worst([j.verdict for j in judged]),
        "verdict_basis": basis(run) + (f"; {'; '.join(held)}" if held else ""),
        **whole, **carried(run, whole),
    }  # fmt: skip


def _judge(store: Store, run: Run, scope: Scope, profile: Profile) -> Judged:
    f, d = _figures(store, run, scope, profile)
    errors = _incidents(store, scope, "severity = 'ERROR'")
    n, thr, floor, top = d["n"], profile.base.thr, profile.base.min_lev, profile.fanin.abs_max
    clauses = (
        _zero("pegged_decisions", "count of decisions on one of the 10 pegged symbols", d["pegged"]),
        _zero("broken_rows", "rows that break a constraint on audit", d["broken"]),
        _zero("orders", "writes that the reactor tried outside its tap topics", f["orders"]),
        _zero("error_incidents", "incidents of level error", errors),
        _zero("lost", "deliverable offsets of the range without outcome", f["lost"]),
        _zero("doubled", "offsets with outcomes of two kinds, or raw rows of one key that differ", f["doubled"]),
        _zero("corrupt", "batches whose recomputed hash differs", f["corrupt"]),
        _zero("damaged", "parts of the journal that are gone or were set aside", len(damage.parts(store))),
        _always(n, "side", "share of decisions that are SHORT"),
        _of(n, "signal", "max(vel_div) of decisions", d["top"], f"< {thr}", lambda x: x < thr),
        _of(n, "conviction_low", "min(leverage_fanin)", d["low"], f">= {floor}", lambda x: x >= floor),
        _of(n, "conviction_high", "max(leverage_fanin)", d["high"], f"<= {top}", lambda x: x <= top),
        _zero("abs_exact", "decisions bound by ABS with fraction * leverage_fanin != fraction * abs_max", d["off_abs"]),
        _zero("one_per_scan", "decisions - distinct (stream, scan_id, ts_ms)", d["repeated"]),
        _always(n, "schema", "share of journaled rows that satisfy the schema"),
        _share("coverage", "scans with outcome / (those + rejects not known to be planes)", f["coverage"], 0.95, 0.80),
        _share("time_coverage", "1 - sum(gap - c) / (last - first), worst stream", f["time_coverage"], 0.95, -math.inf),
        _at_most("rejects", "rejects / outcomes", f["reject_share"], 0.01, 0.5),
        *_seen(planes.shares(d["unseen"]), run.absent),
        Clause("decisions", "count of decisions", n, f">= {MIN_DECISIONS}", PASS if n >= MIN_DECISIONS else HOLD),
    )  # fmt: skip
    return Judged(scope.segment or 0, worst([c.verdict for c in clauses]), clauses, f)


def _zero(name: str, formula: str, figure: int) -> Clause:
    return Clause(name, formula, figure, "= 0", PASS if figure == 0 else FAIL)


def _always(n: int, name: str, formula: str) -> Clause:
    """What the tables themselves enforce: a share of 1 wherever there are rows."""
    return Clause(name, formula, 1.0 if n else None, "= 1", PASS if n else HOLD, by_construction=True)


def _of(n: int, name: str, formula: str, figure: float, bound: str, holds: Callable[[float], bool]) -> Clause:
    if not n:
        return Clause(name, formula, None, bound, HOLD)
    return Clause(name, formula, figure, bound, PASS if holds(figure) else FAIL)


def _share(name: str, formula: str, figure: float | None, full: float, low: float) -> Clause:
    verdict = HOLD if figure is None else PASS if figure >= full else HOLD if figure >= low else FAIL
    return Clause(name, formula, figure, f">= {full}", verdict)


def _at_most(name: str, formula: str, figure: float | None, full: float, high: float) -> Clause:
    verdict = HOLD if figure is None else PASS if figure <= full else HOLD if figure <= high else FAIL
    return Clause(name, formula, figure, f"<= {full}", verdict)


def _seen(shares: Mapping[str, float | None], absent: Sequence[str]) -> list[Clause]:
    """A clause for each plane that a lane reads. Without it the lane's value says nothing of BLUE's."""
    found = []
    for name, share in shares.items():
        formula = f"scans that saw plane {name} / scans"
        if name in absent:
            found.append(Clause(PLANE_CLAUSES[name], formula, share, "BLUE has none", PASS))
        else:
            formula += "; fix: publish it, or name it in planes.absent of the config where BLUE has none"
            found.append(_share(PLANE_CLAUSES[name], formula, share, 0.95, -math.inf))
    return found


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _unread(store: Store, run: Run, scope: Scope) -> int:
    """Records of an archive that an Ended run never came to. A broker's last offsets may be undeliverable: not here."""
    ends = run.until.get("ends", {})
    if run.state != "ENDED" or run.source.get("kind") != "archive" or "ts_ms" in run.until or "0" not in ends:
        return 0
    last = store.rows(
        "SELECT max(last_offset) AS last, max(segment) AS segment FROM violet_batches WHERE run_id = {run:String} "
        "AND phase = 'COMPLETE' HAVING count() > 0",
        scope.params,
    )
    if scope.segment is not None and last and last[0]["segment"] != scope.segment:
        return 0
    reached = last[0]["last"] + 1 if last else int(run.start["0"])
    return max(0, int(ends["0"]) - int(reached)) if run.reason != ENDED_EARLY else 0
