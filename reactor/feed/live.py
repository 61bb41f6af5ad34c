"""Live sequence: records of foreign topics become the ordered log of an output topic, the truth from then on.

A record is held for lateness_ms from its arrival; when one is due, all that precede it by (event time, source rank,
partition, offset) go before it. A record that comes after later ones were written goes at once, late, and counted.
While a feed is behind its topic's end nothing newer than what it has read goes out, so a backlog merges by event time;
one whose broker is away is behind.
Each record is stamped with where it came from, when it arrived, and the lowest offset of its feed that is not settled:
a restart reads the stamps and goes on there, and writes nothing twice and leaves nothing out.
A row that does not map goes into the log as {"v":0,"said":...,"raw":...}, which the reactor rejects by name.
See docs/design/feeds.md.
"""

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import msgspec

from journal.refusal import Refusal
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import CUT_BYTES, Decoder, Scan
from reactor.feed.archive_writer import encode
from reactor.feed.mapped import MappedSource
from reactor.feed.sequence import Bad, Enrich, Sequencer, Tally, enriched
from reactor.feed.table import Row, object_row
from reactor.log.port import Log

STAMP_HEADER: Final = "violet-sequence"
HELD_MAX: Final = 20_000  # records of a feed that wait for slower ones; then it is not read
QUIET_MS: Final = 1_000  # a feed that gave nothing for so long is at its end, whatever the broker says
_BATCH: Final = 2_000
_WAIT_S: Final = 0.02
_RAW_CHARS: Final = 2 * CUT_BYTES

Key = tuple[int, int, int, int]  # event time, rank, partition, offset


class Topic(Log, Protocol):
    """A log whose broker may go away and come back."""

    def away(self) -> bool:
        """Whether it is away: what it gave last is then not its end."""

    def same(self) -> bool:
        """Whether all that it gave is of the log that was opened; False where nobody says. Raises LogChanged."""


class Stamp(msgspec.Struct):
    """Where a record of the log came from. `low`: offsets of its feed below this one are settled.

    topic_id, record: of its topic, and its SHA-256 there; by them a restart knows the topic again.
    """

    source: str
    partition: int
    offset: int
    low: int
    arrival_ms: int
    topic_id: str = ""
    record: str = ""


class Out(NamedTuple):
    """A record of the log."""

    line: bytes
    key: bytes | None
    stamp: bytes


@dataclass(slots=True)
class Feed:
    """One partition of a source's topic. `next`: the offset to read; `done`: later ones that are written already."""

    source: MappedSource
    partition: int
    log: Topic
    next: int
    done: set[int] = field(default_factory=set)
    topic_id: str = ""
    newest_ms: int = -1
    asked_ms: int = 0  # since when it is asked and gives nothing; 0: it gave
    pending: deque[int] = field(default_factory=deque)
    gone: set[int] = field(default_factory=set)

    def settle(self, offset: int) -> int:
        """Count an offset as written; the lowest that is not settled."""
        self.gone.add(offset)
        while self.pending and self.pending[0] in self.gone:
            self.gone.discard(self.pending.popleft())
        return self.pending[0] if self.pending else self.next

    def at_end(self, now_ms: int) -> bool:
        """Whether, as of now, nothing more is there."""
        if self.log.away():
            self.asked_ms = 0
            return False
        return self.log.reached().get(self.partition) == self.next or 0 < self.asked_ms <= now_ms - QUIET_MS


