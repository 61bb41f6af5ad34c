"""Heal: compute the outcomes that a journal lost once more, at their exact offsets, from the archive or the log.

A run is read from its beginning, so that the state at every offset is exact; where the log lost its first records, from
where a segment begins or a batch ends, with the state that is stored there. Gaps that the run was told to pass are
passed. Where a completed batch lacks rows, they are put back if the whole batch comes out with the digest that it was
stored with. Where a batch itself is gone, its offsets become batches again. Rows that are there are never touched. What
cannot be healed is named.
See docs/design/exactly-once.md.
"""

import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from journal.judge import missing, stored
from journal.judge.gate import counted
from journal.judge.scope import Scope
from journal.ledger.identity import identities
from journal.ledger.ledger import audit, digest, put_batch, put_rows
from journal.ledger.run import Run, Segment, segments
from journal.refusal import Refusal
from journal.store import Store
from lanes.code import Outcome
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import IDENTITIES, State
from reactor.evaluate.step import advance, step
from reactor.evaluate.walk import Rules
from reactor.log.connection import Connection
from reactor.run.provenance import code_hash
from reactor.run.verify import Records, behind, records, rules_of

PIECE: Final = 16_384  # offsets of a batch that is made anew


@dataclass(slots=True)
class Healed:
    """What was put back into a run, and why not all, where that is so."""

    run_id: str
    source: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    why: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing any more."""
        return not self.why


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one segment that are computed together. is_batch: a completed batch, with the digest stored of it."""

    first: int
    last: int
    segment: Segment
    is_batch: bool = False
    digest: str = ""


def is_whole(store: Store, run: Run) -> bool:
    """Whether the rows of a run are all there, by their counts and by their hashes."""
    try:
        audit(store, run.run_id)
    except Refusal:
        return False
    found = counted(store, run, Scope.of(store, run.run_id))
    return not (found["lost"] or found["doubled"] or found["corrupt"]) and not any(
        missing.gaps(store, run, int(partition), at) for partition, at in run.start.items()
    )


def heal(
    store: Store, run: Run, broker: Connection | None, on_batch: Callable[[int], None] = lambda n: None, epoch: int = 0
) -> Healed:
    """Put back what a run lost, while nobody else may write it.

    Args:
        store: the journal.
        run: what is healed.
        broker: of its topic, where it followed one.
        on_batch: is told how many offsets were read.
        epoch: of the claim of the run's name.
    """
    healed = Healed(run.run_id)
    try:
        opened = segments(store, run.run_id)
        if not opened:
            raise Refusal(f"the segments of run {run.run_id} are gone: nothing tells what decided it")
        found = records(store, run, broker, whole=any(segment.kernels for segment in opened), late=True)
        with closing(found):
            if found.stored or run.replay_of:
                raise Refusal(
                    f"the records of run {run.run_id} are not there; fix: bring its archive back, or "
                    "--bootstrap-servers with its topic; replay a replay again"
                )
            healed.source = found.words
            why = []
            for partition in map(int, run.start):
                mine = [segment for segment in opened if segment.partition == partition]
                try:
                    _Healing(store, run, found, healed, on_batch, epoch).partition(partition, mine)
                except Refusal as refusal:  # the others may be healed all the same
                    why.append(str(refusal))
        if why:
            raise Refusal("; ".join(why))
        if not is_whole(store, run):
            raise Refusal(f"run {run.run_id} is still not whole: `violet verify` names what differs")
    except Refusal as refusal:
        healed.why = str(refusal)
    return healed


