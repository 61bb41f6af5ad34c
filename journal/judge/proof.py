"""Proof: figures of stretches of a run that were counted once and are added up from then on.

A run is cut at its batches into stretches of about STRETCH offsets. What the rows of one add up to is stored, so the
figures of a run of a year cost what its last stretch costs. Counts, hashes and extremes add up by themselves. Three do
not: steps between event times, distinct event times and repeated identities, where streams of two stretches overlap in
time. So a stretch stores what it adds to those before it, for which rows of an earlier one are read where it overlaps.

What was proved is believed as long as the tables say that nobody touched it: as many raw rows in the stretches as when
they were counted, no change in place, no first part that is another. Else the run's proofs are dropped and all is
counted again. A row that was inserted over a proved one leaves no mark once the two are merged: `violet verify`, which
never reads proofs, finds it. See docs/design/running.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from journal.judge import count, planes
from journal.judge.scope import Scope
from journal.judge.stretch import ENDS, FACTS, SUMS, Stretch, Times, total
from journal.ledger.pruned import dropped_sql, pruned
from journal.ledger.run import now, segments
from journal.row import TABLES
from journal.store import Store
from lanes.code import Outcome
from lanes.profile import Profile

STRETCH: Final = 500_000  # offsets: some seconds and 350 MiB to count
LEAST: Final = 250_000  # what is shorter is counted again each time: a second at most
_TABLES: Final = tuple(TABLES.values())
_DECODER: Final = msgspec.json.Decoder(dict[str, Times])


def add(store: Store, scope: Scope) -> dict[str, Any]:
    """Figures of a whole scope, and of a segment's decisions: what was proved before, and what is counted now.

    What is counted now is proved for the next time.
    """
    profile = _profile(store, scope)
    return total(_proved(store, scope, profile), planes.read(profile) if profile is not None else ())


def advance(store: Store, run_id: str, stop: Callable[[], bool]) -> None:
    """Prove what a run journaled since the last time, in full stretches alone: so that nobody has to wait for it later.

    Args:
        stop: asked before each stretch.
    """
    whole = Scope.of(store, run_id)
    each = [replace(whole, segment=n) for n in sorted({each.segment for each in segments(store, run_id)})]
    for scope in each if len(each) == 1 else [*each, whole]:
        _proved(store, scope, _profile(store, scope), STRETCH, stop)


def rows(store: Store, run_id: str) -> int:
    """Raw rows of a run's outcomes, by the parts' own counts, so it costs the same at any age of the run."""
    return store.count(
        "SELECT sum(rows) FROM system.parts WHERE active AND database = currentDatabase() "
        "AND table IN {tables:Array(String)} AND partition = {run:String}",
        {"tables": list(_TABLES), "run": run_id},
    )


def _proved(
    store: Store, scope: Scope, profile: Profile | None, least: int = 1, stop: Callable[[], bool] = lambda: False
) -> list[Stretch]:
    """The stretches of a scope, those that were proved before and those that are counted now, from `least` offsets."""
    known, era = _believed(store, scope)
    for partition in scope.ends:
        mine = [each for each in known if each.partition == partition]
        first = mine[-1].last + 1 if mine else 0
        while not stop() and (last := _cut(store, scope, partition, first)) is not None and last - first + 1 >= least:
            part = replace(scope, ends={partition: last}, starts={partition: first})
            found = _count(store, part, known, profile)
            known.append(found)
            if last - first + 1 >= LEAST:
                _store(store, scope, found, era)
            first = last + 1
    return known


def prove(store: Store, run_id: str) -> dict[int, int]:
    """Up to which offset of each partition all rows of a run are proved to be there, as their batches count them."""
    opened = {each.segment for each in segments(store, run_id)}
    scope = Scope.of(store, run_id)
    if len(opened) == 1:
        scope = replace(scope, segment=opened.pop())  # the gate's own
    add(store, scope)
    stretches, _ = _believed(store, scope)
    if any(each.sums["corrupt"] or each.sums["journaled"] != each.sums["deliverable"] for each in stretches):
        return {}
    return {each.partition: each.last for each in stretches}


def _profile(store: Store, scope: Scope) -> Profile | None:
    """That of a segment; None of a run as a whole."""
    texts = (each.params for each in segments(store, scope.run_id) if each.segment == scope.segment)
    text = next(texts, None)  # alike in every partition
    return None if text is None else Profile.model_validate_json(text)


def _cut(store: Store, scope: Scope, partition: int, first: int) -> int | None:
    """Where the stretch from an offset on ends: behind a batch; None where nothing follows."""
    row = store.rows(
        "SELECT count() AS n, minIf(last_offset, last_offset >= {to:Int64} - 1) AS full, max(last_offset) AS last "
        f"FROM violet_batches WHERE phase = 'COMPLETE' AND {scope.where} "
        "AND partition = {p:UInt32} AND first_offset >= {first:Int64} AND first_offset < {to:Int64}",
        {**scope.params, "p": partition, "first": first, "to": first + STRETCH},
    )[0]
    if row["n"]:
        return int(row["full"] or row["last"])
    row = store.rows(  # a gap that is longer than a stretch
        "SELECT count() AS n, min(last_offset) AS last FROM violet_batches "
        f"WHERE phase = 'COMPLETE' AND {scope.where} AND partition = {{p:UInt32}} AND first_offset >= {{first:Int64}}",
        {**scope.params, "p": partition, "first": first},
    )[0]
    return int(row["last"]) if row["n"] else None


def _count(store: Store, part: Scope, known: Sequence[Stretch], profile: Profile | None) -> Stretch:
    """Count the rows of one stretch. known: those before it."""
    ((partition, last),) = part.ends.items()
    times, overlaps = _times(store, part, known)
    facts: dict[str, Any] = dict.fromkeys((*FACTS, *ENDS), 0) | {"unseen": {}}
    if profile is not None:
        facts = count.facts(store, part, profile)
        facts["repeated"] += _repeated(store, part, overlaps) if overlaps else 0
    ends = {name: float(facts[name]) if facts["n"] else None for name in ENDS}
    sums = count.rows(store, part) | {name: facts[name] for name in FACTS}
    first, raw = part.starts[partition], _raw(store, part)
    unseen: dict[str, int] = facts["unseen"]
    return Stretch(part.segment or 0, partition, first, last, sums, **ends, unseen=unseen, times=times, raw=raw)


# -- what does not add up by itself ----------------------------------------------------------------------------------


def _times(store: Store, part: Scope, known: Sequence[Stretch]) -> tuple[dict[str, Times], dict[str, list[Stretch]]]:
    """What a stretch adds to each stream's event times, and the earlier stretches that it overlaps, by stream."""
    own = _steps(store, part, [_place(part)], {})
    overlaps: dict[str, list[Stretch]] = {}
    before: dict[str, int] = {}  # the last event time of the stretches that are not overlapped
    for stream, times in own.items():
        earlier = [(each, each.times[stream]) for each in known if stream in each.times]
        if over := [each for each, theirs in earlier if theirs.last >= times.first]:
            overlaps[stream] = over
        if lasts := [theirs.last for _, theirs in earlier if theirs.last < times.first]:
            before[stream] = max(lasts)
    for stream, over in overlaps.items():
        places, more = [_place(_of(part, each)) for each in over], {stream: before[stream]} if stream in before else {}
        old = _steps(store, part, places, more, stream)[stream]
        new = _steps(store, part, [*places, _place(part)], more, stream)[stream]
        steps = {step: new.steps.get(step, 0) - old.steps.get(step, 0) for step in {*old.steps, *new.steps}}
        own[stream] = Times(own[stream].first, own[stream].last, new.n - old.n, {s: n for s, n in steps.items() if n})
    for stream in own.keys() & (before.keys() - overlaps.keys()):
        step = own[stream].first - before[stream]
        own[stream].steps[step] = own[stream].steps.get(step, 0) + 1
    return own, overlaps


