"""A replay beside its original: which rows are the same, and in which columns the others differ.

Rows are the same where kind and row hash are, offset by offset, over what the replay covers; the hash holds every value
column and the params. In which columns rows differ, the view `replays` says. See docs/design/running.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from journal.judge.count import content_hash_sql
from journal.judge.scope import Scope
from journal.ledger.pruned import dropped_sql, pruned
from journal.ledger.run import Run
from journal.row import TABLES, row_hash_sql
from journal.store import Store
from lanes.code import Outcome

_SPAN: Final = 1 << 20  # offsets compared at a time, which bounds what the engine holds
_NAMED: Final = 20  # differing offsets named at most


@dataclass(frozen=True, slots=True)
class Comparison:
    """Content hashes of the original, as far as the replay covers it, and of the replay; and the rows that differ."""

    original_hash: str
    replayed_hash: str
    differing: int
    first: tuple[str, ...]

    @property
    def identical(self) -> bool:
        return self.differing == 0 and self.original_hash == self.replayed_hash


def compare(store: Store, replayed: Run, original: Run) -> Comparison:
    """Every outcome of a replay that ended against the original's of the same offset."""
    ends = {int(p): int(end) - 1 for p, end in replayed.until["ends"].items()}
    starts = {int(p): at for p, at in replayed.start.items()}
    dropped = pruned(store, original.run_id)
    scopes = tuple(Scope(r.run_id, ends, starts=starts, dropped=dropped) for r in (original, replayed))
    hashes = [f"{store.count(content_hash_sql(scope), scope.params):016x}" for scope in scopes]
    count, first = 0, dict[tuple[int, int], str]()
    for topic, partition, offset, was, became in _differing(store, replayed, scopes):
        count += 1
        if len(first) < _NAMED:
            first[partition, offset] = (
                f"{topic}/{partition} offset {offset}: {_kinds(was)}, replayed as {_kinds(became)}"
            )
    other = _other(store, replayed, list(first)) if first else {}
    named = tuple(words + other.get(place, "") for place, words in first.items())
    return Comparison(hashes[0], hashes[1], count, named)


def columns(store: Store, replayed: Run) -> dict[str, int]:
    """In how many rows each column differs, most first; params_hash is not among them."""
    found = store.rows(
        "SELECT arrayJoin(differs) AS name, count() AS n FROM replays WHERE run_id = {run:String} "
        "GROUP BY name ORDER BY n DESC, name",
        {"run": replayed.run_id},
    )
    return {row["name"]: row["n"] for row in found}


def _differing(
    store: Store, replayed: Run, scopes: Sequence[Scope]
) -> Iterator[tuple[str, int, int, list[int], list[int]]]:
    """Topic, partition, offset, and the kinds of outcome there of both, in order."""
    for partition, last in scopes[0].ends.items():
        for begin in range(int(replayed.start[str(partition)]), last + 1, _SPAN):
            place = {"p": partition, "a": begin, "b": min(last, begin + _SPAN - 1)}
            parts = " UNION ALL ".join(
                f"SELECT {side} AS side, topic, log_offset, ({kind.value}, {row_hash_sql(kind)}) AS outcome "
                f"FROM {TABLES[kind]} FINAL WHERE run_id = {{of{side}:String}} AND partition = {{p:UInt32}} "
                "AND log_offset BETWEEN {a:Int64} AND {b:Int64}"
                + (f" AND NOT {dropped_sql(scopes[0].dropped_ends)}" if kind is Outcome.PLANE else "")
                for side in (0, 1)
                for kind in Outcome
            )
            sql = (
                "SELECT topic, log_offset, arraySort(groupArrayIf(outcome, side = 0)) AS was, "
                f"arraySort(groupArrayIf(outcome, side = 1)) AS became FROM ({parts}) GROUP BY topic, log_offset "
                "HAVING was != became ORDER BY topic, log_offset"
            )
            for row in store.rows(sql, {"of0": scopes[0].run_id, "of1": scopes[1].run_id, **place}):
                yield row["topic"], partition, row["log_offset"], *([k for k, _ in row[n]] for n in ("was", "became"))


def _kinds(codes: list[int]) -> str:
    return " and ".join(Outcome(code).name.lower() for code in codes) or "nothing"


def _other(store: Store, replayed: Run, places: list[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """In words which columns differ at each (partition, offset)."""
    rows = store.rows(
        "SELECT partition, log_offset, arrayStringConcat(differs, ', ') AS names FROM replays "
        "WHERE run_id = {run:String} AND (partition, log_offset) IN {places:Array(Tuple(UInt32, Int64))}",
        {"run": replayed.run_id, "places": places},
    )
    return {(row["partition"], row["log_offset"]): f"; other in {row['names']}" for row in rows if row["names"]}