class _Healing:
    """One partition of a run, read once from its beginning."""

    def __init__(
        self, store: Store, run: Run, found: Records, healed: Healed, on_batch: Callable[[int], None], epoch: int
    ) -> None:
        self._store, self._run, self._found, self._healed, self._on_batch = store, run, found, healed, on_batch
        self._read, self._epoch = 0, epoch

    def partition(self, partition: int, opened: list[Segment]) -> None:
        """Put back what the partition lost. opened: its segments, in order."""
        todo = self._todo(partition, opened)
        if not todo:
            return
        lost = ""
        begins, low = opened[0].first_offset, self._found.lows[partition]
        if begins >= low:
            state = self._found.state(opened[0], self._run.warm, rules_of(opened[0]))
        else:
            begins, state = self._late(opened, low)
            late = [span for span in todo if span.first < begins or not span.is_batch]  # nothing proves the latter
            lost = ", ".join(f"{span.first} to {span.last}" for span in late)
            todo = [span for span in todo if span not in late]
            opened = [
                s
                for s, after in zip(opened, [*opened[1:], None], strict=True)
                if after is None or after.first_offset > begins
            ]
        if todo:
            self._read_on(partition, opened, begins, state, todo)
        if lost:
            raise Refusal(
                f"the log lost what gives offsets {lost} of partition {partition}; fix: bring its records back"
            )

    def _late(self, opened: list[Segment], low: int) -> tuple[int, State]:
        """The first offset from which on a partition can be read with an exact state, and that state."""
        run_id, one = self._run.run_id, opened[0]
        begins = [s for s in opened if s.first_offset >= low]
        ended = missing.ended(self._store, run_id, one.partition, low - 1)
        if begins and (ended is None or begins[0].first_offset <= ended + 1):
            at = begins[0].first_offset
            seen = identities(self._store, run_id, one.partition, at - 1, IDENTITIES)
            return at, State.load(begins[0].state.encode(), seen)
        if ended is None:
            raise Refusal(
                f"the log of run {run_id} lost all that its batches were made of; fix: bring its records back"
            )
        return ended + 1, behind(self._store, self._run, one.topic, one.partition, ended)

    def _read_on(self, partition: int, opened: list[Segment], begins: int, state: State, todo: list[Span]) -> None:
        cutter = _Cutter(self._ranges(partition, begins, todo[-1].last + 1))
        decoder = Decoder()
        dropped = Scope.of(self._store, self._run.run_id).dropped_ends.get(partition, -1)
        for before, segment in zip([*opened[1:], None], opened, strict=True):
            rules, end = rules_of(segment), before.first_offset if before is not None else todo[-1].last + 1
            for span in [span for span in todo if span.segment is segment]:
                for chunk in cutter.until(span.first):
                    self._advance(state, chunk, rules, decoder)
                self._restore(span, _joined(cutter.until(span.last + 1)), state, rules, dropped)
            for chunk in cutter.until(end):
                self._advance(state, chunk, rules, decoder)

    def _ranges(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        """Records of a range, without the gaps that the run was told to pass."""
        for gap, last in missing.accepted(self._store, self._run.run_id, partition, first):
            yield from self._found.ranges(partition, first, min(gap, end))
            first = max(first, last + 1)
        yield from self._found.ranges(partition, first, end)

    def _advance(self, state: State, chunk: Chunk, rules: Rules, decoder: Decoder) -> None:
        advance(state, chunk, rules, decoder)
        self._read += len(chunk)
        self._on_batch(self._read)

    def _todo(self, partition: int, opened: list[Segment]) -> list[Span]:
        """Completed batches that lack rows, and offsets that lie in no batch, in order."""
        of = {segment.segment: segment for segment in opened}
        run_id = self._run.run_id
        spans = [
            Span(row["first_offset"], row["last_offset"], of[row["segment"]], is_batch=True, digest=row["digest"])
            for row in missing.short(self._store, run_id, partition)
        ]
        for first, last in missing.gaps(self._store, self._run, partition, opened[0].first_offset):
            spans += _cut(first, last, opened, missing.doubts(self._store, run_id, partition, first, last))
        return sorted(spans, key=lambda span: span.first)

    def _restore(self, span: Span, chunk: Chunk | None, state: State, rules: Rules, dropped: int) -> None:
        """Compute a span and insert those of its rows that are not there."""
        if chunk is None:  # the broker delivers none of these offsets
            return
        segment, run_id = span.segment, self._run.run_id
        batch = step(
            state, chunk, rules, Decoder(), topic=segment.topic, segment=segment.segment, expected=span.first
        )  # fmt: skip
        place = f"offsets {span.first} to {span.last} of partition {segment.partition}"
        if span.is_batch and digest(batch) != span.digest:
            raise Refusal(f"{place} come out otherwise than they were journaled; fix: the version that wrote them")
        if not span.is_batch and segment.code_hash != code_hash():
            raise Refusal(f"{place} were decided by other code ({segment.code_hash}); fix: heal with that version")
        kept = stored.hashes(
            self._store, stored.Stretch(run_id, segment.topic, segment.partition, batch.first, batch.last)
        )
        for kind, block in batch.rows.items():
            least = dropped if kind is Outcome.PLANE else -1
            gone = [n for n, at in enumerate(block.offsets.tolist()) if at not in kept and at > least]
            if gone:
                put_rows(self._store, run_id, batch, kind, block.take(np.array(gone)), f"{run_id}|{_again()}")
                name = f"{kind.name.lower()}s"
                self._healed.rows[name] = self._healed.rows.get(name, 0) + len(gone)
        if not span.is_batch:
            for phase in ("INTENT", "COMPLETE"):
                put_batch(self._store, run_id, batch, phase, 0.0, again=_again(), epoch=self._epoch)
            self._healed.batches += 1
        self._read += len(chunk)
        self._on_batch(self._read)


class _Cutter:
    """Chunks of ascending offsets, cut where it is asked for."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._rest: Chunk | None = None

    def until(self, end: int) -> Iterator[Chunk]:
        """What comes before an offset, and was not given yet."""
        while (chunk := self._rest or next(self._chunks, None)) is not None:
            head, rest = chunk.split(bisect_left(chunk.offsets, end))
            self._rest = rest if len(rest) else None
            if len(head):
                yield head
            if self._rest is not None:
                return


def _again() -> str:
    """Of an insert's token: ClickHouse remembers those of rows that are gone, and would drop the same again."""
    return f"healed-{secrets.token_hex(8)}"


def _joined(chunks: Iterator[Chunk]) -> Chunk | None:
    if (whole := next(chunks, None)) is not None:
        for chunk in chunks:
            whole.extend(chunk)
    return whole


def _cut(first: int, last: int, opened: list[Segment], at: list[int]) -> Iterator[Span]:
    """A range as spans of one segment each, of PIECE offsets at most, cut at some offsets."""
    begins = {first, *range(first, last + 1, PIECE), *at, *(s.first_offset for s in opened)}
    ordered = sorted(begin for begin in begins if first <= begin <= last)
    for begin, after in zip(ordered, [*ordered[1:], last + 1], strict=True):
        segment = max((s for s in opened if s.first_offset <= begin), key=lambda s: s.segment)
        yield Span(begin, after - 1, segment)
