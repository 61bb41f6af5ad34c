"""The step: (state, records) -> (state, outcomes), as columns. Pure but for the state that it advances.

What a walk gathered goes through the lanes and the fan-in as columns, and every record becomes exactly one row. Verify
and replay use the same functions. Source: SPEC sections 3 and 4.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from journal.row import RAW_MAX, Batch, Coded, Rows, rows
from lanes.code import DcStatus, Outcome, PlaneForm, Reason, Reject
from lanes.columns import Heard, Inputs, Lap, Readings, compose, evaluate, say
from lanes.lane import LANES
from lanes.params import Profile
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import FORMS, Decoder, Fault
from reactor.evaluate.state import LANE_PLANES, READ, State, seen_columns
from reactor.evaluate.walk import CADENCE, DUP_SCAN, NO_ELIGIBLE_ASSET, NO_SIGNAL, Rules, Walk

Floats = NDArray[np.float64]

_QUIET: Final = np.uint64(DUP_SCAN | NO_SIGNAL | CADENCE | NO_ELIGIBLE_ASSET)
COMPONENTS: Final = {lane.name: lane.components for lane in LANES}
_LANE_NAMES: Final = ("", *(lane.name for lane in LANES), "fanin")
# Types of a walk's scan rows, in their order.
_DTYPES: Final = (
    np.int64, np.int32, np.int64, np.int64, np.float64, np.float64, np.int8, np.int32, np.uint64,
)  # fmt: skip
_PLANE_DTYPES: Final = (
    np.int64, np.int32, np.int32, np.int64, np.int64, np.int8, np.float64, np.float64, np.float64, np.int32,
)  # fmt: skip
_NO_PLANES: Final = ((),) * len(_PLANE_DTYPES)
_NO_SCANS: Final = ((),) * len(_DTYPES)
ACB_MAX: Final = 4.0  # marked beyond; requirements section 9.2


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
    hear: Callable[[NDArray[np.int64]], Heard] | None = None,
) -> Batch:
    """Outcomes of a chunk's records, the state advanced past them."""
    walk = Walk(state, rules, decoder)
    walk.take(chunk)
    batch = outcomes(
        walk, topic=topic, partition=chunk.partition, segment=segment, expected=expected, seen=seen, hear=hear
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
    hear: Callable[[NDArray[np.int64]], Heard] | None = None,
    lap: Lap = lambda lane: None,
) -> Batch:
    """Outcomes of everything that a walk gathered, a batch or a part of one. Every record ends in exactly one row.

    The state after it is the caller's to add: only where a batch ends is it needed.
    expected: offset after the last batch; what lies between it and the first record was never delivered.
    seen: planes whose columns the rows of scans carry besides, for readings; no row's hash and no table knows them.
    hear: what the lanes' workers said of the scans at some offsets; without it the lanes run here.
    lap: told of each lane when its loop over the columns is over.
    """
    offsets = np.array(walk.offsets, dtype=np.int64)
    scored = _score(walk, offsets, seen, hear, lap)
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
    planes: "_Planes"


def said(walk: Walk, lane: str, params_hash: str) -> Rows:
    """What one lane alone says of the scans that a walk gathered, as columns for its readings."""
    g = _Gathered(walk)
    spoken = say(lane, g.inputs, walk.rules.profile, g.foreign.get(lane))
    after = walk.rules.profile.esof.application == "sc_post"
    ones = np.ones(len(g.at))
    columns: dict[str, Any] = {
        "stream": Coded(g.stream, walk.streams.names),
        "scan_id": g.scan_id,
        "ts_ms": g.ts_ms,
        "vel_div": g.inputs.vel_div,
        "w750": g.inputs.w750,
        "dc_status": g.inputs.dc_status,
        "params_hash": Coded.constant(params_hash, len(g.at)),
        lane: spoken.value,
        **dict(zip(COMPONENTS[lane], spoken.components, strict=True)),
        "esof_fanin": ones if after else spoken.value,
        "sc_mult": spoken.value if after else ones,
        **g.planes.seen(LANE_PLANES.get(lane, ())),
    }
    return Rows(np.array(walk.offsets, dtype=np.int64)[g.at], columns, np.empty(0, np.uint64))


