"""Runs and segments: what a soak reads, with which code and params, and where it stands.

A run is RUNNING, STOPPED (the same command resumes it), ENDED or HALTED. Each change is a row of its own; the newest
revision counts. See docs/design/running.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from journal.refusal import Refusal
from journal.store import Store

UPSTREAM: Final = ("scanner", "enrichment")  # stand-ins before the log, beside those of the lanes
RUN_TYPES = {
    "run_id": "String",
    "revision": "UInt64",
    "name": "String",
    "state": "Enum8('RUNNING' = 0, 'STOPPED' = 1, 'ENDED' = 2, 'HALTED' = 3)",
    "profile": "String",
    "source": "String",
    "until": "String",
    "start": "String",
    "warm": "String",
    "standins": "Array(String)",
    "versions": "String",
    "reason": "String",
    "trading_mode": "LowCardinality(String)",
    "is_trading_allowed": "UInt8",
    "started_at": "DateTime64(3, 'UTC')",
    "changed_at": "DateTime64(3, 'UTC')",
}
SEGMENT_TYPES = {
    "run_id": "String",
    "segment": "UInt32",
    "topic": "LowCardinality(String)",
    "partition": "UInt32",
    "first_offset": "Int64",
    "cause": "String",
    "profile": "String",
    "params": "String",
    "params_hash": "LowCardinality(String)",
    "code_hash": "LowCardinality(String)",
    "kernels": "String",
    "state": "String",
    "opened_at": "DateTime64(3, 'UTC')",
}


@dataclass(frozen=True, slots=True)
class Run:
    """Manifest of a run. `source`: log identity; `start`, `until`: offsets by partition, `until` absent where open."""

    run_id: str
    name: str
    state: str
    profile: str
    source: Mapping[str, Any]
    until: Mapping[str, Any]
    start: Mapping[str, int]
    warm: str
    standins: tuple[str, ...]
    versions: Mapping[str, str]
    started_at: datetime
    reason: str = ""
    revision: int = 0

    @property
    def replay_of(self) -> str:
        """The run whose records this one replays, or nothing."""
        return str(self.source.get("replay_of", ""))


@dataclass(frozen=True, slots=True)
class Segment:
    """What decided from `first_offset` of a partition on.

    params: the profile as JSON. kernels: lane to hash. state: JSON of the state at that offset.
    """

    run_id: str
    segment: int
    topic: str
    partition: int
    first_offset: int
    cause: str
    profile: str
    params: str
    params_hash: str
    code_hash: str
    kernels: Mapping[str, str] = field(default_factory=dict)
    state: str = "{}"

    def kernel_hash(self, lane: str) -> str:
        """Hash of what computed a lane: the foreign kernel in its place, else the code."""
        return self.kernels.get(lane, self.code_hash)

    def differs(self, other: "Segment") -> list[str]:
        """What of the deciding differs from another segment, by name."""
        names = []
        if self.params_hash != other.params_hash:
            names.append(
                f"profile or params ({self.profile} {self.params_hash}, was {other.profile} {other.params_hash})"
            )
        if self.code_hash != other.code_hash:
            names.append(f"code ({self.code_hash}, was {other.code_hash})")
        if dict(self.kernels) != dict(other.kernels):
            names.append(f"kernels ({dict(self.kernels)}, was {dict(other.kernels)})")
        return names


def now() -> datetime:
    """Wall clock, UTC; stamps manifests and batches, never an outcome."""
    return datetime.now(UTC)


def save(store: Store, run: Run) -> Run:
    """Write the manifest as a new revision."""
    run = replace(run, revision=run.revision + 1)
    row = {
        "run_id": run.run_id,
        "revision": run.revision,
        "name": run.name,
        "state": run.state,
        "profile": run.profile,
        "source": _json(run.source),
        "until": _json(run.until),
        "start": _json(run.start),
        "warm": run.warm,
        "standins": list(run.standins),
        "versions": _json(run.versions),
        "reason": run.reason,
        "trading_mode": "DARK",
        "is_trading_allowed": 0,
        "started_at": run.started_at,
        "changed_at": now(),
    }
    store.insert("violet_runs", {n: [v] for n, v in row.items()}, RUN_TYPES, f"{run.run_id}|{run.revision}")
    return run


def find(store: Store, *, name: str | None = None, run_id: str | None = None) -> Run | None:
    """The run of this id, or the latest of this name, or the latest of all."""
    rows = store.rows(
        "SELECT * FROM violet_runs FINAL WHERE ({run:String} = '' OR run_id = {run:String}) "
        "AND ({name:String} = '' OR name = {name:String}) ORDER BY started_at DESC, run_id DESC LIMIT 1",
        {"run": run_id or "", "name": name or ""},
    )
    return _run(rows[0]) if rows else None


def ids(store: Store, *, name: str | None = None, at_rest: bool = False) -> list[str]:
    """Ids of the runs of a name, or of all. at_rest: without those that are RUNNING."""
    rows = store.rows(
        "SELECT run_id FROM runs WHERE {name:String} IN ('', name) AND (NOT {rest:Bool} OR state != 'RUNNING')",
        {"name": name or "", "rest": at_rest},
    )
    return [row["run_id"] for row in rows]


def newest(store: Store) -> list[Run]:
    """The newest run of every name, the newest first."""
    sql = "SELECT * FROM violet_runs FINAL ORDER BY started_at DESC, run_id DESC LIMIT 1 BY name"
    return [_run(row) for row in store.rows(sql)]


def pick(store: Store, run_id: str | None) -> Run:
    """The run that a command is about.

    Args:
        store: the journal.
        run_id: its id; None for the latest run.

    Raises:
        Refusal: there is none; it names those that are there.
    """
    run = find(store, run_id=run_id)
    if run is None:
        known = [r["run_id"] for r in store.rows("SELECT run_id FROM runs ORDER BY started_at DESC LIMIT 5")]
        wanted = f"no run {run_id!r}" if run_id else "no run"
        raise Refusal(f"{wanted} in this journal; fix: name one of: {', '.join(known) or '(none: soak first)'}")
    return run


def open_segments(store: Store, opened: Sequence[Segment]) -> None:
    """Record a segment's first offset in every partition: one insert, so that a crash leaves all of them or none."""
    at = now()
    rows = [{n: getattr(s, n) for n in SEGMENT_TYPES if n != "opened_at"} for s in opened]
    columns: dict[str, list[Any]] = {n: [row[n] for row in rows] for n in rows[0]}
    columns["kernels"] = [_json(kernels) for kernels in columns["kernels"]]
    columns["opened_at"] = [at] * len(opened)
    places = ",".join(f"{s.partition}-{s.first_offset}" for s in opened)
    token = f"{opened[0].run_id}|{opened[0].segment}|{places}|{opened[0].params_hash}|{_json(opened[0].kernels)}"
    store.insert("violet_segments", columns, SEGMENT_TYPES, token)


