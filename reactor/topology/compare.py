"""The comparison: what a lane's candidate said of each journaled scan, beside what the lane said there.

A row has both values, the journaled leverage and the one that the candidate would have made of it: the same fan-in,
with its column in the lane's place. It is made of what is journaled, after it, on a thread of its own; rows are keyed
by scan and candidate, so that a reading that is read twice leaves one. Nothing is decided by it.
Source: SPEC section 2.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import msgspec
import numpy as np

from journal.run import Segment, segments
from journal.store import Store
from lanes.columns import Said, compose
from lanes.lane import LANES
from lanes.params import LaneParams, Profile
from reactor.log.kafka import KafkaLog
from reactor.reading import Reading, decode
from reactor.topology import mark as marks
from reactor.topology.canary import canary_topic
from reactor.topology.join import NAMES
from reactor.topology.joined import start
from reactor.topology.mark import HEADER
from reactor.topology.source import LaneSource
from reactor.topology.tape import KafkaTape

TURN: Final = 8_192  # readings of a lane that wait at most
LOOK_S: Final = 5.0  # between looks for a candidate where there was none
DRAIN_S: Final = 20.0  # at the end of a session, for a candidate that is behind
QUIET_S: Final = 3.0  # nothing of it for so long: it is gone, or as far as it comes
TYPES: Final = {
    "run_id": "LowCardinality(String)",
    "lane": "LowCardinality(String)",
    "topic": "LowCardinality(String)",
    "partition": "UInt32",
    "log_offset": "Int64",
    "params_hash": "LowCardinality(String)",
    "kernel_hash": "LowCardinality(String)",
    "params": "LowCardinality(String)",
    "stream": "LowCardinality(String)",
    "scan_id": "Int64",
    "ts_ms": "Int64",
    "actuated": "Nullable(Bool)",
    "value": "Nullable(Float64)",
    "candidate": "Nullable(Float64)",
    "leverage": "Nullable(Float64)",
    "candidate_leverage": "Nullable(Float64)",
    "fault": "String",
}
_SAID: Final = (*NAMES, *dict.fromkeys(part for lane in LANES for part in lane.components))
_PARTS: Final = {lane.name: lane.components for lane in LANES}
_COLUMNS: Final = (
    f"log_offset, segment, posture, capital_usd, leverage, acb_boost * meta_boost * mc_scale AS acb, "
    f"{', '.join(name for name in _SAID if name != 'acb')}"
)


@dataclass(slots=True)
class _Candidates:
    """What one lane's candidates said: read from the tape, compared when the journal has the scan.

    params: of every candidate by hash, as JSON and as the lane's table; None where they are not comparable.
    """

    lane: str
    tape: KafkaTape
    waiting: dict[int, list[Reading]]
    params: dict[str, tuple[str, LaneParams | None]]
    mine: dict[int, bool]  # by partition: whether the marks name our log
    came_at: float


class Comparison:
    """Candidates beside a session's lanes. `turn` is for one thread."""

    def __init__(self, source: LaneSource, profile: Profile, name: str, run_id: str) -> None:
        self._source, self._profile, self._name, self._run_id = source, profile, name, run_id
        self._lanes: dict[str, _Candidates] = {}
        self._scout: KafkaLog | None = None
        self._looked_at = 0.0
        self._segments: dict[tuple[int, int], Profile] = {}

    def __call__(self, store: Store) -> None:
        """Compare what came of what is journaled."""
        if self._source.log is None:
            return
        self._look(store)
        for candidates in self._lanes.values():
            self._hear(candidates)
        ends = self._ends(store) if any(map(self._waits, self._lanes)) else {}
        for lane, candidates in self._lanes.items():
            for partition, waiting in candidates.waiting.items():
                due = [reading for reading in waiting if reading.offset < ends.get(partition, 0)]
                if due:
                    self._write(store, lane, partition, due, candidates.params)
                    candidates.waiting[partition] = [each for each in waiting if each.offset >= ends[partition]]

    def finish(self, store: Store) -> None:
        """Go on until candidates are as far as the journal, or nothing more comes of them."""
        deadline = time.monotonic() + DRAIN_S
        while True:
            self(store)
            now = time.monotonic()
            if now > deadline or all(now - candidates.came_at > QUIET_S for candidates in self._lanes.values()):
                return

    def close(self) -> None:
        """Leave the broker."""
        for log in (self._scout, *(candidates.tape for candidates in self._lanes.values())):
            if log is not None:
                log.close()

    def _waits(self, lane: str) -> bool:
        return any(self._lanes[lane].waiting.values())

    def _look(self, store: Store) -> None:
        """Now and then, whether a candidate spoke for a lane that had none; nothing is fetched until one did."""
        if (now := time.monotonic()) - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        source, partitions = self._source, range(self._source.partitions)
        topics = {canary_topic(self._name, lane): lane for lane in NAMES if lane not in self._lanes}
        client = f"{self._name}-canary"
        self._scout = self._scout or KafkaLog(source.bootstrap, canary_topic(self._name, NAMES[0]), client)
        for topic in self._scout.filled(topics, partitions):
            tape, done = KafkaTape(source.bootstrap, topic, client, HEADER), self._done(store, topics[topic])
            tape.assign({p: start(tape, p, done.get(p, 0), source.log or "") for p in partitions})
            self._lanes[topics[topic]] = _Candidates(topics[topic], tape, {p: [] for p in partitions}, {}, {}, now)

    def _hear(self, candidates: _Candidates) -> None:
        free = TURN - sum(map(len, candidates.waiting.values()))
        records = candidates.tape.listen(free, 0.05) if free > 0 else []
        for record in records:
            reading = decode(record.value)
            if record.mark is not None:
                mark = marks.decode(record.mark)
                candidates.mine[reading.partition] = mark.log == self._source.log
                table = marks.accepted(self._profile, candidates.lane, mark.params)
                candidates.params[reading.params_hash] = msgspec.json.encode(mark.params).decode(), table
            if candidates.mine.get(reading.partition) and reading.params_hash in candidates.params:
                candidates.waiting[reading.partition].append(reading)
        if records:
            candidates.came_at = time.monotonic()

    def _write(
        self, store: Store, lane: str, partition: int, due: list[Reading],
        params: Mapping[str, tuple[str, LaneParams | None]],
    ) -> None:  # fmt: skip
        """Insert the rows of some readings, one candidate's at a time."""
        journaled = self._journaled(store, partition, [reading.offset for reading in due])
        for speaker, said in _by_speaker(due):
            words, table = params[speaker[0]]
            leverages = self._leverages(store, lane, table, said, journaled)
            rows = [journaled.get(reading.offset, {}) for reading in said]
            columns: dict[str, Any] = {
                "run_id": [self._run_id] * len(said),
                "lane": [lane] * len(said),
                "topic": [reading.topic for reading in said],
                "partition": [partition] * len(said),
                "log_offset": [reading.offset for reading in said],
                "params_hash": [speaker[0]] * len(said),
                "kernel_hash": [speaker[1]] * len(said),
                "params": [words] * len(said),
                "stream": [reading.stream for reading in said],
                "scan_id": [reading.scan_id for reading in said],
                "ts_ms": [reading.ts_ms for reading in said],
                "actuated": [row.get("actuated") for row in rows],
                "value": [row.get(lane) for row in rows],
                "candidate": [reading.value for reading in said],
                "leverage": [row.get("leverage") for row in rows],
                "candidate_leverage": leverages,
                "fault": [reading.fault for reading in said],
            }
            token = "|".join((self._run_id, lane, str(partition), str(said[0].offset), str(said[-1].offset), *speaker))
            store.insert("violet_canaries", columns, TYPES, token)

    def _leverages(
        self, store: Store, lane: str, table: LaneParams | None, said: list[Reading],
        journaled: Mapping[int, Mapping[str, Any]],
    ) -> list[float | None]:  # fmt: skip
        """What the fan-in makes of the candidate's readings; None where there is no finite one, or no row."""
        found: list[float | None] = [None] * len(said)
        if table is None:
            return found
        there = [at for at, reading in enumerate(said) if reading.value is not None and reading.offset in journaled]
        for segment, places in groupby(there, key=lambda at: journaled[said[at].offset]["segment"]):
            some = list(places)
            rows = [journaled[said[at].offset] for at in some]
            columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in _SAID}
            heard = {
                each.name: Said(columns[each.name], tuple(columns[part] for part in each.components)) for each in LANES
            }
            mine = [said[at] for at in some]
            heard[lane] = Said(
                np.array([reading.value for reading in mine], dtype=np.float64),
                tuple(np.array([r.components[part] for r in mine], dtype=np.float64) for part in _PARTS[lane]),
            )
            stalker = np.array([row["posture"] == "STALKER" for row in rows], dtype=np.bool_)
            capital_usd = np.array([row["capital_usd"] for row in rows], dtype=np.float64)
            profile = self._profile_of(store, said[0].partition, segment)
            readings = compose(profile.model_copy(update={lane: table}), heard, stalker, capital_usd)
            for at, leverage, wrong in zip(some, readings.leverage.tolist(), readings.non_finite.tolist(), strict=True):
                found[at] = None if wrong else leverage
        return found

    def _journaled(self, store: Store, partition: int, offsets: list[int]) -> dict[int, dict[str, Any]]:
        """Rows of the scans at these offsets; a scan that was rejected has none."""
        here = (
            "run_id = {run:String} AND topic = {topic:String} AND partition = {p:UInt32} "
            "AND log_offset BETWEEN {first:Int64} AND {last:Int64} AND log_offset IN {offsets:Array(Int64)}"
        )
        sql = " UNION ALL ".join(
            f"SELECT {_COLUMNS}, {actuated} AS actuated FROM {table} FINAL WHERE {here}"
            for table, actuated in (("violet_decisions", "true"), ("violet_evaluations", "false"))
        )
        params = {
            "run": self._run_id, "topic": self._source.topic, "p": partition, "first": min(offsets),
            "last": max(offsets), "offsets": offsets,
        }  # fmt: skip
        return {row["log_offset"]: row for row in store.rows(sql, params)}

    def _ends(self, store: Store) -> dict[int, int]:
        """Offset after the last completed batch of each partition."""
        rows = store.rows(
            "SELECT partition, max(last_offset) + 1 AS end FROM violet_batches WHERE run_id = {run:String} "
            "AND phase = 'COMPLETE' GROUP BY partition",
            {"run": self._run_id},
        )
        return {row["partition"]: row["end"] for row in rows}

    def _done(self, store: Store, lane: str) -> dict[int, int]:
        """Offset after the last compared one of each partition."""
        rows = store.rows(
            "SELECT partition, max(log_offset) + 1 AS done FROM violet_canaries WHERE run_id = {run:String} "
            "AND lane = {lane:String} GROUP BY partition",
            {"run": self._run_id, "lane": lane},
        )
        return {row["partition"]: row["done"] for row in rows}

    def _profile_of(self, store: Store, partition: int, segment: int) -> Profile:
        if (partition, segment) not in self._segments:
            opened: list[Segment] = segments(store, self._run_id)
            self._segments = {(s.partition, s.segment): Profile.model_validate_json(s.params) for s in opened}
        return self._segments[partition, segment]


def _by_speaker(due: list[Reading]) -> Iterator[tuple[tuple[str, str], list[Reading]]]:
    def speaker(reading: Reading) -> tuple[str, str]:
        return reading.params_hash, reading.kernel_hash

    for key, said in groupby(sorted(due, key=lambda r: (*speaker(r), r.offset)), key=speaker):
        yield key, list(said)
