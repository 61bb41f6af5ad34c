"""A voice: one lane in one partition, from the scans' records to its readings. Pure but for the state that it advances.

It is what a lane's worker runs: the reactor's own walk and state, its lane's own column function, and nothing of the
others. See docs/design/stages.md.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Self

from msgspec import Raw

from lanes.code import Reject
from lanes.profile import Profile
from lanes.registry import BY_NAME
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import said
from reactor.evaluate.walk import Rules, Walk
from reactor.run.foreign import Kernels
from reactor.run.provenance import code_hash
from reactor.tap.reading import encode, of_rows
from reactor.topology import mark as marks
from reactor.topology.mark import Mark, Marked

EVERY: Final = 2_048  # source offsets from one mark to the next: what a worker that starts again walks at most


@dataclass(frozen=True, slots=True)
class Lane:
    """What speaks: a lane with its params and kernel, on one log.

    log: its cluster and topic id. shared_hash: of what it reads that is the soak's to say.
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
        shared = marks.hash_of(marks.of_soak(marks.params_of(profile, name), name))
        return cls(name, topic, log, Rules(profile, own), *speaker(name, profile, kernels), shared)

    def itself(self, mark: Mark) -> bool:
        """Whether a mark is of the lane's very params."""
        return marks.hash_of(mark.params) == self.params_hash

    def heard(self, mark: Mark) -> bool:
        """Whether a soak that hears this lane heard who wrote a mark: otherwise what was said is to be said again."""
        try:
            return marks.hash_of(marks.of_soak(mark.params, self.name)) == self.shared_hash
        except KeyError:  # of another version
            return False


def speaker(lane: str, profile: Profile, kernels: Kernels) -> tuple[str, str]:
    """Under which params hash and kernel hash a lane speaks."""
    return marks.hash_of(marks.params_of(profile, lane)), kernels.hashes.get(lane, code_hash())


class Voice:
    """One lane in one partition, as of an offset.

    next: the source offset that it wants. spoken: the last one that the topic it writes to has a reading of, by
    whomever. since: the offset from which on it knows every record. known: whether a mark says that it begins there,
    and the log still has it.
    """

    def __init__(
        self, lane: Lane, partition: int, state: State, next_: int, spoken: int, *, since: int = 0, known: bool = True
    ) -> None:
        self._lane, self._partition, self._state, self.since = lane, partition, state, since
        self.next, self.spoken, self.known = next_, spoken, known
        self._decoder = Decoder()
        self._marked: int | None = None

    @classmethod
    def resumed(
        cls, lane: Lane, partition: int, windows: Iterable[list[Marked]], low: int, fits: Callable[[Mark], bool]
    ) -> Self:
        """As the lane's topic has it, read backwards: at its last mark that fits, else at the log's beginning.

        low: the first source offset there is. What the log lost before a mark was read on from is not in the state.
        """
        spoken = -1
        for records in windows:
            ours = _marks(records, lane.log)
            if ours is None:
                break  # of another log: what lies before is too
            if spoken < 0:
                spoken = _last(records)
            if fitting := [mark for mark in ours if fits(mark)]:
                mark = max(fitting, key=lambda each: each.next)
                state, known = State.load(bytes(mark.state), ()), mark.next >= low
                since = mark.since if known else low
                return cls(lane, partition, state, max(mark.next, low), spoken, since=since, known=known)
        return cls(lane, partition, State(), low, spoken, since=low, known=False)

    @classmethod
    def begun(cls, lane: Lane, partition: int, windows: Iterable[list[Marked]], at: int, state: bytes) -> Self:
        """At an offset with the soak's own state there; the lane's topic only tells what was spoken of."""
        latest = next(iter(windows), [])
        spoken = -1 if _marks(latest, lane.log) is None else _last(latest)
        return cls(lane, partition, State.load(state, ()), at, spoken)

    def say(self, chunk: Chunk) -> list[tuple[bytes, bytes, bytes | None]]:
        """Key, value and mark of the readings of a chunk's scans. The chunk must not leave out what is wanted next."""
        if chunk.offsets[-1] < self.next:
            return []
        _, chunk = chunk.split(sum(offset < self.next for offset in chunk.offsets))
        first = chunk.offsets[0]
        mark = None
        if self._marked is None or first >= self._marked + EVERY:
            state = Raw(self._state.dump())
            params = marks.params_of(self._lane.rules.profile, self._lane.name)
            mark = marks.encode(Mark(1, self._lane.log, params, state, first, first > self.spoken, self.since))
        walk = Walk(self._state, self._lane.rules, self._decoder)
        walk.take(chunk)
        self.next = chunk.offsets[-1] + 1
        rows = said(walk, BY_NAME[self._lane.name], self._lane.params_hash)
        readings = of_rows(rows, self._lane.name, self._lane.topic, self._partition, self._lane.kernel_hash)
        faults = {walk.offsets[at]: f.detail for at, f in walk.faults.items() if f.code is Reject.LANE_ERROR}
        for reading in readings if faults else ():
            reading.fault = faults.get(reading.offset, "")
        if readings and mark is not None:
            self._marked = first
        return [(r.stream.encode(), encode(r), None if at else mark) for at, r in enumerate(readings)]


def _marks(records: Iterable[Marked], log: str) -> list[Mark] | None:
    """The marks of our log among some records; None where all that there are name another."""
    found = [marks.decode(record.mark) for record in records if record.mark]
    ours = [mark for mark in found if mark.log == log]
    return ours if ours or not found else None


def _last(records: Iterable[Marked]) -> int:
    return max((marks.offset_of(record.value) for record in records), default=-1)
