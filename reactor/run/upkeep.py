"""Upkeep: what a soak of weeks does now and then, between two polls: the day, aged inputs, the log's end.

It never decides and is never in a row of an outcome, so it may look at the wall clock. What it cannot take back waits
until that clock is beyond doubt.
See docs/design/weeks.md.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Final

from journal.judge.day import NOTHING, Day, close, due
from journal.keep.retention import prune
from journal.ledger import log_end
from journal.ledger.ledger import Ledger
from journal.ledger.run import Run, ids, now
from journal.ledger.steady import CLOCK, STILL_S
from journal.store import JournalTooLarge
from lanes.code import Incident, Severity
from reactor.run.source import Source

DAY_S: Final = 86_400.0
AGAIN_S: Final = 3_600.0  # after a question that asked too much
OFF: Final = timedelta(minutes=10)  # that clocks of two machines may be apart
DOUBT_S: Final = 60.0  # between two looks at a clock that is in doubt
SHARES: Final = 24  # inputs outlive their span by at most this part of it, or by a day


class Doubt:
    """What speaks against a time being right: a clock that did not stand still, or the broker's newest record.

    source: of the broker, where there is one.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def __call__(self, at: datetime) -> str:
        """The reason in words; nothing where none is known."""
        if not CLOCK.is_sure:
            return f"the wall clock has not been seen to stand still for {STILL_S / 60:.0f} min yet"
        newest = self._source.newest()
        if newest is not None and newest.at > at + OFF:
            return f"the broker has a record of {newest.at:%Y-%m-%d %H:%M:%S} UTC, and the wall clock is behind that"
        if newest is not None and newest.is_new and newest.at < at - OFF:
            return f"a record that came just now is of {newest.at:%Y-%m-%d %H:%M:%S} UTC by the broker's word"
        return ""


class Upkeep:
    """Looks after the runs of one soak.

    keep_s: age at which stored inputs go, None for never. ends: where the log ends now, by partition; nothing where it
    does not grow. doubt: what speaks against a time being right, in words, or nothing.
    """

    def __init__(
        self, ledger: Ledger, run: Run, keep_s: float | None, say: Callable[[Day | str], None],
        clock: Callable[[], datetime] = now, ends: Callable[[], Mapping[int, int]] = dict,
        doubt: Callable[[datetime], str] = lambda at: "",
    ) -> None:  # fmt: skip
        self._ends, self._doubt, self._doubted = ends, doubt, ""
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
        prunes = self._keep_s is not None and at >= self._prune_at
        closes = at.date() != self._closed and self._ledger.insist(lambda store: bool(due(store, self._run, at)))
        if not closes:
            self._closed = at.date()
        if not (closes or prunes) or self._is_doubted(at):
            return
        if closes:
            self._tell(self._ledger.insist(lambda store: close(store, self._run, at)))
            self._closed = at.date()
        if self._keep_s is not None and prunes:
            self._prune_at = at + timedelta(seconds=min(DAY_S, self._keep_s / SHARES))
            before = at - timedelta(seconds=self._keep_s)
            # All runs of this soak's name, since an Ended one's inputs age too.
            for run_id in self._ledger.insist(lambda store: ids(store, name=self._run.name)):
                self._prune(run_id, before)

    def _is_doubted(self, at: datetime) -> bool:
        """Whether the clock is in doubt; then it is looked at again after a while, and told once."""
        if words := self._doubt(at):
            self._again_at = at + timedelta(seconds=DOUBT_S)
            if words != self._doubted:
                self._say(f"days are not closed and inputs are not dropped yet, and the soak goes on: {words}")
        self._doubted = words
        return bool(words)

    def _tell(self, days: Sequence[Day]) -> None:
        """A line a day; one for all where nothing was journaled on several."""
        for is_empty, found in groupby(days, lambda day: day.figures["held"] == NOTHING):
            several = [*found]
            if is_empty and len(several) > 1:
                self._say(f"{len(several)} days HOLD, {several[0].day} to {several[-1].day}: {NOTHING}")
            else:
                for day in several:
                    self._say(day)

    def _prune(self, run_id: str, before: datetime) -> None:
        pruning = self._ledger.insist(lambda store: prune(store, run_id, before))
        for each in pruning.dropped:
            self._say(f"dropped by age: {each}")
        for batch in sorted(set(pruning.damaged) - self._damaged):
            self._damaged.add(batch)
            self._ledger.note(
                Severity.ERROR, Incident.INTEGRITY, f"inputs kept, their rows do not give the hash of batch {batch}"
            )
