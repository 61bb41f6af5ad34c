"""The step: (state, records) -> (state, outcomes), as columns. Pure but for the state that it advances.

What a walk gathered goes through the lanes and the fan-in as columns, and every record becomes exactly one row. Verify
and replay use the same functions. See docs/design/records.md.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from journal.row import RAW_MAX, Batch, Coded, Rows, rows
from lanes.code import Outcome, PlaneForm, Reason, Reject
from lanes.columns import FANIN, Inputs, LaneDone, LaneValues, Readings, compose, evaluate, evaluate_lane
from lanes.fanin import CAPITAL, POSTURE
from lanes.lane import Lane, Plane
from lanes.profile import Profile
from lanes.registry import PLANES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.inputs import Gathered, PlaneColumns
from reactor.evaluate.record import Decoder, Fault
from reactor.evaluate.state import State
from reactor.evaluate.walk import CADENCE, DUP_SCAN, NO_ELIGIBLE_ASSET, NO_SIGNAL, Rules, Walk

_QUIET: Final = np.uint64(DUP_SCAN | NO_SIGNAL | CADENCE | NO_ELIGIBLE_ASSET)


def step(
    state: State,
    chunk: Chunk,
    rules: Rules,
    decoder: Decoder,
    *,
    topic: str,
    segment: int,
    expected: int,
    seen: Iterable[str] = (),
    values: Callable[[NDArray[np.int64]], LaneValues] | None = None,
) -> Batch:
    """Outcomes of a chunk's records, the state advanced past them."""
    walk = Walk(state, rules, decoder)
    walk.take(chunk)
    batch = outcomes(
        walk, topic=topic, partition=chunk.partition, segment=segment, expected=expected, seen=seen, values=values
    )
    batch.state = state.dump()
    return batch


def outcomes(
    walk: Walk,
    *,
    topic: str,
    partition: int,
    segment: int,
    expected: int,
    seen: Iterable[str] = (),
    values: Callable[[NDArray[np.int64]], LaneValues] | None = None,
    lane_done: LaneDone = lambda lane: None,
) -> Batch:
    """Outcomes of everything that a walk gathered, a batch or a part of one. Every record ends in exactly one row.

    The state after it is the caller's to add: only where a batch ends is it needed.
    expected: offset after the last batch; what lies between it and the first record was never delivered.
    seen: planes whose columns the rows of scans carry besides, for readings; no row's hash and no table knows them.
    values: the lanes' columns for the scans at some offsets, computed elsewhere; without it the lanes run here.
    lane_done: called with each lane when its loop over the columns is over.
    """
    offsets = np.array(walk.offsets, dtype=np.int64)
    scored = _score(walk, offsets, seen, values, lane_done)
    faults = scored.faults | walk.faults
    return Batch(
        topic=topic,
        partition=partition,
        segment=segment,
        first=walk.offsets[0],
        last=walk.offsets[-1],
        rows={
            Outcome.DECISION: scored.rows.take(np.flatnonzero(scored.decided & scored.sound)),
            Outcome.EVALUATION: scored.rows.take(np.flatnonzero(~scored.decided & scored.sound)),
            Outcome.PLANE: _plane_rows(walk, scored.planes, offsets),
            Outcome.REJECT: _reject_rows(walk, offsets, faults),
        },
        skipped=_gaps(expected, walk.offsets),
        unknown=walk.decoder.take_unknown(),
        last_ts_ms=int(scored.rows.columns["ts_ms"].max(initial=0)),  # type: ignore[union-attr]
        standins=frozenset(walk.standins),
        last_record=hashlib.sha256(walk.values[-1] or b"").hexdigest() if walk.from_log else "",
        last_epoch=walk.epoch,
    )


def advance(state: State, chunk: Chunk, rules: Rules, decoder: Decoder) -> None:
    """Move the state past records without outcomes: how a run that starts late gets warm."""
    Walk(state, rules, decoder).take(chunk)


