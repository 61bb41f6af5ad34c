"""A lane's topic: readings in the order in which its workers wrote them, some of them with a checkpoint.

See docs/design/stages.md.
"""

from collections.abc import Iterator
from typing import Final

from reactor.log.connection import Connection
from reactor.log.kafka import KafkaLog
from reactor.topology.checkpoint import HEADER, SINCE, LaneRecord

BACK: Final = 8_192  # records looked at first, from the end back
_WIDER: Final = 4


class LaneTopic(KafkaLog):
    """A lane's topic on a broker."""

    def __init__(self, connection: Connection, topic: str, client: str) -> None:
        super().__init__(connection, topic, client)
        self._held: set[int] = set()

    def listen(self, limit: int, timeout_s: float) -> list[LaneRecord]:
        """Records that have come, at most `limit`."""
        found = []
        for message in self._consume(limit, timeout_s):
            at, headers = message.offset() or 0, dict(message.headers() or ())
            checkpoint, since = headers.get(HEADER), headers.get(SINCE)
            known = int(since) if since and since.isdigit() else 0  # else it is nobody's header of ours
            found.append(LaneRecord(at, message.value() or b"", checkpoint and bytes(checkpoint), known))  # type: ignore[arg-type]
        return found

    def hold(self, partitions: set[int]) -> None:
        """Take no more of these partitions for now, and of the others again."""
        if partitions != self._held:
            assigned = self._consumer.assignment()
            self._consumer.resume([each for each in assigned if each.partition in self._held - partitions])
            self._consumer.pause([each for each in assigned if each.partition in partitions - self._held])
            self._held = set(partitions)

    def back(self, partition: int) -> Iterator[list[LaneRecord]]:
        """A partition's records from its end to its beginning, ever more at a time, each time in their order."""
        low, high = self.lows([partition])[partition], self.ends([partition])[partition]
        size = BACK
        while high > low:
            first = max(low, high - size)
            records = self._awaited(partition, first, high, lambda: self.listen(16_384, 0.2))
            yield [record for record in records if record.at < high]
            high, size = first, size * _WIDER
