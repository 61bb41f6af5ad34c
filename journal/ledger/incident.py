"""Incidents: what happened to a run, in a bounded number of rows.

An outage that comes and goes for weeks must not fill the journal with itself. Of each code the first FULL of a UTC day
are a row each; from there on a row stands for all since the row before, and one is written when their number has
doubled, and at the end of a session or day: at most FULL and some tens of rows a code and day. `count` says how many a
row stands for, so sum(count) is how often it happened. See docs/design/exactly-once.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Final

from journal.store import Store
from lanes.code import Incident, Mode, Severity

FULL: Final = 100


@dataclass(frozen=True, slots=True)
class Note:
    """An incident, or several of a code by the latest of them.

    detail is for people. lanes: those that it is about, each with what is known of why. mode: of the soak from here on,
    where it changes.
    """

    run_id: str
    at: datetime
    severity: Severity
    code: Incident
    detail: str
    count: int = 1
    lanes: Mapping[str, str] = field(default_factory=dict)
    mode: Mode | None = None


def note(store: Store, each: Note) -> None:
    """Write a row; writing the same again changes nothing."""
    row = asdict(each) | {"severity": each.severity.name, "code": each.code.name}
    row |= {"lanes": dict(each.lanes), "mode": each.mode.name if each.mode is not None else None}
    store.put_row("violet_incidents", row, f"{each.run_id}|{each.at}|{each.code}")


def seen(store: Store, run_id: str, day: date) -> dict[Incident, int]:
    """How often each code happened to a run on a UTC day."""
    rows = store.rows(
        "SELECT code, sum(count) AS n FROM violet_incidents WHERE run_id = {run:String} "
        "AND toDate(at, 'UTC') = {day:Date} GROUP BY code",
        {"run": run_id, "day": day},
    )
    return {Incident[row["code"]]: row["n"] for row in rows}


class RowLimit:
    """Which incidents become a row, and for how many each stands."""

    def __init__(self) -> None:
        self.day: date | None = None  # whose counts it knows
        self._counts: dict[Incident, int] = {}
        self._held: dict[Incident, Note] = {}

    def begin(self, day: date, counts: dict[Incident, int]) -> None:
        """Another UTC day, with what happened on it already."""
        self.day, self._counts = day, dict(counts)

    def take(self, each: Note) -> Note | None:
        """The row to write now, if any; else it is held until there are twice as many."""
        n = self._counts[each.code] = self._counts.get(each.code, 0) + 1
        held = self._held.pop(each.code, None)
        each = replace(each, count=each.count + held.count) if held else each
        if n <= FULL or (n % FULL == 0 and (n // FULL).bit_count() == 1):
            return each
        self._held[each.code] = each
        return None

    def held(self) -> list[Note]:
        """What has no row yet, to be written now."""
        notes, self._held = list(self._held.values()), {}
        return notes
