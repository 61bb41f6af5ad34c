"""Where a run's records come from: an archive through the embedded broker, or a topic of a broker that exists.

Both give the log's identity, its first and last offsets, any range of its records, and the live log.
See docs/design/running.md.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from journal import child
from journal.refusal import Refusal
from lanes.code import Incident, Severity
from reactor.evaluate.chunk import Chunk
from reactor.log import archive
from reactor.log.admin import create_all
from reactor.log.connection import Connection
from reactor.log.kafka import KafkaLog
from reactor.log.port import Log
from reactor.log.tansu import Tansu
from reactor.run.remote import RemoteLanes
from reactor.run.settings import pace


class SourceIncident(NamedTuple):
    """An incident of the run that reads a source. lanes: those that it is about, each with what is known of why."""

    severity: Severity
    code: Incident
    detail: str
    lanes: Mapping[str, str] = MappingProxyType({})


class Source(Protocol):
    """The log of a run. `finite`: its end is known before it is read."""

    topic: str
    partitions: int
    finite: bool
    identity: dict[str, Any]
    connection: Connection | None = None  # to the broker that holds it, once it is open; None where none does

    @property
    def lanes(self) -> RemoteLanes | None:
        """Who evaluates the lanes; None where the run does."""
        return None

    def lows(self) -> dict[int, int]:
        """First offset that each partition still has."""

    def ends(self) -> dict[int, int]:
        """Offset after the last record of each partition, as of now."""

    def known_ends(self) -> dict[int, int]:
        """The same as far as it is known without asking anybody."""
        return self.ends()

    def range(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        """Records of a range of offsets."""

    def open(self, paced_from: int) -> Log:
        """The live log; records before `paced_from` come as fast as they can."""

    def check(self) -> None:
        """Raise where what feeds the log has failed."""

    def take_incidents(self) -> list[SourceIncident]:
        """What happened since the last call, such as an outage of the broker that is over."""
        return []

    def close(self) -> None:
        """End what `open` started; returns when it is gone."""


class ArchiveSource(Source):
    """An archive, published line by line into a broker of its own: line n is offset n."""

    partitions = 1
    finite = True

    def __init__(self, path: Path, name: str, speed: str, work: Path, *, seeded: bool = False) -> None:
        """work: folder for the broker's messages. Reads the archive once, for its identity."""
        archive.check(path)
        self.topic = f"violet.{name}.scans"
        self._path, self._pace, self._work, self._client = path, pace(speed) or math.inf, work, f"{name}-shadow"
        known = archive.identity(path)
        self._lines = known.lines
        self.identity = {
            "kind": "archive",
            "path": str(path.resolve()),
            "sha256": known.sha256,
            "lines": known.lines,
            "seeded": seeded,
        }
        self._broker: Tansu | None = None
        self._feeder: child.Child | None = None
        self._log: KafkaLog | None = None

    def lows(self) -> dict[int, int]:
        return {0: 0}

    def ends(self) -> dict[int, int]:
        return {0: self._lines}

    def range(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        return archive.ranges(self._path)(partition, first, end)

    def open(self, paced_from: int) -> Log:
        self._broker = Tansu(self._work / f"broker-{self._client}.log")
        self.connection = self._broker.connection
        create_all(self.connection, [self.topic], 1)
        self._feeder = child.module(
            "reactor.feed.feeder", str(self._path), self._broker.bootstrap, self.topic, str(self._pace),
            str(paced_from), words=self._work / f"feeder-{self._client}.log",
        )  # fmt: skip
        self._log = KafkaLog(self.connection, self.topic, self._client)
        return self._log

    def check(self) -> None:
        if self._broker is not None and not self._broker.alive():
            raise Refusal(f"the embedded broker ended ({self._broker.words()}); fix: the same command resumes")
        if self._feeder is not None and self._feeder.code:
            raise Refusal(f"the archive could not be published: {self._feeder.failure()}")

    def away(self) -> bool:
        return False  # a child that is away is dead

    def close(self) -> None:
        if self._feeder is not None:
            self._feeder.kill()
        if self._log is not None:
            self._log.close()
        if self._broker is not None:
            self._broker.close()


class BrokerSource(Source):
    """A topic that exists. It is read, never written."""

    finite = False

    connection: Connection

    def __init__(self, connection: Connection, topic: str, name: str) -> None:
        """Raises Refusal where the broker or the topic does not answer."""
        self.topic = topic
        self.connection, self._client = connection, f"{name}-shadow"
        self._log = KafkaLog(connection, topic, self._client)
        found = self._log.describe()
        self.partitions = found.partitions
        self.identity = {
            "kind": "broker",
            "cluster": found.cluster,
            "topic": found.topic,
            "topic_id": found.topic_id,
            "partitions": found.partitions,
        }

    def lows(self) -> dict[int, int]:
        return self._log.lows(range(self.partitions))

    def ends(self) -> dict[int, int]:
        return self._log.ends(range(self.partitions))

    def known_ends(self) -> dict[int, int]:
        return self._log.known_ends(range(self.partitions))

    def range(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        with closing(KafkaLog(self.connection, self.topic, self._client)) as log:  # the live one reads on where it is
            yield from log.range(partition, first, end)

    def open(self, paced_from: int) -> Log:
        return self._log

    def check(self) -> None:
        """Nothing of ours feeds it."""

    def take_incidents(self) -> list[SourceIncident]:
        if (outage_s := self._log.take_outage()) is None:
            return []
        return [SourceIncident(Severity.WARN, Incident.BROKER_AWAY, f"the broker was away for {outage_s:.1f} s")]

    def away(self) -> bool:
        """Whether the broker does not answer now."""
        return self._log.away()

    def close(self) -> None:
        self._log.close()


def reread(source: Source, partition: int, offsets: Sequence[int]) -> list[bytes]:
    """A partition's records at some offsets, in their order."""
    wanted = set(offsets)
    chunks = source.range(partition, min(offsets), max(offsets) + 1)
    found = {at: raw or b"" for c in chunks for at, raw in zip(c.offsets, c.values, strict=True) if at in wanted}
    return [found[offset] for offset in offsets]
