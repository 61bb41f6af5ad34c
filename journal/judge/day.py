"""Days: the gate's line for each UTC day of a run, over what was journaled on it.

A day is one of the wall clock, not of event time. So a line comes while the scanner is silent, which is when it is
needed, and an archive at full speed does not stop for a line a day of the archive. Each day since the run began has one
line, also a day without a record. A line is the gate's judgment of the batches that were completed on its day. So its
cost is that of the day, and the lines add up to the run. A silence over midnight counts on the day on which it ended.
The day that goes on has no line yet.
See docs/design/running.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Final

from journal.judge.gate import HOLD, PASS, figures, judge, words, worst
from journal.judge.scope import Scope
from journal.ledger.run import Run, now
from journal.store import Store

_FIGURES: Final = (
    "records", "decisions", "evaluations", "planes", "rejects", "scan_rejects", "lost", "doubled", "corrupt",
    "coverage", "time_coverage", "longest_silence_ms",
)  # fmt: skip
_LEVELS: Final = "sumIf(count, severity = 'WARN') AS warnings, sumIf(count, severity = 'ERROR') AS errors"
NOTHING: Final = "nothing was journaled"


@dataclass(frozen=True, slots=True)
class Day:
    """One line."""

    day: date
    verdict: str
    figures: Mapping[str, Any]

    def __str__(self) -> str:
        f = self.figures
        scans = f["decisions"] + f["evaluations"]
        shares = ", ".join(
            f"{name} {'none' if f[name] is None else format(f[name], '.1%')}" for name in ("coverage", "time_coverage")
        )
        return (
            f"{self.day} {self.verdict}: {scans} scans, {f['decisions']} decisions, {f['rejects']} rejects, "
            f"lost {f['lost']}, doubled {f['doubled']}, corrupt {f['corrupt']}, {shares}, "
            f"{f['warnings']} warnings, {f['errors']} errors, journal {f['disk_bytes'] / 2**20:.1f} MiB"
            + (f" ({f['held']})" if f["held"] else "")
        )


def due(store: Store, run: Run, at: datetime) -> list[date]:
    """Days of a run that are over and have no line, in order; may be very many, if the clock says so."""
    row = store.rows(
        "SELECT count() AS n, max(day) AS last FROM days WHERE run_id = {run:String}", {"run": run.run_id}
    )[0]
    first = row["last"] + timedelta(days=1) if row["n"] else run.started_at.astimezone(UTC).date()
    return [first + timedelta(days=n) for n in range((at.astimezone(UTC).date() - first).days)]


def close(store: Store, run: Run, at: datetime) -> list[Day]:
    """Write the lines that are due at a time; returns them. Days without a batch are one insert, however many."""
    days = due(store, run, at)
    sql = "SELECT DISTINCT toDate(written_at, 'UTC') AS day FROM batches WHERE run_id = {run:String}"
    journaled = {row["day"] for row in store.rows(sql, {"run": run.run_id})}
    lines: list[Day] = []
    for is_journaled, found in groupby(days, journaled.__contains__):
        several = [*found]
        lines += [_close(store, run, day) for day in several] if is_journaled else _close_empty(store, run, several)
    return lines


def _close_empty(store: Store, run: Run, days: Sequence[date]) -> list[Day]:
    """Lines of days, one after another, on which nothing was journaled."""
    found = figures(store, run, Scope(run.run_id, {}, on=days[0]))
    levels = store.rows(
        f"SELECT toDate(at, 'UTC') AS day, {_LEVELS} FROM violet_incidents WHERE run_id = {{run:String}} "
        "AND day BETWEEN {first:Date} AND {last:Date} GROUP BY day",
        {"run": run.run_id, "first": days[0], "last": days[-1]},
    )
    noted = {row.pop("day"): row for row in levels}
    row = {
        "run_id": run.run_id, "verdict": HOLD, "written_at": now(), "held": NOTHING, "clauses": {},
        "first_offsets": {}, "last_offsets": {}, "disk_bytes": disk_bytes(store), "warnings": 0, "errors": 0,
        **{name: found[name] for name in _FIGURES},
    }  # fmt: skip
    rows = [{**row, "day": day, **noted.get(day, {})} for day in days]
    columns = {name: [each[name] for each in rows] for name in rows[0]}
    store.put("violet_days", columns, f"{run.run_id}|{days[0]}-{days[-1]}")
    return [Day(day, HOLD, each) for day, each in zip(days, rows, strict=True)]


def _close(store: Store, run: Run, day: date) -> Day:
    spans = store.rows(
        "SELECT partition, min(first_offset) AS first, max(last_offset) AS last FROM violet_batches FINAL "
        "WHERE run_id = {run:String} AND phase = 'COMPLETE' AND toDate(written_at, 'UTC') = {day:Date} "
        "GROUP BY partition ORDER BY partition",
        {"run": run.run_id, "day": day},
    )
    whole = Scope.of(store, run.run_id)
    scope = Scope(
        run.run_id,
        {row["partition"]: row["last"] for row in spans},
        starts={row["partition"]: row["first"] for row in spans},
        dropped=whole.dropped,
        on=day,
    )
    judged = judge(store, run, scope=scope)
    found = judged[0].figures if len(judged) == 1 else figures(store, run, scope)
    short = [c for j in judged for c in j.clauses if c.verdict != PASS]
    levels = store.rows(
        f"SELECT {_LEVELS} FROM violet_incidents WHERE run_id = {{run:String}} AND toDate(at, 'UTC') = {{day:Date}}",
        {"run": run.run_id, "day": day},
    )[0]
    verdict = worst([j.verdict for j in judged]) if judged else HOLD
    row = {
        "run_id": run.run_id, "day": day, "verdict": verdict, "written_at": now(),
        "held": words(short) or ("" if judged else NOTHING),
        "clauses": {c.name: worst([each.verdict for each in short if each.name == c.name]) for c in short},
        "first_offsets": dict(scope.starts), "last_offsets": dict(scope.ends), "disk_bytes": disk_bytes(store),
        **levels, **{name: found[name] for name in _FIGURES},
    }  # fmt: skip
    store.put_row("violet_days", row, f"{run.run_id}|{day}")
    return Day(day, verdict, row)


def disk_bytes(store: Store) -> int:
    """What the journal's tables take on disk."""
    mine = "active AND database = currentDatabase() AND table LIKE 'violet\\\\_%'"
    return store.count(f"SELECT sum(bytes_on_disk) FROM system.parts WHERE {mine}")
