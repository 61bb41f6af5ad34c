"""The modular source: a source whose records come only when there is a reading of each lane for them.

It starts the workers where the soak is told to, ends them with the soak, starts a dead one again, and knows which lane
is waited for. See docs/design/stages.md.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

from journal import child
from journal.child import Child, Kept
from journal.ledger.run import Segment
from journal.refusal import Refusal
from lanes.code import Incident, Severity
from lanes.columns import LaneValues
from lanes.profile import Profile
from reactor.evaluate.chunk import Chunk
from reactor.log.admin import REACH_S, create_all
from reactor.log.connection import Connection
from reactor.log.kafka import KafkaLog
from reactor.log.port import Log
from reactor.log.scout import Mark
from reactor.log.topic import LogGrown, Newest
from reactor.run.foreign import Kernels, load
from reactor.run.provenance import code_hash
from reactor.run.remote import RemoteLanes
from reactor.run.settings import Settings
from reactor.run.source import ArchiveSource, BrokerSource, SourceIncident
from reactor.tap.reading import tap_topic
from reactor.topology.canary import canary_topic
from reactor.topology.evaluator import version
from reactor.topology.join import Join, Versions
from reactor.topology.joined import JoinedLog, start
from reactor.topology.lane_topic import LaneTopic

MISSING_S: Final = 10.0  # a lane that is waited for as long is told of


class LaneSource:
    """A source with its lanes' workers. Its log's identity is the source's: the topology is no part of a run."""

    def __init__(
        self, source: ArchiveSource | BrokerSource, settings: Settings, lanes: Callable[["LaneSource"], RemoteLanes]
    ) -> None:
        """lanes: makes the run's view of the lanes that speak here."""
        self._source, self._settings = source, settings
        soak = settings.soak
        self.topic, self.partitions, self.finite, self.identity = (
            source.topic, source.partitions, source.finite, source.identity,
        )  # fmt: skip
        self.connection = source.connection
        self.managed = soak.lane_workers > 0
        self.names = tuple(lane.name for lane in settings.profile.lanes)
        shares = [self.names[at :: soak.lane_workers] for at in range(soak.lane_workers)]
        self._workers = [
            Kept(f"the worker of lanes {', '.join(lanes)}", partial(self._start, at, lanes))
            for at, lanes in enumerate(shares)
        ]
        self._log: JoinedLog | None = None
        self._join: Join | None = None
        self._noted: dict[str, str] = {}
        self._starts: dict[int, int] = {}
        self._places: dict[int, tuple[int, str]] = {}
        self.lanes = lanes(self)

    @property
    def broker(self) -> Connection:
        """The broker that holds it, now that it is open."""
        if self._source.connection is None:
            raise AssertionError("must be open")
        return self._source.connection

    @property
    def log(self) -> str | None:
        """Cluster and topic id of the scans' topic, as lanes' checkpoints name it; None before it is open."""
        return None if self._join is None else self._join.log

    def begins_at(self, starts: Mapping[int, int]) -> None:
        """The run that reads it begins at these offsets."""
        self._starts = dict(starts)

    def journaled(self, partition: int, offset: int, state: bytes) -> None:
        """How far is journaled, and the state there: from where a worker that is started from now on goes on."""
        self._places[partition] = offset, state.decode()

    def lows(self) -> dict[int, int]:
        return self._source.lows()

    def ends(self) -> dict[int, int]:
        return self._source.ends()

    def known_ends(self) -> dict[int, int]:
        return self._source.known_ends()

    def range(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        return self._source.range(partition, first, end)

    def begin_after(self, marks: Mapping[int, Mark]) -> None:
        self._source.begin_after(marks)

    def confirm(self, stop: Callable[[], bool]) -> bool:
        return self._source.confirm(stop)

    def finish(self) -> None:
        self._source.finish()

    def newest(self) -> Newest | None:
        return self._source.newest()

    def readable(self, partition: int, offset: int) -> int:
        return self._source.readable(partition, offset)

    @property
    def has_grown(self) -> bool:
        return False  # `check` refuses it

    def grow(self) -> None:
        """Nothing grew."""

    def open(self, paced_from: int) -> Log:
        log = self._source.open(paced_from)
        self.connection, self.presence = self._source.connection, self._source.presence
        name = self._settings.soak.name
        create_all(
            self.broker,
            (of(name, lane) for of in (tap_topic, canary_topic) for lane in self.names),
            self.partitions,
            grow=True,
        )
        self._join = self._joining(self._settings.profile, self._starts, only=self.managed)
        self._log = JoinedLog(log, self._lane_topics(self.names), self._join, self._begin)
        return self._log

    def check(self) -> None:
        self._source.check()
        if self._source.has_grown:
            raise LogGrown(self.topic)
        for worker in self._workers:
            worker.look(excused=self._source.away())

    def take_incidents(self) -> list[SourceIncident]:
        return [*self._source.take_incidents(), *self._lane_incidents()]

    def _lane_incidents(self) -> list[SourceIncident]:
        """Which lanes are missing or back since the last call."""
        log, now = self._log, time.monotonic()
        missing = {lane: at for lane, at in log.missing.items() if now - at >= MISSING_S} if log is not None else {}
        why = {lane: log.why[lane] for lane in sorted(missing)} if log is not None else {}
        if why == self._noted:
            return []
        self._noted = why
        if not why:
            return [SourceIncident(Severity.INFO, Incident.LANE_BACK, "readings of every lane come")]
        words = f"no reading of {in_words(why)} for {now - min(missing.values()):.0f} s"
        return [SourceIncident(Severity.WARN, Incident.LANE_MISSING, words, why)]

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        if self._log is not None:
            self._log.close()
        self._source.close()

    def versions(self, partition: int) -> Versions | None:
        """Who decided the records of a partition that were given last."""
        return None if self._log is None else self._log.versions[partition]

    def values(self, partition: int, offsets: Any) -> LaneValues:
        """What the lanes said of the scans at these offsets."""
        if self._join is None:
            raise AssertionError("must be open")
        return self._join.values(partition, offsets)

    def decided(self, versions: Versions) -> tuple[Profile, dict[str, str]]:
        """The profile that some versions decide by, and the kernels that are not this process's own code."""
        if self._join is None:
            raise AssertionError("must be open")
        profile = self._join.decided(versions)
        foreign = {
            n: kernel for n, (_, kernel) in zip(self.names, versions, strict=True) if _foreign(profile, n, kernel)
        }
        return profile, foreign

    def reheard(self, segment: Segment, chunk: Chunk, began: int) -> Join | None:
        """What the lanes said of a batch in doubt; None where this process's own lanes say the same.

        began: where the run begins in its partition.
        """
        profile = Profile.model_validate_json(segment.params)
        if isinstance(self._source, ArchiveSource) or _same(segment, profile):
            return None
        join = self._joining(profile, {chunk.partition: began}, only=False)
        join.begin({chunk.partition: chunk.offsets[0]})
        lane_topics = self._lane_topics(join.names)
        try:
            for lane_topic in lane_topics.values():
                lane_topic.assign({chunk.partition: start(lane_topic, chunk.partition, chunk.offsets[0], join.log)})
            deadline = time.monotonic() + REACH_S
            while (count := join.ready(chunk, None)[0]) < len(chunk):
                for lane, lane_topic in lane_topics.items():
                    for record in lane_topic.listen(8_192, 0.02):
                        join.take(lane, record)
                if time.monotonic() > deadline:
                    silent = in_words(join.missing(chunk.split(count)[1]))
                    raise Refusal(f"lanes {silent} did not give their readings of the batch in doubt again within "
                                  f"{REACH_S:.0f} s; fix: start their workers, then resume")  # fmt: skip
        finally:
            for lane_topic in lane_topics.values():
                lane_topic.close()
        return join

    def _joining(self, profile: Profile, starts: Mapping[int, int], *, only: bool) -> Join:
        with closing(KafkaLog(self.broker, self.topic, f"{self._settings.soak.name}-join")) as log:
            identity = log.describe().log
        kernels = load(profile) if only else Kernels()
        mine = tuple(version(lane.name, profile, kernels) for lane in profile.lanes) if only else None
        return Join(profile, identity, mine, starts)

    def _lane_topics(self, names: Iterable[str]) -> dict[str, LaneTopic]:
        name = self._settings.soak.name
        return {n: LaneTopic(self.broker, tap_topic(name, n), f"{name}-shadow") for n in names}

    def _begin(self) -> None:
        for worker in self._workers:
            worker.start()

    def _start(self, at: int, lanes: Sequence[str]) -> Child:
        soak = self._settings.soak
        params = soak.data / f"lanes-{soak.name}.json"
        params.write_text(self._settings.profile.model_dump_json(), "utf-8")
        begins = soak.data / f"lanes-{soak.name}-{at}.begins.json"
        begins.write_text(json.dumps(self._places), "utf-8")
        return child.module(
            "reactor.topology.worker", self.topic, soak.name, ",".join(lanes), str(params), str(begins),
            words=soak.data / f"lanes-{soak.name}-{at}.log", given=self.broker.handed(),
        )  # fmt: skip


def in_words(lanes: Mapping[str, str]) -> str:
    """Lanes for people, each with what is known of why."""
    return ", ".join(f"{lane} ({why})" if why else lane for lane, why in lanes.items())


def _foreign(profile: Profile, lane: str, kernel: str) -> bool:
    params = profile.of(lane)
    return kernel != code_hash() or (params.kernel is not None and params.enabled)


def _same(segment: Segment, profile: Profile) -> bool:
    """Whether this process has the very lanes that a segment was decided by."""
    try:
        return segment.code_hash == code_hash() and dict(load(profile).hashes) == dict(segment.kernels)
    except Refusal:
        return False
