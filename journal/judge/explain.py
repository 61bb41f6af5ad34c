"""Explain: one outcome from the journal: of a scan the parts that multiply, left to right, to raw bit for bit.

See docs/design/running.md.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from journal.ledger.pruned import pruned
from journal.refusal import Refusal
from journal.store import Store
from lanes.registry import LANES

SCANS: Final = ("decision", "evaluation")
OUTCOMES: Final = (*SCANS, "plane", "reject")
_COLUMNS: Final = {"reject": "* REPLACE (toValidUTF8(raw) AS raw)"}  # bytes that are no text would come as hex
_PARTS: Final = tuple("esof_fanin" if lane.name == "esof" else lane.name for lane in LANES)


def explain(
    store: Store, run_id: str, what: str, stream: str | None = None, partition: int | None = None
) -> list[dict[str, Any]]:
    """The outcomes of SCAN_ID or @OFFSET; a scan's with its steps and the planes as of it. Refuses where none is.

    partition: of an @OFFSET; without one, each partition's outcome at it.
    """
    number = what.removeprefix("@")
    if not (number.isascii() and number.isdigit() and len(number) < 20) or int(number) >= 1 << 63:
        raise Refusal(f"{what!r}: must be a scan id such as 1234, or @OFFSET such as @5678")
    if what.startswith("@"):
        found = at(store, run_id, partition, int(number))
    else:
        found = _scans(store, run_id, int(number), stream)
    gone = {partition: each.last_offset for partition, each in pruned(store, run_id).items()}
    if not found:
        ends = [end for p, end in gone.items() if what.startswith("@") and partition in (None, p)]
        end = max(ends, default=-1)
        dropped = f" (planes up to offset {end} were dropped by age)" if int(number) <= end else ""
        raise Refusal(f"run {run_id} has no outcome for {what}{dropped}; fix: look the id up with `violet sql`")
    return [
        waterfall(row) | {"planes": planes(store, row), "planes_dropped_up_to": gone.get(row["partition"])}
        if "leverage" in row
        else row
        for row in found
    ]


def at(
    store: Store, run_id: str, partition: int | None, offset: int, outcomes: Sequence[str] = OUTCOMES
) -> list[dict[str, Any]]:
    """The outcome at an offset, of whatever kind; of each partition where none is given."""
    here = "log_offset = {offset:Int64}" + (" AND partition = {p:UInt32}" if partition is not None else "")
    params = {"run": run_id, "p": partition, "offset": offset}
    return sorted(_outcomes(store, here, params, outcomes), key=itemgetter("partition"))


def _outcomes(store: Store, here: str, params: Mapping[str, Any], outcomes: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"outcome": outcome, **row}
        for outcome in outcomes
        for row in store.rows(
            f"SELECT {_COLUMNS.get(outcome, '*')} FROM {outcome}s WHERE run_id = {{run:String}} AND {here} "
            "ORDER BY log_offset",
            params,
        )
    ]


def planes(store: Store, row: Mapping[str, Any], behind: int = -1) -> list[dict[str, Any]]:
    """Planes as of a scan's offset, with their ages in event time.

    Args:
        store: the journal.
        row: a row of decisions or evaluations.
        behind: only planes after this offset.
    """
    rows = store.rows(
        "SELECT name, argMax(value, log_offset) AS value, argMax(seq, log_offset) AS seq, "
        "max(log_offset) AS at_offset, argMax(ts_ms, log_offset) AS ts_ms FROM planes WHERE run_id = {run:String} "
        "AND topic = {topic:String} AND partition = {p:UInt32} AND stream = {stream:String} "
        "AND log_offset > {behind:Int64} AND log_offset < {offset:Int64} GROUP BY name ORDER BY name",
        {"run": row["run_id"], "topic": row["topic"], "p": row["partition"], "stream": row["stream"],
         "offset": row["log_offset"], "behind": behind},
    )  # fmt: skip
    return [aged(plane, row["ts_ms"]) for plane in rows]


def aged(plane: Mapping[str, Any], ts_ms: int) -> dict[str, Any]:
    """A plane with its age at an event time."""
    return {**plane, "age_s": (ts_ms - plane["ts_ms"]) / 1000}


def waterfall(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the running product after each part.

    Args:
        row: a row of decisions or evaluations.

    Raises:
        Refusal: the parts do not give raw, bit for bit.
    """
    steps: list[dict[str, Any]] = []
    product = 1.0
    for name in (part for part in _PARTS if row[part] is not None):  # of a lane that was off
        product = row[name] if not steps else product * row[name]
        steps.append({"part": name, "value": row[name], "product": product})
    if product.hex() != row["raw"].hex():
        raise Refusal(
            f"offset {row['log_offset']}: the parts give {product!r}, raw is {row['raw']!r}; run `violet verify`"
        )
    return {**row, "steps": steps}


def _scans(store: Store, run_id: str, scan_id: int, stream: str | None) -> list[dict[str, Any]]:
    here = "scan_id = {id:Int64} AND {stream:String} IN ('', stream)"
    rows = _outcomes(store, here, {"run": run_id, "id": scan_id, "stream": stream or ""}, SCANS)
    streams = sorted({row["stream"] for row in rows})
    if len(streams) > 1:
        raise Refusal(f"scan {scan_id} is in the streams {', '.join(streams)}; fix: --stream NAME")
    return rows
