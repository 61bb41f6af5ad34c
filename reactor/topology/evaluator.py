"""The evaluator: one lane in one partition, from the scans' records to the lane's readings.

It is what a lane's worker runs: the reactor's own walk and state, the column function of its lane, and nothing of the
other lanes. It is pure but for the state that it advances. See docs/design/stages.md.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from msgspec import Raw

from lanes.code import Reject
from lanes.profile import Profile
from lanes.registry import BY_NAME
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import lane_rows
from reactor.evaluate.walk import Rules, Walk
from reactor.run.foreign import Kernels
from reactor.run.provenance import code_hash
from reactor.tap.reading import encode, of_rows
from reactor.topology import checkpoint as checkpoints
from reactor.topology.checkpoint import Checkpoint, LaneRecord

EVERY: Final = 2_048  # source offsets from one checkpoint to the next: what a worker that starts again walks at most


@dataclass(frozen=True, slots=True)
class LaneVersion:
    """A lane with its params and kernel, on one log.

    log: cluster and topic id. shared_hash: of what the lane reads that only the soak may set.
    """

    name: str
    topic: str
    log: str
    rules: Rules
    params_hash: str
    kernel_hash: str
    shared_hash: str

    @classmethod
    def of(cls, name: str, topic: str, log: str, profile: Profile, kernels: Kernels) -> Self:
        """The lane of a profile; of foreign kernels its own alone."""
        own = {lane: kernel for lane, kernel in kernels.kernels.items() if lane == name}
        shared = checkpoints.hash_of(checkpoints.of_soak(checkpoints.params_of(profile, name), name))
        return cls(name, topic, log, Rules(profile, own), *version(name, profile, kernels), shared)

    def is_own(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint was written with this lane's own params."""
        return checkpoints.hash_of(checkpoint.params) == self.params_hash

    def agrees(self, checkpoint: Checkpoint) -> bool:
        """Whether a soak that takes this lane's readings took those of a checkpoint's worker; else they come again."""
        try:
            return checkpoints.hash_of(checkpoints.of_soak(checkpoint.params, self.name)) == self.shared_hash
        except KeyError:  # of another version
            return False


def version(lane: str, profile: Profile, kernels: Kernels) -> tuple[str, str]:
    """Params hash and kernel hash of a lane: they stand on its readings."""
    return checkpoints.hash_of(checkpoints.params_of(profile, lane)), kernels.hashes.get(lane, code_hash())


@dataclass(slots=True)
class Evaluator:
    """One lane in one partition, as of an offset.

    next: the source offset that it wants. written: the last source offset of which its topic has a reading, whoever
    wrote it. since: the offset from which on it knows every record. known: whether it begins at a checkpoint of which
    the log still has the next record.
    """

    lane: LaneVersion
    partition: int
    state: State
    next: int
    written: int
    since: int = 0
    known: bool = True
    _decoder: Decoder = field(default_factory=Decoder)
    _checkpointed: int | None = None

    @classmethod
    def resumed(
        cls,
        lane: LaneVersion,
        partition: int,
        windows: Iterable[list[LaneRecord]],
        low: int,
        fits: Callable[[Checkpoint], bool],
    ) -> Self:
        """As the lane's topic has it, read backwards: at its last checkpoint that fits, else at the log's beginning.

        low: the first source offset there is. The state lacks what the log lost before a checkpoint was read on from.
        """
        written = -1
        for records in windows:
            ours = _checkpoints(records, lane.log)
            if ours is None:
                break  # of another log: what lies before is too
            if written < 0:
                written = _last(records)
            if fitting := [checkpoint for checkpoint in ours if fits(checkpoint)]:
                checkpoint = max(fitting, key=lambda each: each.next)
                state, known = State.load(bytes(checkpoint.state), ()), checkpoint.next >= low
                since = checkpoint.since if known else low
                return cls(lane, partition, state, max(checkpoint.next, low), written, since=since, known=known)
        return cls(lane, partition, State(), low, written, since=low, known=False)

    @classmethod
    def begun(
        cls, lane: LaneVersion, partition: int, windows: Iterable[list[LaneRecord]], at: int, state: bytes
    ) -> Self:
        """At an offset with the soak's own state there; of the lane's topic only the last reading is asked for."""
        latest = next(iter(windows), [])
        written = -1 if _checkpoints(latest, lane.log) is None else _last(latest)
        return cls(lane, partition, State.load(state, ()), at, written)

    def evaluate(self, chunk: Chunk) -> list[tuple[bytes, bytes, bytes | None]]:
        """Key, value and checkpoint of the readings of a chunk's scans. The chunk must begin at `next` or before."""
        if chunk.offsets[-1] < self.next:
            return []
        _, chunk = chunk.split(sum(offset < self.next for offset in chunk.offsets))
        first = chunk.offsets[0]
        checkpoint = None
        if self._checkpointed is None or first >= self._checkpointed + EVERY:
            state = Raw(self.state.dump())
            params = checkpoints.params_of(self.lane.rules.profile, self.lane.name)
            checkpoint = checkpoints.encode(
                Checkpoint(1, self.lane.log, params, state, first, first > self.written, self.since)
            )
        walk = Walk(self.state, self.lane.rules, self._decoder)
        walk.take(chunk)
        self.next = chunk.offsets[-1] + 1
        rows = lane_rows(walk, BY_NAME[self.lane.name], self.lane.params_hash)
        readings = of_rows(rows, self.lane.name, self.lane.topic, self.partition, self.lane.kernel_hash)
        faults = {walk.offsets[at]: f.detail for at, f in walk.faults.items() if f.code is Reject.LANE_ERROR}
        for reading in readings if faults else ():
            reading.fault = faults.get(reading.offset, "")
        if readings and checkpoint is not None:
            self._checkpointed = first
        return [(r.stream.encode(), encode(r), None if at else checkpoint) for at, r in enumerate(readings)]


def _checkpoints(records: Iterable[LaneRecord], log: str) -> list[Checkpoint] | None:
    """The checkpoints of our log among some records; None where all that there are name another."""
    found = [each for record in records if (each := checkpoints.decode(record.checkpoint)) is not None]
    ours = [checkpoint for checkpoint in found if checkpoint.log == log]
    return ours if ours or not found else None


def _last(records: Iterable[LaneRecord]) -> int:
    return max((checkpoints.offset_of(record.value) for record in records), default=-1)