@dataclass(slots=True)
class _Scored:
    """Rows of all scans, whether each decided, whether all of it is finite, and the faults of those that are not."""

    rows: Rows
    decided: NDArray[np.bool_]
    sound: NDArray[np.bool_]
    faults: dict[int, Fault]
    planes: PlaneColumns


def lane_rows(walk: Walk, lane: Lane, params_hash: str) -> Rows:
    """What one lane alone gives for the scans that a walk gathered, as columns for its readings."""
    g = Gathered(walk)
    given = evaluate_lane(lane, g.inputs, walk.rules.profile, g.foreign.get(lane.name))
    after = walk.rules.profile.esof.application == "sc_post"
    ones = np.ones(len(g.at))
    columns: dict[str, Any] = {
        "stream": Coded(g.stream, walk.streams.names),
        "scan_id": g.scan_id,
        "ts_ms": g.ts_ms,
        "vel_div": g.inputs["vel_div"],
        "w750": g.inputs["w750"],
        "dc_status": g.inputs["dc_status"],
        "params_hash": Coded.constant(params_hash, len(g.at)),
        lane.name: given.value,
        **dict(zip(lane.components, given.components, strict=True)),
        "esof_fanin": ones if after else given.value,
        "sc_mult": given.value if after else ones,
        **g.planes.seen(lane.plane_names),
    }
    return Rows(np.array(walk.offsets, dtype=np.int64)[g.at], columns, np.empty(0, np.uint64))


def _score(
    walk: Walk,
    offsets: NDArray[np.int64],
    seen: Iterable[str],
    values: Callable[[NDArray[np.int64]], LaneValues] | None,
    lane_done: LaneDone,
) -> _Scored:
    """Lanes and fan-in over the scans that a walk gathered."""
    profile = walk.rules.profile
    g = Gathered(walk)
    at, stream, scan_id, ts_ms, reasons, inputs = g.at, g.stream, g.scan_id, g.ts_ms, g.reasons, g.inputs
    n, planes = len(at), g.planes
    remote = LaneValues({}, {}) if values is None else values(offsets[at])
    if values is None:
        r = evaluate(inputs, profile, g.foreign, lane_done)
    else:
        r = compose(profile, remote.columns, inputs["stalker"], inputs["capital_usd"])
    decided = reasons & _QUIET == 0
    reasons |= _reasons(inputs, r, planes, profile, walk.texts.names)
    columns: dict[str, Any] = {
        "stream": Coded(stream, walk.streams.names),
        "scan_id": scan_id,
        "ts_ms": ts_ms,
        "asset": Coded(g.asset, walk.assets.names),
        "posture": Coded(planes.posture, walk.texts.names),
        "dc_status": inputs["dc_status"],
        "reasons": reasons,
        "vel_div": inputs["vel_div"],
        "w750": inputs["w750"],
        "capital_usd": inputs["capital_usd"],
        "fraction": np.full(n, profile.fanin.fraction),
        "params_hash": Coded.constant(profile.hash, n),
        **{name: r.columns[name] for name in chain(*(lane.stored for lane in profile.lanes), FANIN)},
        **planes.seen(seen),
    }
    sound = r.non_finite == 0
    faults = {}
    names = ("", *(lane.name for lane in profile.lanes), "fanin")
    for i in np.flatnonzero(~sound).tolist():
        lane = names[r.non_finite[i]]
        known = ("scan", walk.streams.names[stream[i]], int(scan_id[i]), int(ts_ms[i]))
        code, detail = Reject.LANE_NON_FINITE, f"{lane} is not finite"
        if i in remote.faults:
            code, (lane, detail) = Reject.LANE_ERROR, remote.faults[i]
        faults[int(at[i])] = Fault(code, detail, *known, lane)
    return _Scored(rows(Outcome.DECISION, offsets[at], columns), decided, sound, faults, planes)


