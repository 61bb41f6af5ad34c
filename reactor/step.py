"""The step: (state, records) -> (state, outcomes), as columns. Pure but for the state that it advances.

Walks the records once in offset order (planes change the state, scans become rows of columns), then lets the lanes and
the fan-in run over the columns. Verify and replay use this same function.
Source: SPEC sections 3 and 4.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from journal.row import RAW_MAX, Batch, Coded, Rows, rows
from lanes.code import DcStatus, Outcome, PlaneForm, Reason, Reject
from lanes.columns import Inputs, Readings, evaluate
from lanes.lane import LANES
from lanes.params import Profile
from reactor import select
from reactor.log.port import Chunk
from reactor.record import MAX_BYTES, Decoder, Fault, Plane, Scan
from reactor.state import Known, State, StreamState

Foreign = Callable[[Scan, Mapping[str, Mapping[str, Any] | None]], float]
Floats = NDArray[np.float64]

_DC: Final = {None: 0} | {status.name: int(status) for status in DcStatus if status is not DcStatus.UNKNOWN}
_KNOWN_FIELDS: Final = {name: i for i, name in enumerate(Known.__struct_fields__)}
_POSTURE: Final = len(_KNOWN_FIELDS)  # column of the posture's code behind the known planes
# Plain integers: an enum's shift would be a tenth of the walk.
_DUP_SCAN: Final = 1 << Reason.DUP_SCAN
_NO_SIGNAL: Final = 1 << Reason.NO_SIGNAL
_CADENCE: Final = 1 << Reason.CADENCE
_NO_ELIGIBLE_ASSET: Final = 1 << Reason.NO_ELIGIBLE_ASSET
_OUT_OF_ORDER: Final = 1 << Reason.OUT_OF_ORDER
_SYMBOL_DROPPED: Final = 1 << Reason.SYMBOL_DROPPED
_QUIET: Final = _DUP_SCAN | _NO_SIGNAL | _CADENCE | _NO_ELIGIBLE_ASSET
_UNKNOWN_DC: Final = int(DcStatus.UNKNOWN)
_LANE_NAMES: Final = ("", *(lane.name for lane in LANES), "fanin")
_encode: Final = msgspec.json.Encoder().encode
_NAN: Final = float("nan")
ACB_MAX: Final = 4.0  # marked beyond; requirements section 9.2


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides, fixed for a segment: the profile, and kernels that take a lane's place."""

    profile: Profile
    kernels: Mapping[str, Foreign] = field(default_factory=dict)


@dataclass(slots=True)
class _Scans:
    """Columns of the scans of a batch while they are gathered."""

    at: list[int] = field(default_factory=list)  # position in the chunk
    stream: list[int] = field(default_factory=list)
    scan_id: list[int] = field(default_factory=list)
    ts_ms: list[int] = field(default_factory=list)
    vel_div: list[float] = field(default_factory=list)
    w750: list[float] = field(default_factory=list)
    dc: list[int] = field(default_factory=list)
    asset: list[int] = field(default_factory=list)
    reasons: list[int] = field(default_factory=list)
    version: list[int] = field(default_factory=list)
    foreign: dict[str, list[float]] = field(default_factory=dict)


