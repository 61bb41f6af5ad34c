"""The walk: records in offset order become columns, while the planes move the state.

A walk takes chunks as they come, so that each record is decoded while it is warm, and keeps one tuple of a scan. What
it gathered is one batch; `step.outcomes` lets the lanes run over it. Source: SPEC sections 2 to 4.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Final

from lanes.code import DcStatus, Reason, Reject
from lanes.params import Profile
from reactor import select
from reactor.log.port import Chunk
from reactor.record import FORMS, MAX_BYTES, Decoder, Fault, Plane, Record, Scan, decode_typed, form_of, is_flat
from reactor.state import READ, State, StreamState

Foreign = Callable[[Scan, Mapping[str, Mapping[str, Any] | None]], float]
# (position, stream code, scan_id, ts_ms, vel_div, w750, dc code, asset code, reasons)
ScanRow = tuple[int, int, int, int, float, float, int, int, int]
# (position, stream code, plane code, seq, ts_ms, form, x, y, z, text code)
PlaneRow = tuple[int, int, int, int, int, int, float, float, float, int]

_DC: Final[dict[str | None, int]] = {None: 0} | {s.name: s.value for s in DcStatus if s is not DcStatus.UNKNOWN}
_UNKNOWN_DC: Final = DcStatus.UNKNOWN.value
_NAN: Final = float("nan")
PLANE_CODES: Final = {name: code for code, name in enumerate(FORMS)}  # those of READ first, in its order
# Plain integers: an enum's shift would be a tenth of the walk.
DUP_SCAN: Final = 1 << Reason.DUP_SCAN
NO_SIGNAL: Final = 1 << Reason.NO_SIGNAL
CADENCE: Final = 1 << Reason.CADENCE
NO_ELIGIBLE_ASSET: Final = 1 << Reason.NO_ELIGIBLE_ASSET
_OUT_OF_ORDER: Final = 1 << Reason.OUT_OF_ORDER
_SYMBOL_DROPPED: Final = 1 << Reason.SYMBOL_DROPPED


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides, fixed for a segment: the profile, and kernels that take a lane's place."""

    profile: Profile
    kernels: Mapping[str, Foreign] = field(default_factory=dict)


class Names:
    """Strings of a batch as codes."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self._codes = {name: code for code, name in enumerate(names)}

    def code(self, name: str) -> int:
        """The name's code; a new name gets the next."""
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code


