"""The loop: poll, step, append, commit.

Records gather by partition. They are scored some thousands at a time, while they are warm and before their bytes fill
memory, and journaled when a batch is full, by records or by bytes, when the oldest has waited `flush_ms`, or at the
end. One thread does it all: the broker's client fetches ahead on its own, bounded, while a batch is inserted or
ClickHouse is away.
See docs/design/running.md.
"""

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from journal.ledger.ledger import Ledger
from journal.refusal import Refusal
from journal.row import Batch, joined
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import UNREADABLE, Decoder, Scan
from reactor.evaluate.state import State
from reactor.evaluate.step import outcomes
from reactor.evaluate.walk import Rules, Walk
from reactor.log.port import Log
from reactor.run.remote import Deciding, RemoteLanes

POLL_S: Final = 0.05
# Records hold no cycles; to look for some at every few hundred of them is a fifth of the path. Now and then will do.
COLLECT_S: Final = 60.0
PART: Final = 4_096  # records: few enough to stay warm in the cache until they are scored
PART_BYTES: Final = 64 << 20  # of them
BATCH_BYTES: Final = 256 << 20  # of a batch's records: whoever resumes reads a batch in doubt again, whole


@dataclass(slots=True)
class Reader:
    """One partition while it is read.

    position: offset that its next batch starts from. end: offset where it ends, None for never. parts: what was scored
    since. walk: what came after them. pending, size: records in both, and their bytes. since: when the first of these
    came.
    """

    state: State
    position: int
    end: int | None
    decoder: Decoder = field(default_factory=Decoder)
    parts: list[Batch] = field(default_factory=list)
    walk: Walk | None = None
    pending: int = 0
    size: int = 0
    since: float = 0.0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """When rows are journaled: at this many records, or this long after the first of them."""

    batch_size: int
    flush_ms: int


class _LetGo(Exception):
    """The end is asked for while nobody says whose records came: a resume reads them again."""