def _steps(
    store: Store, part: Scope, places: Sequence[str], more: Mapping[str, int], only: str = ""
) -> dict[str, Times]:
    """Each stream's distinct event times in some places, or in `more`, and the steps between them."""
    mine = f"({' OR '.join(places)}) AND {{only:String}} IN ('', stream)"
    if part.segment is not None:
        mine += " AND segment = {segment:UInt32}"
    scans = " UNION ALL ".join(
        f"SELECT stream, ts_ms FROM {table} WHERE run_id = {{run:String}} AND {mine}"
        for table in ("violet_decisions", "violet_evaluations")
    )
    scans += "".join(f" UNION ALL SELECT {{only:String}}, toInt64({ts_ms})" for ts_ms in more.values())
    sql = (
        "SELECT stream, min(ts_ms) AS first, max(ts_ms) AS last, count() AS n, "
        "sumMapIf(map(d, toInt64(1)), i > 1) AS steps "
        "FROM (SELECT stream, ts_ms, ts_ms - lagInFrame(ts_ms) OVER w AS d, row_number() OVER w AS i "
        f"FROM (SELECT DISTINCT toString(stream) AS stream, ts_ms FROM ({scans})) "
        "WINDOW w AS (PARTITION BY stream ORDER BY ts_ms)) GROUP BY stream"
    )
    found = store.rows(sql, {**part.params, "only": only})
    return {row.pop("stream"): Times(**{**row, "steps": dict(row["steps"])}) for row in found}


