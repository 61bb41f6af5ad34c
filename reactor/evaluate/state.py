"""State of a stream as of an offset: planes, last scans, cadence.

Everything is a function of the records before the offset. What is small is stored with each batch; the identities of
the last 4,096 scans are read back from the journal. See docs/design/records.md.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from lanes import registry
from lanes.code import PlaneForm
from lanes.lane import Kind

IDENTITIES: Final = 4_096
READ: Final = tuple(registry.READ)  # planes that a scan reads: all but cadence
LANE_PLANES: Final = {lane.name: lane.plane_names for lane in registry.LANES if lane.planes}

# A plane as of an offset: PlaneForm, its numbers in the order of the form (NaN: none), event time, text.
Held = tuple[int, float, float, float, int, str]
NEVER: Final[Held] = (PlaneForm.NEVER_SEEN.value, math.nan, math.nan, math.nan, 0, "")


def seen_columns(plane: str) -> Mapping[str, str]:
    """Columns of a plane as scans saw it: their names, and what of the plane they hold. As many numbers as it has."""
    return {f"{plane}.{what}": what for what in ("form", "ts_ms", *registry.READ[plane].slots)}


class StoredPlane(Struct, omit_defaults=True):
    """A held plane in a batch's state. An absent number stands for NaN, which JSON does not have."""

    form: int
    ts_ms: int
    x: float | None = None
    y: float | None = None
    z: float | None = None
    text: str = ""


class Stored(Struct):
    """What a batch stores of a stream."""

    planes: dict[str, StoredPlane]
    decide: int
    scans: int
    last_ts_ms: int
    identities: list[tuple[int, int]] | UnsetType = UNSET  # only where no rows hold them


class StreamState:
    """Planes, identities and cadence of one stream in one partition.

    planes: as held now, in the order of READ. at, version, code: where a walk keeps them, and the stream's code in it.
    """

    __slots__ = (
        "_indexed", "_latest", "_order", "_seen", "at", "code", "decide", "last_ts_ms", "planes", "scans", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.planes: list[Held] = [NEVER] * len(READ)
        self.decide = 1
        self.scans = 0  # scans that are not repeats since the last cadence plane
        self.last_ts_ms = 0
        self._latest = (-1, -1)
        self._order: list[tuple[int, int]] = []  # identities as they came; cut back at twice IDENTITIES
        self._seen: dict[tuple[int, int], int] = {}  # where each came last in it, of the first `_indexed`
        self._indexed = 0
        self.at: list[int] = []
        self.version: tuple[int, ...] | None = None
        self.code = -1

    def repeat(self, scan_id: int, ts_ms: int) -> bool:
        """Whether this identity is among the last 4,096 scans; it joins them."""
        identity = (ts_ms, scan_id)  # time first: a scan that is later than all before it cannot be one of them
        order = self._order
        if identity > self._latest:
            self._latest, again = identity, False
        else:
            again = self._among(identity)
        order.append(identity)
        if len(order) == 2 * IDENTITIES:
            del order[:IDENTITIES]
            self._seen, self._indexed = {}, 0
        return again

    def _among(self, identity: tuple[int, int]) -> bool:
        """Whether it is one of the last; only now are those that came since the last look indexed."""
        order, seen = self._order, self._seen
        for at in range(self._indexed, len(order)):
            seen[order[at]] = at
        self._indexed = len(order)
        at = seen.get(identity, -1)
        return at >= max(0, len(order) - IDENTITIES)

    def identities(self) -> tuple[tuple[int, int], ...]:
        """The last 4,096 scans, (scan_id, ts_ms), oldest first."""
        return tuple((scan_id, ts_ms) for ts_ms, scan_id in self._order[-IDENTITIES:])

    def held(self, name: str) -> dict[str, float | str] | None:
        """A plane's fields and ts_ms as of now, or None where it was never seen."""
        form, x, y, z, ts_ms, text = self.planes[READ.index(name)]
        if form == PlaneForm.NEVER_SEEN:
            return None
        return fields(name, form, (x, y, z), text) | {"ts_ms": ts_ms}

    def lane_planes(self, lane: str) -> dict[str, dict[str, float | str] | None]:
        """The lane's planes by name, as a foreign kernel sees them."""
        return {name: self.held(name) for name in LANE_PLANES.get(lane, ())}

    def complete(self, names: Collection[str]) -> bool:
        """Whether every one of these planes was seen."""
        return all(
            held[0] != PlaneForm.NEVER_SEEN for name, held in zip(READ, self.planes, strict=True) if name in names
        )

    def store(self) -> Stored:
        """What a batch stores of this stream."""
        planes = {
            name: StoredPlane(form, ts_ms, _stored(x), _stored(y), _stored(z), text)
            for name, (form, x, y, z, ts_ms, text) in zip(READ, self.planes, strict=True)
            if form != PlaneForm.NEVER_SEEN
        }
        return Stored(planes, self.decide, self.scans, self.last_ts_ms)

    @classmethod
    def restore(cls, stored: Stored) -> "StreamState":
        """The state that was stored, with the identities that were stored with it."""
        state = cls()
        for name, p in stored.planes.items():
            x, y, z = (math.nan if v is None else v for v in (p.x, p.y, p.z))
            state.planes[READ.index(name)] = (p.form, x, y, z, p.ts_ms, p.text)
        state.decide, state.scans, state.last_ts_ms = stored.decide, stored.scans, stored.last_ts_ms
        for identity in stored.identities or ():
            state.repeat(*identity)
        return state


def _stored(number: float) -> float | None:
    return None if math.isnan(number) else number


def fields(name: str, form: int, numbers: tuple[float, float, float], text: str) -> dict[str, float | str]:
    """A plane's value as on the wire, from its form and numbers."""
    plane = registry.PLANES[name]
    if plane.is_text:
        return {plane.forms[0][0].name: text}
    whole = (Kind.COUNT, Kind.ORDINAL)
    return {n: int(x) if kind in whole else x for (n, kind), x in zip(plane.forms[form - 1], numbers, strict=False)}


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

    def whole(self) -> dict[str, Stored]:
        """Everything, the identities too."""
        return {name: structs.replace(s.store(), identities=list(s.identities())) for name, s in self.streams.items()}

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

    def complete(self, names: Collection[str]) -> bool:
        """Whether every stream knows every one of these planes."""
        return all(stream.complete(names) for stream in self.streams.values())
