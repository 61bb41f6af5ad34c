"""The ledger: each batch exactly once, by intent, inserts and completion. The journal owns the offsets.

Per batch: an intent row; one synchronous insert for each kind of outcome in it, with a token that names the run, the
range and the block's digest; a completion row with counts, hashes, skipped ranges and the state. A crash between any
two of these leaves a batch in doubt, which is read, computed and inserted again: the tokens and the row keys make the
second time a no-op. A writer looks whether its claim still holds behind the intent, so that one whose name was taken
over inserts at most the rows of a batch that the next writer found in doubt, which are the same.
See docs/design/exactly-once.md.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from journal.ledger import claim as claims
from journal.ledger import run as runs
from journal.ledger.claim import Claim, Fenced
from journal.ledger.incident import Note, RowLimit, note, seen
from journal.ledger.patience import PULSE_S, Outage, Patience, Revived
from journal.ledger.pruned import dropped_sql, pruned
from journal.refusal import Refusal
from journal.row import RAW_MAX, TABLES, Batch, Coded, Rows, present, rows, table_columns
from journal.store import JournalAway, JournalRefused, JournalTooLarge, Store
from lanes.code import Incident, Mode, Outcome, Reject, Severity

T = TypeVar("T")
CONSTRAINT_VIOLATED: Final = 469
_KINDS: Final = tuple(Outcome)
_LAST: Final = (Incident.STOPPED, Incident.ENDED, Incident.HALTED)  # of a session
# Intents whose rows may be there. One of a writer that was fenced before it inserted any is below the epoch of the
# segments, which the next writer takes over once no batch is in doubt.
INTENDED: Final = "phase = 'INTENT' AND attempt >= (SELECT max(epoch) FROM violet_segments WHERE run_id = {run:String})"
_TYPES: Final = {kind: dict(table_columns(kind)) for kind in _KINDS}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands: the last completed offset, the state there, and a batch in doubt.

    record, leader_epoch: SHA-256 and leader epoch of the record at `last`; empty and -1 where an older version wrote
    it.
    """

    last: int
    state: bytes
    doubt: tuple[int, int] | None
    doubt_digest: str
    doubt_segment: int
    record: str = ""
    leader_epoch: int = -1

    @property
    def next(self) -> int:
        """The offset after the last batch, also one in doubt."""
        return (self.doubt[1] if self.doubt is not None else self.last) + 1


