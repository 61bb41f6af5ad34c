"""The step: (state, records) -> (state, outcomes), as columns. Pure but for the state that it advances.

What a walk gathered goes through the lanes and the fan-in as columns, and every record becomes exactly one row. Verify
and replay use the same functions. Source: SPEC sections 3 and 4.
"""

import hashlib
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from journal.row import RAW_MAX, Batch, Coded, Rows, rows
from lanes.code import DcStatus, Outcome, PlaneForm, Reason, Reject
from lanes.columns import Inputs, Readings, evaluate
from lanes.lane import LANES
from lanes.params import Profile
from reactor.log.port import Chunk
from reactor.record import FORMS, Decoder, Fault
from reactor.state import Known, State
from reactor.walk import CADENCE, DUP_SCAN, NO_ELIGIBLE_ASSET, NO_SIGNAL, Rules, Walk

Floats = NDArray[np.float64]

_QUIET: Final = np.uint64(DUP_SCAN | NO_SIGNAL | CADENCE | NO_ELIGIBLE_ASSET)
_KNOWN: Final = {name: i for i, name in enumerate(Known.__struct_fields__)}
_PLANE_CODES: Final = {name: code for code, name in enumerate(FORMS)}
_LANE_NAMES: Final = ("", *(lane.name for lane in LANES), "fanin")
# Types of a walk's scan rows, in their order.
_DTYPES: Final = (
    np.int64, np.int32, np.int64, np.int64, np.float64, np.float64, np.int8, np.int32, np.uint64, np.int64,
)  # fmt: skip
_NO_SCANS: Final = ((),) * len(_DTYPES)
_encode: Final = msgspec.json.Encoder().encode
ACB_MAX: Final = 4.0  # marked beyond; requirements section 9.2


def step(
    state: State, chunk: Chunk, rules: Rules, decoder: Decoder, *, topic: str, segment: int, expected: int
) -> Batch:
    """Outcomes of a chunk's records, the state advanced past them."""
    walk = Walk(state, rules, decoder)
    walk.take(chunk)
    return outcomes(walk, topic=topic, partition=chunk.partition, segment=segment, expected=expected)


def outcomes(walk: Walk, *, topic: str, partition: int, segment: int, expected: int) -> Batch:
    """The batch of everything that a walk gathered. Every record ends in exactly one row.

    expected: offset after the last batch; what lies between it and the first record was never delivered.
    """
    offsets = np.array(walk.offsets, dtype=np.int64)
    scored = _score(walk, offsets)
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
            Outcome.PLANE: _plane_rows(walk, offsets),
            Outcome.REJECT: _reject_rows(walk, offsets, faults),
        },
        state=walk.state.dump(),
        skipped=_gaps(expected, walk.offsets),
        unknown=walk.decoder.take_unknown(),
        last_ts_ms=int(scored.rows.columns["ts_ms"].max(initial=0)),  # type: ignore[union-attr]
        values=walk.values,
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


