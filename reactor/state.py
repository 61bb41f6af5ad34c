"""State of a stream as of an offset: planes, last scans, cadence.

Everything is a function of the records before the offset. What is small is stored with each batch; the identities of
the last 4,096 scans are read back from the journal. Source: SPEC sections 2, 3 and 4.
"""

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from lanes.code import PlaneForm
from reactor.record import Plane

IDENTITIES: Final = 4_096
NEVER: Final = math.nan
LANE_PLANES: Final = {"acb": ("acb", "meta", "mc"), "ob": ("ob",), "esof": ("esof",)}
# Floats as in the fields, so that a state that was loaded dumps the bytes that it was loaded from.
_MULTIPLIER, _INPUTS = float(PlaneForm.MULTIPLIER), float(PlaneForm.INPUTS)
ALERTED: Final = ("acb", "meta", "mc", "ob", "esof", "posture", "capital")  # planes whose absence is a reason


class Known(Struct, gc=False):
    """Planes as of an offset, one float a field. NaN in a `_ts_ms` field: never seen."""

    acb_form: float = float(PlaneForm.NEVER_SEEN)
    acb_x: float = NEVER
    acb_ts_ms: float = NEVER
    meta: float = NEVER
    meta_ts_ms: float = NEVER
    mc: float = NEVER
    mc_ts_ms: float = NEVER
    ob_form: float = float(PlaneForm.NEVER_SEEN)
    ob_mult: float = NEVER
    ob_eff_imb: float = NEVER
    ob_agree: float = NEVER
    ob_n_assets: float = 0.0
    ob_ts_ms: float = NEVER
    esof_form: float = float(PlaneForm.NEVER_SEEN)
    esof_x: float = NEVER
    esof_ts_ms: float = NEVER
    capital: float = NEVER
    capital_ts_ms: float = NEVER
    posture_ts_ms: float = NEVER


class Stored(Struct):
    """What a batch stores of a stream. An absent number stands for NaN, which JSON does not have."""

    known: dict[str, float]
    posture: str
    decide: int
    scans: int
    last_ts_ms: int


