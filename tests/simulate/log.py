"""The log of a soak while it is simulated: a topic, its partitions, a consumer that is slow and in no order."""

import hashlib
from bisect import bisect_left
from datetime import UTC, datetime

from reactor.evaluate.chunk import Chunk
from reactor.log.scout import rolled_back
from reactor.log.topic import NEW_S, Newest
from reactor.run.source import Source

TOPIC = "scans"


class Partition:
    """Offsets that are delivered, their records, and the offset after the last one."""

    def __init__(self):
        self.offsets, self.values, self.end = [], [], 0

    def append(self, value, gap=0):
        self.end += gap
        self.offsets.append(self.end)
        self.values.append(value)
        self.end += 1

    def chunk(self, number, first, end, limit=1 << 30):
        low = bisect_left(self.offsets, first)
        some = slice(low, min(bisect_left(self.offsets, end), low + limit))
        return Chunk(number, self.offsets[some], self.values[some])


class Topic:
    """The broker: records by partition, and where the group stands. on_commit: told of what is committed, at once."""

    def __init__(self, world, partitions, on_commit):
        self.world, self.partitions, self.on_commit = world, [Partition() for _ in range(partitions)], on_commit
        self.group, self.is_away, self.grew_at, self.tells_time = {}, False, None, world.rng.random() < 0.5

    def commit(self, positions):
        self.on_commit(positions)
        if self.world.rng.random() < 0.8:  # else it is lost: a courtesy
            self.world.at(self.world.rng.uniform(0.0, 2.0), lambda: self.group.update(positions))


class SimLog:
    """A consumer of the topic: what came of some partitions, in any order between them."""

    def __init__(self, topic):
        self._topic, self._at, self._left = topic, {}, set()

    def assign(self, positions):
        self._at, self._left = dict(positions), set()

    def poll(self, limit, timeout_s):
        topic, world = self._topic, self._topic.world
        world.wait(0.001)
        chunks, wanted = [], [p for p in self._at if p not in self._left]
        world.rng.shuffle(wanted)
        for p in wanted:
            if limit and not topic.is_away and world.rng.random() < 0.7:
                at = topic.partitions[p]
                chunk = at.chunk(p, self._at[p], at.end, world.rng.randint(1, limit))
                if len(chunk):
                    chunks.append(chunk)
                    self._at[p] = chunk.offsets[-1] + 1
                    limit -= len(chunk)
        if not chunks:
            world.wait(max(timeout_s, min(0.5, world.idle_until - world.now)))
        return chunks

    def reached(self):
        if self._topic.is_away:
            return {}
        ends = {p: self._topic.partitions[p] for p in self._at}
        return {p: at.end for p, at in ends.items() if not at.offsets or self._at[p] > at.offsets[-1]}

    def leave(self, partition):
        self._left.add(partition)

    def commit(self, positions):
        self._topic.commit(positions)

    def close(self):
        pass


class SimSource(Source):
    """A topic that is followed."""

    topic = TOPIC
    finite = False

    def __init__(self, topic):
        self._topic, self.partitions = topic, len(topic.partitions)

    @property
    def identity(self):
        return {
            "kind": "broker", "cluster": "simulated", "topic": TOPIC, "topic_id": "1", "partitions": self.partitions,
        }  # fmt: skip

    @property
    def has_grown(self):
        return len(self._topic.partitions) > self.partitions

    def grow(self):
        self.partitions = len(self._topic.partitions)

    def lows(self):
        return dict.fromkeys(range(self.partitions), 0)

    def ends(self):
        return {p: self._topic.partitions[p].end for p in range(self.partitions)}

    def range(self, partition, first, end):
        self._topic.world.wait(0.002)
        chunk = self._topic.partitions[partition].chunk(partition, first, end)
        if len(chunk):
            yield chunk

    def newest(self):
        """The broker's word on the time, which is true where it gives one."""
        topic, world = self._topic, self._topic.world
        if topic.grew_at is None or not topic.tells_time:
            return None
        return Newest(datetime.fromtimestamp(topic.grew_at + world.base, UTC), world.now - topic.grew_at < NEW_S)

    def open(self, paced_from):
        return SimLog(self._topic)

    def check(self):
        pass

    def begin_after(self, marks):
        for p, mark in marks.items():
            (value,) = self._topic.partitions[p].chunk(p, mark.offset, mark.offset + 1).values or [None]
            if hashlib.sha256(value or b"").hexdigest() != mark.digest:
                raise rolled_back(TOPIC, p, mark.offset, "it has another record at")

    def close(self):
        pass
