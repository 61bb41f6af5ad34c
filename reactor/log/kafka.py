"""A Kafka-compatible broker as the log. Beside outlet.py the only module that speaks to one.

Partitions are assigned from the journal's offsets, never from a group; group offsets are committed afterwards, for lag
tools. A lost range of offsets raises LogGap, never a silent jump. See docs/design/records.md.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from threading import Thread
from types import MappingProxyType
from typing import Final, TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from journal.refusal import Refusal
from reactor.evaluate.chunk import Chunk, cut_of
from reactor.evaluate.record import CUT_BYTES
from reactor.log import diagnosis
from reactor.log.admin import REACH_S, made, reach, topic_id
from reactor.log.connection import Connection
from reactor.log.presence import Presence
from reactor.log.scout import CORRUPT, OUT_OF_RANGE, Read, Scout, epoch_of, rolled_back
from reactor.log.topic import Following, TopicIdentity, TopicWatch

T = TypeVar("T")
QUIET_S: Final = 1.0  # nothing more for this long: the end of the log, where a broker's watermark cannot be trusted
_AGAIN_S: Final = 0.1
_ASK_S: Final = 5.0  # for one answer
LEAVE_S: Final = 1.0
_FETCH: Final = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # offsets that retention ate must never be skipped in silence
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "check.crcs": True,
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 20,  # a Tansu long poll wakes only every half of this
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    "session.timeout.ms": 6_000,
}


# The client types these as optional; on a message that was consumed they are there.
_error: Final = cast(Callable[[Read], KafkaError | None], Message.error)
_partition: Final = cast(Callable[[Read], int], Message.partition)
_offset: Final = cast(Callable[[Read], int], Message.offset)
_value: Final = cast(Callable[[Read], bytes | None], Message.value)


class LogGap(Refusal):
    """The log does not give the offsets that its reader wants next, and gives later ones."""


class BrokerFailed(Refusal):
    """The broker refused for good: a topic that went away, a right that was taken."""


class NotAlone(BrokerFailed):
    """Somebody else wrote into a topic that must have one writer."""


class KafkaLog:
    """A topic as a log."""

    def __init__(self, connection: Connection, topic: str, client: str) -> None:
        """client: `<name>-shadow`, on the client id and the group id."""
        self._connection, self.topic, self._client = connection, topic, client
        self._faults = diagnosis.Faults()
        self._consumer = self._new_consumer()
        self._positions: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        scout = Scout(self._new_consumer, topic, lambda partition: self._watermarks(partition)[0])
        self._scout, self.following = scout, Following(topic, scout)
        self._failed: Refusal | None = None
        self.presence = Presence(self._asked, connection.bootstrap_servers, self._heard_last)

    def describe(self) -> TopicIdentity:
        """Identity of the topic. Raises Refusal where the broker or the topic is not there."""
        cluster = reach(self._connection)
        # Asked by the consumer: an admin client's question would create the topic on a broker that lets it.
        try:
            found = self._consumer.list_topics(self.topic, timeout=REACH_S).topics[self.topic]
        except KafkaException as error:
            raise self._silent(error.args[0]) from None
        if found.error is not None and diagnosis.is_denied(found.error):
            raise failed(self._connection, self.topic, found.error)
        if found.error is not None or not found.partitions:
            raise Refusal(
                f"topic {self.topic!r} is not on {self._connection.bootstrap_servers}; "
                "fix: name one that is there, or `violet publish` to it; a tap topic: `violet soak --taps LANE`"
            )
        identity = TopicIdentity(
            cluster.cluster_id, self.topic, topic_id(cluster, self._connection, self.topic), len(found.partitions)
        )
        if identity.topic_id:
            self.following.watch = TopicWatch(cluster, identity)
        return identity

    def assign(self, positions: dict[int, int]) -> None:
        """Read these partitions from these offsets on."""
        self._positions, self._reached, self._failed = dict(positions), {}, None
        self._consumer.assign([TopicPartition(self.topic, p, offset) for p, offset in positions.items()])

    def lows(self, partitions: Iterable[int]) -> dict[int, int]:
        """First offset that each partition still has."""
        return {p: self._watermarks(p)[0] for p in partitions}

    def range(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        """Records of a range of offsets. Raises Refusal where they do not come."""
        if first >= end:
            return
        for chunk in self._awaited(partition, first, end, lambda: self.poll(16_384, 0.2)):
            head, _ = chunk.split(sum(offset < end for offset in chunk.offsets))
            if len(head):
                yield head

    def _awaited(self, partition: int, first: int, end: int, take: Callable[[], list[T]]) -> Iterator[T]:
        """What `take` gives of a range of offsets of a partition. Raises Refusal where nothing comes for REACH_S."""
        self.assign({partition: first})
        deadline = time.monotonic() + REACH_S
        while (at := self._positions[partition]) < end and self._reached.get(partition, -1) < end:
            if found := take():
                deadline = time.monotonic() + REACH_S
                yield from found
            elif time.monotonic() > deadline:
                raise Refusal(
                    f"offsets {at} to {end - 1} of partition {partition} of {self.topic!r} did not come within "
                    f"{REACH_S:.0f} s; fix: look at the broker, then try again"
                )

    def poll(self, limit: int, timeout_s: float) -> list[Chunk]:
        """Records that have come, at most `limit`, by partition. What lies before a fault is given before it raises."""
        messages = [] if self._failed is not None else self._consumer.consume(limit, timeout_s)
        chunks: dict[int, Chunk] = {}
        if messages and len(self._positions) == 1 and not any(map(_error, messages)):
            only = next(iter(self._positions))
            chunk = Chunk(only, list(map(_offset, messages)), list(map(_value, messages)))
            chunk.epoch = epoch_of([messages[0], messages[-1]])
            chunks[only] = chunk
            self.following.given[only] = messages[-1]
            if CUT_BYTES in map(len, filter(None, chunk.values)):
                self._cuts(chunk, messages)
        else:
            self._take_all(messages, chunks)
        if self._failed is not None and not chunks:
            raise self._failed
        if chunks:
            self.following.polled_at = time.monotonic()
        for chunk in chunks.values():
            self._positions[chunk.partition] = chunk.offsets[-1] + 1
        if chunks:
            self.presence.heard()
        return list(chunks.values())

    def learn(self) -> None:
        """Let the client know of partitions that were added: by itself it asks every few minutes."""
        try:
            self._consumer.list_topics(self.topic, timeout=REACH_S)
        except KafkaException as error:
            raise self._silent(error.args[0]) from None

    def readable(self, partition: int, offset: int) -> int:
        """The first offset from here on that lies in no batch that cannot be read."""
        return self._scout.readable(partition, offset)

    def position(self, partition: int) -> int:
        """Offset after the last record that was given."""
        return self._positions.get(partition, 0)

    def reached(self) -> dict[int, int]:
        """Offsets at which the broker said that there is no more yet."""
        return self._reached

    def same(self) -> bool:
        """Whether all that was given is of the log that was opened; False where nobody says. Raises LogChanged."""
        return self.following.same()

    def away(self) -> bool:
        """Whether the broker went away and does not answer yet. What was reached before is then not the end."""
        if self.presence.in_doubt:
            self._reached.clear()
        return not self.presence.answers(_AGAIN_S)

    def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Offset after the last record of each partition.

        Reads on from the broker's watermark until nothing more comes: Tansu reports it too low.
        """
        found = {p: self._watermarks(p)[1] for p in partitions}
        with closing(self._new_consumer()) as scout:
            scout.assign([TopicPartition(self.topic, p, end) for p, end in found.items()])
            deadline, quiet = time.monotonic() + REACH_S, time.monotonic() + QUIET_S
            while time.monotonic() < min(deadline, quiet):
                for message in scout.consume(10_000, 0.1):
                    if message.error() is None:
                        found[_partition(message)] = _offset(message) + 1
                        quiet = time.monotonic() + QUIET_S
        return found

    def filled(self, topics: Iterable[str], partitions: Sequence[int]) -> list[str]:
        """Which of some topics hold a record."""
        return [topic for topic in topics if any(self._watermarks(p, topic)[1] for p in partitions)]

    def known_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """The ends that came with the last fetches, of partitions that were fetched. Asks nobody."""
        found = {}
        for p in partitions:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, p), cached=True)
            if high >= 0:
                found[p] = high
        return found

    def stamped(self, header: str) -> Iterator[tuple[int, bytes | None, bytes | None]]:
        """Offset, value and one header of each record of partition 0, to its end. Refusal where they do not come."""
        low, end = self.lows([0])[0], self.ends([0])[0]
        for message in self._awaited(0, low, end, lambda: self._consume(10_000, 0.2)):
            found = dict(message.headers() or ()).get(header)
            yield _offset(message), _value(message), None if found is None else bytes(found)  # type: ignore[arg-type]

    def _consume(self, limit: int, timeout_s: float) -> list[Read]:
        """Messages that have come, without those that say something else."""
        found = []
        for message in self._consumer.consume(limit, timeout_s):
            if message.error() is not None:
                self._take(message, {})
                continue
            self._positions[_partition(message)] = _offset(message) + 1
            found.append(message)
        return found

    def committed(self, partition: int) -> int:
        """Where the group of this client's name stands; negative where nowhere."""
        (found,) = self._consumer.committed([TopicPartition(self.topic, partition)], timeout=REACH_S)
        return int(found.offset)

    def leave(self, partition: int) -> None:
        """Fetch no more of a partition."""
        self._consumer.pause([TopicPartition(self.topic, partition)])

    def commit(self, positions: dict[int, int], *, waits: bool = False) -> None:
        """Put the group of this client's name at these offsets, where the broker lets it. waits: until it has."""
        offsets = [TopicPartition(self.topic, p, offset) for p, offset in positions.items()]
        with suppress(KafkaException):  # a courtesy to lag tools; the journal alone owns the offsets
            self._consumer.commit(offsets=offsets, asynchronous=not waits)  # type: ignore[call-overload]

    def close(self) -> None:
        """Leave without waiting for the group, nor for long: the client waits for a commit that a dead broker has."""
        leaving = Thread(target=self._consumer.close, daemon=True)
        leaving.start()
        leaving.join(LEAVE_S)

    def _new_consumer(self, more: Mapping[str, object] = MappingProxyType({})) -> Consumer:
        names = {"client.id": self._client, "group.id": self._client, "error_cb": self._on_error}
        return made(Consumer, self._connection, {**_FETCH, **names, **more})

    def _on_error(self, error: KafkaError) -> None:
        self._faults(error)
        self.following.doubt()
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
            self.presence.doubt()

    def _silent(self, error: KafkaError) -> Refusal:
        """Why the topic does not say what it holds."""
        if diagnosis.is_denied(error):
            return failed(self._connection, self.topic, error)
        if wrong := diagnosis.why(self._connection, self._faults):
            return Refusal(wrong.words)
        said = self._connection.masked(self._faults.last() or error.str())
        return Refusal(
            f"{self.topic!r} on {self._connection.bootstrap_servers} does not say what it holds within {REACH_S:.0f} s "
            f"({said}); fix: look at the broker, then try again"
        )

    def _asked(self, within_s: float) -> bool:
        """Whether the broker answers a question, be it with no."""
        if not self._positions:
            return True  # nothing is read yet
        try:
            self._consumer.get_watermark_offsets(TopicPartition(self.topic, next(iter(self._positions))), within_s)
        except KafkaException as error:
            return diagnosis.is_denied(error.args[0])
        return True

    def _heard_last(self) -> str:
        return self._connection.masked(self._faults.last())

    def _watermarks(self, partition: int, topic: str = "") -> tuple[int, int]:
        place, deadline = TopicPartition(topic or self.topic, partition), time.monotonic() + REACH_S
        while True:  # a broker that starts does not know all of its partitions at once
            try:
                low, high = self._consumer.get_watermark_offsets(place, timeout=_ASK_S)
            except KafkaException as error:
                refused = error.args[0]
                if time.monotonic() > deadline or diagnosis.is_denied(refused):
                    raise self._silent(refused) from None
                time.sleep(_AGAIN_S)
            else:
                return max(low, 0), max(high, 0)

    def _take_all(self, messages: Sequence[Read], chunks: dict[int, Chunk]) -> None:
        for message in messages:
            try:
                self._take(message, chunks)
            except Refusal as refusal:
                self._failed = refusal
                break
        for partition, chunk in chunks.items():
            if epoch_of([cast(Read, self.following.given[partition])]) != chunk.epoch:
                chunk.epoch = -1

    def _take(self, message: Read, chunks: dict[int, Chunk]) -> None:
        error, partition = message.error(), _partition(message)
        if error is None:
            chunk = chunks.get(partition)
            if chunk is None:
                chunk = chunks[partition] = Chunk(partition, [], [], epoch=epoch_of([message]))
            self.following.given[partition] = message
            chunk.offsets.append(_offset(message))
            chunk.values.append(message.value())
            self._cuts(chunk, [message])
        elif error.code() in OUT_OF_RANGE:
            raise self._out_of_range(partition)
        elif error.code() in CORRUPT:
            raise self._corrupt(partition, chunks, error)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._reached[partition] = _offset(message)
            self.presence.heard()
        elif error.fatal() or error.code() in _HOPELESS:
            raise failed(self._connection, self.topic, error)

    def _out_of_range(self, partition: int) -> Refusal:
        wanted = self._positions[partition]
        if self._watermarks(partition)[0] <= wanted:
            return rolled_back(self.topic, partition, wanted - 1, "it ends before")
        place = f"partition {partition} of {self.topic!r}"
        return LogGap(f"{place} no longer has offset {wanted}; fix: restore what it lost")

    def _corrupt(self, partition: int, chunks: Mapping[int, Chunk], error: KafkaError) -> LogGap:
        given = chunks.get(partition)
        wanted = given.offsets[-1] + 1 if given is not None else self._positions[partition]
        return LogGap(
            f"partition {partition} of {self.topic!r} has a batch that cannot be read, offsets {wanted} to "
            f"{self._scout.readable(partition, wanted) - 1} ({self._connection.masked(error.str())}); fix: restore it"
        )

    def _cuts(self, chunk: Chunk, messages: Iterable[Read]) -> None:
        for message in messages:
            value = message.value()
            if value is None or len(value) != CUT_BYTES:  # headers cost; only a cut line has just this length
                continue
            with suppress(UnicodeDecodeError):  # a header's name that is no text is nobody's header of ours
                if (cut := cut_of(value, message.headers())) is not None:
                    chunk.cut[_offset(message)] = cut


def failed(connection: Connection, topic: str, error: KafkaError, right: str = "READ") -> BrokerFailed:
    """What a broker refuses for good, for people. right: the one that it takes, in Kafka's ACLs."""
    if diagnosis.is_denied(error):
        verb = {"READ": "read", "WRITE": "write to"}[right]
        return BrokerFailed(diagnosis.denied(connection, f"{verb} topic {topic!r}", right, error))
    said = connection.masked(error.str())
    return BrokerFailed(f"the broker fails {topic!r}: {said}; fix: look at the broker and at the topic there")


_HOPELESS: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
)
