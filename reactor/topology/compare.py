"""The comparison: what a lane's candidate said of each journaled scan, beside what the lane said there.

A row has both values, the journaled leverage and the one that the candidate would have made of it: the same fan-in,
with its column in the lane's place. It is made of what is journaled, after it; rows are keyed by scan and candidate, so
that a reading that is read twice leaves one, and whatever fails begins again from what is written. Nothing is decided
by it. See docs/design/stages.md.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from journal.judge import canary, stored
from journal.judge.scope import completed
from journal.judge.stored import Stretch
from journal.ledger.run import Run, segments
from journal.refusal import Refusal
from journal.store import Store
from lanes.columns import compose
from lanes.profile import Profile
from lanes.registry import BY_NAME, LANES
from reactor.log.kafka import KafkaLog
from reactor.tap.reading import Reading, decode
from reactor.topology import checkpoint as checkpoints
from reactor.topology.canary import canary_topic
from reactor.topology.join import lane_columns
from reactor.topology.joined import start
from reactor.topology.lane_source import LaneSource
from reactor.topology.lane_topic import LaneTopic

HELD: Final = 8_192  # readings of a lane and partition that wait for the journal; more wait in the broker
SPAN: Final = 65_536  # offsets that the journal is asked for at a time
FIND_S: Final = 5.0  # between looks for a candidate where there was none
DRAIN_S: Final = 8.0  # at the end of a session, for a candidate that is behind
QUIET_S: Final = 1.0  # nothing of it for so long: it is gone, or as far as it comes
_VALUES: Final = tuple(dict.fromkeys(name for lane in LANES for name in (*lane.components, lane.name)))
_COLUMNS: Final = ("segment", "posture", "capital_usd", "leverage", "actuated", *_VALUES)

Row = Mapping[str, Any]
_version: Final = attrgetter("params_hash", "kernel_hash")


@dataclass(slots=True)
class _Candidates:
    """What was heard of one lane's candidates and waits for the journal, by partition.

    heard: the last offset. mine: whether the checkpoints name our log. params: of every candidate, by hash.
    """

    lane_topic: LaneTopic
    waiting: dict[int, list[Reading]]
    heard: dict[int, int]
    mine: dict[int, bool] = field(default_factory=dict)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    came_at: float = 0.0


class Comparison:
    """Candidates beside a session's lanes. For one thread at a time."""

    def __init__(self, source: LaneSource, run: Run) -> None:
        self._source, self._run = source, run
        self._names = source.names
        self._lanes: dict[str, _Candidates] = {}
        self._scout: KafkaLog | None = None
        self._asked_at = 0.0
        self._profiles: dict[tuple[int, int], Profile] = {}

    def __call__(self, store: Store) -> None:
        """Compare what came of what is journaled."""
        if self._source.log is not None:
            self._find(store)
            self._round(store)

    def finish(self, store: Store) -> None:
        """Go on until candidates are as far as the journal, or nothing more comes; Refusal where that takes long."""
        deadline = time.monotonic() + DRAIN_S
        while self._lanes:
            ends = self._round(store)
            now = time.monotonic()
            behind = [
                lane for lane, candidates in self._lanes.items()
                if now - candidates.came_at < QUIET_S and any(candidates.heard[p] + 1 < ends.get(p, 0) for p in ends)
            ]  # fmt: skip
            if not behind:
                return
            if now > deadline:
                raise Refusal(f"the candidates of {', '.join(behind)} were behind the soak when the session ended")

    def close(self) -> None:
        """Leave the broker."""
        for log in (self._scout, *(candidates.lane_topic for candidates in self._lanes.values())):
            if log is not None:
                log.close()
        self._lanes = {}

    def _find(self, store: Store) -> None:
        """Now and then, whether a candidate spoke for a lane that had none; nothing is fetched until one did."""
        if (now := time.monotonic()) - self._asked_at < FIND_S:
            return
        self._asked_at = now
        source, partitions = self._source, range(self._source.partitions)
        topics = {canary_topic(self._run.name, lane): lane for lane in self._names if lane not in self._lanes}
        client = f"{self._run.name}-canary"
        self._scout = self._scout or KafkaLog(source.broker, canary_topic(self._run.name, self._names[0]), client)
        for topic in self._scout.filled(topics, partitions):
            begin = {int(p): at for p, at in self._run.start.items()}
            begin |= canary.done(store, self._run.run_id, topics[topic])
            lane_topic = LaneTopic(source.broker, topic, client)
            lane_topic.assign({p: start(lane_topic, p, begin[p], source.log or "") for p in partitions})
            waiting: dict[int, list[Reading]] = {p: [] for p in partitions}
            self._lanes[topics[topic]] = _Candidates(lane_topic, waiting, {p: at - 1 for p, at in begin.items()})

    def _round(self, store: Store) -> dict[int, int]:
        """Read and write; returns how far the journal is."""
        ends = completed(store, self._run.run_id) if self._lanes else {}
        for lane, candidates in list(self._lanes.items()):
            try:
                self._read(candidates)
            except Exception:
                candidates.lane_topic.close()
                del self._lanes[lane]  # what it took along is read again, from what is written
                raise
            for partition, waiting in candidates.waiting.items():
                end = ends.get(partition, 0)
                due = sorted((r for r in waiting if r.offset < end), key=lambda reading: reading.offset)
                for _, some in groupby(due, lambda reading: reading.offset // SPAN):
                    self._write(store, lane, list(some), candidates.params)
                candidates.waiting[partition] = [reading for reading in waiting if reading.offset >= end]
        return ends

    def _read(self, candidates: _Candidates) -> None:
        lane_topic, waiting = candidates.lane_topic, candidates.waiting
        lane_topic.hold({partition for partition, held in waiting.items() if len(held) >= HELD})
        records = lane_topic.listen(HELD, 0.05)
        for record in records:
            try:
                reading = decode(record.value)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # nobody's
            checkpoint = checkpoints.decode(record.checkpoint)
            partition = reading.partition
            if checkpoint is not None:
                candidates.mine[partition] = checkpoint.log == self._source.log
                candidates.params[reading.params_hash] = checkpoint.params
            candidates.heard[partition] = max(candidates.heard[partition], reading.offset)
            if record.since > self._run.start[str(partition)]:
                continue  # it knows less than the run
            if candidates.mine.get(partition) and reading.params_hash in candidates.params and self._within(reading):
                waiting[partition].append(reading)
        if records:
            candidates.came_at = time.monotonic()

    def _within(self, reading: Reading) -> bool:
        """Whether the run may come to a reading's scan at all."""
        until, partition = self._run.until, str(reading.partition)
        end = until.get("ends", {}).get(partition)
        before = end is None or reading.offset < end
        return before and reading.offset >= self._run.start[partition] and reading.ts_ms < until.get("ts_ms", 1 << 62)

    def _write(self, store: Store, lane: str, due: Sequence[Reading], params: Mapping[str, dict[str, Any]]) -> None:
        """Insert the rows of some readings of a partition, one candidate's at a time; a scan without a row has none."""
        journaled = self._journaled(store, due)
        for (params_hash, kernel_hash), every in groupby(sorted(due, key=_version), key=_version):
            said = [reading for reading in every if reading.offset in journaled]
            if not said:
                continue
            rows = [journaled[reading.offset] for reading in said]
            read = params[params_hash]
            constant = {
                "run_id": self._run.run_id, "lane": lane, "topic": self._source.topic, "partition": said[0].partition,
                "params_hash": params_hash, "kernel_hash": kernel_hash, "params": msgspec.json.encode(read).decode(),
            }  # fmt: skip
            columns: dict[str, Any] = {name: [value] * len(said) for name, value in constant.items()}
            columns |= {
                name: [getattr(reading, name) for reading in said] for name in ("stream", "scan_id", "ts_ms", "fault")
            }
            columns |= {name: [row[name] for row in rows] for name in ("log_offset", "actuated", "leverage")}
            columns["value"] = [row[lane] for row in rows]
            columns["candidate"] = [reading.value for reading in said]
            columns["candidate_leverage"] = self._leverages(store, lane, read, said, rows)
            places = "|".join(map(str, (said[0].partition, said[0].offset, said[-1].offset, len(said))))
            token = f"{self._run.run_id}|{lane}|{params_hash}|{kernel_hash}|{places}"
            canary.write(store, columns, token)

    def _leverages(
        self, store: Store, lane: str, params: Mapping[str, Any], said: Sequence[Reading], rows: Sequence[Row]
    ) -> list[float | None]:
        """What the fan-in makes of the candidate's readings; None where there is nothing finite, or it may not be."""
        found: list[float | None] = [None] * len(said)
        there = [at for at, reading in enumerate(said) if reading.value is not None]
        for segment, places in groupby(there, key=lambda at: rows[at]["segment"]):
            some = list(places)
            profile = self._profile(store, said[0].partition, segment)
            if checkpoints.accepted(profile, lane, params) is None:
                continue  # it reads other bounds than the fan-in has
            theirs = [rows[at] for at in some]
            heard = {
                each.name: lane_columns([row[each.name] for row in theirs], theirs, each.components)
                for each in profile.lanes
            }
            candidate = [said[at] for at in some]
            parts = [reading.components for reading in candidate]
            heard[lane] = lane_columns([reading.value for reading in candidate], parts, BY_NAME[lane].components)
            stalker = np.array([row["posture"] == "STALKER" for row in theirs], dtype=np.bool_)
            capital_usd = np.array([row["capital_usd"] for row in theirs], dtype=np.float64)
            readings = compose(profile, heard, stalker, capital_usd)
            for at, leverage, wrong in zip(
                some, readings.columns["leverage"].tolist(), readings.non_finite.tolist(), strict=True
            ):
                found[at] = None if wrong else leverage
        return found

    def _journaled(self, store: Store, due: Sequence[Reading]) -> dict[int, dict[str, Any]]:
        """Rows of the scans at these offsets; a scan that was rejected has none."""
        place = Stretch(self._run.run_id, self._source.topic, due[0].partition, due[0].offset, due[-1].offset)
        return {row["log_offset"]: row for row in stored.scans(store, place, _COLUMNS)}

    def _profile(self, store: Store, partition: int, segment: int) -> Profile:
        """What decided in a segment."""
        if (partition, segment) not in self._profiles:
            opened = segments(store, self._run.run_id)
            self._profiles = {(s.partition, s.segment): Profile.model_validate_json(s.params) for s in opened}
        return self._profiles[partition, segment]
