"""Of an outage that comes and goes, a limited number of rows, and none of it uncounted."""

from datetime import UTC, date, datetime

import pytest

from journal.ledger.incident import FULL, Note, RowLimit
from lanes.code import Incident, Severity

DAY = date(2026, 11, 20)


def told(n, code=Incident.BROKER_AWAY):
    return Note("r", datetime(2026, 11, 20, tzinfo=UTC), Severity.WARN, code, f"the {n}th")


@pytest.mark.parametrize("times", [1, FULL, FULL + 1, 12_345, 100_000])
def test_every_incident_is_counted_in_few_rows(times):
    limit = RowLimit()
    limit.begin(DAY, {})
    rows = [row for n in range(times) if (row := limit.take(told(n)))]
    singles = [row for row in rows if row.count == 1]
    rows += limit.held()
    assert sum(row.count for row in rows) == times
    assert len(singles) == min(times, FULL)
    assert len(rows) <= FULL + times.bit_length()
    assert rows[-1].detail == f"the {times - 1}th"
    assert limit.held() == []


def test_codes_do_not_take_each_others_rows():
    limit = RowLimit()
    limit.begin(DAY, {})
    for n in range(FULL + 5):
        limit.take(told(n))
    assert limit.take(told(0, Incident.HALTED)) == told(0, Incident.HALTED)


def test_a_restart_goes_on_with_the_days_count_and_another_day_begins_anew():
    limit = RowLimit()
    limit.begin(DAY, {Incident.BROKER_AWAY: FULL})
    assert limit.take(told(0)) is None
    assert [row.count for row in limit.held()] == [1]
    limit.begin(date(2026, 11, 21), {})
    assert limit.take(told(1)) == told(1)
