"""Prefix: each record is evaluated where the log ends with it, and must come out as the whole run gave it.

The records go through the same step in their order, one at a time, and the batch of a record holds nothing of a later
one. The state before it came of the records before it. So what comes out is what the log up to it gives; a lane that
looks ahead gave something else in the run, whose batches held later records. See docs/design/running.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np

from journal.judge import stored
from journal.row import Batch, Rows
from journal.store import Store
from lanes.code import Outcome
from lanes.profile import Profile
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import outcomes
from reactor.evaluate.walk import Rules, Walk

_SCANS: Final = (Outcome.DECISION, Outcome.EVALUATION)


@dataclass(frozen=True, slots=True)
class Alone:
    """The outcomes of a chunk's records, of each where the log ended with it. whole: their offsets and hashes."""

    whole: Batch
    each: Mapping[int, Rows]


def alone(state: State, chunk: Chunk, rules: Rules, decoder: Decoder, *, topic: str, segment: int) -> Alone:
    """Evaluate every record of a chunk by itself, the state advanced past them."""
    parts = []
    for single in _singles(chunk):
        walk = Walk(state, rules, decoder)
        walk.take(single)
        parts.append(
            outcomes(walk, topic=topic, partition=chunk.partition, segment=segment, expected=single.offsets[0])
        )
    rows = {kind: [part.rows[kind] for part in parts if len(part.rows[kind])] for kind in Outcome}
    whole = Batch(
        topic, chunk.partition, segment, chunk.offsets[0], chunk.offsets[-1],
        {kind: _bare(found) for kind, found in rows.items()},
    )  # fmt: skip
    return Alone(whole, {int(one.offsets[0]): one for one in chain.from_iterable(rows[kind] for kind in _SCANS)})


def _singles(chunk: Chunk) -> Iterator[Chunk]:
    for offset, value in zip(chunk.offsets, chunk.values, strict=True):
        cut = {offset: chunk.cut[offset]} if offset in chunk.cut else {}
        typed = {offset: chunk.typed[offset]} if offset in chunk.typed else {}
        yield Chunk(chunk.partition, [offset], [value], cut, typed, chunk.epoch)


def _bare(found: list[Rows]) -> Rows:
    empty = Rows(np.empty(0, np.int64), {}, np.empty(0, np.uint64))
    offsets, hashes = (
        np.concatenate([getattr(one, name) for one in (empty, *found)]) for name in ("offsets", "hashes")
    )
    return Rows(offsets, {}, hashes)


def lanes_ahead(store: Store, run_id: str, profile: Profile, found: Alone, offsets: list[int]) -> set[str]:
    """Lanes whose stored columns differ at some offsets from what the prefix gave. Empty where no lane's do."""
    batch = found.whole
    wanted = [offset for offset in offsets if offset in found.each]
    if not wanted:
        return set()
    names = [name for lane in profile.lanes for name in lane.stored]
    place = stored.Stretch(run_id, batch.topic, batch.partition, batch.first, batch.last)
    return {
        lane.name
        for row in stored.scans(store, place, names, wanted)
        for lane in profile.lanes
        for name in lane.stored
        if _bits([row[name]]) != _bits(found.each[row["log_offset"]].columns[name])
    }


def _bits(column: Any) -> bytes:
    return np.asarray(column, np.float64).tobytes()
