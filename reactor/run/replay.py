"""Replay: a run's records once more, under other params or the same, as a sibling run in the same journal.

The records are the run's own, from its archive, its log or the journal's stored inputs, and only those that it
journaled. They go through a soak's session, loop and ledger; nothing is published, and the rows keep topic, partition,
offset, stream and scan_id, by which SQL lays them beside the original's (view `replays`).
See docs/design/running.md.
"""

from collections.abc import Iterator, Sequence

from journal.judge.scope import Scope
from journal.ledger.run import UPSTREAM, Run, Segment, find, segments
from journal.refusal import Refusal
from journal.store import Store
from lanes.profile import PROFILES, Profile
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.state import State
from reactor.evaluate.walk import Rules
from reactor.log.connection import Connection
from reactor.log.port import Log
from reactor.run.foreign import load
from reactor.run.loop import Reader
from reactor.run.session import Session
from reactor.run.settings import Settings, assigned
from reactor.run.source import Source
from reactor.run.verify import records, spans


def params(store: Store, run: Run, name: str | None, assignments: Sequence[str]) -> Profile:
    """The named profile, or the run's own params, with assignments TABLE.KEY=VALUE over them."""
    if name is not None and name not in PROFILES:
        raise Refusal(f"--profile must be one of {', '.join(PROFILES)}, was {name!r}")
    base = _own(store, run) if name is None else PROFILES[name]
    return assigned(base, assignments)


def _own(store: Store, run: Run) -> Profile:
    """The params that decided the run; refuses where its segments differ in them."""
    opened = segments(store, run.run_id)
    if len({segment.params_hash for segment in opened}) > 1:
        profiles = ", ".join(sorted({f"{s.profile} {s.params_hash}" for s in opened}))
        raise Refusal(f"the segments of run {run.run_id} have different params ({profiles}); fix: name a --profile")
    return Profile.model_validate_json(opened[0].params)


class ReplaySource(Source):
    """What a run journaled, as a log that ends there. Nothing is published, and no broker hears of it."""

    finite = True

    def __init__(self, store: Store, run: Run, broker: Connection | None, profile: Profile) -> None:
        """Raises Refusal where the records are not to be had, or not all that this profile reads of them."""
        if run.is_retry:
            raise Refusal(f"run {run.run_id} holds retried rejects alone; fix: replay run {run.replay_of}")
        opened = segments(store, run.run_id)
        scope = Scope.of(store, run.run_id)
        if not scope.ends:
            raise Refusal(f"run {run.run_id} has journaled nothing yet; fix: name another run")
        kernels = load(profile)
        self.kernels = kernels.kernels
        self._records = records(store, run, broker, whole=bool(self.kernels))
        if self._records.stored:
            _refuse_unstored(opened, profile)
        self._rules = Rules(profile, self.kernels)
        self._first = {s.partition: s for s in reversed(opened)}
        self.topic = opened[0].topic
        starts = self._records.starts
        self.start = {int(p): max(at, starts.get(int(p), 0)) for p, at in run.start.items()}
        self.partitions = len(self.start)
        self.warm = run.warm
        self._spans = {
            p: [(max(first, at), last + 1) for _, first, last in spans(store, scope, opened, p) if last >= at]
            for p, at in self.start.items()
        }
        self.identity = {
            "kind": "replay",
            "replay_of": run.run_id,
            "read_from": self._records.words,
            "topic": self.topic,
            "partitions": self.partitions,
            "seeded": run.source.get("seeded", False),
            "standins": [name for name in UPSTREAM if name in run.standins],
        }

    def lows(self) -> dict[int, int]:
        return {p: self._records.lows.get(p, 0) for p in self.start}

    def ends(self) -> dict[int, int]:
        return {p: spans[-1][1] if spans else self.start[p] for p, spans in self._spans.items()}

    def range(self, partition: int, first: int, end: int) -> Iterator[Chunk]:
        for begin, stop in self._spans[partition]:
            if max(begin, first) < min(stop, end):
                yield from self._records.ranges(partition, max(begin, first), min(stop, end))

    def state(self, partition: int) -> State:
        """The state before the run's first offset."""
        return self._records.state(self._first[partition], self.warm, self._rules)

    def open(self, paced_from: int) -> Log:
        return _Rerun(self)

    def check(self) -> None:
        """Nothing feeds it."""

    def close(self) -> None:
        self._records.close()


