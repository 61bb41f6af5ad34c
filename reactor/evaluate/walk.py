"""The walk: records in offset order become columns, while the planes move the state.

A walk takes chunks as they come, so that each record is decoded while it is warm, and keeps one tuple of a scan.
`step.outcomes` lets the lanes run over what it gathered, a batch or a part of one. See docs/design/records.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lanes.code import DcStatus, Reason, Reject
from lanes.profile import Profile
from lanes.registry import MORE, PLANES
from reactor.evaluate.answer import Foreign, ask
from reactor.evaluate.asset import eligible
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import (
    MAX_BYTES,
    UNREADABLE,
    BadRecord,
    Clean,
    Decoder,
    Fault,
    Formed,
    Plane,
    Record,
    Scan,
    decode_clean,
    form_of,
)
from reactor.evaluate.state import READ, State, StreamState

_WARM: Final = 64  # records decoded before they are gathered: few enough to be still in the cache
_WARM_BYTES: Final = 4 << 20  # of them: decoded they take six times as much, and records may be 900 kB each
# (position, stream code, scan_id, ts_ms, vel_div, w750, dc code, asset code, reasons)
ScanRow = tuple[int, int, int, int, float, float, int, int, int]
# (position, stream code, plane code, seq, ts_ms, form, x, y, z, text code)
PlaneRow = tuple[int, int, int, int, int, int, float, float, float, int]

_DC: Final[dict[str | None, int]] = {None: 0} | {s.name: s.value for s in DcStatus if s is not DcStatus.UNKNOWN}
_UNKNOWN_DC: Final = DcStatus.UNKNOWN.value
_NAN: Final = float("nan")
PLANE_CODES: Final = {name: code for code, name in enumerate(PLANES)}  # those of READ first, in its order
# Plain integers: an enum's shift would be a tenth of the walk.
DUP_SCAN: Final = 1 << Reason.DUP_SCAN
NO_SIGNAL: Final = 1 << Reason.NO_SIGNAL
CADENCE: Final = 1 << Reason.CADENCE
NO_ELIGIBLE_ASSET: Final = 1 << Reason.NO_ELIGIBLE_ASSET
# What our own stand-ins write into the context of each of their scans, and what they stand in for.
STANDIN_MARKS: Final = {("scanner", "stand-in"): "scanner", ("enriched", "stand-in"): "enrichment"}
_OUT_OF_ORDER: Final = 1 << Reason.OUT_OF_ORDER
_SYMBOL_DROPPED: Final = 1 << Reason.SYMBOL_DROPPED


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides, fixed for a segment: the profile, and kernels that take a lane's place."""

    profile: Profile
    kernels: Mapping[str, Foreign] = field(default_factory=dict)

    @property
    def planes(self) -> dict[str, int]:
        """Planes that there are, by name, with their codes: those that only lanes which are off read are not."""
        off = {name for lane in MORE if not self.profile.of(lane.name).enabled for name in lane.plane_names}
        used = {name for lane in self.profile.lanes for name in lane.plane_names}
        return {name: code for name, code in PLANE_CODES.items() if name not in off or name in used}


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
    """What was gathered of one partition. Positions count its records from 0.

    planes: every plane that a scan may have read, in order; those held before the walk stand at position -1. A scan
    points at those that it saw by their places here, in the order of state.READ.
    """

    def __init__(self, state: State, rules: Rules, decoder: Decoder) -> None:
        self.state, self.rules, self.decoder = state, rules, decoder
        self.size = 0  # bytes of its records
        self.offsets: list[int] = []
        self.values: list[bytes | None] = []
        self.cut: dict[int, tuple[int, str]] = {}
        self.epoch = -1
        self.from_log = True  # not from stored columns
        self.scans: list[ScanRow] = []
        self.versions: list[tuple[int, ...]] = []
        self.planes: list[PlaneRow] = []
        self.faults: dict[int, Fault] = {}
        # A lane that is off is 1.0 whoever stands in it, so nobody is asked, and nobody can fail.
        on = (lane.name for lane in rules.profile.lanes if rules.profile.of(lane.name).enabled)
        self._kernels = {name: rules.kernels[name] for name in on if name in rules.kernels}
        self.foreign: dict[str, list[float]] = {lane: [] for lane in self._kernels}
        self.streams, self.assets, self.texts = Names(), Names(""), Names("")
        self.standins: set[str] = set()
        self._entered: dict[str, StreamState] = {}
        self._codes = decoder.planes = rules.planes
        self._excluded = frozenset(rules.profile.select.excluded)
        self._thr = rules.profile.base.thr

    def __len__(self) -> int:
        return len(self.offsets)

    def take(self, chunk: Chunk) -> None:
        """Decode records and move the state past them."""
        first, values = len(self.offsets), chunk.values
        self.offsets += chunk.offsets
        self.values += values
        self.size += chunk.size
        self.cut |= chunk.cut
        self.epoch, self.from_log = chunk.epoch, not chunk.typed
        longest = max(map(len, filter(None, values)), default=0)
        clean: Callable[[Any], Record] = self.decoder.decode if longest > MAX_BYTES else decode_clean
        warm = max(1, min(_WARM, _WARM_BYTES // max(1, longest)))
        for start in range(0, len(values), warm):
            some = slice(start, start + warm)
            records = self._decoded(values[some], clean) if not chunk.typed else self._typed(chunk, some)
            if chunk.cut:
                for at in range(len(records)):
                    if chunk.offsets[start + at] in chunk.cut:
                        records[at] = self._too_large(first + start + at)
            self._gather(records, first + start)

    def _typed(self, chunk: Chunk, some: slice) -> list[Record]:
        """Records that are typed already; the bytes among them are decoded."""
        both = zip(chunk.offsets[some], chunk.values[some], strict=True)
        return [chunk.typed.get(offset) or self.decoder.decode(value) for offset, value in both]

    def _decoded(self, values: list[bytes | None], clean: Callable[[Any], Record]) -> list[Record]:
        """The records of these bytes. What is not clean, the decoder takes one by one, and names what is wrong."""
        records: list[Record] = []
        rest = iter(values)
        while len(records) < len(values):
            try:
                records.extend(map(clean, rest))  # up to the first that raises
            except (*UNREADABLE, TypeError):  # of no bytes, a tombstone, a TypeError
                records.append(self.decoder.decode(values[len(records)]))
        return records

    # Long since it is one loop over every record: a call for each record would be a large part of its time.
    def _gather(self, records: list[Any], first: int) -> None:
        """Move the state past records, and keep what the step needs of each. One loop: a call a record would show.

        records: of type Record; mypy does not narrow by exact type.
        """
        entered, versions, scans, planes = self._entered, self.versions, self.scans, self.planes
        symbols, codes, thr, foreign = self.decoder.symbols, self._codes, self._thr, bool(self.foreign)
        for at, record in enumerate(records, first):
            kind = type(record)
            if kind is Fault:
                self.faults[at] = record
                continue
            stream = entered.get(record.stream)
            if kind is Plane:
                formed, code = form_of(record), codes.get(record.name)
                if stream is None or formed is None or code is None:
                    formed = self._form(at, record)
                    if formed is None:
                        continue
                    stream = stream or self._enter(record.stream)
                    code = codes[record.name]
                form, x, y, z, text = formed
                ts_ms = record.ts_ms
                if code < len(READ):
                    stream.planes[code], stream.at[code] = (form, x, y, z, ts_ms, text), len(planes)
                    stream.version = None
                else:
                    stream.decide, stream.scans = int(x), 0
                text_code = self.texts.code(text) if text else 0
                planes.append((at, stream.code, code, record.seq, ts_ms, form, x, y, z, text_code))
                continue
            prices, irp, vel_div, ts_ms, asset = record.prices, record.irp, record.vel_div, record.ts_ms, 0
            if stream is None or not symbols.issuperset(prices) or (irp and not symbols.issuperset(irp)):
                if not self._sound(at, record):
                    continue
                stream = stream or self._enter(record.stream)
            if foreign:
                self._foreign(at, record, stream)
            if stream.repeat(record.scan_id, ts_ms):
                reasons = DUP_SCAN
            else:
                stream.scans += 1  # the cadence counts scans that are not repeats
                if not vel_div < thr:
                    reasons = NO_SIGNAL
                elif stream.scans % stream.decide:
                    reasons = CADENCE
                else:
                    symbol = eligible(record, self.rules.profile.select, self._excluded)
                    reasons = 0 if symbol is not None else NO_ELIGIBLE_ASSET
                    asset = self.assets.code(symbol or "")
            if ts_ms < stream.last_ts_ms:
                reasons |= _OUT_OF_ORDER
            stream.last_ts_ms = ts_ms
            if kind is not Clean and min(prices.values()) <= 0.0:
                reasons |= _SYMBOL_DROPPED
            version = stream.version
            if version is None:
                version = stream.version = tuple(stream.at)
            versions.append(version)
            if record.context is not None and "stand-in" in record.context.values():
                self.standins |= {what for mark, what in STANDIN_MARKS.items() if mark in record.context.items()}
            w750 = record.w750
            scans.append((
                at, stream.code, record.scan_id, ts_ms, vel_div, _NAN if w750 is None else w750,
                _DC.get(record.dc_status, _UNKNOWN_DC), asset, reasons,
            ))  # fmt: skip

    def _sound(self, at: int, record: Scan | Plane) -> bool:
        """Whether a record's names are well-formed; they are known from now on. Else its fault is noted."""
        try:
            self.decoder.check(record)
        except BadRecord:
            self.faults[at] = self.decoder.decode(self.values[at])  # type: ignore[assignment]  # it fails there too
            return False
        return True

    def _form(self, at: int, plane: Plane) -> Formed | None:
        """The form of a plane that wants all the decoder's care; None where it is a fault, which is noted."""
        formed = form_of(plane)
        if formed is not None and plane.name in self._codes:
            return formed if self._sound(at, plane) else None
        found = self.decoder.decode(self.values[at]) if self.values[at] is not None else self._unknown(plane)
        if isinstance(found, Fault):
            self.faults[at] = found
            return None
        return form_of(found)  # type: ignore[arg-type]  # a scan does not come of a plane

    def _unknown(self, plane: Plane) -> Fault:
        """A stored plane that only lanes read which are off now."""
        detail = f"no plane {plane.name!r}; known: {', '.join(self._codes)}"
        return Fault(Reject.PLANE_NAME, detail, "plane", plane.stream, ts_ms=plane.ts_ms)

    def _enter(self, name: str) -> StreamState:
        """A stream that this walk meets for the first time: what it held so far comes along."""
        stream = self._entered[name] = self.state.stream(name)
        stream.code, stream.version, first = self.streams.code(name), None, len(self.planes)
        stream.at = list(range(first, first + len(READ)))
        for plane, (form, x, y, z, ts_ms, text) in enumerate(stream.planes):
            self.planes.append((-1, stream.code, plane, 0, ts_ms, form, x, y, z, self.texts.code(text)))
        return stream

    def _foreign(self, at: int, scan: Scan, stream: StreamState) -> None:
        for lane, kernel in self._kernels.items():
            value = ask(lane, kernel, scan, stream.lane_planes(lane))
            if isinstance(value, str):
                known = ("scan", scan.stream, scan.scan_id, scan.ts_ms)
                # Of several lanes that fail the first in the order of LANES is named, as where each is a worker.
                self.faults.setdefault(at, Fault(Reject.LANE_ERROR, value, *known, lane))
                value = _NAN
            self.foreign[lane].append(value)

    def _too_large(self, at: int) -> Fault:
        length = self.cut[self.offsets[at]][0]
        known = f"{length} bytes" if length > MAX_BYTES else "cut, and its headers do not say of what"
        return Fault(Reject.TOO_LARGE, f"{known}; at most {MAX_BYTES}")