class _Gathered:
    """The scans that a walk gathered, as columns, and what the lanes read of them."""

    def __init__(self, walk: Walk) -> None:
        n = len(walk.scans)
        self.at, self.stream, self.scan_id, self.ts_ms, vel_div, w750, dc, self.asset, self.reasons = (
            np.fromiter(column, dtype, n)
            for column, dtype in zip(zip(*walk.scans, strict=True) if n else _NO_SCANS, _DTYPES, strict=True)
        )
        self.planes = _Planes(walk, self.ts_ms)
        self.inputs = _inputs(_Scan(vel_div, w750, dc), self.planes, walk.rules.profile, walk.texts.names)
        self.foreign = {lane: np.array(values, dtype=np.float64) for lane, values in walk.foreign.items()}


def _score(
    walk: Walk,
    offsets: NDArray[np.int64],
    seen: Iterable[str],
    hear: Callable[[NDArray[np.int64]], Heard] | None,
    lap: Lap,
) -> _Scored:
    """Lanes and fan-in over the scans that a walk gathered."""
    profile = walk.rules.profile
    g = _Gathered(walk)
    at, stream, scan_id, ts_ms, asset, reasons = g.at, g.stream, g.scan_id, g.ts_ms, g.asset, g.reasons
    n, planes, inputs = len(at), g.planes, g.inputs
    heard = Heard({}, {}) if hear is None else hear(offsets[at])
    if hear is None:
        r = evaluate(inputs, profile, g.foreign, lap)
    else:
        r = compose(profile, heard.said, inputs.stalker, inputs.capital_usd)
    decided = reasons & _QUIET == 0
    reasons |= _reasons(inputs, r, planes, profile, walk.texts.names)
    columns: dict[str, Any] = {
        "stream": Coded(stream, walk.streams.names),
        "scan_id": scan_id,
        "ts_ms": planes.ts_ms,
        "asset": Coded(asset, walk.assets.names),
        "posture": Coded(planes.posture, walk.texts.names),
        "dc_status": inputs.dc_status,
        "reasons": reasons,
        "vel_div": inputs.vel_div,
        "w750": inputs.w750,
        "capital_usd": inputs.capital_usd,
        "fraction": np.full(n, profile.fanin.fraction),
        "params_hash": Coded.constant(profile.hash, n),
        **{name: getattr(r, name) for name in _READ},
        **planes.seen(seen),
    }
    sound = r.non_finite == 0
    faults = {}
    for i in np.flatnonzero(~sound).tolist():
        lane = _LANE_NAMES[r.non_finite[i]]
        known = ("scan", walk.streams.names[stream[i]], int(scan_id[i]), int(ts_ms[i]))
        code, detail = Reject.LANE_NON_FINITE, f"{lane} is not finite"
        if i in heard.faults:
            code, (lane, detail) = Reject.LANE_ERROR, heard.faults[i]
        faults[int(at[i])] = Fault(code, detail, *known, lane)
    return _Scored(rows(Outcome.DECISION, offsets[at], columns), decided, sound, faults, planes)


