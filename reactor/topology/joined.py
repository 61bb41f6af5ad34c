"""A log that gives a record only when all lanes spoke of it: the scans' topic, held back by the five lanes' topics.

What is held is bounded: with so many records waiting the scans' topic is not read on, and a lane that is far ahead is
not either. See docs/design/stages.md.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from reactor.evaluate.chunk import Chunk
from reactor.log.port import Log
from reactor.topology.checkpoint import decode
from reactor.topology.join import Join, Versions
from reactor.topology.lane_topic import LaneTopic

HELD: Final = 16_384  # records that wait for their lanes
_AT_ONCE: Final = 8_192  # readings taken of a lane at a time


class JoinedLog:
    """Scans and planes in offset order, as far as the lanes have come.

    versions: who decided the records that were given last, by partition; None where no scan was among them yet.
    missing: lanes that are waited for, and since when (monotonic seconds); why: what is known of why, by lane.
    """

    def __init__(self, log: Log, lane_topics: Mapping[str, LaneTopic], join: Join, begin: Callable[[], None]) -> None:
        """begin: the lanes are wanted from now on."""
        self._log, self._lane_topics, self._join, self._begin = log, lane_topics, join, begin
        self._held: dict[int, Chunk] = {}
        self.versions: dict[int, Versions | None] = {}
        self.missing: dict[str, float] = {}
        self.why: dict[str, str] = {}

    def assign(self, positions: dict[int, int]) -> None:
        self._log.assign(positions)
        self._join.begin(positions)
        self._held = {}
        self.versions = dict.fromkeys(positions)
        self._begin()
        for lane_topic in self._lane_topics.values():
            lane_topic.assign({p: start(lane_topic, p, offset, self._join.log) for p, offset in positions.items()})

    def poll(self, limit: int, timeout_s: float) -> list[Chunk]:
        waiting = any(map(len, self._held.values()))
        if sum(map(len, self._held.values())) < HELD:
            for chunk in self._log.poll(limit, 0.0 if waiting else timeout_s):
                self._held.setdefault(chunk.partition, Chunk(chunk.partition, [], [])).extend(chunk)
        for lane in self._lane_topics:
            self._read(lane, 0.0)
        given = self._give(limit)
        if not given and self.missing:
            self._read(next(iter(self.missing)), timeout_s)
            given = self._give(limit)
        return given

    def reached(self) -> dict[int, int]:
        return {p: offset for p, offset in self._log.reached().items() if not len(self._held.get(p, ()))}

    def leave(self, partition: int) -> None:
        self._log.leave(partition)
        self._held.pop(partition, None)

    def commit(self, positions: dict[int, int]) -> None:
        self._log.commit(positions)

    def close(self) -> None:
        for lane_topic in self._lane_topics.values():
            lane_topic.close()
        self._log.close()

    def _read(self, lane: str, timeout_s: float) -> None:
        lane_topic = self._lane_topics[lane]
        lane_topic.hold(self._join.full(lane))
        for record in lane_topic.listen(_AT_ONCE, timeout_s):
            self._join.take(lane, record)

    def _give(self, limit: int) -> list[Chunk]:
        given, why = [], dict[str, str]()
        for partition, held in self._held.items():
            if not len(held):
                continue
            count, versions = self._join.ready(held, self.versions[partition])
            if not count and versions != self.versions[partition]:  # from here on others decide
                count, versions = self._join.ready(held, versions)
            if count:
                self.versions[partition] = versions
                head, self._held[partition] = held.split(min(count, limit))
                given.append(head)
            else:
                why |= self._join.missing(held)
        now = time.monotonic()
        self.why, self.missing = why, {lane: self.missing.get(lane, now) for lane in why}
        return given


def start(lane_topic: LaneTopic, partition: int, offset: int, log: str) -> int:
    """Where in a lane's topic to begin, so that no first reading from a source offset on is missed."""
    for records in lane_topic.back(partition) if offset else ():
        there = ((decode(record.checkpoint), record.at) for record in records)
        found = [(c.next, at) for c, at in there if c is not None and c.fresh and c.log == log and c.next <= offset]
        if found:
            return max(found)[1]
    return lane_topic.lows([partition])[partition]
