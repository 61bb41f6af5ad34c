"""Producers: the one that fills a topic, never part of a reactor, and the reactor's only one, for its tap topics.

See docs/design/records.md.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from typing import Final, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from journal.refusal import Refusal
from reactor.evaluate.record import DIGEST_HEADER, LENGTH_HEADER
from reactor.log.admin import create_all, made
from reactor.log.archive import Cut
from reactor.log.connection import Connection
from reactor.log.kafka import BrokerFailed, NotAlone, failed

_MORE_S: Final = 0.1
_LAST_S: Final = 2.0  # waited for the last record of a topic, by the taps' own thread
_KEPT_S: Final = 12.0  # above the delivery's own time
QUEUE_RECORDS: Final = 65_536  # readings that wait in the client

Delivered: TypeAlias = "Message[bytes, bytes]"  # generic for the type checker alone


class TapWriter:
    """Writes readings to the tap topics of its soak: the reactor's only producer.

    Any other topic is refused and counted; it can be named by a fault alone. Nothing waits: the queue is bounded, and
    what is not stored within the delivery's time has failed.
    """

    def __init__(self, connection: Connection, topics: Iterable[str], client: str) -> None:
        self._connection, self._topics = connection, frozenset(topics)
        self._producer = made(
            Producer,
            connection,
            {
                "client.id": client,
                "acks": 1,
                "linger.ms": 20,
                "compression.type": "lz4",  # readings resemble one another, and the embedded broker is memory
                "queue.buffering.max.messages": QUEUE_RECORDS,
                "queue.buffering.max.kbytes": 32_768,
                "delivery.timeout.ms": 10_000,
                "delivery.report.only.error": True,
                "error_cb": lambda error: None,  # counted where it costs a record
            },
        )
        self.refused = 0
        self._failed: Counter[str] = Counter()
        self._client, self._partitions = client, 0
        self._seen: dict[tuple[str, int], int] = {}  # where each partition ended when its last record was looked at

    def create(self, partitions: int) -> bool:
        """Make topics that are missing; whether all are there."""
        try:
            create_all(self._connection, sorted(self._topics), partitions, grow=True)
        except (Refusal, KafkaException, TimeoutError):
            return False  # it is not allowed, or nobody answers
        self._partitions = partitions
        return True

    def latest(self) -> Mapping[str, bytes]:
        """The last record of each topic that got any since the call before; of several partitions, of one."""
        found: dict[str, bytes] = {}
        with suppress(KafkaException, Refusal), self._reader() as reader:
            for topic, partition in product(sorted(self._topics), range(self._partitions)):
                end = _end(reader, (topic, partition))
                if end > self._seen.get((topic, partition), 0):
                    reader.assign([TopicPartition(topic, partition, end - 1)])
                    message = reader.poll(_LAST_S)
                    # Tansu tells the end too low: more may come.
                    for each in [message, *reader.consume(1_000, _MORE_S)] if message is not None else []:
                        if each.error() is None:
                            found[topic] = each.value() or b""
                            self._seen[topic, partition] = (each.offset() or 0) + 1
        return found

    @contextmanager
    def _reader(self) -> Generator[Consumer]:
        settings = {"group.id": self._client, "client.id": self._client, "enable.auto.commit": False}
        reader = made(Consumer, self._connection, {**settings, "error_cb": lambda error: None})
        try:
            yield reader
        finally:
            reader.close()

    def write(self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]) -> int:
        """Queue keys and values; how many were taken. Never waits."""
        if topic not in self._topics:
            self.refused += 1
            return 0
        messages = [{"key": key, "value": value} for key, value in records]
        return self._producer.produce_batch(topic, messages, partition=partition, on_delivery=self._delivered)

    def serve(self) -> Mapping[str, int]:
        """Records of each topic that failed after they were taken, since the last call."""
        self._producer.poll(0)
        failed, self._failed = self._failed, Counter()
        return failed

    def close(self, timeout_s: float) -> None:
        """Send what is queued within a time, and give up the rest."""
        if self._producer.flush(timeout_s):
            self._producer.purge()
            self._producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, message: Delivered) -> None:
        if error is not None:
            self._failed[str(message.topic())] += 1


def keep(connection: Connection, topic: str, client: str, key: bytes, value: bytes) -> None:
    """Write one record to a topic of its own, which is made where it is missing. Raises Refusal where it is not."""
    writer = TapWriter(connection, [topic], client)
    if not writer.create(1):
        raise Refusal(f"topic {topic!r} cannot be made, or its broker does not answer; fix: look at the broker")
    taken = writer.write(topic, 0, [(key, value)])
    writer.close(_KEPT_S)
    if not taken or writer.serve():
        raise Refusal(f"topic {topic!r} did not take the record within {_KEPT_S:.0f} s; fix: look at the broker")


class KafkaWriter:
    """Fills a topic with an archive's lines, in order, idempotently. Never part of a reactor."""

    def __init__(self, connection: Connection, topic: str, client: str) -> None:
        self._connection, self.topic = connection, topic
        self._producer = made(
            Producer,
            connection,
            {
                "client.id": client,
                "enable.idempotence": True,
                "linger.ms": 50,  # few large batches: at each fetch Tansu goes through all that a topic holds
                "batch.size": 1_000_000,
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": 131_072,
                "message.max.bytes": 1_000_000,
                "delivery.timeout.ms": 120_000,
            },
        )
        self._failed: BrokerFailed | None = None
        self._next: dict[int, int] = {}

    def expect(self, offsets: Mapping[int, int]) -> None:
        """From here on this writer is alone: its records get these offsets of its partitions and those after them.

        Raises NotAlone, from a later call, where the broker gave another: somebody wrote in between.
        """
        self._next = dict(offsets)

    def create(self, partitions: int) -> None:
        """Create the topic where it is missing."""
        create_all(self._connection, [self.topic], partitions)

    def write(
        self, line: bytes | Cut, key: bytes | None, partition: int, headers: dict[str, str | bytes | None] | None = None
    ) -> None:
        """Queue one line; blocks while the queue is full."""
        value = line.head if isinstance(line, Cut) else line
        if isinstance(line, Cut):
            headers = _cut_headers(line)
        while True:
            try:
                self._producer.produce(self.topic, value, key, partition, self._delivered, headers=headers)
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise failed(self._connection, self.topic, error.args[0], "WRITE") from None
            else:
                break
        self._producer.poll(0)
        self._check()

    def serve(self, seconds: float) -> None:
        """Let queued lines go while the caller waits."""
        self._producer.poll(seconds)
        self._check()

    def flush(self) -> None:
        """Wait until everything queued is stored."""
        while self._producer.flush(1.0):
            self._check()
        self._check()

    def _delivered(self, error: KafkaError | None, message: Delivered) -> None:
        if error is not None:
            self._failed = self._failed or failed(self._connection, self.topic, error, "WRITE")
        elif (partition := message.partition()) in self._next:
            wanted, offset = self._next[partition], message.offset()
            # Without an offset: stored, and the answer that said where was lost.
            if offset is not None and 0 <= offset != wanted:
                words = f"offset {wanted} of partition {partition} of {self.topic!r} is another writer's"
                self._failed = self._failed or NotAlone(words)
            self._next[partition] = wanted + 1

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed


def _end(reader: Consumer, place: tuple[str, int]) -> int:
    return int(reader.get_watermark_offsets(TopicPartition(*place), timeout=_LAST_S, cached=False)[1])


def _cut_headers(line: Cut) -> dict[str, str | bytes | None]:
    return {LENGTH_HEADER: str(line.length).encode(), DIGEST_HEADER: line.digest.encode()}