def _score(walk: Walk, offsets: NDArray[np.int64]) -> _Scored:
    """Lanes and fan-in over the scans that a walk gathered."""
    profile = walk.rules.profile
    n = len(walk.scans)
    at, stream, scan_id, ts_ms, vel_div, w750, dc, asset, reasons, version = (
        np.fromiter(column, dtype, n)
        for column, dtype in zip(zip(*walk.scans, strict=True) if n else _NO_SCANS, _DTYPES, strict=True)
    )
    planes = _Planes(walk, version, ts_ms)
    scan = _Scan(vel_div, w750, dc)
    inputs = _inputs(scan, planes, profile, walk.postures.names)
    foreign = {lane: np.array(values, dtype=np.float64) for lane, values in walk.foreign.items()}
    r = evaluate(inputs, profile, foreign)
    decided = reasons & _QUIET == 0
    reasons |= _reasons(inputs, r, planes, profile, walk.postures.names)
    columns: dict[str, Any] = {
        "stream": Coded(stream, walk.streams.names),
        "scan_id": scan_id,
        "ts_ms": planes.ts_ms,
        "asset": Coded(asset, walk.assets.names),
        "posture": Coded(planes.posture, walk.postures.names or [""]),
        "dc_status": inputs.dc_status,
        "reasons": reasons,
        "vel_div": inputs.vel_div,
        "w750": inputs.w750,
        "capital_usd": inputs.capital_usd,
        "fraction": np.full(n, profile.fanin.fraction),
        "params_hash": Coded(np.zeros(n, dtype=np.int32), [profile.hash]),
        **{name: getattr(r, name) for name in _READ},
    }
    sound = r.non_finite == 0
    faults = {}
    for i in np.flatnonzero(~sound).tolist():
        lane = _LANE_NAMES[r.non_finite[i]]
        known = ("scan", walk.streams.names[stream[i]], int(scan_id[i]), int(ts_ms[i]))
        faults[int(at[i])] = Fault(Reject.LANE_NON_FINITE, f"{lane} is not finite", *known, lane)
    return _Scored(rows(Outcome.DECISION, offsets[at], columns), decided, sound, faults)


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
    """Planes as of each scan, as columns, and their ages in event time."""

    def __init__(self, walk: Walk, version: NDArray[np.int64], ts_ms: NDArray[np.int64]) -> None:
        flat = np.fromiter(chain.from_iterable(walk.versions), np.float64, len(walk.versions) * len(_KNOWN))
        self._versions = flat.reshape(-1, len(_KNOWN))
        self._version, self.ts_ms = version, ts_ms
        self.posture = np.array(walk.version_postures, dtype=np.int32)[version]

    def __getitem__(self, name: str) -> Floats:
        taken: Floats = self._versions[:, _KNOWN[name]][self._version]
        return taken

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Where the plane was never seen."""
        return np.isnan(self[f"{name}_ts_ms"])

    def older(self, name: str, than_ms: int) -> NDArray[np.bool_]:
        """Where the plane was seen and its event-time age is over a bound."""
        return self.ts_ms - self[f"{name}_ts_ms"] > than_ms


def _inputs(scan: _Scan, planes: _Planes, profile: Profile, postures: list[str]) -> Inputs:
    capital, esof_ts = planes["capital"], planes["esof_ts_ms"]
    stalker = np.array([name == "STALKER" for name in postures] or [False])
    seen = ~np.isnan(esof_ts)
    return Inputs(
        vel_div=scan.vel_div,
        w750=scan.w750,
        dc_status=scan.dc,
        acb_form=planes["acb_form"].astype(np.int8),
        acb_x=planes["acb_x"],
        meta_seen=~planes.missing("meta"),
        meta=planes["meta"],
        mc_seen=~planes.missing("mc"),
        mc=planes["mc"],
        ob_form=planes["ob_form"].astype(np.int8),
        ob_mult=planes["ob_mult"],
        ob_eff_imb=planes["ob_eff_imb"],
        ob_agree=planes["ob_agree"],
        ob_n_assets=planes["ob_n_assets"].astype(np.int64),
        esof_form=planes["esof_form"].astype(np.int8),
        esof_x=planes["esof_x"],
        esof_age_ms=np.where(seen, planes.ts_ms - np.where(seen, esof_ts, 0.0), 0.0).astype(np.int64),
        stalker=stalker[planes.posture],
        capital_usd=np.where(np.isnan(capital), profile.fanin.paper_capital_usd, capital),
    )


def _reasons(
    inputs: Inputs, readings: Readings, planes: _Planes, profile: Profile, postures: list[str]
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
        unknown = np.array([p not in ("", *profile.select.postures) for p in postures] or [False])
        mark(Reason.POSTURE_UNKNOWN, unknown[planes.posture])
    presence("capital", profile.fanin.alert_age_ms)
    mark(Reason.FLOOR_LIFTED, readings.floor_lifted)
    return mask


def _plane_rows(walk: Walk, offsets: NDArray[np.int64]) -> Rows:
    planes = [plane for _, plane in walk.planes]
    streams = {name: code for code, name in enumerate({plane.stream: None for plane in planes})}
    columns: dict[str, Any] = {
        "stream": Coded(np.array([streams[p.stream] for p in planes], dtype=np.int32), list(streams)),
        "name": Coded(np.array([_PLANE_CODES[p.name] for p in planes], dtype=np.int32), list(_PLANE_CODES)),
        "seq": np.array([p.seq for p in planes], dtype=np.int64),
        "ts_ms": np.array([p.ts_ms for p in planes], dtype=np.int64),
        "value": [_encode(p.value) for p in planes],
    }
    return rows(Outcome.PLANE, offsets[np.array([at for at, _ in walk.planes], dtype=np.int64)], columns)


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
