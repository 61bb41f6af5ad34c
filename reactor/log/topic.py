"""A followed topic: whether it is still the one that was opened.

A topic is deleted and made anew, gets partitions, or its broker comes back with a shorter log. The client library reads
on over all of that. So the broker is asked for the topic's id before anything that came is journaled, and what was read
last is compared with the log wherever a connection broke. See docs/design/records.md.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from journal.refusal import Refusal
from reactor.log.admin import REACH_S, Cluster
from reactor.log.scout import LogChanged, Mark, Read, Scout

ASK_S: Final = 2.0  # for one answer
NEW_S: Final = 300.0
GONE_S: Final = 10.0  # a broker that starts does not know all of its topics at once
_UNKNOWN: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID)


class LogGrown(Refusal):
    """A topic has partitions that nobody reads yet, and whoever follows it takes them up at a start alone."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic!r} got partitions; fix: none, a start reads them from their beginning")


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """Which log: cluster id, topic name, topic id (empty where the broker has none), partitions."""

    cluster: str
    topic: str
    topic_id: str
    partitions: int

    @property
    def log(self) -> str:
        """This very topic of this very cluster, as lanes' marks name it."""
        return f"{self.cluster}/{self.topic}/{self.topic_id}"


class Newest(NamedTuple):
    """A broker's newest word on the time. is_new: a record came within the last NEW_S."""

    at: datetime
    is_new: bool


class TopicWatch:
    """Asks a broker after a topic.

    partitions: how many it has now. asked_at: monotonic seconds of the question that was answered last.
    """

    def __init__(self, cluster: Cluster, identity: TopicIdentity) -> None:
        self._admin, self._identity = cluster.admin, identity
        self.partitions, self.asked_at = identity.partitions, time.monotonic()
        self._gone_since: float | None = None

    def same(self) -> bool:
        """Ask; True where the topic is the one that it was, False where nobody says.

        Raises:
            LogChanged: it is another of its name, or gone for GONE_S.
        """
        now, name = time.monotonic(), self._identity.topic
        try:
            asked = self._admin.describe_topics(TopicCollection([name]), request_timeout=ASK_S)
            found = asked[name].result(ASK_S + 1.0)
        except (KafkaException, TimeoutError) as error:
            if isinstance(error, KafkaException) and error.args[0].code() in _UNKNOWN:
                self._gone(now)
            return False
        self._gone_since = None
        if str(found.topic_id) != self._identity.topic_id:
            raise LogChanged(
                f"topic {name!r} was deleted and made anew (its id is {found.topic_id}, was "
                f"{self._identity.topic_id}); fix: begin with the new one (`violet soak --new`)"
            )
        self.partitions, self.asked_at = len(found.partitions), now
        return True

    def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Offset after the last record of each partition, of those whose leader answers."""
        return {p: int(each.offset) for p, each in self._listed(partitions, OffsetSpec.latest())}  # type: ignore[no-untyped-call]

    def newest_ms(self, partitions: Iterable[int]) -> int:
        """The greatest time of the records of these partitions, as the broker has it; -1 where it says none."""
        found = self._listed(partitions, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
        return max((int(each.timestamp) for _, each in found), default=-1)

    def _listed(self, partitions: Iterable[int], what: OffsetSpec) -> Iterator[tuple[int, Any]]:
        places = {TopicPartition(self._identity.topic, p): what for p in partitions}
        for place, asked in self._admin.list_offsets(places, request_timeout=ASK_S).items():
            with suppress(KafkaException, TimeoutError):
                yield place.partition, asked.result(ASK_S + 1.0)

    def _gone(self, now: float) -> None:
        self._gone_since = self._gone_since or now
        if now - self._gone_since >= GONE_S:
            raise LogChanged(
                f"topic {self._identity.topic!r} is gone from the broker, and what was in it and not journaled is "
                "lost; fix: begin with a topic that is there (`violet soak --new`), or `violet end`"
            )


class Following:
    """What was given of a topic, and whether it is of the log that was opened.

    given: the last record of each partition. polled_at: monotonic seconds when it came. watch: of the topic, where its
    broker can be asked for an id.
    """

    def __init__(self, topic: str, scout: Scout) -> None:
        self._topic, self._scout = topic, scout
        self.given: dict[int, Mark | Read] = {}
        self.polled_at = 0.0
        self.watch: TopicWatch | None = None
        self._doubted: dict[int, Mark | Read] = {}  # `given` as of when a connection broke
        self._ends: dict[int, int] = {}
        self._grew_at = -math.inf

    def begin_after(self, marks: Mapping[int, Mark]) -> None:
        """What was read before. Raises LogChanged where the log has it no more, Refusal where it does not say."""
        self.given = dict(marks)
        if marks and not self._scout.compare(marks, REACH_S):
            raise Refusal(
                f"{self._topic!r} does not give the records that were read last within {REACH_S:.0f} s, so it is not "
                "known whether it is the same log; fix: look at the broker, then try again"
            )

    def same(self) -> bool:
        """Whether all that was given is of the log that was opened; False where nobody says.

        Raises:
            LogChanged: it is another one.
        """
        if self.watch is None:
            return True
        if self.watch.asked_at <= self.polled_at and not self.watch.same():
            return False
        if self._doubted:
            marks = {p: given if isinstance(given, Mark) else Mark.of(given) for p, given in self._doubted.items()}
            if self._scout.compare(marks, ASK_S):
                self._doubted = {}
        return not self._doubted

    def look(self) -> int:
        """Ask after the topic; how many partitions it has, 0 where nobody says. Raises LogChanged."""
        if self.watch is None or not self.watch.same():
            return 0
        ends = self.watch.ends(self.given)
        if any(end < self._ends.get(p, 0) for p, end in ends.items()):
            self.doubt()
        if any(end > self._ends.get(p, end) for p, end in ends.items()):
            self._grew_at = time.monotonic()
        self._ends = ends
        self.same()
        return self.watch.partitions

    def newest(self) -> Newest | None:
        """The newest time that the broker gives a record of what is read; None where it says none."""
        newest_ms = self.watch.newest_ms(self.given) if self.watch is not None else -1
        if newest_ms < 0:
            return None
        return Newest(datetime.fromtimestamp(newest_ms / 1e3, UTC), time.monotonic() - self._grew_at < NEW_S)

    def doubt(self) -> None:
        """A connection broke: what comes from here on may be another log's, and is compared before it counts."""
        self._doubted = self._doubted or dict(self.given)