class Walk:
    """What was gathered of one partition since the last batch. Positions count its records from 0.

    planes: every plane that a scan may have read, in order; those held before the walk stand at position -1. A scan
    points at the seven that it saw by their places here, in the order of state.READ.
    """

    def __init__(self, state: State, rules: Rules, decoder: Decoder) -> None:
        self.state, self.rules, self.decoder = state, rules, decoder
        self.offsets: list[int] = []
        self.values: list[bytes | None] = []
        self.cut: dict[int, tuple[int, str]] = {}
        self.scans: list[ScanRow] = []
        self.versions: list[tuple[int, ...]] = []
        self.planes: list[PlaneRow] = []
        self.faults: dict[int, Fault] = {}
        # A lane that is off is 1.0 whoever stands in it, so nobody is asked, and nobody can fail.
        self._kernels = {n: k for n, k in rules.kernels.items() if getattr(rules.profile, n).enabled}
        self.foreign: dict[str, list[float]] = {lane: [] for lane in self._kernels}
        self.streams, self.assets, self.texts = Names(), Names(""), Names("")
        self._entered: dict[str, StreamState] = {}
        self._excluded = frozenset(rules.profile.select.excluded)
        self._thr = rules.profile.base.thr

    def __len__(self) -> int:
        return len(self.offsets)

    def take(self, chunk: Chunk) -> None:
        """Decode records and move the state past them."""
        first = len(self.offsets)
        self.offsets += chunk.offsets
        self.values += chunk.values
        self.cut |= chunk.cut
        scan, plane, cut = self._scan, self._plane, chunk.cut
        typed, check, slow = decode_typed, self.decoder.check, self.decoder.slow
        streams, symbols = self.decoder.streams, self.decoder.symbols
        for at, raw in enumerate(chunk.values, first):
            record: Record
            try:
                if len(raw) > MAX_BYTES:  # type: ignore[arg-type]  # a tombstone raises
                    record = slow(raw)
                else:
                    record = typed(raw)  # type: ignore[arg-type]
                    if not (  # a scan of known names with at most a flat context needs no further look
                        type(record) is Scan
                        and record.stream in streams
                        and symbols.issuperset(record.prices)
                        and symbols.issuperset(record.irp or ())
                        and (not (context := record.context) or is_flat(context))
                    ) and not (type(record) is Plane and record.stream in streams):
                        record = check(record, raw)  # type: ignore[arg-type]
            except Exception:  # noqa: BLE001 - the decoder is total: `slow` names whatever it was
                record = slow(raw)
            if cut and self.offsets[at] in cut:
                record = self._too_large(at)
            if type(record) is Scan:
                scan(at, record)
            elif type(record) is Plane:
                plane(at, record)
            else:
                self.faults[at] = record  # type: ignore[assignment]  # mypy does not narrow by exact type

    def _enter(self, name: str) -> StreamState:
        """A stream that this walk meets for the first time: what it held so far comes along."""
        stream = self._entered[name] = self.state.stream(name)
        stream.code, stream.version, first = self.streams.code(name), None, len(self.planes)
        stream.at = list(range(first, first + len(READ)))
        for plane, (form, x, y, z, ts_ms, text) in enumerate(stream.planes):
            self.planes.append((-1, stream.code, plane, 0, ts_ms, form, x, y, z, self.texts.code(text)))
        return stream

    def _plane(self, at: int, plane: Plane) -> None:
        """Take a plane's value. The last by offset holds, whatever its seq or ts_ms."""
        formed = form_of(plane)
        if formed is None:
            record = self.decoder.slow(self.values[at])
            if not isinstance(record, Plane):
                self.faults[at] = record  # type: ignore[assignment]  # a scan does not come of a plane
                return
            plane = record
            formed = form_of(plane)
        form, x, y, z, text = formed  # type: ignore[misc]  # what `slow` gives is exactly one form
        stream, code, ts_ms = (
            self._entered.get(plane.stream) or self._enter(plane.stream),
            PLANE_CODES[plane.name],
            plane.ts_ms,
        )
        if code < len(READ):
            stream.planes[code], stream.at[code], stream.version = (form, x, y, z, ts_ms, text), len(self.planes), None
        else:
            stream.decide, stream.scans = int(x), 0
        text_code = self.texts.code(text) if text else 0
        self.planes.append((at, stream.code, code, plane.seq, ts_ms, form, x, y, z, text_code))

    def _scan(self, at: int, scan: Scan) -> None:
        stream = self._entered.get(scan.stream) or self._enter(scan.stream)
        vel_div, ts_ms, asset = scan.vel_div, scan.ts_ms, 0
        if self.foreign:
            self._foreign(at, scan, stream)
        if stream.repeat(scan.scan_id, ts_ms):
            reasons = DUP_SCAN
        else:
            stream.scans += 1  # the cadence counts scans that are not repeats
            if not vel_div < self._thr:
                reasons = NO_SIGNAL
            elif stream.scans % stream.decide:
                reasons = CADENCE
            else:
                symbol = select.asset(scan, self.rules.profile.select, self._excluded)
                reasons = 0 if symbol is not None else NO_ELIGIBLE_ASSET
                asset = self.assets.code(symbol or "")
        if ts_ms < stream.last_ts_ms:
            reasons |= _OUT_OF_ORDER
        stream.last_ts_ms = ts_ms
        if min(scan.prices.values()) <= 0.0:
            reasons |= _SYMBOL_DROPPED
        version = stream.version
        if version is None:
            version = stream.version = tuple(stream.at)
        self.versions.append(version)
        w750 = scan.w750
        self.scans.append((
            at, stream.code, scan.scan_id, ts_ms, vel_div, _NAN if w750 is None else w750,
            _DC.get(scan.dc_status, _UNKNOWN_DC), asset, reasons,
        ))  # fmt: skip

    def _foreign(self, at: int, scan: Scan, stream: StreamState) -> None:
        for lane, kernel in self._kernels.items():
            try:
                value = _real(kernel(scan, stream.lane_planes(lane)))
            except Exception as error:  # noqa: BLE001 - a foreign kernel's fault is a reject, never a stall
                detail = f"{type(error).__name__}: {error}"[:200]
                known = ("scan", scan.stream, scan.scan_id, scan.ts_ms)
                self.faults[at] = Fault(Reject.LANE_ERROR, detail, *known, lane)
                value = _NAN
            self.foreign[lane].append(value)

    def _too_large(self, at: int) -> Fault:
        return Fault(Reject.TOO_LARGE, f"{self.cut[self.offsets[at]][0]} bytes; at most {MAX_BYTES}")


def _real(value: object) -> float:
    """A kernel's answer; float() alone would take text."""
    if not isinstance(value, Real):
        raise TypeError(f"must return a float, was {type(value).__name__}")
    return float(value)