def _repeated(store: Store, part: Scope, overlaps: Mapping[str, Sequence[Stretch]]) -> int:
    """Identities of a stretch's decisions that an earlier stretch decided already."""
    segment = " AND segment = {segment:UInt32}" if part.segment is not None else ""
    which = f"SELECT stream, scan_id, ts_ms FROM violet_decisions WHERE run_id = {{run:String}}{segment} AND "
    earlier = {_place(_of(part, each)) for over in overlaps.values() for each in over}
    return store.count(
        f"SELECT count() FROM (SELECT DISTINCT * FROM ({which}{_place(part)} AND stream IN {{over:Array(String)}})) "
        f"WHERE (stream, scan_id, ts_ms) IN ({which}({' OR '.join(sorted(earlier))}) "
        "AND stream IN {over:Array(String)})",
        {**part.params, "over": sorted(overlaps)},
    )


def _of(part: Scope, each: Stretch) -> Scope:
    return replace(part, ends={each.partition: each.last}, starts={each.partition: each.first})


def _place(part: Scope) -> str:
    ((partition, last),) = part.ends.items()
    return f"(partition = {partition} AND log_offset BETWEEN {part.starts[partition]} AND {last})"


# -- what was proved, and whether it is believed -----------------------------------------------------------------------


def _raw(store: Store, part: Scope) -> list[int]:
    """Raw rows of each table, whatever their segment."""
    where = f"run_id = {{run:String}} AND {_place(part)}"
    return [store.count(f"SELECT count() FROM {table} WHERE {where}", part.params) for table in _TABLES]


def marks(store: Store, run_id: str) -> dict[str, tuple[int, int]]:
    """Of each table's rows of a run: the first block that is there, and the last change in place."""
    rows = store.rows(
        "SELECT table, min(min_block_number) AS first, maxIf(data_version, data_version > min_block_number) AS changed "
        "FROM system.parts WHERE active AND database = currentDatabase() AND table IN {tables:Array(String)} "
        "AND partition = {run:String} GROUP BY table",
        {"tables": list(_TABLES), "run": run_id},
    )
    found = {row["table"]: (row["first"], row["changed"]) for row in rows}
    return {table: found.get(table, (0, 0)) for table in _TABLES}


def _believed(store: Store, scope: Scope) -> tuple[list[Stretch], int]:
    """The proved stretches of a scope, in the order of their proofs, and the era of the next one.

    Where somebody touched their rows there are none, and another era begins: no proof of an earlier one counts.
    """
    mine = "run_id = {run:String} AND segment = {segment:UInt32}"
    sql = f"SELECT * FROM violet_proofs FINAL WHERE {mine} AND era = (SELECT max(era) FROM violet_proofs WHERE {mine})"
    rows = store.rows(f"{sql} ORDER BY proved", scope.params)
    if not rows:
        return [], 0
    stretches, era = [_stretch(row) for row in rows], int(rows[0]["era"])
    return (stretches, era) if _untouched(store, scope, rows, stretches) else ([], era + 1)


def _untouched(store: Store, scope: Scope, rows: Sequence[Mapping[str, Any]], stretches: Sequence[Stretch]) -> bool:
    ends: dict[int, int] = {}
    for each in stretches:
        if each.first != ends.get(each.partition, -1) + 1:
            return False
        ends[each.partition] = each.last
    if any(end > scope.ends.get(partition, -1) for partition, end in ends.items()):
        return False  # a batch's completion went
    here = marks(store, scope.run_id)
    for n, table in enumerate(_TABLES):
        first, changed = here[table]
        if {row["changes"][n] for row in rows} != {changed}:
            return False
        # Of planes retention drops whole parts.
        if table != TABLES[Outcome.PLANE] and {row["firsts"][n] for row in rows} - {0, first}:
            return False
        if _there(store, scope, table, stretches) != _expected(store, scope, n, stretches):
            return False
    return True


