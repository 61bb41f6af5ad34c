"""Again: a decision evaluated once more with what BLUE recorded, through the same step as the run.

What BLUE recorded takes the place of ours: the planes that it saw, all or none, its vel_div, dc_status, posture and
capital. What it did not record stays ours. So equal bits say that the difference came in with these inputs.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from journal.blue.pairing import Pair
from journal.ledger.run import segments
from journal.store import Store
from lanes.code import Outcome
from lanes.registry import LANES, PLANES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.run.verify import rules_of

_BLOCK: Final = 1_000  # pairs evaluated at once
_KEPT: Final = ("leverage_fanin", "leverage", "cap", "notional_usd", "capital_usd")
Planes = Mapping[str, Mapping[str, Any]]


def again(
    pairs: Sequence[Pair], planes: Sequence[Planes], rules: Callable[[Mapping[str, Any]], Rules]
) -> list[dict[str, Any] | None]:
    """What the run would have decided with BLUE's inputs, under the names of `decisions`; None where it rejects.

    Args:
        pairs: to be evaluated.
        planes: of each pair all planes, as BLUE saw them: plane -> value and ts_ms.
        rules: what decided a row of `decisions`.
    """
    found: list[dict[str, Any] | None] = [None] * len(pairs)
    by_rules: dict[int, tuple[Rules, list[int]]] = {}
    for at, pair in enumerate(pairs):
        own = rules(pair.decision)
        by_rules.setdefault(id(own), (own, []))[1].append(at)
    for own, places in by_rules.values():
        for first in range(0, len(places), _BLOCK):
            block = places[first : first + _BLOCK]
            lines = [(at, line) for at in block for line in _lines(at, pairs[at], planes[at])]
            for at, row in _evaluated(lines, own):
                found[at] = row
    return found


def deciders(store: Store, run_id: str) -> Callable[[Mapping[str, Any]], Rules]:
    """What decided a row of a run. Raises Refusal where a kernel that decided is not the one that is here."""
    made: dict[tuple[str, ...], Rules] = {}
    by_segment: dict[tuple[int, int], Rules] = {}
    for each in segments(store, run_id):
        key = each.params_hash, *sorted(f"{lane}={digest}" for lane, digest in each.kernels.items())
        made[key] = made[key] if key in made else rules_of(each)
        by_segment[each.segment, each.partition] = made[key]
    return lambda row: by_segment[row["segment"], row["partition"]]


def seen(pair: Pair) -> Planes:
    """The planes that BLUE saw, its posture and capital among them; ours where it recorded none."""
    trade, ours = pair.trade, pair.decision
    ts_ms = ours["ts_ms"]
    planes: dict[str, Any] = json.loads(trade["planes"]) if trade["planes"] else own_planes(ours)
    if trade["posture"] and (not trade["planes"] or "posture" not in planes):
        planes["posture"] = {"value": {"posture": trade["posture"]}, "ts_ms": ts_ms}
    if not trade["planes"] or "capital" not in planes:
        capital = ours["capital_usd"] if trade["capital_before"] is None else trade["capital_before"]
        planes["capital"] = {"value": {"capital_usd": capital}, "ts_ms": ts_ms}
    return planes


def own_planes(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Planes under which a decision comes out as it did, as far as one multiplier a plane can say it."""
    values = {
        "acb": {"boost": decision["acb_boost"]}, "meta": {"boost": decision["meta_boost"]},
        "mc": {"scale": decision["mc_scale"]}, "ob": {"mult": decision["ob"]}, "esof": {"mult": decision["esof"]},
        "capital": {"capital_usd": decision["capital_usd"]},
    }  # fmt: skip
    values |= {"posture": {"posture": decision["posture"]}} if decision["posture"] else {}
    return {name: {"value": value, "ts_ms": decision["ts_ms"]} for name, value in values.items()}


def _lines(at: int, pair: Pair, planes: Planes) -> Iterator[bytes]:
    """A pair as the records of a stream of its own, named by its place: its planes, then its scan."""
    trade, decision = pair.trade, pair.decision
    head = {"v": 1, "stream": f"p{at}"}
    for name, plane in planes.items():
        if name in PLANES and name != "cadence":
            said = {"value": plane["value"], "ts_ms": plane["ts_ms"]}  # BLUE may have written more beside it
            yield _line({**head, "kind": "plane", "name": name, "seq": 0, **said})
    scan = {
        **head, "kind": "scan", "scan_id": decision["scan_id"], "ts_ms": decision["ts_ms"],
        "vel_div": decision["vel_div"] if trade["vel_div"] is None else trade["vel_div"],
        "prices": {decision["asset"]: 1.0}, "irp": {decision["asset"]: {"score": 1.0, "alignment": 1.0}},
        "dc_status": trade["dc_status"] or decision["dc_status"],
    }  # fmt: skip
    yield _line(scan if decision["w750"] is None else {**scan, "w750": decision["w750"]})


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record).encode()


def _evaluated(lines: Sequence[tuple[int, bytes]], rules: Rules) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each pair's place and row, of lines with the place that they are of; a pair has none if a line is rejected."""
    chunk = Chunk(0, list(range(len(lines))), [line for _, line in lines])
    batch = step(State(), chunk, rules, Decoder(), topic="again", segment=0, expected=0)
    rejected = {lines[offset][0] for offset in batch.rows[Outcome.REJECT].offsets}
    for kind in (Outcome.DECISION, Outcome.EVALUATION):  # with BLUE's vel_div it may be no signal
        columns: Mapping[str, Any] = batch.rows[kind].columns
        numbers = {name: np.asarray(columns[name]) for lane in LANES for name in lane.stored if name in columns}
        numbers |= {lane.name: lane.value(columns) for lane in LANES if lane.made_of[0] in columns}
        numbers |= {name: np.asarray(columns[name]) for name in _KEPT}
        postures = columns["posture"].strings()
        for n, stream in enumerate(columns["stream"].strings()):
            if (at := int(stream[1:])) not in rejected:
                yield at, {name: each[n].item() for name, each in numbers.items()} | {"posture": postures[n]}
