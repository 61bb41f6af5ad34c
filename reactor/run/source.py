"""Where a run's records come from: an archive through the embedded broker, or a topic of a broker that exists.

Both give the log's identity, its first and last offsets, any range of its records, and the live log.
See docs/design/running.md.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from journal import child
from journal.refusal import Refusal
from lanes.code import Incident, Severity
from reactor.evaluate.chunk import Chunk
from reactor.log import archive
from reactor.log.admin import create_all
from reactor.log.connection import Connection
from reactor.log.kafka import KafkaLog
from reactor.log.port import Log
from reactor.log.presence import Over, Presence
from reactor.log.scout import Mark
from reactor.log.tansu import Tansu
from reactor.log.topic import Newest
from reactor.run.remote import RemoteLanes
from reactor.run.settings import pace

_AGAIN_S: Final = 0.2  # between two questions of a broker that does not answer
SILENT_LOOKS: Final = 12  # a minute of looks at an embedded broker that has all and gives nothing


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
    presence: Presence | None = None  # of that broker

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

    def newest(self) -> Newest | None:
        """The newest time that the broker gives a record; None where it says none or runs on this clock."""
        return None

    def check(self) -> None:
        """Raise where what feeds the log has failed, or the log is another one."""

    def begin_after(self, marks: Mapping[int, Mark]) -> None:
        """What the run read last, by partition. Raises LogChanged where the log no longer has it."""
        return

    def confirm(self, stop: Callable[[], bool]) -> bool:
        """Wait until it is known that all that was given is of the log that was opened; False where `stop` said so.

        Raises:
            LogChanged: it is of another log.
        """
        return True

    def readable(self, partition: int, offset: int) -> int:
        """The first offset from here on that can be read."""
        return offset

    @property
    def has_grown(self) -> bool:
        """Whether the log has partitions that nobody reads yet."""
        return False

    def grow(self) -> None:
        """Count those partitions from now on."""
        return

    def finish(self) -> None:
        """Nothing more is read. Raises Integrity where the log was not what it was taken for."""
        return

    def take_incidents(self) -> list[SourceIncident]:
        """What happened since the last call: the broker went away, is back."""
        changes = [] if self.presence is None else self.presence.look()
        return [
            SourceIncident(Severity.INFO, Incident.BROKER_BACK, str(change))
            if isinstance(change, Over)
            else SourceIncident(Severity.WARN, Incident.BROKER_AWAY, str(change))
            for change in changes
        ]

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
        self._same = archive.Sameness(path)
        self._known = known = archive.identity(path)
        self._lines = known.lines
        self._grown = False
        self._untold: list[SourceIncident] = []
        self._silent: tuple[int, int] = (0, 0)  # where the reader stood, and for how many looks
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
        self.presence = self._log.presence
        return self._log

    def check(self) -> None:
        if self._broker is not None and not self._broker.alive():
            raise Refusal(f"the embedded broker ended ({self._broker.words()}); fix: the same command resumes")
        self._look(now=False)
        if self._feeder is None or self._log is None or self._feeder.code is None:
            return
        if self._feeder.code:
            raise Refusal(f"the archive could not be published: {self._feeder.failure()}")
        at, (was, looks) = self._log.position(0), self._silent
        self._silent = at, looks + 1 if at == was else 0
        if at < self._lines and looks >= SILENT_LOOKS:
            raise Refusal(f"the embedded broker has all {self._lines} records and gives none from offset {at} on")

    def finish(self) -> None:
        self._look(now=True)

    def _look(self, *, now: bool) -> None:
        if not self._same.holds(self._known, now=now) and not self._grown:
            self._grown = self._path.stat().st_size > self._known.size
            words = "the archive was appended to; the run reads what was there when it began"
            self._untold += [SourceIncident(Severity.WARN, Incident.LOG_CHANGED, words)] * self._grown

    def take_incidents(self) -> list[SourceIncident]:
        untold, self._untold = self._untold, []
        return [*untold, *super().take_incidents()]

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
        self.presence = self._log.presence
        found = self._log.describe()
        self.partitions = self._there = found.partitions
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

    def readable(self, partition: int, offset: int) -> int:
        return self._log.readable(partition, offset)

    def newest(self) -> Newest | None:
        return self._log.following.newest()

    def begin_after(self, marks: Mapping[int, Mark]) -> None:
        self._log.following.begin_after(marks)

    def confirm(self, stop: Callable[[], bool]) -> bool:
        while not self._log.same():
            if stop():
                return False
            time.sleep(_AGAIN_S)
        return True

    @property
    def has_grown(self) -> bool:
        return self._there > self.partitions

    def grow(self) -> None:
        self._log.learn()
        self.partitions = self._there
        self.identity = self.identity | {"partitions": self._there}

    def range(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        with closing(KafkaLog(self.connection, self.topic, self._client)) as log:  # the live one reads on where it is
            yield from log.range(partition, first, end)

    def open(self, paced_from: int) -> Log:
        return self._log

    def check(self) -> None:
        self._there = max(self._there, self._log.following.look())

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