class StreamState:
    """Planes, identities and cadence of one stream in one partition."""

    __slots__ = (
        "_count", "_order", "code", "decide", "dirty", "known", "last_ts_ms", "posture", "scans", "seen", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.known = Known()
        self.posture = ""
        self.decide = 1
        self.scans = 0  # scans that are not repeats since the last cadence plane
        self.last_ts_ms = 0
        self.seen: dict[tuple[int, int], int] = {}
        self._order: deque[tuple[int, int]] = deque()
        self._count = 0
        self.dirty = True  # the planes changed since `version` was taken
        self.version = -1
        self.code = -1  # of the stream's name, in the walk that took the version

    def repeat(self, scan_id: int, ts_ms: int) -> bool:
        """Whether this identity is among the last 4,096 scans; it joins them."""
        identity = (scan_id, ts_ms)
        seen, order = self.seen, self._order
        again = identity in seen
        self._count += 1
        seen[identity] = self._count
        order.append(identity)
        if len(order) > IDENTITIES:
            old = order.popleft()
            if seen[old] <= self._count - IDENTITIES:  # else it came again since
                del seen[old]
        return again

    def identities(self) -> tuple[tuple[int, int], ...]:
        """The last 4,096 scans, (scan_id, ts_ms), oldest first."""
        return tuple(self._order)

    def apply(self, plane: Plane) -> None:
        """Take a plane's value. The last by offset holds, whatever its seq or ts_ms."""
        value, known, ts_ms = plane.value, self.known, float(plane.ts_ms)
        self.dirty = True
        match plane.name:
            case "ob":
                known.ob_ts_ms = ts_ms
                if value.mult is not UNSET:
                    known.ob_form, known.ob_mult = _MULTIPLIER, value.mult
                else:
                    known.ob_form, known.ob_mult = _INPUTS, NEVER
                    known.ob_eff_imb, known.ob_agree = value.eff_imb, value.agree  # type: ignore[assignment]
                    known.ob_n_assets = float(value.n_assets)  # type: ignore[arg-type]
            case "acb":
                form = _MULTIPLIER if value.boost is not UNSET else _INPUTS
                x = value.boost if value.boost is not UNSET else value.signals
                known.acb_form, known.acb_x, known.acb_ts_ms = form, x, ts_ms  # type: ignore[assignment]
            case "esof":
                form = _MULTIPLIER if value.mult is not UNSET else _INPUTS
                x = value.mult if value.mult is not UNSET else value.score
                known.esof_form, known.esof_x, known.esof_ts_ms = form, x, ts_ms  # type: ignore[assignment]
            case "meta":
                known.meta, known.meta_ts_ms = value.boost, ts_ms  # type: ignore[assignment]
            case "mc":
                known.mc, known.mc_ts_ms = value.scale, ts_ms  # type: ignore[assignment]
            case "capital":
                known.capital, known.capital_ts_ms = value.capital_usd, ts_ms  # type: ignore[assignment]
            case "posture":
                self.posture, known.posture_ts_ms = value.posture, ts_ms  # type: ignore[assignment]
            case "cadence":
                self.decide, self.scans = value.decide, 0  # type: ignore[assignment]

    def planes(self, lane: str) -> dict[str, dict[str, float] | None]:
        """The lane's planes by name as a foreign kernel sees them: the last form's fields and ts_ms, or None."""
        return {name: self._plane(name) for name in LANE_PLANES.get(lane, ())}

    def _plane(self, name: str) -> dict[str, float] | None:
        known = msgspec.structs.asdict(self.known)
        if math.isnan(known[f"{name}_ts_ms"]):
            return None
        multiplier = {"acb": "boost", "meta": "boost", "mc": "scale", "ob": "mult", "esof": "mult"}[name]
        if known.get(f"{name}_form") != PlaneForm.INPUTS:
            fields = {multiplier: known.get(f"{name}_x", known.get(f"{name}_mult", known.get(name)))}
        elif name == "ob":
            fields = {field: known[f"ob_{field}"] for field in ("eff_imb", "agree", "n_assets")}
        else:
            fields = {{"acb": "signals", "esof": "score"}[name]: known[f"{name}_x"]}
        return {**fields, "ts_ms": known[f"{name}_ts_ms"]}

    def complete(self) -> bool:
        """Whether every plane whose absence is a reason was seen."""
        return not any(math.isnan(getattr(self.known, f"{name}_ts_ms")) for name in ALERTED)

    def store(self) -> Stored:
        """What a batch stores of this stream."""
        known = {n: v for n, v in msgspec.structs.asdict(self.known).items() if not math.isnan(v)}
        return Stored(known, self.posture, self.decide, self.scans, self.last_ts_ms)

    @classmethod
    def restore(cls, stored: Stored) -> "StreamState":
        """The state that was stored, its identities still empty."""
        state = cls()
        state.known = Known(**stored.known)
        state.posture, state.decide = stored.posture, stored.decide
        state.scans, state.last_ts_ms = stored.scans, stored.last_ts_ms
        return state


class State:
    """Streams of one partition as of an offset."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamState] = {}

    def stream(self, name: str) -> StreamState:
        """The stream's state, new where the stream is."""
        found = self.streams.get(name)
        if found is None:
            found = self.streams[name] = StreamState()
        return found

    def dump(self) -> bytes:
        """JSON of everything but the identities."""
        return msgspec.json.encode({name: s.store() for name, s in self.streams.items()})

    @classmethod
    def load(cls, dumped: bytes, identities: Iterable[tuple[str, int, int]]) -> "State":
        """State from a batch's JSON and the last identities (stream, scan_id, ts_ms) in offset order."""
        state = cls()
        stored = msgspec.json.decode(dumped, type=dict[str, Stored])
        state.streams = {name: StreamState.restore(s) for name, s in stored.items()}
        for name, scan_id, ts_ms in identities:
            state.stream(name).repeat(scan_id, ts_ms)
        return state

    def identities(self) -> list[tuple[str, int, int]]:
        """The last scans of every stream, (stream, scan_id, ts_ms), as `load` takes them."""
        return [(name, *identity) for name, stream in self.streams.items() for identity in stream.identities()]

    def complete(self) -> bool:
        """Whether every stream knows every plane."""
        return all(stream.complete() for stream in self.streams.values())