# Columns that are the readings' own.
_READ: Final = (
    "bound", "strength", "base", "dc", "acb_boost", "meta_boost", "mc_scale", "ob", "esof", "esof_fanin", "cap",
    "leverage_fanin", "sc_mult", "leverage", "notional_usd",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Scan:
    """What the lanes read of the scans themselves."""

    vel_div: Floats
    w750: Floats
    dc: NDArray[np.int8]


class _Planes:
    """The planes of a walk as columns, and of each scan the ones that it saw."""

    def __init__(self, walk: Walk, ts_ms: NDArray[np.int64]) -> None:
        n = len(walk.planes)
        columns = zip(*walk.planes, strict=True) if n else _NO_PLANES
        (
            self.at, self.stream, self.code, self.seq, self.at_ms, self.form, self.x, self.y, self.z, self.text,
        ) = (np.fromiter(column, dtype, n) for column, dtype in zip(columns, _PLANE_DTYPES, strict=True))  # fmt: skip
        places = np.fromiter(chain.from_iterable(walk.versions), np.int64, len(walk.versions) * len(READ))
        self._places = {name: places[i :: len(READ)] for i, name in enumerate(READ)}
        self.ts_ms = ts_ms
        self.posture: NDArray[np.int32] = self.of("posture", self.text)

    def of(self, name: str, column: NDArray[Any]) -> NDArray[Any]:
        """A column's values, of the plane that each scan saw."""
        taken: NDArray[Any] = column[self._places[name]]
        return taken

    def seen(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Columns of these planes as each scan saw them."""
        columns = {"form": self.form, "ts_ms": self.at_ms, "x": self.x, "y": self.y, "z": self.z}
        return {c: self.of(name, columns[what]) for name in names for c, what in seen_columns(name).items()}

    def forms(self, name: str) -> NDArray[np.int8]:
        """In which form the plane came."""
        return self.of(name, self.form)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Where the plane was never seen."""
        absent: NDArray[np.bool_] = self.forms(name) == PlaneForm.NEVER_SEEN
        return absent

    def ages_ms(self, name: str) -> NDArray[np.int64]:
        """Event-time ages; 0 where the plane was never seen."""
        ages: NDArray[np.int64] = np.where(self.missing(name), 0, self.ts_ms - self.of(name, self.at_ms))
        return ages

    def older(self, name: str, than_ms: int) -> NDArray[np.bool_]:
        """Where the plane was seen and its event-time age is over a bound."""
        return self.ages_ms(name) > than_ms


def _inputs(scan: _Scan, planes: _Planes, profile: Profile, texts: list[str]) -> Inputs:
    stalker = np.array([text == "STALKER" for text in texts])
    ob_inputs = planes.forms("ob") == PlaneForm.INPUTS
    return Inputs(
        vel_div=scan.vel_div,
        w750=scan.w750,
        dc_status=scan.dc,
        acb_form=planes.forms("acb"),
        acb_x=planes.of("acb", planes.x),
        meta_seen=~planes.missing("meta"),
        meta=planes.of("meta", planes.x),
        mc_seen=~planes.missing("mc"),
        mc=planes.of("mc", planes.x),
        ob_form=planes.forms("ob"),
        ob_mult=planes.of("ob", planes.x),
        ob_eff_imb=planes.of("ob", planes.x),
        ob_agree=planes.of("ob", planes.y),
        ob_n_assets=np.where(ob_inputs, planes.of("ob", planes.z), 0.0).astype(np.int64),
        esof_form=planes.forms("esof"),
        esof_x=planes.of("esof", planes.x),
        esof_age_ms=planes.ages_ms("esof"),
        stalker=stalker[planes.posture],
        capital_usd=np.where(
            planes.missing("capital"), profile.fanin.paper_capital_usd, planes.of("capital", planes.x)
        ),
    )


def _reasons(
    inputs: Inputs, readings: Readings, planes: _Planes, profile: Profile, texts: list[str]
) -> NDArray[np.uint64]:
    """Marks on the rows: missing, stale, unknown, out of range, lifted. Only of lanes that are on."""
    mask = np.zeros(len(inputs.vel_div), dtype=np.uint64)

    def mark(reason: Reason, where: NDArray[np.bool_]) -> None:
        mask[where] |= np.uint64(1 << reason)

    def presence(name: str, alert_ms: int, absent: NDArray[np.bool_] | None = None) -> None:
        mark(Reason[f"PLANE_MISSING_{name.upper()}"], planes.missing(name) if absent is None else absent)
        mark(Reason[f"PLANE_STALE_{name.upper()}"], planes.older(name, alert_ms))

    if profile.dc.enabled:
        mark(Reason.DC_UNKNOWN, inputs.dc_status == DcStatus.UNKNOWN)
    if profile.acb.enabled:
        presence("acb", profile.acb.alert_age_ms)
        derived = inputs.acb_form == PlaneForm.INPUTS
        presence("meta", profile.acb.alert_age_ms, planes.missing("meta") & ~derived)
        presence("mc", profile.acb.alert_age_ms)
        mark(Reason.ACB_OUT_OF_RANGE, readings.acb > ACB_MAX)
    if profile.ob.enabled:
        presence("ob", profile.ob.alert_age_ms)
        mark(Reason.OB_OUT_OF_RANGE, (readings.ob < profile.ob.down) | (readings.ob > profile.ob.up))
    if profile.esof.enabled:
        presence("esof", profile.esof.max_age_ms)
        low = np.where(inputs.esof_form == PlaneForm.INPUTS, -1.0, 0.0)
        mark(Reason.ESOF_OUT_OF_RANGE, (inputs.esof_x < low) | (inputs.esof_x > 1.0))
    if profile.fanin.stalker_cap is not None:
        presence("posture", profile.fanin.alert_age_ms)
        unknown = np.array([text not in ("", *profile.select.postures) for text in texts])
        mark(Reason.POSTURE_UNKNOWN, unknown[planes.posture])
    presence("capital", profile.fanin.alert_age_ms)
    mark(Reason.FLOOR_LIFTED, readings.floor_lifted)
    return mask


def _plane_rows(walk: Walk, planes: _Planes, offsets: NDArray[np.int64]) -> Rows:
    came = planes.at >= 0  # in this walk; the others were journaled when they came
    columns: dict[str, Any] = {
        "stream": Coded(planes.stream[came], walk.streams.names),
        "name": Coded(planes.code[came], list(FORMS)),
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