class _Names:
    """Strings of a batch as codes."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, name: str) -> int:
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code


def step(
    state: State, chunk: Chunk, rules: Rules, decoder: Decoder, *, topic: str, segment: int, expected: int
) -> Batch:
    """Outcomes of a chunk's records, the state advanced past them. Every record ends in exactly one row.

    expected: offset after the last batch; what lies between it and the chunk was never delivered.
    """
    walk = _Walk(state, rules)
    walk.run(chunk, decoder)
    scored = walk.scored()
    scored.rows.offsets = np.array(chunk.offsets, dtype=np.int64)[scored.rows.offsets]
    faults = scored.faults | walk.faults
    decided = scored.decided
    return Batch(
        topic=topic,
        partition=chunk.partition,
        segment=segment,
        first=chunk.offsets[0],
        last=chunk.offsets[-1],
        rows={
            Outcome.DECISION: scored.rows.take(np.flatnonzero(decided & scored.sound)),
            Outcome.EVALUATION: scored.rows.take(np.flatnonzero(~decided & scored.sound)),
            Outcome.PLANE: _plane_rows(chunk, walk.planes),
            Outcome.REJECT: _reject_rows(chunk, faults),
        },
        state=state.dump(),
        skipped=_gaps(expected, chunk.offsets),
        unknown=decoder.take_unknown(),
        last_ts_ms=max(walk.scans.ts_ms, default=0),
        values=chunk.values,
    )


def advance(state: State, chunk: Chunk, rules: Rules, decoder: Decoder) -> None:
    """Move the state past records without outcomes: how a run that starts late gets warm."""
    _Walk(state, rules).run(chunk, decoder)


@dataclass(slots=True)
class _Scored:
    rows: Rows
    decided: NDArray[np.bool_]
    sound: NDArray[np.bool_]
    faults: dict[int, Fault]


class _Walk:
    """One pass over the records of a batch."""

    def __init__(self, state: State, rules: Rules) -> None:
        self.state, self.rules = state, rules
        self.scans = _Scans(foreign={lane: [] for lane in rules.kernels})
        self.planes: list[tuple[int, Plane]] = []
        self.faults: dict[int, Fault] = {}
        self.versions: list[tuple[float, ...]] = []
        self.streams, self.assets, self.postures = _Names(), _Names(), _Names()
        self.assets.code("")
        self.excluded = frozenset(rules.profile.select.excluded)
        for stream in state.streams.values():
            stream.dirty = True

    def run(self, chunk: Chunk, decoder: Decoder) -> None:
        """Decode and dispatch every record."""
        decode, stream_of, scan, planes = decoder.decode, self.state.stream, self._scan, self.planes
        cut, offsets = chunk.cut, chunk.offsets
        for at, raw in enumerate(chunk.values):
            if cut and offsets[at] in cut:
                self.faults[at] = Fault(Reject.TOO_LARGE, f"{cut[offsets[at]][0]} bytes; at most {MAX_BYTES}")
                continue
            record = decode(raw)
            if type(record) is Scan:
                scan(at, record, stream_of(record.stream))
            elif type(record) is Plane:
                stream_of(record.stream).apply(record)
                planes.append((at, record))
            else:
                self.faults[at] = record  # type: ignore[assignment]

    def _scan(self, at: int, scan: Scan, stream: StreamState) -> None:
        params, out = self.rules.profile, self.scans
        vel_div, ts_ms, symbol = scan.vel_div, scan.ts_ms, None
        if self.rules.kernels:
            self._foreign(at, scan, stream)
        if stream.repeat(scan.scan_id, ts_ms):
            reasons = _DUP_SCAN
        else:
            may_decide = stream.may_decide()
            if not vel_div < params.base.thr:
                reasons = _NO_SIGNAL
            elif not may_decide:
                reasons = _CADENCE
            else:
                symbol = select.asset(scan, params.select, self.excluded)
                reasons = 0 if symbol is not None else _NO_ELIGIBLE_ASSET
        if ts_ms < stream.last_ts_ms:
            reasons |= _OUT_OF_ORDER
        stream.last_ts_ms = ts_ms
        if min(scan.prices.values()) <= 0.0:
            reasons |= _SYMBOL_DROPPED
        if stream.dirty:
            posture = float(self.postures.code(stream.posture))
            self.versions.append((*msgspec.structs.astuple(stream.known), posture))
            stream.version, stream.dirty = len(self.versions) - 1, False
        out.at.append(at)
        out.stream.append(self.streams.code(scan.stream))
        out.scan_id.append(scan.scan_id)
        out.ts_ms.append(ts_ms)
        out.vel_div.append(vel_div)
        out.w750.append(_NAN if scan.w750 is None else scan.w750)
        out.dc.append(_DC.get(scan.dc_status, _UNKNOWN_DC))
        out.asset.append(0 if symbol is None else self.assets.code(symbol))
        out.reasons.append(reasons)
        out.version.append(stream.version)

    def _foreign(self, at: int, scan: Scan, stream: StreamState) -> None:
        for lane, kernel in self.rules.kernels.items():
            try:
                value = _real(kernel(scan, stream.planes(lane)))
            except Exception as error:  # a foreign kernel's fault is a reject with the lane's name, never a stall
                detail = f"{type(error).__name__}: {error}"[:200]
                known = ("scan", scan.stream, scan.scan_id, scan.ts_ms)
                self.faults[at] = Fault(Reject.LANE_ERROR, detail, *known, lane)
                value = _NAN
            self.scans.foreign[lane].append(value)

    def scored(self) -> _Scored:
        """Lanes and fan-in over the gathered columns."""
        scans, profile = self.scans, self.rules.profile
        width = _POSTURE + 1
        versions = np.array(self.versions or np.empty((0, width)), dtype=np.float64).reshape(-1, width)
        version = np.array(scans.version, dtype=np.int64)
        planes = _Planes(versions, version, np.array(scans.ts_ms, dtype=np.int64))
        inputs = _inputs(scans, planes, profile, self.postures.names)
        foreign = {lane: np.array(values, dtype=np.float64) for lane, values in scans.foreign.items()}
        readings = evaluate(inputs, profile, foreign)
        reasons = np.array(scans.reasons, dtype=np.uint64)
        decided = reasons & np.uint64(_QUIET) == 0
        reasons |= _reasons(inputs, readings, planes, profile, self.postures.names)
        columns = self._columns(inputs, readings, planes, reasons)
        sound = readings.non_finite == 0
        faults = {}
        for i in np.flatnonzero(~sound).tolist():
            lane = _LANE_NAMES[readings.non_finite[i]]
            known = ("scan", self.streams.names[scans.stream[i]], scans.scan_id[i], scans.ts_ms[i])
            faults[scans.at[i]] = Fault(Reject.LANE_NON_FINITE, f"{lane} is not finite", *known, lane)
        at = np.array(scans.at, dtype=np.int64)
        return _Scored(rows(Outcome.DECISION, at, columns), decided, sound, faults)

    def _columns(
        self, inputs: Inputs, r: Readings, planes: "_Planes", reasons: NDArray[np.uint64]
    ) -> dict[str, Any]:
        scans, profile, n = self.scans, self.rules.profile, len(self.scans.at)
        return {
            "stream": Coded(np.array(scans.stream, dtype=np.int32), self.streams.names),
            "scan_id": np.array(scans.scan_id, dtype=np.int64),
            "ts_ms": planes.ts_ms,
            "asset": Coded(np.array(scans.asset, dtype=np.int32), self.assets.names),
            "posture": Coded(planes.posture, self.postures.names or [""]),
            "dc_status": inputs.dc_status,
            "bound": r.bound,
            "reasons": reasons,
            "vel_div": inputs.vel_div,
            "w750": inputs.w750,
            "strength": r.strength,
            "base": r.base,
            "dc": r.dc,
            "acb_boost": r.acb_boost,
            "meta_boost": r.meta_boost,
            "mc_scale": r.mc_scale,
            "ob": r.ob,
            "esof": r.esof,
            "esof_fanin": r.esof_fanin,
            "cap": r.cap,
            "leverage_fanin": r.leverage_fanin,
            "sc_mult": r.sc_mult,
            "leverage": r.leverage,
            "fraction": np.full(n, profile.fanin.fraction),
            "capital_usd": inputs.capital_usd,
            "notional_usd": r.notional_usd,
            "params_hash": Coded(np.zeros(n, dtype=np.int32), [profile.hash]),
        }


class _Planes:
    """Planes as of each scan, as columns, and their ages in event time."""

    def __init__(self, versions: Floats, version: NDArray[np.int64], ts_ms: NDArray[np.int64]) -> None:
        self._versions, self._version, self.ts_ms = versions, version, ts_ms
        self.posture = versions[:, _POSTURE].astype(np.int32)[version]

    def __getitem__(self, name: str) -> Floats:
        taken: Floats = self._versions[:, _KNOWN_FIELDS[name]][self._version]
        return taken

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Where the plane was never seen."""
        return np.isnan(self[f"{name}_ts_ms"])

    def older(self, name: str, than_ms: int) -> NDArray[np.bool_]:
        """Where the plane was seen and its event-time age is over a bound."""
        return self.ts_ms - self[f"{name}_ts_ms"] > than_ms


