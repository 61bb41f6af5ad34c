"""Runs and segments: what a soak reads, with which code and params, and where it stands.

A run is RUNNING, STOPPED (the same command resumes it), ENDED or HALTED. Each change is a row of its own; the newest
revision counts. See docs/design/running.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final

import msgspec

from journal.engine.reader import NEWEST_FIRST
from journal.ledger.naming import KNOWN, identify
from journal.ledger.pruned import utc
from journal.ledger.steady import CLOCK
from journal.store import Store

UPSTREAM: Final = ("scanner", "enrichment")  # stand-ins before the log, beside those of the lanes
CARRIED: Final = "CARRIED"  # how warm a run began that goes on from a state out of another journal
_REVISIONS: Final = 2**32  # of a run in one epoch, at most
# Every run, or those of a name, the newest first, with what it journaled.
LISTED: Final = (
    "SELECT run_id, name, state, started_at, b.n AS records, b.decided AS decisions, changed_at, profile, "
    "JSONExtractString(source, 'kind') AS source, replay_of, reason FROM runs LEFT JOIN "
    "(SELECT run_id, sum(decisions + evaluations + planes + rejects) AS n, sum(decisions) AS decided "
    "FROM batches GROUP BY run_id) AS b USING (run_id) WHERE {name:String} IN ('', name) "
    f"ORDER BY {NEWEST_FIRST}"
)
_JSON: Final = ("source", "until", "asked", "start", "versions")  # columns of a run that hold JSON


@dataclass(frozen=True, slots=True)
class Run:
    """Manifest of a run. `source`: log identity; `start`, `until`: offsets by partition, `until` absent where open.

    asked: `from`, `until` and `absent` (planes that BLUE has none of) as they were asked for; empty where an older
    version began it. begun: grows from run to run; the first `save` gives it, an older version gave none.
    """

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
    asked: Mapping[str, Any] = field(default_factory=dict)
    begun: int = 0

    @property
    def absent(self) -> tuple[str, ...]:
        """Planes that BLUE has none of, so that no scan misses them."""
        return tuple(self.asked.get("absent", ()))

    @property
    def carried(self) -> Mapping[str, Any]:
        """Counts, content hash and marks of what it journaled elsewhere, before it was carried here; else nothing."""
        found: Mapping[str, Any] = self.asked.get("carried", {})
        return found

    def mark(self, partition: int) -> tuple[str, int]:
        """SHA-256 and leader epoch of the record before the first offset of a run that was carried here."""
        record, epoch = self.carried.get("marks", {}).get(str(partition), ("", -1))
        return record, epoch

    @property
    def replay_of(self) -> str:
        """The run whose records this one replays, or nothing."""
        return str(self.source.get("replay_of", ""))

    @property
    def is_retry(self) -> bool:
        """Whether it is a replay of some of that run's rejects alone."""
        return bool(self.source["kind"] == "retry")


