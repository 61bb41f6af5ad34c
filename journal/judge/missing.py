"""Missing: which offsets of a run lack a batch, and which of its batches lack rows.

See docs/design/exactly-once.md.
"""

from typing import Any

from journal.judge.count import corrupt_batches
from journal.judge.gate import ENDED_EARLY
from journal.judge.scope import Scope, completed
from journal.ledger.ledger import INTENDED
from journal.ledger.run import Run
from journal.row import TABLES
from journal.store import Store


def short(store: Store, run_id: str, partition: int) -> list[dict[str, Any]]:
    """Completed batches of a partition whose rows do not give their hashes, each with its segment and digest."""
    found = corrupt_batches(store, Scope.of(store, run_id))
    return store.rows(
        "SELECT first_offset, last_offset, digest, segment FROM violet_batches FINAL WHERE run_id = {run:String} "
        "AND partition = {p:UInt32} AND phase = 'COMPLETE' AND first_offset IN {short:Array(Int64)}",
        {"run": run_id, "p": partition, "short": [b["first_offset"] for b in found if b["partition"] == partition]},
    )


def gaps(store: Store, run: Run, partition: int, start: int) -> list[tuple[int, int]]:
    """Ranges of offsets that are in no completed batch: before, between and behind those that are there."""
    found = [(row["first"], row["last"]) for row in _holes(store, run.run_id, partition, start) if not row["accepted"]]
    done, end = completed(store, run.run_id).get(partition, start), _end(store, run, partition)
    return [*found, (done, end)] if end >= done else found


def accepted(store: Store, run_id: str, partition: int, start: int) -> list[tuple[int, int]]:
    """Ranges of offsets that the log had lost, or could not give, and that the run was told to pass."""
    return [(row["first"], row["last"]) for row in _holes(store, run_id, partition, start) if row["accepted"]]


def _holes(store: Store, run_id: str, partition: int, start: int) -> list[dict[str, Any]]:
    """Ranges before and between the completed batches, and whether a segment begins behind one that was accepted."""
    return store.rows(
        "SELECT before + 1 AS first, begin - 1 AS last, begin IN (SELECT first_offset FROM segments "
        "WHERE run_id = {run:String} AND partition = {p:UInt32}) "
        "AND (SELECT count() FROM violet_incidents WHERE run_id = {run:String} "
        "AND code = 'GAP_ACCEPTED') > 0 AS accepted FROM (SELECT "
        "if(skipped = '[]', first_offset, JSONExtract(skipped, 'Array(Array(Int64))')[1][1]) AS begin, "
        "lagInFrame(last_offset, 1, {start:Int64} - 1) OVER (ORDER BY first_offset) AS before "
        "FROM violet_batches FINAL WHERE run_id = {run:String} AND partition = {p:UInt32} AND phase = 'COMPLETE') "
        "WHERE begin > before + 1 ORDER BY first",
        {"run": run_id, "p": partition, "start": start},
    )


def _end(store: Store, run: Run, partition: int) -> int:
    """The last offset that a run must have had; what a resume does by itself is not in it."""
    each = " UNION ALL ".join(
        f"SELECT max(log_offset) AS last FROM {table} WHERE run_id = {{run:String}} AND partition = {{p:UInt32}} "
        "HAVING count() > 0"
        for table in TABLES.values()
    )
    asked = {"run": run.run_id, "p": partition, "done": completed(store, run.run_id).get(partition, 0)}
    last = store.rows(f"SELECT max(last) AS last, count() AS n FROM ({each})", asked)[0]
    doubts = store.rows(
        "SELECT max(last_offset) AS last, uniqExact(first_offset) AS n FROM violet_batches "
        f"WHERE run_id = {{run:String}} AND partition = {{p:UInt32}} AND {INTENDED} AND first_offset >= {{done:Int64}}",
        asked,
    )[0]
    ends = [last["last"]] if last["n"] and (doubts["n"] != 1 or last["last"] > doubts["last"]) else []
    ends += [doubts["last"]] if doubts["n"] > 1 else []
    bound = run.until.get("ends", {}).get(str(partition))
    if bound is not None and run.state == "ENDED" and run.reason != ENDED_EARLY and run.source["kind"] == "archive":
        ends.append(int(bound) - 1)
    return max(ends, default=-1)


def ended(store: Store, run_id: str, partition: int, least: int) -> int | None:
    """The first offset from `least` on at which a completed batch ends."""
    rows = store.rows(
        "SELECT min(last_offset) AS last FROM violet_batches WHERE run_id = {run:String} AND partition = {p:UInt32} "
        "AND phase = 'COMPLETE' AND last_offset >= {least:Int64} HAVING count() > 0",
        {"run": run_id, "p": partition, "least": least},
    )
    return rows[0]["last"] if rows else None


def doubts(store: Store, run_id: str, partition: int, first: int, last: int) -> list[int]:
    """First offsets of intents within a range: a batch made anew must not run over one, which would stay in doubt."""
    rows = store.rows(
        "SELECT DISTINCT first_offset FROM violet_batches WHERE run_id = {run:String} AND partition = {p:UInt32} "
        f"AND {INTENDED} AND first_offset BETWEEN {{first:Int64}} AND {{last:Int64}}",
        {"run": run_id, "p": partition, "first": first, "last": last},
    )
    return [row["first_offset"] for row in rows]
