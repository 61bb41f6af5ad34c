"""Stored: what a run left in the journal, row by row, for who computes it again or reads it on.

Most ask for a Stretch: a range of offsets of one partition. See docs/design/running.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from journal.judge.scope import Scope
from journal.ledger.pruned import dropped_sql
from journal.row import TABLES, row_hash_sql
from journal.store import Store
from journal.template import product
from lanes.code import Outcome, Reason
from lanes.registry import LANES

Identity = tuple[str, int, int]  # stream, scan_id, ts_ms
_SCANS: Final = (Outcome.DECISION, Outcome.EVALUATION)
_HERE: Final = (
    "run_id = {run:String} AND topic = {topic:String} AND partition = {p:UInt32} "
    "AND log_offset BETWEEN {a:Int64} AND {b:Int64}"
)
# Columns that are asked for by name, and are no column of the tables.
_COMPUTED: Final = {
    **{lane.name: f"{product(lane)} AS {lane.name}" for lane in LANES if lane.factors},
    "dc_code": "CAST(dc_status, 'Int8') AS dc_code",
}


class Stretch(NamedTuple):
    """Offsets of one partition of a run, both ends included."""

    run: str
    topic: str
    p: int
    a: int
    b: int


def scans(store: Store, where: Stretch, columns: Sequence[str], only: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Decisions and evaluations, by offset.

    Args:
        only: of these offsets alone where any are given.
        columns: names of columns of the tables, and lanes whose value is the product of their components; also
            `dc_code`, the number of dc_status, and `actuated`, whether it is a decision. log_offset always comes along.
    """
    each = (
        f"SELECT log_offset, {', '.join(_COMPUTED.get(name, name) for name in columns if name != 'actuated')}, "
        f"{'true' if kind is Outcome.DECISION else 'false'} AS actuated FROM {TABLES[kind]} FINAL WHERE {_HERE} "
        "AND (empty({only:Array(Int64)}) OR log_offset IN {only:Array(Int64)})"
        for kind in _SCANS
    )
    return store.rows(
        f"SELECT * FROM ({' UNION ALL '.join(each)}) ORDER BY log_offset",
        where._asdict() | {"only": list(only)},
    )


def planes(store: Store, where: Stretch, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Planes, by offset, `form` as its number; of these names alone where any are given."""
    return store.rows(
        "SELECT log_offset, stream, name, seq, CAST(form, 'Int8') AS form, x, y, z, ts_ms, text "
        f"FROM violet_planes FINAL WHERE {_HERE} "
        "AND (empty({names:Array(String)}) OR name IN {names:Array(String)}) "
        "ORDER BY log_offset",
        where._asdict() | {"names": list(names)},
    )


def rejects(store: Store, where: Stretch) -> list[dict[str, Any]]:
    """Rejects, by offset: code, bytes (the record's length), digest, raw."""
    # As hex: the driver reads a String as text, and these bytes may be none.
    found = store.rows(
        "SELECT log_offset, code, bytes, digest, hex(raw) AS raw FROM violet_rejects FINAL "
        f"WHERE {_HERE} ORDER BY log_offset",
        where._asdict(),
    )
    return [{**row, "raw": bytes.fromhex(row["raw"])} for row in found]


def reject_bytes(store: Store, where: Stretch) -> int:
    """How many bytes of rejects are stored."""
    return store.count(f"SELECT sum(length(raw)) FROM violet_rejects WHERE {_HERE}", where._asdict())


def cut_rejects(store: Store, run_id: str, most: int, dropped: Mapping[int, int]) -> int:
    """How many rejects of at most so many bytes are stored without their ends.

    Args:
        dropped: up to which offset of a partition retention dropped the bytes; those are not counted.
    """
    return store.count(
        "SELECT count() FROM violet_rejects FINAL WHERE run_id = {run:String} AND bytes <= {most:UInt64} "
        f"AND length(raw) < bytes AND NOT {dropped_sql(dropped)}",
        {"run": run_id, "most": most},
    )


def hashes(store: Store, where: Stretch) -> dict[int, tuple[Outcome, int]]:
    """Kind of outcome and row hash, by offset."""
    sql = {
        kind: f"SELECT log_offset, {row_hash_sql(kind)} AS h FROM {TABLES[kind]} FINAL WHERE {_HERE}"
        for kind in Outcome
    }
    return {row["log_offset"]: (kind, row["h"]) for kind in Outcome for row in store.rows(sql[kind], where._asdict())}


def offsets(store: Store, run_id: str) -> dict[int, frozenset[int]]:
    """Offsets of all outcomes of a run, by partition."""
    each = " UNION ALL ".join(
        f"SELECT partition, log_offset FROM {table} WHERE run_id = {{run:String}}" for table in TABLES.values()
    )
    rows = store.rows(
        f"SELECT partition, groupUniqArray(log_offset) AS at FROM ({each}) GROUP BY partition", {"run": run_id}
    )
    return {row["partition"]: frozenset(row["at"]) for row in rows}


def span(store: Store, scope: Scope, segment: int, partition: int) -> tuple[int, int] | None:
    """First and last offset that a segment journaled of a partition; None of nothing."""
    mine = replace(scope, segment=segment)
    row = store.rows(
        "SELECT count() AS n, min(first_offset) AS first, max(last_offset) AS last FROM violet_batches FINAL "
        f"WHERE phase = 'COMPLETE' AND {mine.where} AND partition = {{p:UInt32}}",
        {**mine.params, "p": partition},
    )[0]
    return (row["first"], row["last"]) if row["n"] else None


def state_before(store: Store, run_id: str, topic: str, partition: int, offset: int) -> tuple[int, bytes] | None:
    """The state (JSON) of the last completed batch before an offset, and that batch's last offset."""
    here = "run_id = {run:String} AND phase = 'COMPLETE' AND topic = {topic:String} AND partition = {p:UInt32}"
    rows = store.rows(
        f"SELECT last_offset, state FROM violet_batches FINAL WHERE {here} AND first_offset = ("
        f"SELECT max(first_offset) FROM violet_batches WHERE {here} AND last_offset < {{offset:Int64}} "
        "HAVING count() > 0)",  # of nothing, max is 0
        {"run": run_id, "topic": topic, "p": partition, "offset": offset},
    )
    return (rows[0]["last_offset"], rows[0]["state"].encode()) if rows else None


def repeats(store: Store, run_id: str, topic: str, partition: int) -> list[Identity]:
    """Scans that a run calls repeats where it first meets them: of what came before it, all that its rows show."""
    mine = "run_id = {run:String} AND topic = {topic:String} AND partition = {p:UInt32}"
    rows = store.rows(
        "SELECT stream, scan_id, ts_ms FROM ("
        f"SELECT stream, scan_id, ts_ms, log_offset, reasons FROM violet_evaluations WHERE {mine} UNION ALL "
        f"SELECT stream, scan_id, ts_ms, log_offset, 0 FROM violet_decisions WHERE {mine}) "
        "WHERE (stream, scan_id, ts_ms) IN (SELECT stream, scan_id, ts_ms FROM violet_evaluations "
        f"WHERE {mine} AND bitTest(reasons, {{bit:UInt8}})) GROUP BY stream, scan_id, ts_ms "
        "HAVING bitTest(argMin(reasons, log_offset), {bit:UInt8}) ORDER BY min(log_offset)",
        {"run": run_id, "topic": topic, "p": partition, "bit": Reason.DUP_SCAN.value},
    )
    return [(row["stream"], row["scan_id"], row["ts_ms"]) for row in rows]
