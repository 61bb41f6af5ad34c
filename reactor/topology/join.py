"""The join: the readings of all lanes' workers for each scan, by its partition and offset.

A scan is complete when there is a reading of each lane. Of two readings of one scan the first counts, and a later one
of the same params and kernel must be equal. A lane without a reading is named, and nothing is made up. Pure: records go
in, columns come out. See docs/design/stages.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from journal.refusal import Integrity
from lanes.columns import LaneColumns, LaneValues
from lanes.params import LaneParams
from lanes.profile import Profile
from lanes.registry import LANES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder, Scan
from reactor.topology import checkpoint as checkpoints
from reactor.topology.checkpoint import Checkpoint, LaneRecord

KEPT: Final = 8_192  # readings kept behind the last one used, to be compared with repeated ones
AHEAD: Final = 32_768  # readings held of a lane and partition before the next one used; more wait in the broker

Version = tuple[str, str]  # params hash and kernel hash of a lane
Versions = tuple[Version, ...]  # of the profile's lanes, in their order


class Contradiction(Integrity):
    """The lanes' topics contradict themselves or the log."""


class Spoken(Struct, gc=False, omit_defaults=True):
    """What the fan-in needs of a reading."""

    partition: int
    offset: int
    value: float | None
    components: dict[str, float | None]
    params_hash: str
    kernel_hash: str
    fault: str = ""


_decode: Final[Callable[[bytes], Spoken]] = msgspec.json.Decoder(Spoken).decode
_COMPONENTS: Final = {lane.name: frozenset(lane.components) for lane in LANES}
_bits: Final[Callable[[Spoken], bytes]] = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Received:
    """One lane in one partition. readings: by offset. reached: the last offset. mine: its checkpoints name our log."""

    readings: dict[int, Spoken] = field(default_factory=dict)
    reached: int = -1
    mine: bool = False