class Ledger:
    """Appends batches to a run, each exactly once.

    Args:
        store: the journal.
        run_id: the run.
        claim: of the run's name; None where nobody else can write it.
        reread: gives a partition's records at some offsets, from the log: for rows that ClickHouse refuses.
        revive: gives another store where this one no longer answers, or None while there is none.
        stop: whether the end is asked for; only asked while ClickHouse is away.
        on_away: called with an outage of ClickHouse when it is known, and with None when it is over.
        memory: file that holds an outage until the journal does.
        seam: called with the name of every step, before and after every effect; tests crash there.
        on_incident: called with every incident that became a row.

    `latency_s` is that of the batch that was journaled last, `epoch` that of the claim.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        reread: Callable[[int, Sequence[int]], list[bytes]],
        *,
        revive: Callable[[], Revived | None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
        on_away: Callable[[Outage | None], None] = lambda outage: None,
        memory: Path | None = None,
        seam: Callable[[str], None] = lambda name: None,
        on_incident: Callable[[Note], None] = lambda row: None,
        claim: Claim | None = None,
    ) -> None:
        self._run_id, self._reread, self._seam, self._on_incident = run_id, reread, seam, on_incident
        self._patience = Patience(store, run_id, revive, stop, on_away, memory)
        self._claim = claim
        self.epoch = claim.epoch if claim is not None else 0
        self.latency_s = 0.0
        self._limit = RowLimit()

    @property
    def store(self) -> Store:
        """The journal, where it answered last."""
        return self._patience.store

    def recall(self) -> None:
        """Journal an outage that the soak before could not: it ended while ClickHouse was away."""
        if (outage := self._patience.recalled()) is not None:
            self.note(Severity.WARN, Incident.JOURNAL_AWAY, f"{outage}, until the soak ended")
        self._patience.forget()

    def pulse(self) -> None:
        """Ask for a sign of life where nothing was asked for PULSE_S, and wait for it: who writes seldom must know too.

        Raises:
            JournalGone: the end was asked for while ClickHouse was away.
        """
        if time.monotonic() - self._patience.answered_at >= PULSE_S:
            self.insist(lambda store: store.require_answer())

    def append(self, batch: Batch, polled_at: float, commit: Callable[[dict[int, int]], None]) -> None:
        """Journal a batch; returns when its completion is stored. Waits while ClickHouse is away.

        Args:
            batch: the outcomes of a range of offsets of one partition.
            polled_at: monotonic seconds when its first record came.
            commit: called with partition -> next offset at the end; nothing depends on it.

        Raises:
            JournalRefused: ClickHouse refuses it for a reason that is no row's own.
            Fenced: another process took over.
        """
        self._seam("before_intent")
        self._insert_batch(batch, "INTENT", 0.0)
        self._seam("after_intent")
        self.fence()
        self._insert_outcomes(batch)
        self.fence()
        self._seam("before_completion")
        self.latency_s = time.monotonic() - polled_at
        self._insert_batch(batch, "COMPLETE", self.latency_s * 1e3)
        self._seam("after_completion")
        commit({batch.partition: batch.last + 1})
        self._seam("after_commit")

    def fence(self) -> None:
        """Raise Fenced, and note it, where another process took over."""
        if (claim := self._claim) is None:
            return
        try:
            self.insist(lambda store: _small(lambda: claims.require(store, claim)))
        except Fenced as fenced:
            self._claim = None
            self.note(Severity.WARN, Incident.FENCED, str(fenced))
            raise

    def note(
        self, severity: Severity, code: Incident, detail: str = "", *,
        lanes: Mapping[str, str] | None = None, mode: Mode | None = None,
    ) -> None:  # fmt: skip
        """Write an incident of the run, unless so many of its code came today that a later row stands for it.

        Args:
            severity: its level.
            code: what happened.
            detail: the same in words; nothing reads them.
            lanes: the lanes that it is about, each with what is known of why.
            mode: the soak's mode from here on, where it changes.
        """
        each = Note(self._run_id, runs.now(), severity, code, detail, lanes=lanes or {}, mode=mode)
        day = each.at.date()
        if self._limit.day != day:
            self._settle()
            self._limit.begin(day, self.insist(lambda store: _small(lambda: seen(store, self._run_id, day))))
        if code in _LAST:
            self._settle()
        row = self._limit.take(each)
        if row is not None:
            self._write(row)

    def _settle(self) -> None:
        """Write what was only counted so far."""
        for row in self._limit.held():
            self._write(row)

    def _write(self, row: Note) -> None:
        self.insist(lambda store: note(store, row))
        self._on_incident(row)

    def _insert_outcomes(self, batch: Batch) -> None:
        for kind in (Outcome.DECISION, Outcome.EVALUATION, Outcome.PLANE):
            block = batch.rows[kind]
            if len(block):
                refused = self._insert_block(batch, kind, block)
                if refused:
                    _refuse(batch, kind, refused, self._reread(batch.partition, sorted(refused)))
                self._seam(f"after_{kind.name.lower()}s")
        if len(batch.rows[Outcome.REJECT]):
            self._insert_rows(batch, Outcome.REJECT, batch.rows[Outcome.REJECT])
            self._seam("after_rejects")

    def _insert_block(self, batch: Batch, kind: Outcome, block: Rows) -> dict[int, str]:
        """Insert a block; on a violated constraint halve it. Returns refused offsets with ClickHouse's words."""
        try:
            self._insert_rows(batch, kind, block)
        except JournalRefused as error:
            if error.code != CONSTRAINT_VIOLATED:
                raise
            if len(block) == 1:
                return {int(block.offsets[0]): str(error)[:500]}
            middle = len(block) // 2
            halves = block.take(np.arange(middle)), block.take(np.arange(middle, len(block)))
            return self._insert_block(batch, kind, halves[0]) | self._insert_block(batch, kind, halves[1])
        return {}

    def _insert_rows(self, batch: Batch, kind: Outcome, block: Rows) -> None:
        span = f"{block.offsets[0]}-{block.offsets[-1]}"
        token = f"{self._run_id}|{batch.topic}|{batch.partition}|{span}|{kind.name}|{block.digest()}"
        self.insist(lambda store: put_rows(store, self._run_id, batch, kind, block, token))

    def _insert_batch(self, batch: Batch, phase: str, latency_ms: float) -> None:
        self.insist(lambda store: put_batch(store, self._run_id, batch, phase, latency_ms, epoch=self.epoch))

    def insist(self, call: Callable[[Store], T]) -> T:
        """Ask until ClickHouse answers; an insert's token makes it harmless that an answer was lost.

        Raises:
            JournalGone: the end was asked for while ClickHouse was away.
            JournalRefused: an answer that is no; JournalTooLarge where a question asks too much.
        """
        answer, waited = self._patience.insist(call)
        if waited.away_s:
            words = f"ClickHouse did not answer for {waited.away_s:.1f} s"
            self.note(Severity.WARN, Incident.JOURNAL_AWAY, words)
            self._patience.forget()
        if waited.engines:
            self.note(Severity.INFO, Incident.ENGINE_RESTARTED, "the directory's engine had ended; another was started")
        return answer


