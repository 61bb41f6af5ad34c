"""Segments of remote lanes: where another version of a worker takes over, one begins, at the first offset it decides.

Each partition changes over at an offset of its own; partitions that come to be decided alike share a segment's number.
See docs/design/stages.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from journal.ledger import run as runs
from journal.ledger.ledger import Ledger
from journal.ledger.run import Run, Segment
from lanes.code import Incident, Severity
from lanes.columns import LaneValues
from lanes.profile import Profile
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.state import State
from reactor.evaluate.walk import Rules
from reactor.run.remote import Deciding, Values
from reactor.topology.checkpoint import overlaid
from reactor.topology.join import Versions
from reactor.topology.lane_source import LaneSource


class LaneSegments:
    """Which segment each partition is in, by whose readings come: a run's RemoteLanes."""

    _ledger: Ledger

    def __init__(self, source: LaneSource) -> None:
        self._source = source
        self._segments: list[Segment] = []
        self._fresh: list[Segment] = []
        self._versions: dict[int, Versions] = {}
        self.decides: dict[int, Deciding] = {}

    def opened(self, segments: Sequence[Segment], *, fresh: bool = False) -> None:
        """These segments are open, in their order. fresh: just now, so that nothing was decided by them yet."""
        self._segments += segments
        self._fresh = list(segments) if fresh else []
        for segment in self._segments:
            rules = Rules(Profile.model_validate_json(segment.params))
            self.decides[segment.partition] = rules, segment.segment

    def begin(self, run: Run, ledger: Ledger) -> None:
        """The lanes are a run's, whose ledger is told of every segment opened."""
        self._ledger = ledger
        self._source.begins_at({int(partition): at for partition, at in run.start.items()})

    def adopted(self, mine: Segment, newest: Segment) -> Segment:
        """What decides where the lanes choose their own params: `mine`, with theirs out of the newest segment."""
        profile = overlaid(Profile.model_validate_json(mine.params), Profile.model_validate_json(newest.params))
        return replace(mine, params=profile.model_dump_json(), params_hash=profile.hash, kernels=newest.kernels)

    def journaled(self, partition: int, offset: int, state: bytes) -> None:
        """How far is journaled, and the state there."""
        self._source.journaled(partition, offset, state)

    def values(self, partition: int, offsets: NDArray[np.int64]) -> LaneValues:
        self._fresh = []
        return self._source.values(partition, offsets)

    def again(self, segment: Segment, chunk: Chunk, began: int) -> Values | None:
        """Values for a batch in doubt; None where this process's own kernels give the same."""
        join = self._source.reheard(segment, chunk, began)
        return None if join is None else partial(join.values, chunk.partition)

    def switch(self, partition: int) -> Callable[[int, State], Deciding] | None:
        versions = self._source.versions(partition)
        if versions is None or versions == self._versions.get(partition):
            return None
        self._versions[partition] = versions
        now = [s for s in self._segments if s.partition == partition][-1]
        profile, kernels = self._source.decided(versions)
        then = replace(now, params=profile.model_dump_json(), params_hash=profile.hash, kernels=kernels)
        differs = then.differs(now)
        return partial(self._opened, then, differs) if differs else None

    def _opened(self, then: Segment, differs: Sequence[str], offset: int, state: State) -> Deciding:
        """Open a segment that is decided so from an offset on; one that decided nothing yet becomes it."""
        if self._fresh and offset == then.first_offset:
            opened = [
                replace(s, params=then.params, params_hash=then.params_hash, kernels=then.kernels) for s in self._fresh
            ]
            self._segments = [s for s in self._segments if s.segment != then.segment]
            self._add(opened)
            return self.decides[then.partition]
        cause = "lanes went on with another " + "; another ".join(differs)
        number = self._number(then)
        self._add([replace(then, segment=number, first_offset=offset, cause=cause, state=state.dump().decode())])
        words = f"{number} at offset {offset} of partition {then.partition}: {cause}"
        self._ledger.note(Severity.INFO, Incident.SEGMENT_OPENED, words)
        return self.decides[then.partition]

    def _add(self, opened: Sequence[Segment]) -> None:
        self._ledger.insist(lambda store: runs.open_segments(store, opened))
        self.opened(opened)

    def _number(self, then: Segment) -> int:
        """A later segment's that is decided alike and has not come to this partition; else the next."""
        mine = {s.segment for s in self._segments if s.partition == then.partition}
        alike = [s.segment for s in self._segments if s.segment > max(mine) and not then.differs(s)]
        return min(alike, default=max(s.segment for s in self._segments) + 1)
