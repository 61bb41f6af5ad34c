"""A scout: looks at single records of a topic, beside whoever reads it.

It finds out whether a log still has a record as it was read, and where a batch that cannot be read ends.
See docs/design/records.md.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final, NamedTuple, TypeAlias, cast

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from journal.refusal import Refusal
from reactor.log.admin import REACH_S

BEHIND_S: Final = 2.0  # a new leader may not know its end for a moment
_SETTINGS: Final = {"queued.min.messages": 1, "fetch.error.backoff.ms": 20}
Read: TypeAlias = "Message[bytes, bytes]"  # generic for the type checker alone
# The client types these as optional; on a message that was consumed they are there.
_partition: Final = cast(Callable[[Read], int], Message.partition)
_offset: Final = cast(Callable[[Read], int], Message.offset)

OUT_OF_RANGE: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
CORRUPT: Final = (  # of a batch whose bytes are not those that were written
    KafkaError._BAD_MSG,
    KafkaError._BAD_COMPRESSION,
    KafkaError._NOT_IMPLEMENTED,
    KafkaError._UNDERFLOW,
    KafkaError.INVALID_MSG,
)


class LogChanged(Refusal):
    """The log is no longer the one that was opened, and nothing that comes of it may be journaled."""


class Mark(NamedTuple):
    """A record by which a log is known again: its offset, SHA-256 and leader epoch (-1: unknown)."""

    offset: int
    digest: str
    epoch: int

    @classmethod
    def of(cls, message: Read) -> "Mark":
        """That of a message."""
        return cls(_offset(message), hashlib.sha256(message.value() or b"").hexdigest(), epoch_of([message]))

    def fits(self, other: "Mark") -> bool:
        """Whether both may be the same record."""
        return self.digest == other.digest and (-1 in (self.epoch, other.epoch) or self.epoch == other.epoch)


def epoch_of(messages: Sequence[Read]) -> int:
    """Leader epoch of messages; -1 where it is unknown or not the same of all."""
    found = {-1 if (epoch := message.leader_epoch()) is None else int(epoch) for message in messages}
    return found.pop() if len(found) == 1 else -1


def rolled_back(topic: str, partition: int, offset: int, why: str) -> LogChanged:
    """The log of a partition is not the one that an offset was read from."""
    return LogChanged(
        f"partition {partition} of {topic!r} is not the log that was read: {why} offset {offset}, which was read; "
        "it was rolled back, written over or restored; fix: bring it back as it was, or begin "
        "with what is there (`violet soak --new`)"
    )


class Scout:
    """Reads single records.

    Args:
        make: a consumer with settings over those of the reader.
        topic: of the records.
        low: first offset that a partition still has.
    """

    def __init__(
        self, make: Callable[[Mapping[str, object]], Consumer], topic: str, low: Callable[[int], int]
    ) -> None:  # fmt: skip
        self._make, self._topic, self._low = make, topic, low

    def compare(self, marks: Mapping[int, Mark], within_s: float) -> bool:
        """Whether the log has these records, of those whose offsets it still has; False where it does not say.

        Raises:
            LogChanged: it has another one there, or ends before it.
        """
        waiting, ended = dict(marks), set[int]()
        began = time.monotonic()
        with closing(self._make(_SETTINGS)) as consumer:
            consumer.assign([TopicPartition(self._topic, p, mark.offset) for p, mark in marks.items()])
            while waiting and time.monotonic() < began + (BEHIND_S if waiting.keys() <= ended else within_s):
                for message in consumer.consume(len(waiting), 0.1):
                    partition, error = _partition(message), message.error()
                    if (mark := waiting.get(partition)) is None:
                        continue
                    if error is not None and error.code() in (*OUT_OF_RANGE, KafkaError._PARTITION_EOF):
                        ended.add(partition)
                    elif error is None and _offset(message) == mark.offset and not mark.fits(Mark.of(message)):
                        raise rolled_back(self._topic, partition, mark.offset, "it has another record at")
                    elif error is None or error.code() in CORRUPT:
                        del waiting[partition]
        for partition in ended & waiting.keys():
            if self._low(partition) <= waiting[partition].offset:
                raise rolled_back(self._topic, partition, waiting[partition].offset, "it ends before")
            del waiting[partition]  # retention took it
        return not waiting

    def readable(self, partition: int, offset: int) -> int:
        """The first offset from here on that lies in no batch that cannot be read; mostly this one itself."""
        with closing(self._make(_SETTINGS)) as consumer:
            fault = self._fault(consumer, partition, offset)
            if fault is None:
                return offset
            bad, step = offset, 1
            while self._fault(consumer, partition, bad + step) == fault:
                bad, step = bad + step, step * 2
            good = bad + step
            while good - bad > 1:
                middle = (good + bad) // 2
                same = self._fault(consumer, partition, middle) == fault
                bad, good = (middle, good) if same else (bad, middle)
            return good

    def _fault(self, consumer: Consumer, partition: int, offset: int) -> tuple[int, int] | None:
        """Error and first offset of the batch at an offset, where it cannot be read."""
        consumer.assign([TopicPartition(self._topic, partition, offset)])
        deadline = time.monotonic() + REACH_S
        while time.monotonic() < deadline:
            for message in consumer.consume(1, 0.2):
                error = message.error()
                return (error.code(), _offset(message)) if error is not None and error.code() in CORRUPT else None
        raise Refusal(
            f"partition {partition} of {self._topic!r} gives nothing at offset {offset} within {REACH_S:.0f} s; "
            "fix: look at the broker, then try again"
        )
