"""Where a run begins: the state before an offset, and the offset of an event time.

State is a function of the records before it. A run that starts late reads back, bounded, until every plane of every
stream is known; where that fails the run is COLD. See docs/design/running.md.
"""

from collections.abc import Callable, Iterator
from typing import Final

from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import advance
from reactor.evaluate.walk import Rules
from reactor.run.loop import first_at

Ranges = Callable[[int, int, int], Iterator[Chunk]]  # (partition, first, end) -> records
WARM_FIRST: Final = 4_096
WARM_MAX: Final = 262_144  # records read back at most


def warm(ranges: Ranges, partition: int, low: int, start: int, rules: Rules) -> tuple[State, str]:
    """State before `start`, and EXACT (from the log's first record), WARM (every plane known) or COLD."""
    span = WARM_FIRST
    while True:
        begin = max(low, start - span)
        state, decoder = State(), Decoder()
        for chunk in ranges(partition, begin, start):
            advance(state, chunk, rules, decoder)
        if begin == low:
            return state, "EXACT"
        if state.streams and state.complete(rules.planes):
            return state, "WARM"
        if span >= WARM_MAX:
            return state, "COLD"
        span *= 8


def seek(ranges: Ranges, partition: int, low: int, end: int, ts_ms: int, rules: Rules) -> tuple[State, int]:
    """Offset of the first scan at or after an event time (else `end`), and the exact state before it."""
    state, decoder = State(), Decoder()
    for chunk in ranges(partition, low, end):
        at = first_at(chunk, ts_ms)
        if at is None:
            advance(state, chunk, rules, decoder)
            continue
        head, tail = chunk.split(at)
        if len(head):
            advance(state, head, rules, decoder)
        return state, tail.offsets[0]
    return state, end
