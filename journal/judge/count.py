"""Count: what the rows of a scope add up to, each figure from the rows themselves.

Every figure of `rows` and `facts` adds up over ranges of offsets, which is what proof.py rests on; that of `time` does
not. See docs/design/running.md.
"""

from collections.abc import Mapping
from typing import Any, Final

from journal.judge import planes
from journal.judge.scope import Scope
from journal.ledger.pruned import dropped_sql
from journal.ledger.run import segments
from journal.row import TABLES, row_hash_sql, sound_sql
from journal.store import Store
from lanes.code import Outcome
from lanes.profile import Profile

_SCANS: Final = "(SELECT * FROM violet_decisions UNION ALL SELECT * FROM violet_evaluations)"


def rows(store: Store, scope: Scope) -> dict[str, int]:
    """Outcomes by kind, and what is wrong with them.

    scan_rejects: not known to be planes. deliverable: offsets that must have an outcome; journaled: those that have.
    """
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
    span = _span(store, scope)
    if scope.since_ms is None:
        counts["planes"] += span["dropped_planes"]  # whose event times are gone with them
    return {
        **counts,
        "scan_rejects": store.count(sql, scope.params),
        **{name: span[name] for name in ("deliverable", "journaled", "skipped")},
        "doubled": _doubled(store, scope),
        "corrupt": len(corrupt_batches(store, scope)),
        "content_hash": store.count(content_hash_sql(scope), scope.params),
    }


def facts(store: Store, scope: Scope, profile: Profile) -> dict[str, Any]:
    """What the gate asks of the decisions of a scope, and rows of scans that break a constraint."""
    found = store.rows(
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
    return {**found, "broken": broken, "unseen": planes.missing(store, scope, profile)}


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


def _span(store: Store, scope: Scope) -> dict[str, int]:
    """Deliverable offsets of the completed batches, outcomes inside them, and offsets skipped.

    From the first offset of a segment's partition to its last batch every offset must be in a batch or a skipped range.
    """
    opened = {(s.segment, s.topic, s.partition): s.first_offset for s in segments(store, scope.run_id)}
    parts = store.rows(
        "SELECT segment, topic, partition, min(first_offset) AS first, max(last_offset) AS last, "
        "sum(arraySum(gap -> gap[2] - gap[1] + 1, JSONExtract(skipped, 'Array(Array(Int64))'))) AS gone, "
        f"sumIf(planes, {dropped_sql(scope.dropped_ends, 'last_offset')}) AS dropped "
        f"FROM violet_batches FINAL WHERE phase = 'COMPLETE' AND {scope.where} GROUP BY segment, topic, partition",
        scope.params,
    )
    deliverable = 0
    for part in parts:
        # A segment that is lost begins at its first batch; the journal is damaged, which is told elsewhere.
        first = opened.get((part["segment"], part["topic"], part["partition"]), part["first"])
        first = max(first, scope.starts.get(part["partition"], 0))
        deliverable += part["last"] - first + 1 - part["gone"]
    dropped = sum(part["dropped"] for part in parts)
    each = " UNION ALL ".join(
        f"SELECT topic, partition, log_offset FROM {table} "
        f"WHERE {scope.where_kept if kind is Outcome.PLANE else scope.where_rows}"
        for kind, table in TABLES.items()
    )
    journaled = store.count(f"SELECT uniqExact(topic, partition, log_offset) FROM ({each})", scope.params)
    return {
        "deliverable": deliverable,
        "journaled": journaled + dropped,
        "dropped_planes": dropped,
        "skipped": sum(part["gone"] for part in parts),
    }


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


def time(store: Store, scope: Scope) -> Mapping[str, Any]:
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
    found = store.rows(sql, scope.params)
    known = all(row["n"] >= 3 for row in found) and bool(found)
    return {
        "time_coverage": min(1.0 - row["dead"] / row["span"] for row in found) if known else None,
        "scan_gaps": sum(row["gaps"] for row in found),
        "longest_silence_ms": max((row["longest"] for row in found), default=0),
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
