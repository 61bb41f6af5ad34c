"""The reactor's only producer: readings to the tap topics of its soak, and nothing else. Source: SPEC section 7."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from journal.refusal import Refusal
from reactor.log.kafka import create

QUEUE_RECORDS: Final = 65_536  # readings that wait in the client


class TapWriter:
    """Writes readings to the tap topics of its soak: the reactor's only producer.

    Any other topic is refused and counted; it can be named by a fault alone. Nothing waits: the queue is bounded, and
    what is not stored within the delivery's time has failed.
    """

    def __init__(self, bootstrap: str, topics: Iterable[str], client: str) -> None:
        self._topics = frozenset(topics)
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": client,
                "acks": 1,
                "linger.ms": 20,
                "compression.type": "lz4",  # readings resemble one another, and the embedded broker is memory
                "queue.buffering.max.messages": QUEUE_RECORDS,
                "queue.buffering.max.kbytes": 32_768,
                "delivery.timeout.ms": 10_000,
                "delivery.report.only.error": True,
                "error_cb": lambda error: None,  # counted where it costs a record
                "log_level": 0,
            }
        )
        self.refused = 0
        self._failed: Counter[str] = Counter()

    def create(self, partitions: int) -> bool:
        """Make topics that are missing; whether all are there."""
        try:
            for topic in sorted(self._topics):
                create(self._admin, topic, partitions)
        except (Refusal, KafkaException, TimeoutError):
            return False  # it is not allowed, or nobody answers
        return True

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

    def _delivered(self, error: KafkaError | None, message: "Message[bytes, bytes]") -> None:
        if error is not None:
            self._failed[str(message.topic())] += 1