class Loop:
    """Reads partitions to their ends or until it is told to stop."""

    def __init__(
        self, log: Log, ledger: Ledger, rules: Rules, readers: dict[int, Reader], pace: Pace, *,
        topic: str, segment: int, until_ms: int | None = None,
        on_due: Callable[[Batch], None] = lambda batch: None,
        on_batch: Callable[[Batch], None] = lambda batch: None, seen: Sequence[str] = (),
        lanes: RemoteLanes | None = None, lane_done: Callable[[str], None] = lambda lane: None,
        confirm: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        """on_due, on_batch: told of a batch before and after it is journaled. lane_done: of each lane's loop.

        confirm: asked before a batch is journaled, whether what came is of the run's log; where it is not known, and
        the end is asked for, the batch is let go, and a resume reads it again.
        """
        self._log, self._readers, self._pace = log, readers, pace
        self._topic, self._until_ms, self._lanes = topic, until_ms, lanes
        self._decides: dict[int, Deciding] = dict.fromkeys(readers, (rules, segment))
        if lanes is not None:
            self._decides |= dict(lanes.decides)
        self._on_due, self._on_batch = on_due, on_batch
        self._ledger, self._seen, self._lane_done, self._confirm = ledger, seen, lane_done, confirm
        self._collected = time.monotonic()

    def run(self, stop: Callable[[], bool]) -> bool:
        """Read on; True at the ends, False where `stop` said so. What was read is journaled either way.

        Raises:
            Refusal: the log fails; what came before that is journaled.
        """
        readers = self._readers.values()
        for reader in readers:
            reader.done = reader.end is not None and reader.position >= reader.end
        live = {p: r.position for p, r in self._readers.items() if not r.done}
        limit = min(PART, self._pace.batch_size)
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            for partition, reader in self._readers.items():
                self._journaled(partition, reader.state.dump())
            if live:
                self._log.assign(live)
            while not stop() and not all(reader.done for reader in readers):
                for chunk in self._polled(limit):
                    self._switch(chunk)
                    self._take(chunk.partition, chunk)
                for partition, reached in self._log.reached().items():
                    reader = self._readers[partition]
                    if reader.end is not None and reached >= reader.end:
                        self._over(partition)
                self._flush_due()
                self._collect_due()
            self._flush_all()
        except _LetGo:
            return False
        finally:
            gc.enable()
            gc.unfreeze()
        return all(reader.done for reader in readers)

    def _polled(self, limit: int) -> list[Chunk]:
        try:
            return self._log.poll(limit, self._wait_s())
        except Refusal:
            self._flush_all()
            raise

    def _flush_all(self) -> None:
        for partition in self._readers:
            self._flush(partition)

    def _wait_s(self) -> float:
        """How long a poll may wait: no longer than the oldest record's time to be journaled."""
        since = [r.since for r in self._readers.values() if r.pending]
        if not since:
            return POLL_S
        return max(0.0, min(POLL_S, min(since) + self._pace.flush_ms / 1e3 - time.monotonic()))

    def _switch(self, chunk: Chunk) -> None:
        """Cut the batch before a chunk that others decide."""
        reader = self._readers[chunk.partition]
        past = reader.done or (reader.end is not None and chunk.offsets[0] >= reader.end)
        if self._lanes is None or past or (switch := self._lanes.switch(chunk.partition)) is None:
            return
        self._flush(chunk.partition)
        self._decides[chunk.partition] = switch(chunk.offsets[0], reader.state)

    def _take(self, partition: int, chunk: Chunk) -> None:
        reader = self._readers[partition]
        if reader.done:
            return
        end = reader.end
        if self._until_ms is not None and (reached := first_at(chunk, self._until_ms)) is not None:
            end = chunk.offsets[reached] if end is None else min(end, chunk.offsets[reached])
        if end is not None and chunk.offsets[-1] >= end - 1:
            chunk, _ = chunk.split(sum(offset < end for offset in chunk.offsets))
            self._over(partition)
        while len(chunk):
            if not reader.pending:
                reader.since = time.monotonic()
            walk = reader.walk = reader.walk or Walk(reader.state, self._decides[partition][0], reader.decoder)
            head, chunk = chunk.split(self._pace.batch_size - reader.pending)
            before = walk.size
            walk.take(head)
            reader.pending += len(head)
            reader.size += walk.size - before
            if reader.pending >= self._pace.batch_size or reader.size >= BATCH_BYTES:
                self._flush(partition)
            elif len(walk) >= PART or walk.size >= PART_BYTES:
                self._score(partition)

    def _over(self, partition: int) -> None:
        """A partition is at its end: a log that goes on behind it is fetched no more."""
        if not self._readers[partition].done:
            self._readers[partition].done = True
            self._log.leave(partition)

    def _collect_due(self) -> None:
        """Let garbage go now and then, also while nothing comes: who watches makes some then too."""
        if (now := time.monotonic()) - self._collected > COLLECT_S:
            gc.collect()
            self._collected = now

    def _flush_due(self) -> None:
        now = time.monotonic()
        for partition, reader in self._readers.items():
            if reader.pending and (now - reader.since) * 1e3 >= self._pace.flush_ms:
                self._flush(partition)

    def _score(self, partition: int) -> None:
        """Make outcomes of what a walk gathered."""
        reader = self._readers[partition]
        if reader.walk is not None:
            part = outcomes(
                reader.walk, topic=self._topic, partition=partition, segment=self._decides[partition][1],
                expected=reader.parts[-1].last + 1 if reader.parts else reader.position,
                values=None if self._lanes is None else partial(self._lanes.values, partition),
                seen=self._seen, lane_done=self._lane_done,
            )  # fmt: skip
            reader.parts.append(part)
            reader.walk = None

    def _flush(self, partition: int) -> None:
        """Hand over the batch of all that came."""
        reader = self._readers[partition]
        if not reader.pending:
            return
        if not self._confirm():
            raise _LetGo
        self._score(partition)
        batch = joined(reader.parts)
        batch.state = reader.state.dump()
        reader.position, reader.parts, reader.pending, reader.size = batch.last + 1, [], 0, 0
        self._on_due(batch)
        self._ledger.append(batch, reader.since, self._log.commit)
        self._journaled(partition, batch.state)
        self._on_batch(batch)

    def _journaled(self, partition: int, state: bytes) -> None:
        if self._lanes is not None:
            self._lanes.journaled(partition, self._readers[partition].position, state)


class _Timed(Struct, gc=False):
    """What says whether a record may be a scan at or after a time: all else is skipped, not decoded."""

    ts_ms: int = 0


_timed: Final = msgspec.json.Decoder(_Timed).decode


def first_at(chunk: Chunk, ts_ms: int) -> int | None:
    """Position of the first scan whose event time is at or after a time."""
    decode = Decoder().decode
    for at, raw in enumerate(chunk.values):
        with suppress(*UNREADABLE):  # the decoder judges what this cannot read
            if _timed(raw or b"").ts_ms < ts_ms:
                continue
        record = decode(raw)
        if isinstance(record, Scan) and record.ts_ms >= ts_ms:
            return at
    return None
