"""The soak gate: facts of the recorded soak as clauses, from SQL alone.

Each clause prints its formula, figure and bound, and says where a figure holds by construction. Workflow health is the
verdict; trust is apart and never enters it. A ratio over zero is null and makes its clause HOLD.
Source: findings 9; see docs/design/running.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from journal.judge import planes
from journal.judge.scope import Scope
from journal.ledger.pruned import dropped_sql, pruned
from journal.ledger.run import UPSTREAM, Run, segments
from journal.row import TABLES, row_hash_sql, sound_sql
from journal.store import Store
from lanes.code import Outcome
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
TRUST: Final = "HOLD (no kernels of BLUE and no trades of BLUE to compare with)"
_SCANS: Final = "(SELECT * FROM violet_decisions UNION ALL SELECT * FROM violet_evaluations)"


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
    while True:
        found = _figures(store, run, scope)
        if not (found["lost"] or found["corrupt"]) or (dropped := pruned(store, scope.run_id)) == scope.dropped:
            return found
        scope = replace(scope, dropped=dropped)  # retention went on meanwhile: what it took is not lost


def _figures(store: Store, run: Run, scope: Scope) -> dict[str, Any]:
    wheres = {Outcome.REJECT: scope.where_rows, Outcome.PLANE: scope.where_kept + scope.and_since}
    counts = {
        f"{kind.name.lower()}s": store.count(
            f"SELECT uniqExact(topic, partition, log_offset) FROM {TABLES[kind]} "
            f"WHERE {wheres.get(kind, scope.where_scans)}",
            scope.params,
        )
        for kind in Outcome
    }
    sql = f"SELECT countIf(kind != 'plane') FROM violet_rejects FINAL WHERE {scope.where_rows}"
    rejected = store.count(sql, scope.params)
    seen = counts["decisions"] + counts["evaluations"]
    span = _span(store, scope)
    if scope.since_ms is None:
        counts["planes"] += span["dropped_planes"]  # whose event times are gone with them
    outcomes = sum(counts.values())
    return {
        "records": outcomes,
        **counts,
        "lost": max(0, span["deliverable"] - span["journaled"]) + _unread(store, run, scope),
        "doubled": _doubled(store, scope),
        "corrupt": len(corrupt_batches(store, scope)),
        "skipped": span["skipped"],
        "scan_rejects": rejected,
        "coverage": _ratio(seen, seen + rejected),
        "reject_share": _ratio(counts["rejects"], outcomes),
        **_time(store, scope),
        "orders": _incidents(store, scope, "code = 'WRITE_REFUSED'"),
        "content_hash": f"{store.count(content_hash_sql(scope), scope.params):016x}",
        "pruned": [asdict(each) for each in scope.dropped.values()],
    }


def _incidents(store: Store, scope: Scope, which: str) -> int:
    """How often something happened to the run of a scope, or on its day."""
    on = " AND toDate(at, 'UTC') = {on:Date}" if scope.on else ""
    sql = f"SELECT sum(count) FROM violet_incidents WHERE run_id = {{run:String}} AND {which}{on}"
    return store.count(sql, {**scope.params, "on": scope.on})


def content_hash_sql(scope: Scope) -> str:
    """One statement that computes the content hash from stored rows."""
    parts = " UNION ALL ".join(
        f"SELECT {row_hash_sql(kind)} AS h FROM {TABLES[kind]} FINAL WHERE {scope.where_scans}"
        for kind in (Outcome.DECISION, Outcome.EVALUATION)
    )
    return f"SELECT sum(h) AS content_hash FROM ({parts})"


def corrupt_batches(store: Store, scope: Scope) -> list[dict[str, Any]]:
    """Completed batches whose rows do not give the hashes or counts that were stored with them."""
    bad: dict[tuple[str, int, int], dict[str, Any]] = {}
    for kind in Outcome:
        name = f"{kind.name.lower()}s"
        # Planes that retention dropped were compared when they went.
        kept = f"AND NOT {dropped_sql(scope.dropped_ends, 'last_offset')}" if kind is Outcome.PLANE else ""
        kept = (
            f"SELECT topic, partition, first_offset, last_offset, {name} AS n, {name}_hash AS hash "
            f"FROM violet_batches FINAL WHERE phase = 'COMPLETE' AND {scope.where} {kept}"
        )
        found = (
            "SELECT b.topic AS topic, b.partition AS partition, b.first_offset AS first_offset, "
            "count() AS n, sum(h) AS hash "
            f"FROM (SELECT topic, partition, log_offset, {row_hash_sql(kind)} AS h FROM {TABLES[kind]} FINAL "
            f"WHERE {scope.where_rows}) AS r ASOF JOIN (SELECT topic, partition, first_offset FROM violet_batches "
            f"FINAL WHERE phase = 'COMPLETE' AND {scope.where}) AS b ON r.topic = b.topic "
            "AND r.partition = b.partition AND r.log_offset >= b.first_offset GROUP BY topic, partition, first_offset"
        )
        sql = (
            "SELECT t.topic AS topic, t.partition AS partition, t.first_offset AS first_offset, "
            f"t.last_offset AS last_offset FROM ({kept}) AS t LEFT JOIN ({found}) AS f ON t.topic = f.topic "
            "AND t.partition = f.partition AND t.first_offset = f.first_offset WHERE t.n != f.n OR t.hash != f.hash"
        )
        for row in store.rows(sql, scope.params):
            bad.setdefault((row["topic"], row["partition"], row["first_offset"]), row)
    return [bad[key] for key in sorted(bad)]


def judge(store: Store, run: Run, since_ms: int | None = None, scope: Scope | None = None) -> list[Judged]:
    """Every segment's verdict; of a scope, that of the segments which have a batch in it."""
    params = {segment.segment: segment.params for segment in segments(store, run.run_id)}  # alike in every partition
    if scope is not None:
        sql = f"SELECT DISTINCT segment FROM violet_batches WHERE phase = 'COMPLETE' AND {scope.where}"
        within = {row["segment"] for row in store.rows(sql, scope.params)}
        params = {number: text for number, text in params.items() if number in within}
    scope = scope or Scope.of(store, run.run_id, since_ms)
    return [
        _judge(store, run, replace(scope, segment=number), Profile.model_validate_json(text))
        for number, text in params.items()
    ]


