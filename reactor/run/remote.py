"""Remote lanes: lanes that other processes evaluate, as a run sees them.

A run with remote lanes reads their values instead of calling its own kernels. Who evaluates may change while it runs:
then a segment begins, at the first offset that the new lanes decide. `reactor.topology` implements it, and the default
path never imports that. See docs/design/running.md.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from journal.ledger.ledger import Ledger
from journal.ledger.run import Run, Segment
from lanes.columns import LaneValues
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.state import State
from reactor.evaluate.walk import Rules

Deciding = tuple[Rules, int]  # what decides, and the number of its segment
Values = Callable[[NDArray[np.int64]], LaneValues]  # offsets of scans in one partition -> the lanes' columns


class RemoteLanes(Protocol):
    """The lanes of one run, and the segment that each partition is in."""

    @property
    def decides(self) -> Mapping[int, Deciding]:
        """What decides now, by partition."""

    def begin(self, run: Run, ledger: Ledger) -> None:
        """The lanes are this run's; the ledger takes every segment that they open."""

    def opened(self, segments: Sequence[Segment], *, fresh: bool = False) -> None:
        """These segments are open, in their order. fresh: just now, so that nothing was decided by them yet."""

    def adopted(self, mine: Segment, newest: Segment) -> Segment:
        """What decides where the lanes choose their own params: `mine`, with theirs out of the newest segment."""

    def values(self, partition: int, offsets: NDArray[np.int64]) -> LaneValues:
        """Values of the scans at these offsets."""

    def again(self, segment: Segment, chunk: Chunk, began: int) -> Values | None:
        """Values for a batch in doubt; None where this process's own kernels give the same.

        Args:
            segment: what decided the batch.
            chunk: its records.
            began: the offset where the run begins in the chunk's partition.
        """

    def journaled(self, partition: int, offset: int, state: bytes) -> None:
        """Every record before this offset is journaled, and the state there is this."""

    def switch(self, partition: int) -> Callable[[int, State], Deciding] | None:
        """Opens a segment at an offset, with the state there; None where the lanes decide as before.

        Asked with each chunk that was polled, before its first record is evaluated.
        """
