"""Events: what a soak tells a log collector, one JSON object a line on standard error (--log-format json).

Every line has at, level, event, name, run_id and segment; where one record is meant also its partition, offset, stream
and scan_id. Their number is bounded: incidents are as the journal holds them, rejects some a minute. In the text format
nothing is told here, since people read the console.
See docs/design/watching.md.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import Any, Final, TextIO

import msgspec

from journal.judge.day import Day
from journal.ledger.incident import Note
from journal.ledger.run import now
from journal.row import Batch, Coded
from lanes.code import Outcome, Reject, Severity

REJECTS_A_MINUTE: Final = 60
PROGRESS_S: Final = 5.0
_LEVELS: Final = {Severity.INFO: "info", Severity.WARN: "warning", Severity.ERROR: "error"}
_SUMMARY: Final = (
    "state", "verdict", "verdict_basis", "trust", "records", "decisions", "evaluations", "planes", "rejects", "lost",
    "doubled", "corrupt", "coverage", "time_coverage", "orders", "content_hash",
)  # fmt: skip


class Events:
    """Tells a stream what happens; without one, nobody."""

    def __init__(self, stream: TextIO | None, name: str) -> None:
        self._stream, self._writing = stream, Lock()
        self._bound: dict[str, Any] = {"name": name, "run_id": None, "segment": None}
        self._waiting: list[Note] | None = []
        self._minute = self._said_at = time.monotonic()
        self._told = 0
        self._counts = dict.fromkeys(Outcome, 0)

    @property
    def on(self) -> bool:
        """Whether somebody is told."""
        return self._stream is not None

    def say(self, event: str, level: str = "info", at: datetime | None = None, **fields: Any) -> None:
        """One line. Where nobody can be told any more, nothing more is told: a log that is gone ends no soak.

        at: the time of what is told; now where there is none.
        """
        if self._stream is None:
            return
        try:
            line = {"at": at or now(), "level": level, "event": event} | self._bound | fields
            with self._writing:
                self._stream.write(msgspec.json.encode(line).decode() + "\n")
                self._stream.flush()
        except Exception:  # noqa: BLE001 - whatever it is, there is nobody to tell
            self._stream = None

    def bind(self, run_id: str, segment: int) -> None:
        """From here on every line bears these; incidents that waited for them are told."""
        self._bound |= {"run_id": run_id, "segment": segment}
        self.flush()

    def flush(self) -> None:
        """Tell incidents that came before the run was open."""
        waiting, self._waiting = self._waiting or (), None
        for row in waiting:
            self.incident(row)

    def incident(self, row: Note) -> None:
        """An incident of the run, as it stands in the journal."""
        if self._waiting is not None:
            self._waiting.append(row)
            return
        level, code = _LEVELS[row.severity], row.code.name.lower()
        self.say(code, level, at=row.at, run_id=row.run_id, detail=row.detail, count=row.count)

    def upkeep(self, what: Day | str) -> None:
        """The line of a day, or what was dropped by age."""
        if isinstance(what, Day):
            self.say("day", **{k: v for k, v in what.figures.items() if k not in ("run_id", "written_at")})
        else:
            self.say("upkeep", detail=what)

    def batch(self, batch: Batch) -> None:
        """Rejects of a batch, so many a minute; and progress, now and then."""
        for kind, rows in batch.rows.items():
            self._counts[kind] += len(rows)
        at = time.monotonic()
        if at - self._minute >= 60.0:
            self._minute, self._told = at, 0
        rejects = len(batch.rows[Outcome.REJECT])
        told = min(rejects, REJECTS_A_MINUTE - self._told)
        self._told += told
        for i in range(told):
            self._rejected(batch, i)
        if rejects > told:
            self.say("rejected_more", "warning", segment=batch.segment, partition=batch.partition, count=rejects - told)
        if at - self._said_at >= PROGRESS_S:
            self._said_at = at
            counts: dict[str, Any] = {f"{kind.name.lower()}s": n for kind, n in self._counts.items()}
            self.say("progress", segment=batch.segment, **counts)

    def summary(self, result: Mapping[str, Any]) -> None:
        """How the run stands when the soak leaves it."""
        self.say("summary", **{name: result[name] for name in _SUMMARY})

    def _rejected(self, batch: Batch, i: int) -> None:
        rows = batch.rows[Outcome.REJECT]
        found = {
            name: _item(rows.columns[name], i) for name in ("lane", "kind", "stream", "scan_id", "ts_ms", "detail")
        }
        found |= {name: None for name in ("scan_id", "ts_ms") if found[name] < 0}  # not known
        code = Reject(_item(rows.columns["code"], i)).name
        offset = int(rows.offsets[i])
        where: dict[str, Any] = {"segment": batch.segment, "partition": batch.partition, "offset": offset}
        self.say("rejected", "warning", code=code, **where, **found)


def _item(column: Any, i: int) -> Any:
    if isinstance(column, Coded):
        return column.names[column.codes[i]]
    value = column[i]
    return value.item() if hasattr(value, "item") else value
