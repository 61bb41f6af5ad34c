"""The loop: poll, step, append, commit.

Records gather by partition. They are scored some thousands at a time, while they are warm and before their bytes fill
memory, and journaled when a batch is full, when the oldest has waited `flush_ms`, or at the end. One thread does it
all: the broker's client fetches ahead on its own, bounded, while a batch is inserted or ClickHouse is away.
Source: SPEC sections 5 and 6.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from journal.ledger import Ledger
from journal.row import Batch, joined
from reactor.log.port import Chunk, Log
from reactor.record import Decoder, Scan
from reactor.state import State
from reactor.step import outcomes
from reactor.walk import Rules, Walk

POLL_S: Final = 0.05
# Records hold no cycles; to look for some at every few hundred of them is a fifth of the path. Now and then will do.
COLLECT_S: Final = 60.0
PART: Final = 4_096  # records: few enough to stay warm in the cache until they are scored


@dataclass(slots=True)
class Reading:
    """One partition while it is read.

    position: offset that its next batch starts from. end: offset where it ends, None for never. parts: what was scored
    since. walk: what came after them. pending: records in both. since: when the first of these came.
    """

    state: State
    position: int
    end: int | None
    decoder: Decoder = field(default_factory=Decoder)
    parts: list[Batch] = field(default_factory=list)
    walk: Walk | None = None
    pending: int = 0
    since: float = 0.0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """When rows are journaled: at this many records, or this long after the first of them."""

    batch_size: int
    flush_ms: int


class Loop:
    """Reads partitions to their ends or until it is told to stop."""

    def __init__(
        self,
        log: Log,
        ledger: Ledger,
        rules: Rules,
        readings: dict[int, Reading],
        pace: Pace,
        *,
        topic: str,
        segment: int,
        until_ms: int | None = None,
        on_batch: Callable[[Batch], None] = lambda batch: None,
        lap: Callable[[str], None] = lambda lane: None,
    ) -> None:
        """on_batch: told of each batch that is journaled. lap: of each lane when its loop over a part is over."""
        self._log, self._rules, self._readings, self._pace = log, rules, readings, pace
        self._topic, self._segment, self._until_ms = topic, segment, until_ms
        self._ledger, self._on_batch, self._lap = ledger, on_batch, lap
        self._collected = time.monotonic()

    def run(self, stop: Callable[[], bool]) -> bool:
        """Read on; True at the ends, False where `stop` said so. What was read is journaled either way."""
        readings = self._readings.values()
        for reading in readings:
            reading.done = reading.end is not None and reading.position >= reading.end
        live = {p: r.position for p, r in self._readings.items() if not r.done}
        limit = min(PART, self._pace.batch_size)
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            if live:
                self._log.assign(live)
            while not stop() and not all(reading.done for reading in readings):
                for chunk in self._log.poll(limit, self._wait_s()):
                    self._take(chunk.partition, chunk)
                for partition, reached in self._log.reached().items():
                    reading = self._readings[partition]
                    reading.done = reading.done or (reading.end is not None and reached >= reading.end)
                self._flush_due()
            for partition in self._readings:
                self._flush(partition)
        finally:
            gc.enable()
            gc.unfreeze()
        return all(reading.done for reading in readings)

    def _wait_s(self) -> float:
        """How long a poll may wait: no longer than the oldest record's time to be journaled."""
        since = [r.since for r in self._readings.values() if r.pending]
        if not since:
            return POLL_S
        return max(0.0, min(POLL_S, min(since) + self._pace.flush_ms / 1e3 - time.monotonic()))

    def _take(self, partition: int, chunk: Chunk) -> None:
        reading = self._readings[partition]
        if reading.done:
            return
        end = reading.end
        if self._until_ms is not None:
            reached = first_at(chunk, self._until_ms)
            if reached is not None:
                end = chunk.offsets[reached] if end is None else min(end, chunk.offsets[reached])
        if end is not None and chunk.offsets[-1] >= end - 1:
            chunk, _ = chunk.split(sum(offset < end for offset in chunk.offsets))
            reading.done = True
        while len(chunk):
            if not reading.pending:
                reading.since = time.monotonic()
            walk = reading.walk = reading.walk or Walk(reading.state, self._rules, reading.decoder)
            head, chunk = chunk.split(self._pace.batch_size - reading.pending)
            walk.take(head)
            reading.pending += len(head)
            if reading.pending >= self._pace.batch_size:
                self._flush(partition)
            elif len(walk) >= PART:
                self._score(partition)

    def _flush_due(self) -> None:
        now = time.monotonic()
        for partition, reading in self._readings.items():
            if reading.pending and (now - reading.since) * 1e3 >= self._pace.flush_ms:
                self._flush(partition)

    def _score(self, partition: int) -> None:
        """Make outcomes of what a walk gathered."""
        reading = self._readings[partition]
        if reading.walk is not None:
            part = outcomes(
                reading.walk,
                topic=self._topic,
                partition=partition,
                segment=self._segment,
                expected=reading.parts[-1].last + 1 if reading.parts else reading.position,
                lap=self._lap,
            )
            reading.parts.append(part)
            reading.walk = None

    def _flush(self, partition: int) -> None:
        """Hand over the batch of all that came."""
        reading = self._readings[partition]
        if not reading.pending:
            return
        self._score(partition)
        batch = joined(reading.parts)
        batch.state = reading.state.dump()
        reading.position, reading.parts, reading.pending = batch.last + 1, [], 0
        if (now := time.monotonic()) - self._collected > COLLECT_S:
            gc.collect()
            self._collected = now
        self._ledger.append(batch, reading.since, self._log.commit)
        self._on_batch(batch)


def first_at(chunk: Chunk, ts_ms: int) -> int | None:
    """Position of the first scan whose event time is at or after a time."""
    decode = Decoder().decode
    for at, raw in enumerate(chunk.values):
        record = decode(raw)
        if isinstance(record, Scan) and record.ts_ms >= ts_ms:
            return at
    return None