@dataclass(frozen=True, slots=True)
class Segment:
    """What decided from `first_offset` of a partition on.

    params: the profile as JSON. kernels: lane to hash. state: JSON of the state at that offset. math_fingerprint: of
    the machine that decided; empty where an older version opened it. epoch: of the writer that opened it or took it
    over. opened_at: None where it opens now.
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
    math_fingerprint: str = ""
    epoch: int = 0
    opened_at: datetime | None = field(default=None, compare=False)

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
        mine, theirs = self.math_fingerprint, other.math_fingerprint
        if theirs not in ("", mine):
            names.append(f"arithmetic (math fingerprint {mine}, was {theirs}: this machine's pow gives other bits)")
        return names


def now() -> datetime:
    """The time, UTC; stamps manifests and batches, never an outcome. A jump of the wall clock does not move it."""
    return CLOCK.now()


def last_word(store: Store) -> datetime:
    """The latest time that anything of a migrated journal was stamped with; of an empty one 1970."""
    row = store.rows(
        "SELECT greatest((SELECT max(written_at) FROM violet_batches), (SELECT max(changed_at) FROM violet_runs), "
        "(SELECT max(at) FROM violet_claims)) AS at"
    )[0]
    return utc(row["at"])


def next_begun(store: Store) -> int:
    """What makes a run the latest of those that are there now."""
    return store.count("SELECT max(begun) FROM violet_runs") + 1


def save(store: Store, run: Run, epoch: int = 0) -> Run:
    """Write the manifest as a new revision, which is above all that writers of a lower epoch give it."""
    if not run.revision and not run.begun:
        run = replace(run, begun=next_begun(store))
    run = replace(run, revision=max(run.revision + 1, epoch * _REVISIONS))
    row = _fields(run) | {name: _json(getattr(run, name)) for name in _JSON}
    row |= {"standins": list(run.standins), "trading_mode": "DARK", "is_trading_allowed": 0, "changed_at": now()}
    store.put_row("violet_runs", row, f"{run.run_id}|{run.revision}")
    return run


def find(store: Store, *, name: str | None = None, run_id: str | None = None) -> Run | None:
    """The run of this id, or the latest of this name, or the latest of all."""
    rows = store.rows(
        "SELECT * FROM violet_runs FINAL WHERE ({run:String} = '' OR run_id = {run:String}) "
        f"AND ({{name:String}} = '' OR name = {{name:String}}) ORDER BY {NEWEST_FIRST} LIMIT 1",
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
    sql = f"SELECT * FROM violet_runs FINAL ORDER BY {NEWEST_FIRST} LIMIT 1 BY name"
    return [_run(row) for row in store.rows(sql)]


def pick(store: Store, wanted: str | None) -> Run:
    """The run that a command is about.

    Args:
        store: the journal.
        wanted: how it is named, see `naming.identify`; None for the latest run.

    Raises:
        Refusal: there is none, or several may be meant; it names those that are there.
    """
    run = find(store, run_id=identify(store.rows(KNOWN), wanted))
    if run is None:
        raise AssertionError("must be there: it was listed")
    return run


def listed(store: Store, name: str | None = None) -> list[dict[str, Any]]:
    """Every run, or those of a name, the newest first, with what it journaled."""
    return store.rows(LISTED, {"name": name or ""})


def open_segments(store: Store, opened: Sequence[Segment]) -> None:
    """Record a segment's first offset in every partition: one insert, so that a crash leaves all of them or none."""
    rows = [_fields(s) | {"kernels": _json(s.kernels)} for s in opened]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["opened_at"] = [each.opened_at or now() for each in opened]
    places = ",".join(f"{s.partition}-{s.first_offset}" for s in opened)
    token = f"{opened[0].run_id}|{opened[0].segment}|{places}|{opened[0].params_hash}|{_json(opened[0].kernels)}"
    token += f"|{opened[0].epoch}"
    store.put("violet_segments", columns, token)


def segments(store: Store, run_id: str) -> list[Segment]:
    """Segments of a run, in order: those that its latest writer opened or took over."""
    sql = "SELECT * FROM violet_segments FINAL WHERE run_id = {run:String} ORDER BY segment, topic, partition"
    found = [
        Segment(
            **_known(Segment, row)
            | {"kernels": msgspec.json.decode(row["kernels"]), "opened_at": utc(row["opened_at"])}
        )
        for row in store.rows(sql, {"run": run_id})
    ]
    highest = max((each.epoch for each in found), default=0)
    return [each for each in found if each.epoch == highest]


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _fields(of: Run | Segment) -> dict[str, Any]:
    return {field.name: getattr(of, field.name) for field in fields(of)}


def _run(row: Mapping[str, Any]) -> Run:
    told = _known(Run, row) | {name: msgspec.json.decode(row[name]) for name in _JSON if name in row}
    return Run(**told | {"standins": tuple(row["standins"]), "started_at": utc(row["started_at"])})


def _known(of: type[Run | Segment], row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a row has: a resume is judged before the tables of an older version are migrated."""
    return {f.name: row[f.name] for f in fields(of) if f.name in row}