class Join:
    """Readings of a profile's lanes in some partitions.

    profile: the soak's own. log: its cluster and topic id. only: the versions that may decide, where not every one may.
    starts: where the run begins in each partition; a lane that lacks records from there on is not used.
    """

    def __init__(self, profile: Profile, log: str, only: Versions | None, starts: Mapping[int, int]) -> None:
        self._profile, self.log, self._starts = profile, log, starts
        self.names = tuple(lane.name for lane in profile.lanes)
        self._only = dict(zip(self.names, only, strict=True)) if only else {}
        self._received: dict[int, dict[str, _Received]] = {}
        self._tables: dict[tuple[str, str], LaneParams | None] = {}
        self._used: dict[int, int] = {}
        self._decode_record = Decoder().decode
        self._unused: dict[str, str] = {}  # lanes with readings that are not used, and why

    def begin(self, positions: dict[int, int]) -> None:
        """From these offsets on."""
        self._used = dict(positions)
        self._received = {partition: {name: _Received() for name in self.names} for partition in positions}

    def take(self, lane: str, record: LaneRecord) -> None:
        """One record of a lane's topic, in its order. What is no reading of the lane is passed over: it is nobody's."""
        try:
            said = _decode(record.value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        received = self._received.get(said.partition, {}).get(lane)
        if received is None or not said.components.keys() >= _COMPONENTS[lane]:
            return
        if (checkpoint := checkpoints.decode(record.checkpoint)) is not None:
            self._learn(lane, said, received, checkpoint)
        if record.since > self._starts[said.partition]:
            words = f"knows nothing of what was before offset {record.since}"
            self._unused[lane] = f"{words}; stop it, and resume once with --lane-workers 1"
            return
        if not received.mine:
            return
        version = (said.params_hash, said.kernel_hash)
        if self._tables.get((lane, said.params_hash)) is None or self._only.get(lane, version) != version:
            self._unused[lane] = f"has params {said.params_hash}, which are not the soak's"
            return
        had = received.readings.get(said.offset)
        if had is None:
            if said.offset >= self._used[said.partition]:
                received.readings[said.offset] = said
                received.reached = max(received.reached, said.offset)
                self._unused.pop(lane, None)
        elif (had.params_hash, had.kernel_hash) == version and _bits(had) != _bits(said):
            raise Contradiction(
                f"lane {lane} has two readings of offset {said.offset} in partition {said.partition} that differ, "
                f"with params {said.params_hash} and kernel {said.kernel_hash} both times"
            )

    def ready(self, chunk: Chunk, now: Versions | None) -> tuple[int, Versions | None]:
        """How many of a chunk's first records are complete and decided by one set of versions, and by which.

        now: the versions so far, None where no scan was met yet; where the first scan has others, the answer is 0 and
        these.
        """
        received = self._received[chunk.partition]
        every = [each.readings for each in received.values()]
        reached = min(each.reached for each in received.values())
        for at, offset in enumerate(chunk.offsets):
            if all([offset in readings for readings in every]):  # noqa: C419 - a list is quicker than a generator
                wrote = tuple((s[offset].params_hash, s[offset].kernel_hash) for s in every)
                if wrote != now:
                    if now is not None:
                        return at, now if at else wrote
                    now = wrote
                continue
            some = any(offset in readings for readings in every)
            if some or (offset >= reached and self._is_scan(chunk, at)):
                return at, now
        return len(chunk), now

    def missing(self, chunk: Chunk) -> dict[str, str]:
        """Lanes whose reading of a chunk's first record is not there, each with what is known of why."""
        received = self._received[chunk.partition]
        return {
            name: self._unused.get(name, "") for name in self.names if chunk.offsets[0] not in received[name].readings
        }

    def full(self, lane: str) -> set[int]:
        """Partitions in which enough is held of a lane."""
        return {p for p, received in self._received.items() if len(received[lane].readings) > AHEAD + KEPT}

    def values(self, partition: int, offsets: NDArray[np.int64]) -> LaneValues:
        """Columns of the scans at these offsets; what was held of long before is let go."""
        wanted, faults, columns = offsets.tolist(), {}, {}
        for lane in reversed(self._profile.lanes):  # the first lane's fault stays
            readings = self._received[partition][lane.name].readings
            try:
                rows = [readings[offset] for offset in wanted]
            except KeyError as offset:
                raise Contradiction(
                    f"lane {lane.name} has no reading of the scan at offset {offset} in partition {partition}, "
                    "but of later ones"
                ) from None
            parts = [said.components for said in rows]
            columns[lane.name] = lane_columns([said.value for said in rows], parts, lane.components)
            faults.update({at: (lane.name, said.fault) for at, said in enumerate(rows) if said.fault})
        if wanted:
            self._forget(partition, wanted[-1] + 1)
        return LaneValues(columns, faults)

    def decided(self, versions: Versions) -> Profile:
        """The soak's profile with the lanes' tables as their workers have them."""
        tables = {name: self._tables[name, version[0]] for name, version in zip(self.names, versions, strict=True)}
        return self._profile.model_copy(update=tables)

    def _learn(self, lane: str, said: Spoken, received: _Received, checkpoint: Checkpoint) -> None:
        received.mine = checkpoint.log == self.log
        self._tables[lane, said.params_hash] = checkpoints.accepted(self._profile, lane, checkpoint.params)

    def _is_scan(self, chunk: Chunk, at: int) -> bool:
        return chunk.offsets[at] not in chunk.cut and isinstance(self._decode_record(chunk.values[at]), Scan)

    def _forget(self, partition: int, used: int) -> None:
        self._used[partition] = used
        for received in self._received[partition].values():
            # Readings come nearly in order.
            for offset in list(takewhile(lambda offset: offset < used - KEPT, received.readings)):
                del received.readings[offset]


def lane_columns(
    values: Sequence[float | None], parts: Sequence[Mapping[str, float | None]], components: Sequence[str]
) -> LaneColumns:
    """Columns of one lane at some scans, of their values and what explains each; None becomes NaN."""
    columns = ([part[name] for part in parts] for name in components)
    return LaneColumns(np.array(values, dtype=np.float64), tuple(np.array(each, dtype=np.float64) for each in columns))
