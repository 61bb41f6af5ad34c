"""Of an outage that comes and goes, a bounded number of rows, and none of it uncounted."""

from datetime import UTC, date, datetime

import pytest

from journal.ledger.incident import FULL, Bound, Note
from lanes.code import Incident, Severity

DAY = date(2026, 11, 20)


def told(n, code=Incident.BROKER_AWAY):
    return Note("r", datetime(2026, 11, 20, tzinfo=UTC), Severity.WARN, code, f"the {n}th")


@pytest.mark.parametrize("times", [1, FULL, FULL + 1, 12_345, 100_000])
def test_every_incident_is_counted_in_few_rows(times):
    bound = Bound()
    bound.begin(DAY, {})
    rows = [row for n in range(times) if (row := bound.take(told(n)))]
    singles = [row for row in rows if row.count == 1]
    rows += bound.held()
    assert sum(row.count for row in rows) == times
    assert len(singles) == min(times, FULL)
    assert len(rows) <= FULL + times.bit_length()
    assert rows[-1].detail == f"the {times - 1}th"
    assert bound.held() == []


def test_codes_do_not_take_each_others_rows():
    bound = Bound()
    bound.begin(DAY, {})
    for n in range(FULL + 5):
        bound.take(told(n))
    assert bound.take(told(0, Incident.HALTED)) == told(0, Incident.HALTED)


def test_a_restart_goes_on_with_the_days_count_and_another_day_begins_anew():
    bound = Bound()
    bound.begin(DAY, {Incident.BROKER_AWAY: FULL})
    assert bound.take(told(0)) is None
    assert [row.count for row in bound.held()] == [1]
    bound.begin(date(2026, 11, 21), {})
    assert bound.take(told(1)) == told(1)