def _refuse_unstored(opened: Sequence[Segment], profile: Profile) -> None:
    """Stored inputs hold of each scan the asset that was chosen, where one was: another choice needs the record."""
    for segment in opened:
        was = Profile.model_validate_json(segment.params)
        differs = [
            f"select.{name} is {getattr(profile.select, name)!r}, was {value!r}"
            for name, value in was.select
            if name != "postures" and getattr(profile.select, name) != value
        ]
        if profile.base.thr > was.base.thr:
            differs.append(f"base.thr is {profile.base.thr!r}, was {was.base.thr!r}")
        if differs:
            raise Refusal(
                f"the archive or log is gone, and stored inputs hold no prices and irp to choose other assets by "
                f"({'; '.join(differs)}); fix: bring it back, or leave these params as they were"
            )


class _Rerun:
    """The records of a source as a live log, partition by partition."""

    def __init__(self, source: ReplaySource) -> None:
        self._source, self._ends = source, source.ends()
        self._todo: dict[int, Iterator[Chunk]] = {}
        self._rest: Chunk | None = None
        self._reached: dict[int, int] = {}

    def assign(self, positions: dict[int, int]) -> None:
        self._todo = {p: self._source.range(p, at, self._ends[p]) for p, at in positions.items()}

    def poll(self, limit: int, timeout_s: float) -> list[Chunk]:
        while self._todo:
            partition = next(iter(self._todo))
            chunk = self._rest or next(self._todo[partition], None)
            if chunk is not None:
                head, rest = chunk.split(limit)
                self._rest = rest if len(rest) else None
                return [head]
            del self._todo[partition]
            self._reached[partition] = self._ends[partition]
        return []

    def reached(self) -> dict[int, int]:
        return dict(self._reached)

    def leave(self, partition: int) -> None:
        """Its partitions are read one after the other, each to its end."""

    def commit(self, positions: dict[int, int]) -> None:
        """The run's own group stays where it was."""

    def close(self) -> None:
        """Nothing of its own."""


class Replay(Session):
    """A session that begins where the original began, in the state that it had there."""

    source: ReplaySource

    def _begin(self) -> tuple[dict[int, Reader], str]:
        found = {p: Reader(self._state_at(p, at), at, None) for p, at in self.source.start.items()}
        return found, self.source.warm

    def _state_at(self, partition: int, start: int) -> State:  # the source knows only the run's first offset
        return self.source.state(partition)


def refuse_taken(store: Store, settings: Settings, run: Run) -> None:
    """Refuse a name that stands for a soak, or for a replay that did not end and is not this one."""
    name, profile = settings.soak.name, settings.profile
    found = find(store, name=name)
    if found is not None and not found.replay_of:
        raise Refusal(f"--name {name}: is the name of a soak; fix: give the replay another")
    if found is None or found.state == "ENDED" or settings.soak.new:
        return
    if found.state == "HALTED":
        raise Refusal(
            f"--name {name}: its replay {found.run_id} is HALTED ({found.reason}); fix: look into it, then --new"
        )
    hashes = sorted({segment.params_hash for segment in segments(store, found.run_id)})
    if (found.replay_of, hashes) != (run.run_id, [profile.hash]):
        raise Refusal(
            f"--name {name}: its replay {found.run_id} of run {found.replay_of} with params {', '.join(hashes)} is "
            f"{found.state}, and these are {profile.hash} of run {run.run_id}; fix: finish that one with its own "
            "command, or give another --name, or --new"
        )