def _inputs(scans: _Scans, planes: _Planes, profile: Profile, postures: list[str]) -> Inputs:
    capital, esof_ts = planes["capital"], planes["esof_ts_ms"]
    stalker = np.array([name == "STALKER" for name in postures] or [False])
    seen = ~np.isnan(esof_ts)
    return Inputs(
        vel_div=np.array(scans.vel_div, dtype=np.float64),
        w750=np.array(scans.w750, dtype=np.float64),
        dc_status=np.array(scans.dc, dtype=np.int8),
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


def _real(value: object) -> float:
    """A kernel's answer; float() alone would take text."""
    if not isinstance(value, Real):
        raise TypeError(f"must return a float, was {type(value).__name__}")
    return float(value)


def _plane_rows(chunk: Chunk, planes: list[tuple[int, Plane]]) -> Rows:
    streams, names = _Names(), _Names()
    columns: dict[str, Any] = {
        "stream": Coded(np.array([streams.code(p.stream) for _, p in planes], dtype=np.int32), streams.names),
        "name": Coded(np.array([names.code(p.name) for _, p in planes], dtype=np.int32), names.names),
        "seq": np.array([p.seq for _, p in planes], dtype=np.int64),
        "ts_ms": np.array([p.ts_ms for _, p in planes], dtype=np.int64),
        "value": [_encode(p.value).decode() for _, p in planes],
    }
    return rows(Outcome.PLANE, np.array([chunk.offsets[at] for at, _ in planes], dtype=np.int64), columns)


def _reject_rows(chunk: Chunk, faults: dict[int, Fault]) -> Rows:
    ordered = sorted(faults.items())
    raws = [chunk.values[at] or b"" for at, _ in ordered]
    cut = [chunk.cut.get(chunk.offsets[at]) for at, _ in ordered]
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
    return rows(Outcome.REJECT, np.array([chunk.offsets[at] for at, _ in ordered], dtype=np.int64), columns)


def _gaps(expected: int, offsets: list[int]) -> list[tuple[int, int]]:
    """Ranges from `expected` on that the broker never delivered: control, aborted or compacted records."""
    if offsets[-1] - expected == len(offsets) - 1:
        return []
    array = np.array([expected - 1, *offsets], dtype=np.int64)
    at = np.flatnonzero(np.diff(array) > 1)
    return [(int(array[i]) + 1, int(array[i + 1]) - 1) for i in at]
