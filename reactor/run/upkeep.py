"""Upkeep: what a soak of weeks does now and then, between two polls: the day, aged inputs, the log's end.

It never decides and is never in a row of an outcome, so it may look at the wall clock.
See docs/design/weeks.md.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from journal.judge.day import Day, close
from journal.keep.retention import prune
from journal.ledger import log_end
from journal.ledger.ledger import Ledger
from journal.ledger.run import Run, ids, now
from journal.store import JournalTooLarge
from lanes.code import Incident, Severity

DAY_S: Final = 86_400.0
AGAIN_S: Final = 3_600.0  # after a question that asked too much
SHARES: Final = 24  # inputs outlive their span by at most this part of it, or by a day


class Upkeep:
    """Looks after the runs of one soak.

    keep_s: age at which stored inputs go, None for never. ends: where the log ends now, by partition; nothing where it
    does not grow.
    """

    def __init__(
        self, ledger: Ledger, run: Run, keep_s: float | None, say: Callable[[Day | str], None],
        clock: Callable[[], datetime] = now, ends: Callable[[], Mapping[int, int]] = dict,
    ) -> None:  # fmt: skip
        self._ends = ends
        self._ledger, self._run, self._keep_s, self._say, self._clock = ledger, run, keep_s, say, clock
        self._closed = date.min
        self._prune_at = clock()
        self._again_at = datetime.min.replace(tzinfo=UTC)
        self._damaged: set[str] = set()

    def __call__(self) -> None:
        """Do what is due. What asks too much of ClickHouse is tried again later, and ends no soak."""
        at = self._clock()
        if ends := self._ends():
            self._ledger.insist(lambda store: log_end.write(store, self._run.run_id, ends, at))
        if at < self._again_at:
            return
        try:
            self._work(at)
        except JournalTooLarge as refusal:
            self._again_at = at + timedelta(seconds=AGAIN_S)
            self._say(f"the day is not closed or inputs are not dropped yet, and the soak goes on: {refusal}")

    def _work(self, at: datetime) -> None:
        if at.date() != self._closed:
            for day in self._ledger.insist(lambda store: close(store, self._run, at)):
                self._say(day)
            self._closed = at.date()
        if self._keep_s is not None and at >= self._prune_at:
            self._prune_at = at + timedelta(seconds=min(DAY_S, self._keep_s / SHARES))
            before = at - timedelta(seconds=self._keep_s)
            # All runs of this soak's name, since an Ended one's inputs age too.
            for run_id in self._ledger.insist(lambda store: ids(store, name=self._run.name)):
                self._prune(run_id, before)

    def _prune(self, run_id: str, before: datetime) -> None:
        pruning = self._ledger.insist(lambda store: prune(store, run_id, before))
        for each in pruning.dropped:
            self._say(f"dropped by age: {each}")
        for batch in sorted(set(pruning.damaged) - self._damaged):
            self._damaged.add(batch)
            self._ledger.note(
                Severity.ERROR, Incident.INTEGRITY, f"inputs kept, their rows do not give the hash of batch {batch}"
            )