def _there(store: Store, scope: Scope, table: str, stretches: Sequence[Stretch]) -> int:
    """Raw rows of a table in the stretches: all of the run, which cost nothing to count, less those behind them."""
    ends = {each.partition: each.last for each in stretches}
    behind = [f"(partition = {p} AND log_offset > {end})" for p, end in ends.items()]
    behind.append(f"partition NOT IN ({', '.join(map(str, ends))})")
    mine = f"FROM {table} WHERE run_id = {{run:String}}"
    kept = scope.dropped_ends if table == TABLES[Outcome.PLANE] else {}
    dropped = f"SELECT count() {mine} AND {dropped_sql(kept)}" if kept else "SELECT 0"
    rest = f"SELECT count() {mine} AND ({' OR '.join(behind)}) AND NOT {dropped_sql(kept)}"
    return store.count(f"SELECT (SELECT count() {mine}) - ({rest}) - ({dropped})", scope.params)


def _expected(store: Store, scope: Scope, n: int, stretches: Sequence[Stretch]) -> int:
    """Raw rows of a table when its stretches were proved; of planes without those that retention dropped since."""
    if _TABLES[n] != TABLES[Outcome.PLANE]:
        return sum(each.raw[n] for each in stretches)
    expected = 0
    for each in stretches:
        dropped = scope.dropped_ends.get(each.partition, -1)
        if dropped < each.first:
            expected += each.raw[n]
        elif dropped < each.last:  # in part
            part = _of(scope, each)
            where = f"phase = 'COMPLETE' AND {part.where} AND last_offset > {{dropped:Int64}}"
            expected += store.count(
                f"SELECT sum(planes) FROM violet_batches FINAL WHERE {where}", {**part.params, "dropped": dropped}
            )
    return expected


def _stretch(row: Mapping[str, Any]) -> Stretch:
    sums = {name: row[name] for name in SUMS}
    names = ("segment", "partition", "top", "low", "high", "unseen", "raw")
    return Stretch(
        **{name: row[name] for name in names}, first=row["first_offset"], last=row["last_offset"], sums=sums,
        times=_DECODER.decode(row["times"]),
    )  # fmt: skip


def _store(store: Store, scope: Scope, one: Stretch, era: int) -> None:
    """Keep what was counted, unless retention went on meanwhile."""
    is_short = one.sums["journaled"] != one.sums["deliverable"] or one.sums["corrupt"]
    if is_short and pruned(store, scope.run_id) != scope.dropped:
        return
    here = marks(store, scope.run_id)
    row: dict[str, Any] = {
        "run_id": scope.run_id, "segment": one.segment, "era": era, "partition": one.partition,
        "first_offset": one.first, "last_offset": one.last, **one.sums,
        "top": one.top, "low": one.low, "high": one.high, "unseen": dict(one.unseen),
        "raw": list(one.raw),
        "times": msgspec.json.encode(one.times).decode(), "firsts": [here[t][0] for t in _TABLES],
        "changes": [here[t][1] for t in _TABLES], "proved": now(),
    }  # fmt: skip
    store.put_row("violet_proofs", row, f"{scope.run_id}|{one.segment}|{one.partition}|{one.first}|{row['proved']}")


def restamp(store: Store, run_id: str, before: Mapping[str, tuple[int, int]]) -> None:
    """Believe what was believed before retention changed rows in place. before: the marks of then."""
    here = marks(store, run_id)
    if here == before:
        return
    were, are = ([each[t][1] for t in _TABLES] for each in (before, here))
    store.command(
        "INSERT INTO violet_proofs SELECT * REPLACE ({are:Array(UInt64)} AS changes, "
        "addMicroseconds(proved, 1) AS proved) "
        "FROM violet_proofs FINAL WHERE run_id = {run:String} AND violet_proofs.changes = {were:Array(UInt64)}",
        {"run": run_id, "are": are, "were": were},
    )