def _reasons(
    inputs: Inputs, readings: Readings, planes: PlaneColumns, profile: Profile, texts: list[str]
) -> NDArray[np.uint64]:
    """Marks on the rows: missing, stale, unknown, out of range, lifted. Only of lanes that are on."""
    mask = np.zeros(len(inputs["vel_div"]), dtype=np.uint64)

    def mark(bit: int, where: NDArray[np.bool_]) -> None:
        mask[where] |= np.uint64(1 << bit)

    def presence(plane: Plane) -> None:
        missing = planes.missing(plane.name)
        if plane.excused_by:
            missing = missing & (planes.read(f"{plane.excused_by}.form") != PlaneForm.INPUTS)
        mark(plane.missing, missing)
        mark(plane.stale, planes.older(plane.name, profile.param(plane.alert)))

    for lane in profile.lanes:
        params = profile.of(lane.name)
        if not params.enabled:
            continue
        for plane in lane.planes:
            presence(plane)
        if lane.doubts is not None:
            for reason, where in lane.doubts(inputs, readings.columns[lane.name], params).items():
                mark(reason, where)
    if profile.fanin.stalker_cap is not None:
        presence(POSTURE)
        unknown = np.array([text not in ("", *profile.select.postures) for text in texts])
        mark(Reason.POSTURE_UNKNOWN, unknown[planes.posture])
    presence(CAPITAL)
    mark(Reason.FLOOR_LIFTED, readings.floor_lifted)
    return mask


def _plane_rows(walk: Walk, planes: PlaneColumns, offsets: NDArray[np.int64]) -> Rows:
    came = planes.at >= 0  # in this walk; the others were journaled when they came
    columns: dict[str, Any] = {
        "stream": Coded(planes.stream[came], walk.streams.names),
        "name": Coded(planes.code[came], list(PLANES)),
        "seq": planes.seq[came],
        "ts_ms": planes.at_ms[came],
        "form": planes.form[came],
        "x": planes.x[came],
        "y": planes.y[came],
        "z": planes.z[came],
        "text": Coded(planes.text[came], walk.texts.names),
    }
    return rows(Outcome.PLANE, offsets[planes.at[came]], columns)


def _reject_rows(walk: Walk, offsets: NDArray[np.int64], faults: dict[int, Fault]) -> Rows:
    ordered = sorted(faults.items())
    raws = [walk.values[at] or b"" for at, _ in ordered]
    cut = [walk.cut.get(walk.offsets[at]) for at, _ in ordered]
    texts = {name: [getattr(f, name) for _, f in ordered] for name in ("lane", "kind", "stream", "detail")}
    columns: dict[str, Any] = {
        "code": np.array([f.code for _, f in ordered], dtype=np.int16),
        "scan_id": np.array([f.scan_id for _, f in ordered], dtype=np.int64),
        "ts_ms": np.array([f.ts_ms for _, f in ordered], dtype=np.int64),
        "bytes": np.array([c[0] if c else len(r) for r, c in zip(raws, cut, strict=True)], dtype=np.uint64),
        "digest": [c[1] if c else hashlib.sha256(r).hexdigest() for r, c in zip(raws, cut, strict=True)],
        "raw": [raw[:RAW_MAX] for raw in raws],
        **texts,
    }
    return rows(Outcome.REJECT, offsets[np.array([at for at, _ in ordered], dtype=np.int64)], columns)


def _gaps(expected: int, offsets: list[int]) -> list[tuple[int, int]]:
    """Ranges from `expected` on that the broker never delivered: control, aborted or compacted records."""
    if offsets[-1] - expected == len(offsets) - 1:
        return []
    array = np.array([expected - 1, *offsets], dtype=np.int64)
    at = np.flatnonzero(np.diff(array) > 1)
    return [(int(array[i]) + 1, int(array[i + 1]) - 1) for i in at]