class Merger:
    """Holds records back, and lets them go in order. Time is what the caller says it is."""

    def __init__(self, feeds: Sequence[Feed], lateness_ms: int, enricher: Enrich | None = None) -> None:
        self.late = dict.fromkeys((feed.source.name for feed in feeds), 0)
        self._feeds, self._lateness_ms, self._enricher = feeds, lateness_ms, enricher
        self._bad: list[Bad] = []
        self.sequencer = Sequencer(self._bad.append)
        self.sequencer.tallies.update({feed.source.name: Tally() for feed in feeds})
        self._held: list[tuple[Key, int, bytes, bytes | None, Feed, str]] = []
        self._arrived: deque[tuple[int, Key]] = deque()
        self._due: Key = (-1, 0, 0, 0)
        self._last: Key = (-1, 0, 0, 0)

    def wants(self, feed: Feed) -> bool:
        """Whether a feed may be read now."""
        return len(feed.pending) < HELD_MAX

    def take(self, feed: Feed, chunks: Iterable[Chunk], now_ms: int) -> None:
        """Records that came, or nothing."""
        asked, feed.asked_ms = feed.asked_ms or now_ms, 0
        for chunk in chunks:
            for offset, value in zip(chunk.offsets, chunk.values, strict=True):
                feed.next = offset + 1
                if offset in feed.done:
                    feed.done.discard(offset)
                    continue
                if value is None:  # a compacted topic's word that a key is gone
                    self.sequencer.tallies[feed.source.name].rows += 1
                    self.sequencer.tallies[feed.source.name].passed_over += 1
                    continue
                self._take(feed, _row(offset, value, chunk), now_ms)
            asked = 0
        feed.asked_ms = asked

    def due(self, now_ms: int) -> Iterator[Out]:
        """The records that may go, in order."""
        while self._arrived and self._arrived[0][0] <= now_ms - self._lateness_ms:
            self._due = max(self._due, self._arrived.popleft()[1])
        behind = [feed.newest_ms for feed in self._feeds if not feed.at_end(now_ms)]
        bound_ms = min(behind) if behind else None
        while self._held and self._held[0][0] <= self._due and (bound_ms is None or self._held[0][0][0] <= bound_ms):
            key, arrival_ms, line, name, feed, record = heapq.heappop(self._held)
            if name is not None:
                self.late[feed.source.name] += key < self._last
                self._last = max(self._last, key)
                line = enriched(self._enricher, line) if self._enricher is not None else line
            low = feed.settle(key[3])
            place = Stamp(feed.source.name, feed.partition, key[3], low, arrival_ms, feed.topic_id, record)
            yield Out(line, name, encode(place))

    def _take(self, feed: Feed, row: Row, now_ms: int) -> None:
        source = feed.source
        item = self.sequencer.item(source, row, self.sequencer.tallies[source.name])
        if item is not None:
            ts_ms, line = item[0], item[3]
            name: bytes | None = msgspec.json.decode(line)["stream"].encode()
            feed.newest_ms = max(feed.newest_ms, ts_ms)
        elif self._bad:
            bad = self._bad.pop()
            ts_ms, name = 0, None  # before all that is held
            raw = bad.raw.decode("utf-8", "replace")[:_RAW_CHARS]
            line = encode({"v": 0, "source": bad.source, "offset": bad.line, "said": bad.said, "raw": raw})
        else:
            return
        key = (ts_ms, source.rank, feed.partition, row.line)
        feed.pending.append(row.line)
        self._arrived.append((now_ms, key))
        heapq.heappush(self._held, (key, now_ms, line, name, feed, hashlib.sha256(row.raw).hexdigest()))


def follow(
    feeds: Sequence[Feed],
    merger: Merger,
    write: Callable[[Out], None],
    clock: Callable[[], int],
    stop: Callable[[], bool],
) -> None:
    """Merge until told to stop. What is held then was not written, and a restart reads it again.

    Nothing is written while it is not known whether what came is of the feeds' own logs.
    """
    while not stop():
        for feed in feeds:
            if merger.wants(feed):
                chunks = feed.log.poll(_BATCH, _WAIT_S)
                merger.take(feed, chunks, clock())
        if all(feed.log.same() for feed in feeds):
            for out in merger.due(clock()):
                write(out)


class Resumed:
    """What an output topic says of its feeds: where each goes on, and the enricher's windows as they were.

    `next`: the offset after its last record; `doubled`: records that are there again, of a second writer.
    """

    def __init__(self, enricher: Enrich | None, first: int = 0) -> None:
        self._enricher, self._decoder = enricher, Decoder()
        self._low: dict[tuple[str, int], int] = {}
        self._written: dict[tuple[str, int], set[int]] = {}
        self._last: dict[tuple[str, int], Stamp] = {}
        self.records, self.doubled, self.next = 0, 0, first

    def take(self, offset: int, value: bytes | None, stamp: bytes | None) -> None:
        """One record of the output topic. Raises Refusal where nothing here wrote it."""
        if stamp is None:
            raise Refusal(f"record {offset} of the output topic is not of `violet sequence`; fix: a --topic of its own")
        found = msgspec.json.decode(stamp, type=Stamp)
        feed = (found.source, found.partition)
        written = self._written.setdefault(feed, set())
        self.doubled += found.offset in written or found.offset < self._low.get(feed, 0)
        written.add(found.offset)
        if feed not in self._last or found.offset > self._last[feed].offset:
            self._last[feed] = found
        if found.low > self._low.get(feed, 0):
            self._low[feed] = found.low
            self._written[feed] = {offset for offset in written if offset >= found.low}
        self.records, self.next = self.records + 1, offset + 1
        if self._enricher is not None and isinstance(self._decoder.decode(value), Scan):
            self._enricher(msgspec.json.decode(value or b""))

    def place(self, source: str, partition: int) -> tuple[int | None, set[int]]:
        """Offset at which a feed goes on (None: at its first), and the later ones that are written."""
        return self._low.get((source, partition)), self._written.get((source, partition), set())

    def last(self, source: str, partition: int) -> Stamp | None:
        """The stamp of a feed's record with the greatest offset."""
        return self._last.get((source, partition))


def _row(offset: int, value: bytes, chunk: Chunk) -> Row:
    if offset in chunk.cut:
        return Row(offset, {}, f"the record had {chunk.cut[offset][0]} bytes, more than a record may have", value)
    return object_row(offset, value)