def _small(ask: Callable[[], T]) -> T:
    """A question that takes next to nothing: where ClickHouse lacks even that, others took it, and it is waited for."""
    try:
        return ask()
    except JournalTooLarge as refused:
        raise JournalAway(str(refused)) from refused


def put_rows(store: Store, run_id: str, batch: Batch, kind: Outcome, block: Rows, token: str) -> None:
    """Insert rows of a batch as one block."""
    n = len(block)
    columns: dict[str, Any] = {
        "run_id": Coded.constant(run_id, n),
        "segment": np.full(n, batch.segment, dtype=np.uint32),
        "topic": Coded.constant(batch.topic, n),
        "partition": np.full(n, batch.partition, dtype=np.uint32),
        "log_offset": block.offsets,
        **{column.name: block.columns[column.name] for column in present(kind, block.columns)},
    }
    store.insert(TABLES[kind], columns, _TYPES[kind], token)


def put_batch(
    store: Store, run_id: str, batch: Batch, phase: str, latency_ms: float, *, again: str = "", epoch: int = 0
) -> None:
    """Insert a batch's row of a phase. again: what tells it from the same row that was there and is gone."""
    at = runs.now()
    drift_ms = int(at.timestamp() * 1e3) - batch.last_ts_ms if batch.last_ts_ms else 0
    row: dict[str, Any] = {
        "run_id": run_id, "segment": batch.segment, "topic": batch.topic, "partition": batch.partition,
        "first_offset": batch.first, "last_offset": batch.last, "phase": phase, "epoch": epoch,
        "attempt": epoch if phase == "INTENT" else 0,
        **{f"{kind.name.lower()}s": len(batch.rows[kind]) for kind in _KINDS},
        **{f"{kind.name.lower()}s_hash": batch.rows[kind].hash for kind in _KINDS},
        "digest": digest(batch),
        "skipped": msgspec.json.encode(batch.skipped).decode(),
        "unknown": msgspec.json.encode(batch.unknown).decode(),
        "state": batch.state.decode() if phase == "COMPLETE" else "",
        "last_record": batch.last_record, "last_epoch": batch.last_epoch,
        "latency_ms": latency_ms, "drift_ms": drift_ms, "written_at": at,
    }  # fmt: skip
    token = f"{run_id}|{batch.topic}|{batch.partition}|{batch.first}-{batch.last}|{phase}|{row['digest']}"
    store.put_row("violet_batches", row, f"{token}|{row['attempt']}{again}")


def digest(batch: Batch) -> str:
    """Digest of all four blocks of a batch: what a second computation must give."""
    return "-".join(batch.rows[kind].digest()[:16] for kind in _KINDS)


def _refuse(batch: Batch, kind: Outcome, refused: dict[int, str], raws: list[bytes]) -> None:
    """Turn rows that ClickHouse refused into rejects of the same batch. raws: their records, in offset order."""
    block = batch.rows[kind]
    bad = np.isin(block.offsets, np.fromiter(refused, dtype=np.int64))
    rejects = batch.rows[Outcome.REJECT]
    added = block.take(np.flatnonzero(bad))
    is_scan = kind is not Outcome.PLANE
    stream = added.columns["stream"]
    columns: dict[str, Any] = {
        "code": np.full(len(added), Reject.BLOCK_REFUSED, dtype=np.int16),
        "lane": [""] * len(added),
        "kind": ["scan" if is_scan else "plane"] * len(added),
        "stream": stream.strings() if isinstance(stream, Coded) else stream,
        "scan_id": added.columns["scan_id"] if is_scan else np.full(len(added), -1, dtype=np.int64),
        "ts_ms": added.columns["ts_ms"],
        "bytes": np.array([len(raw) for raw in raws], dtype=np.uint64),
        "digest": [hashlib.sha256(raw).hexdigest() for raw in raws],
        "raw": [raw[:RAW_MAX] for raw in raws],
        "detail": [refused[int(offset)] for offset in added.offsets],
    }
    offsets = np.concatenate([rejects.offsets, added.offsets])
    merged = {name: _join(rejects.columns[name], columns[name]) for name in columns}
    order = np.argsort(offsets, kind="stable")
    batch.rows[Outcome.REJECT] = rows(Outcome.REJECT, offsets, merged).take(order)
    batch.rows[kind] = block.take(np.flatnonzero(~bad))


