"""Turns: where a lane's worker is replaced by another version, a segment begins, at the first offset it decides.

Each partition turns at an offset of its own; partitions that come to be decided alike share a segment's number.
Source: SPEC section 5 (segments).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from journal import run as runs
from journal.ledger import Ledger
from journal.run import Segment
from journal.store import Store
from lanes.code import Incident, Severity
from lanes.params import Profile
from reactor.join import Heard, Join, Voices
from reactor.log.port import Chunk
from reactor.loop import Deciding
from reactor.mark import overlaid
from reactor.modular import LaneSource
from reactor.state import State
from reactor.walk import Rules


class Turns:
    """Which segment each partition is in, and the lanes that say so. `ledger` is told of every segment opened."""

    ledger: Ledger

    def __init__(self, store: Store, source: LaneSource) -> None:
        self._store, self._source = store, source
        self._segments: list[Segment] = []
        self._voices: dict[int, Voices] = {}
        self.decides: dict[int, Deciding] = {}
        self.managed = source.managed

    def resume(self, opened: Iterable[Segment]) -> None:
        """These segments were opened, in their order."""
        self._segments += opened
        for segment in self._segments:
            rules = Rules(Profile.model_validate_json(segment.params))
            self.decides[segment.partition] = rules, segment.segment

    def hear(self, partition: int, offsets: NDArray[np.int64]) -> Heard:
        return self._source.hear(partition, offsets)

    def reheard(self, segment: Segment, chunk: Chunk) -> Join | None:
        return self._source.reheard(segment, chunk)

    def turn(self, partition: int) -> Callable[[int, State], Deciding] | None:
        voices = self._source.voices(partition)
        if voices is None or voices == self._voices.get(partition):
            return None
        self._voices[partition] = voices
        now = [s for s in self._segments if s.partition == partition][-1]
        profile, kernels = self._source.decided(voices)
        then = replace(now, params=profile.model_dump_json(), params_hash=profile.hash, kernels=kernels)
        differs = then.differs(now)
        if not differs:
            return None

        def opened(offset: int, state: State) -> Deciding:
            cause = "lanes went on with another " + "; another ".join(differs)
            number = self._number(then)
            segment = replace(then, segment=number, first_offset=offset, cause=cause, state=state.dump().decode())
            self.ledger.insist(lambda store: runs.open_segments(store, [segment]))
            self.ledger.note(
                Severity.INFO, Incident.SEGMENT_OPENED, f"{number} at offset {offset} of partition {partition}: {cause}"
            )
            self._segments.append(segment)
            return Rules(profile), number

        return opened

    def _number(self, then: Segment) -> int:
        """A later segment's that is decided alike and has not come to this partition; else the next."""
        mine = {s.segment for s in self._segments if s.partition == then.partition}
        alike = [s.segment for s in self._segments if s.segment > max(mine) and not then.differs(s)]
        return min(alike, default=max(s.segment for s in self._segments) + 1)


def as_said(mine: Segment, newest: Segment) -> Segment:
    """What a soak decides of a segment whose lanes speak for themselves: all but what is theirs to choose."""
    profile = overlaid(Profile.model_validate_json(mine.params), Profile.model_validate_json(newest.params))
    return replace(mine, params=profile.model_dump_json(), params_hash=profile.hash, kernels=newest.kernels)