def basis(run: Run) -> str:
    """What a verdict rests on, for the line that states it."""
    source = "synthetic market" if run.source.get("seeded") else run.source.get("kind", "log")
    if run.replay_of:
        source = f"replay of {run.replay_of} from {run.source['read_from']}"
    lanes = [name for name in run.standins if name not in UPSTREAM]
    upstream = [f"stand-in {name}" for name in UPSTREAM if name in run.standins]
    parts = [str(source), f"{len(lanes)} stand-in lanes", *upstream]
    absent = [f"BLUE has no plane {', '.join(run.absent)}"] * bool(run.absent)
    return ", ".join([*parts, *absent]) + (", cold start" if run.warm == "COLD" else "")


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
        "trust": TRUST,
        **whole,
    }  # fmt: skip


def _judge(store: Store, run: Run, scope: Scope, profile: Profile) -> Judged:
    f = figures(store, run, scope)
    d = store.rows(
        "SELECT count() AS n, countIf(asset IN {pegged:Array(String)}) AS pegged, max(vel_div) AS top, "
        "min(leverage_fanin) AS low, max(leverage_fanin) AS high, "
        "countIf(bound = 'ABS' AND fraction * leverage_fanin != fraction * {abs:Float64}) AS off_abs, "
        "count() - uniqExact(stream, scan_id, ts_ms) AS repeated "
        f"FROM violet_decisions FINAL WHERE {scope.where_scans}",
        {**scope.params, "pegged": list(profile.select.excluded), "abs": profile.fanin.abs_max},
    )[0]
    broken = sum(
        store.count(f"SELECT countIf(NOT ({rule})) FROM {table} FINAL WHERE {scope.where_scans}", scope.params)
        for table, rule in (
            ("violet_decisions", f"{sound_sql()} AND notEmpty(asset) AND bitAnd(reasons, 15) = 0"),
            ("violet_evaluations", f"{sound_sql()} AND empty(asset) AND bitAnd(reasons, 15) != 0"),
        )
    )
    errors = _incidents(store, scope, "severity = 'ERROR'")
    n, thr, floor, top = d["n"], profile.base.thr, profile.base.min_lev, profile.fanin.abs_max
    clauses = (
        _zero("pegged_decisions", "count of decisions on one of the 10 pegged symbols", d["pegged"]),
        _zero("broken_rows", "rows that break a constraint on audit", broken),
        _zero("orders", "writes that the reactor tried outside its tap topics", f["orders"]),
        _zero("error_incidents", "incidents of level error", errors),
        _zero("lost", "deliverable offsets of the range without outcome", f["lost"]),
        _zero("doubled", "offsets with outcomes of two kinds, or raw rows of one key that differ", f["doubled"]),
        _zero("corrupt", "batches whose recomputed hash differs", f["corrupt"]),
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
        *_seen(planes.shares(store, scope, profile), run.absent),
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


def _span(store: Store, scope: Scope) -> dict[str, int]:
    """Deliverable offsets of the completed batches, outcomes inside them, and offsets skipped.

    From the first offset of a segment's partition to its last batch every offset must be in a batch or a skipped range.
    """
    opened = {(s.segment, s.topic, s.partition): s.first_offset for s in segments(store, scope.run_id)}
    parts = store.rows(
        "SELECT segment, topic, partition, max(last_offset) AS last, "
        "sum(arraySum(gap -> gap[2] - gap[1] + 1, JSONExtract(skipped, 'Array(Array(Int64))'))) AS gone, "
        f"sumIf(planes, {dropped_sql(scope.dropped_ends, 'last_offset')}) AS dropped "
        f"FROM violet_batches FINAL WHERE phase = 'COMPLETE' AND {scope.where} GROUP BY segment, topic, partition",
        scope.params,
    )
    deliverable = 0
    for part in parts:
        first = max(opened[part["segment"], part["topic"], part["partition"]], scope.starts.get(part["partition"], 0))
        deliverable += part["last"] - first + 1 - part["gone"]
    dropped = sum(part["dropped"] for part in parts)
    rows = " UNION ALL ".join(
        f"SELECT topic, partition, log_offset FROM {table} "
        f"WHERE {scope.where_kept if kind is Outcome.PLANE else scope.where_rows}"
        for kind, table in TABLES.items()
    )
    journaled = store.count(f"SELECT uniqExact(topic, partition, log_offset) FROM ({rows})", scope.params)
    return {
        "deliverable": deliverable,
        "journaled": journaled + dropped,
        "dropped_planes": dropped,
        "skipped": sum(part["gone"] for part in parts),
    }


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


def _doubled(store: Store, scope: Scope) -> int:
    """Offsets with outcomes of two kinds, or raw rows of one key that differ."""
    parts = " UNION ALL ".join(
        f"SELECT topic, partition, log_offset, {kind.value} AS outcome, {row_hash_sql(kind)} AS h FROM {TABLES[kind]} "
        f"WHERE {scope.where_rows}"
        for kind in Outcome
    )
    sql = (
        "SELECT count() FROM (SELECT topic, partition, log_offset FROM "
        f"({parts}) GROUP BY topic, partition, log_offset HAVING min(outcome) != max(outcome) OR min(h) != max(h))"
    )
    return store.count(sql, scope.params)


def _time(store: Store, scope: Scope) -> Mapping[str, Any]:
    """Time coverage of the worst stream, its gaps, and the longest silence of any.

    c is the median step between distinct event times of a stream; a gap is a step over 2c. In a scope that has starts a
    stream's first step begins at its last scan before them, so that a silence is counted where it ended.
    """
    steps = (
        "SELECT stream, own, ts_ms - lagInFrame(ts_ms) OVER w AS d, row_number() OVER w AS i FROM "
        f"(SELECT stream, ts_ms, max(mine) AS own FROM (SELECT stream, ts_ms, true AS mine FROM {_SCANS} "
        f"WHERE {scope.where_scans} UNION ALL {_before_sql(scope)}) GROUP BY stream, ts_ms) "
        "WINDOW w AS (PARTITION BY stream ORDER BY ts_ms)"
    )
    sql = (
        f"WITH steps AS ({steps}), medians AS (SELECT stream, quantileExactInclusiveIf(0.5)(d, i > 1) AS c FROM steps "
        "GROUP BY stream HAVING max(own)) SELECT stream, countIf(own) AS n, sumIf(d, i > 1) AS span, "
        "countIf(i > 1 AND d > 2 * c) AS gaps, sumIf(d - c, i > 1 AND d > 2 * c) AS dead, maxIf(d, i > 1) AS longest "
        "FROM steps INNER JOIN medians USING (stream) GROUP BY stream"
    )
    rows = store.rows(sql, scope.params)
    known = all(row["n"] >= 3 for row in rows) and bool(rows)
    return {
        "time_coverage": min(1.0 - row["dead"] / row["span"] for row in rows) if known else None,
        "scan_gaps": sum(row["gaps"] for row in rows),
        "longest_silence_ms": max((row["longest"] for row in rows), default=0),
    }


def _before_sql(scope: Scope) -> str:
    """Each stream's last scan before a scope's starts, in its segment, as the state of the batch before has it."""
    places = " OR ".join(f"partition = {p} AND last_offset < {start}" for p, start in scope.starts.items())
    where = f"run_id = {{run:String}} AND phase = 'COMPLETE' AND ({places or 'false'})"
    if scope.segment is not None:
        where += " AND segment = {segment:UInt32}"
    return (
        "SELECT stored.1, JSONExtractInt(stored.2, 'last_ts_ms') AS last, false FROM "
        "(SELECT arrayJoin(JSONExtractKeysAndValuesRaw(state)) AS stored FROM violet_batches "
        f"WHERE {where} AND (partition, first_offset) IN "
        f"(SELECT partition, max(first_offset) FROM violet_batches WHERE {where} GROUP BY partition)) WHERE last > 0"
    )