def segments(store: Store, run_id: str) -> list[Segment]:
    """Segments of a run, in order."""
    sql = "SELECT * FROM violet_segments FINAL WHERE run_id = {run:String} ORDER BY segment, topic, partition"
    return [
        Segment(
            run_id=row["run_id"],
            segment=row["segment"],
            topic=row["topic"],
            partition=row["partition"],
            first_offset=row["first_offset"],
            cause=row["cause"],
            profile=row["profile"],
            params=row["params"],
            params_hash=row["params_hash"],
            code_hash=row["code_hash"],
            kernels=msgspec.json.decode(row["kernels"]),
            state=row["state"],
        )
        for row in store.rows(sql, {"run": run_id})
    ]


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _run(row: Mapping[str, Any]) -> Run:
    return Run(
        run_id=row["run_id"],
        name=row["name"],
        state=row["state"],
        profile=row["profile"],
        source=msgspec.json.decode(row["source"]),
        until=msgspec.json.decode(row["until"]),
        start=msgspec.json.decode(row["start"]),
        warm=row["warm"],
        standins=tuple(row["standins"]),
        versions=msgspec.json.decode(row["versions"]),
        started_at=row["started_at"].replace(tzinfo=UTC) if row["started_at"].tzinfo is None else row["started_at"],
        reason=row["reason"],
        revision=row["revision"],
    )
