"""Scans: what a sweep reads of a run, as one row a scan; and the proof that the loop gives what the run journaled.

The records come from where a replay's do, go through the same walk, and are in partition and offset order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from journal.judge import stored
from journal.ledger.run import Run
from journal.refusal import Refusal
from journal.store import Store
from lanes.columns import evaluate_lane
from lanes.kernel import Floats
from lanes.profile import Profile
from reactor.evaluate.inputs import Gathered
from reactor.evaluate.record import Decoder
from reactor.evaluate.walk import CADENCE, DUP_SCAN, NO_ELIGIBLE_ASSET, NO_SIGNAL, Rules, Walk
from reactor.run.replay import ReplaySource
from reactor.run.sweep.fused import Graph, rows

_QUIET: Final = np.uint64(DUP_SCAN | NO_SIGNAL | CADENCE | NO_ELIGIBLE_ASSET)
_COMPARED: Final = ("leverage", "notional_usd", "actuated")


@dataclass(frozen=True)
class Scans:
    """Scans that decide under the greatest threshold, one row each.

    inputs: in the order of graph.inputs. lanes: every lane's value under the run's own params. compared: outcomes of
    scans whose sizes were the journal's, bit for bit, under the run's own params.
    """

    inputs: Floats
    lanes: Floats
    compared: int
    read_from: str


def read(
    store: Store, run: Run, source: ReplaySource, graph: Graph, widest: Profile, on_scans: Callable[[int], None]
) -> Scans:
    """The scans of a run, each compared with the journal first. Raises Refusal naming the first that differs.

    Args:
        source: the run's records; its profile is `widest`.
        graph: of the run's own params.
        widest: these with the greatest threshold of the sweep.
        on_scans: told how many were read.
    """
    rules, own = Rules(widest, source.kernels), graph.own()[:, None]
    every = graph.changed(graph.params)
    found: list[tuple[Floats, Floats]] = []
    count = 0
    for partition, start in source.start.items():
        state, decoder = source.state(partition), Decoder()
        for chunk in source.range(partition, start, source.ends()[partition]):
            walk = Walk(state, rules, decoder)
            walk.take(chunk)
            if not walk.scans:
                continue
            gathered = Gathered(walk)
            inputs, lanes = _columns(graph, gathered)
            is_candidate = gathered.reasons & _QUIET == 0
            offsets = np.array(walk.offsets, dtype=np.int64)[gathered.at]
            mine = rows(graph, inputs, lanes, own, every)
            decided = is_candidate & (gathered.inputs["vel_div"] < graph.profile.base.thr)
            sizes = np.column_stack([mine.leverage[:, 0], mine.notional_usd[:, 0], decided])
            place = stored.Stretch(run.run_id, source.topic, partition, walk.offsets[0], walk.offsets[-1])
            _identical(store, place, offsets[mine.finite[:, 0]], sizes[mine.finite[:, 0]])
            found.append((inputs[is_candidate], lanes[is_candidate]))
            count += len(offsets)
            on_scans(count)
    if not found:
        raise Refusal(f"run {run.run_id} has no scans; fix: name another run")
    inputs, lanes = (np.ascontiguousarray(np.concatenate(each)) for each in zip(*found, strict=True))
    if not len(inputs):
        raise Refusal(f"run {run.run_id} decided nothing, and sizes are of decisions; fix: name another run")
    return Scans(inputs, lanes, count, str(source.identity["read_from"]))


def _columns(graph: Graph, gathered: Gathered) -> tuple[Floats, Floats]:
    given = {**gathered.inputs, "capital.seen": ~gathered.planes.missing("capital")}
    lanes = [
        evaluate_lane(lane, gathered.inputs, graph.profile, gathered.foreign.get(lane.name)).value
        for lane in graph.profile.lanes
    ]
    inputs = np.column_stack([np.asarray(given[name], dtype=np.float64) for name in graph.inputs])
    return inputs, np.column_stack(lanes)


def _identical(store: Store, place: stored.Stretch, offsets: NDArray[np.int64], sizes: Floats) -> None:
    """Refuse where the journal has other sizes of a stretch, or another decision."""
    kept = stored.scans(store, place, _COMPARED)
    was = np.array([[row[name] for name in _COMPARED] for row in kept], dtype=np.float64).reshape(-1, len(_COMPARED))
    at = np.array([row["log_offset"] for row in kept], dtype=np.int64)
    if len(at) == len(offsets) and np.array_equal(at, offsets):
        differs = np.flatnonzero((was.view(np.int64) != sizes.view(np.int64)).any(axis=1))
        if not len(differs):
            return
        first = int(offsets[differs[0]])
    else:
        first = int(min(np.setxor1d(at, offsets)))
    raise Refusal(
        f"partition {place.p} offset {first}: the run's own params do not give what run {place.run} journaled here, "
        "so nothing is swept; fix: violet verify says what differs"
    )
