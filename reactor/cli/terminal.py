"""A terminal as the watcher of a soak: a progress bar and lines on standard error, and the summary for people."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from journal.judge.day import Day
from journal.ledger.incident import Note
from journal.ledger.patience import Outage
from journal.ledger.pruned import Pruned
from journal.row import Batch
from journal.store import Store
from lanes.code import Mode, Outcome
from reactor.cli.common import err, out
from reactor.log.presence import Absence
from reactor.run.attend import LOOK_S, Watcher
from reactor.run.session import Session
from reactor.watch.observe import Observers

_NO_DATA: Final = "no data"  # of a ratio over nothing


class Terminal(Watcher):
    """Shows a soak to people, and tells its observers."""

    def __init__(self, name: str, observers: Observers) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}")
        self.observers = observers
        self._bar = Progress(*columns, TimeRemainingColumn(), console=err, disable=not err.is_terminal)
        self._name, self._printed_at = name, time.monotonic()
        self._counts = dict.fromkeys(Outcome, 0)
        self._total: int | None = None

    def begin(self, session: Session, connect: Callable[[], Store], stack: ExitStack) -> None:
        self.observers.begin(session, connect)

    def say(self, words: str) -> None:
        err.print(words, style="dim", soft_wrap=True)

    def expect(self, total: int | None, behind: int) -> None:
        self._total = total
        self._bar.start()
        self._task = self._bar.add_task(self._name, total=total, said="")
        if behind:
            err.print(f"resuming: {behind} records are journaled already", style="dim")

    def batch(self, batch: Batch) -> None:
        for kind, rows in batch.rows.items():
            self._counts[kind] += len(rows)
        done = sum(self._counts.values())
        of = f" of {self._total}" if self._total else ""  # a topic that is followed has no end
        counted = (
            f"{done}{of} records, {self._counts[Outcome.DECISION]} decisions, {self._counts[Outcome.REJECT]} rejects"
        )
        self._bar.update(self._task, completed=done, said=counted)
        if not err.is_terminal and time.monotonic() - self._printed_at > LOOK_S:
            self._printed_at = time.monotonic()
            err.print(f"{self._name}: {counted}")
        self.observers.batch(batch)

    def lane_done(self, lane: str) -> None:
        self.observers.lane_done(lane)

    def look(self) -> None:
        self.observers.look()

    def incident(self, note: Note) -> None:
        self.observers.events.incident(note)

    def away(self, outage: Outage | None) -> None:
        if outage is not None:
            words = f"ALARM: {outage}; the soak waits and journals what it read; fix: start ClickHouse, look at its log"
            err.print(words, style="bold red", soft_wrap=True)
        self.observers.away(outage)

    def broker_away(self, absence: Absence | None) -> None:
        if absence is not None:
            words = (
                f"ALARM: {absence}; the soak waits and reads on when it is back; fix: start the broker, look at its log"
            )
            err.print(words, style="bold red", soft_wrap=True)
        self.observers.broker_away(absence)

    def upkeep(self, what: Day | str) -> None:
        self.say(str(what))
        self.observers.events.upkeep(what)

    def mode(self, mode: Mode, why: str) -> None:
        if mode is Mode.HALTED:
            err.print(f"HALTED: {why}", style="bold red")
        self.observers.mode(mode)

    def rest(self) -> None:
        self._bar.stop()
        self.observers.rest()


def print_summary(result: Mapping[str, Any]) -> None:
    """The summary of a run for people."""
    style = {"PASS": "bold green", "FAIL": "bold red"}.get(result["verdict"], "bold yellow")
    for name in ("run_id", "state", "profile", "records", "decisions", "evaluations", "planes", "rejects", "lost",
                 "doubled", "corrupt", "skipped", "coverage", "time_coverage", "scan_gaps", "longest_silence_ms",
                 "orders", "content_hash", "math_fingerprint", "trust"):  # fmt: skip
        out.print(f"{name:>20}  {_NO_DATA if result[name] is None else result[name]}")
    for lane, counts in result.get("taps", {}).items():
        out.print(f"{'tap ' + lane:>20}  {counts['sent']} readings sent, {counts['dropped']} dropped")
    for each in result["pruned"]:
        out.print(f"{'dropped by age':>20}  {Pruned(**each)}")
    for segment in result["segments"]:
        for clause in segment["clauses"]:
            found = f"has {_NO_DATA}" if clause["figure"] is None else f"is {clause['figure']}"
            out.print(f"{'segment ' + str(segment['segment']):>20}  {clause['verdict']}: {clause['name']} "
                      f"({clause['formula']}) {found}, must be {clause['bound']}")  # fmt: skip
    out.print(f"{result['verdict']} ({result['verdict_basis']})", style=style)