def _join(old: Any, new: Any) -> Any:
    return [*old, *new] if isinstance(new, list) else np.concatenate([old, new])


def positions(store: Store, run_id: str) -> dict[int, Position]:
    """Where each partition of a run stands, from the journal alone."""
    # In two steps: the states of all batches together are larger by far than the one that is asked for.
    complete = store.rows(
        "SELECT partition, last_offset AS last, state, last_record, last_epoch FROM violet_batches "
        "WHERE run_id = {run:String} AND phase = 'COMPLETE' AND (partition, first_offset) IN "
        "(SELECT partition, max(first_offset) FROM violet_batches "
        "WHERE run_id = {run:String} AND phase = 'COMPLETE' GROUP BY partition)",
        {"run": run_id},
    )
    done = {row["partition"]: row for row in complete}
    behind = " OR ".join(f"(partition = {p} AND first_offset > {row['last']})" for p, row in done.items())
    others = f"partition NOT IN ({', '.join(map(str, done))})" if done else "true"
    intents = store.rows(
        "SELECT partition, first_offset, last_offset, digest, segment FROM violet_batches FINAL "
        f"WHERE run_id = {{run:String}} AND {INTENDED} AND ({behind or 'false'} OR {others}) "
        "ORDER BY attempt",  # of one partition the last counts
        {"run": run_id},
    )
    doubts = {row["partition"]: row for row in intents}
    found = {}
    for partition in sorted(done.keys() | doubts.keys()):
        row, doubt = done.get(partition), doubts.get(partition)
        found[partition] = Position(
            last=row["last"] if row else -1,
            state=row["state"].encode() if row else b"{}",
            doubt=(doubt["first_offset"], doubt["last_offset"]) if doubt else None,
            doubt_digest=doubt["digest"] if doubt else "",
            doubt_segment=doubt["segment"] if doubt else -1,
            record=row["last_record"] if row else "",
            leader_epoch=row["last_epoch"] if row else -1,
        )
    return found


def audit(store: Store, run_id: str, proved: Mapping[int, int] | None = None) -> None:
    """Check on open that all outcomes of a run are there.

    Args:
        store: the journal.
        run_id: the run.
        proved: up to which offset of a partition that is known already.

    Raises:
        Refusal: a completed batch's rows are not all there.
    """
    ends = {partition: each.last_offset for partition, each in pruned(store, run_id).items()}
    rows_proved, batches_proved = (dropped_sql(proved or {}, offset) for offset in ("log_offset", "last_offset"))
    for kind in _KINDS:
        name = f"{kind.name.lower()}s"
        dropped = ends if kind is Outcome.PLANE else {}
        sql = (
            f"SELECT (SELECT sum({name}) FROM violet_batches FINAL WHERE run_id = {{run:String}} "
            f"AND phase = 'COMPLETE' AND NOT {dropped_sql(dropped, 'last_offset')} "
            f"AND NOT {batches_proved}) AS counted, "
            f"(SELECT uniqExact(partition, log_offset) FROM {TABLES[kind]} "
            f"WHERE NOT {dropped_sql(dropped)} AND NOT {rows_proved} "
            "AND run_id = {run:String} AND (partition, log_offset) NOT IN (SELECT partition, arrayJoin(range("
            "toUInt64(first_offset), toUInt64(last_offset) + 1)) FROM violet_batches FINAL WHERE run_id = {run:String} "
            f"AND {INTENDED} AND NOT {batches_proved} "
            "AND (partition, first_offset) NOT IN (SELECT partition, first_offset FROM "
            "violet_batches WHERE run_id = {run:String} AND phase = 'COMPLETE'))) AS there"
        )
        row = store.rows(sql, {"run": run_id})[0]
        if (row["counted"] or 0) != row["there"]:
            raise Refusal(
                f"the journal holds {row['there']} {name} where its batches count {row['counted'] or 0}; "
                "fix: `violet verify` names the offsets; restore DIR/engine from a backup, or start --new"
            )
