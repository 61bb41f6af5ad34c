"""Retention: drop stored inputs by age, planes and the bytes of rejects; outcomes, reject rows and batches stay.

Age is the time since a batch was completed (`batches.written_at`), not event time: what is dropped cannot come back,
so the clock is ours and not the feed's. A scan that claims the year 2099 drops nothing, and a backlog of a year that is
read in an hour, from a topic or an archive at full speed, can be looked into as long as what came live.

Only whole, completed batches go, and only after their rows gave the counts and hashes that their completion holds; what
does not is kept as evidence. Nothing that a resume needs is touched: state stands with each batch, identities in the
rows of decisions, evaluations and rejects, a batch in doubt is later than every completed one.
See docs/design/weeks.md.
"""

from dataclasses import asdict, dataclass
from datetime import datetime

from journal.judge.count import corrupt_batches
from journal.judge.proof import marks, restamp
from journal.judge.scope import Scope
from journal.ledger.pruned import Pruned, dropped_sql, pruned, utc
from journal.ledger.run import now
from journal.store import Store

_SYNC = "SETTINGS mutations_sync = 2"


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a pruning of a run did: partitions that went on, and batches that were kept since they are damaged."""

    dropped: list[Pruned]
    damaged: list[str]


def prune(store: Store, run_id: str, before: datetime) -> Pruning:
    """Drop the inputs of batches completed before a time. Recorded first, so a crash at any point loses no proof."""
    had = pruned(store, run_id)
    aged = store.rows(
        "SELECT topic, partition, max(last_offset) AS last, max(written_at) AS up_to FROM violet_batches FINAL "
        "WHERE run_id = {run:String} AND phase = 'COMPLETE' AND written_at < {before:DateTime64(3, 'UTC')} "
        "GROUP BY topic, partition ORDER BY partition",
        {"run": run_id, "before": before.replace(tzinfo=None)},
    )
    found = Pruning([], [])
    for row in aged:
        partition, last = row["partition"], row["last"]
        first = had[partition].last_offset + 1 if partition in had else 0
        if last < first:
            continue
        scope = Scope(run_id, {partition: last}, starts={partition: first})
        damaged = corrupt_batches(store, scope)
        if damaged:
            found.damaged.extend(f"{b['topic']}/{partition} {b['first_offset']}-{b['last_offset']}" for b in damaged)
            continue
        counts = store.rows(
            "SELECT sum(planes) AS planes, sum(rejects) AS rejects FROM violet_batches FINAL "
            f"WHERE phase = 'COMPLETE' AND {scope.where}",
            scope.params,
        )[0]
        one = Pruned(row["topic"], partition, last, utc(row["up_to"]), counts["planes"], counts["rejects"])
        _record(store, run_id, one)
        found.dropped.append(one)
    _drop(store, run_id, {p: each.last_offset for p, each in pruned(store, run_id).items()})
    return found


def _record(store: Store, run_id: str, one: Pruned) -> None:
    row = {"run_id": run_id, **asdict(one), "at": now()}
    store.put_row("violet_pruned", row, f"{run_id}|{one.topic}|{one.partition}|pruned|{one.last_offset}")


def _drop(store: Store, run_id: str, ends: dict[int, int]) -> None:
    """Delete what is recorded as dropped and still there; also what a crash left there."""
    before = marks(store, run_id)
    params = {"run": run_id}
    here = "IN PARTITION {run:String}"  # or every run's parts would be looked through
    where = f"run_id = {{run:String}} AND {dropped_sql(ends)}"
    if store.count(f"SELECT count() FROM violet_planes WHERE {where}", params):
        store.command(f"ALTER TABLE violet_planes DELETE {here} WHERE {where} {_SYNC}", params)
    where += " AND notEmpty(raw)"
    if store.count(f"SELECT count() FROM violet_rejects WHERE {where}", params):
        sha = "raw_sha = lower(hex(SHA256(raw)))"
        store.command(f"ALTER TABLE violet_rejects UPDATE {sha}, raw = '' {here} WHERE {where} {_SYNC}", params)
    restamp(store, run_id, before)
