"""Of an outage that comes and goes, a limited number of rows, and none of it uncounted."""

from datetime import UTC, date, datetime

import pytest

from journal.ledger.incident import FULL, Note, RowLimit, note, seen
from lanes.code import Incident, Mode, Severity
from tests.written import begin

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


def test_behind_the_limit_a_row_comes_each_time_there_are_twice_as_many():
    limit = RowLimit()
    limit.begin(DAY, {})
    rows = {n: row.count for n in range(1, 8 * FULL + 1) if (row := limit.take(told(n))) and n > FULL}
    assert rows == {2 * FULL: FULL, 4 * FULL: 2 * FULL, 8 * FULL: 4 * FULL}


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


def test_a_row_holds_the_fields_and_the_latest_row_those_of_the_latest(store):
    run_id = begin(store).run_id
    one = Note(
        run_id, datetime(2026, 11, 20, 12, tzinfo=UTC), Severity.WARN, Incident.LANE_MISSING, "words", 3,
        {"ob": "why", "dc": ""},
    )  # fmt: skip
    for _ in range(2):
        note(store, one)
    note(store, Note(run_id, datetime(2026, 11, 21, tzinfo=UTC), Severity.WARN, Incident.DISK_SHORT, "", mode=Mode.RUN))
    rows = store.rows("SELECT * FROM incidents WHERE run_id = {run:String} ORDER BY at", {"run": run_id})
    assert [(row["code"], row["count"], row["lanes"], row["mode"]) for row in rows] == [
        ("LANE_MISSING", 3, {"ob": "why", "dc": ""}, None), ("DISK_SHORT", 1, {}, "RUN"),
    ]  # fmt: skip
    assert seen(store, run_id, DAY) == {Incident.LANE_MISSING: 3}


def test_a_row_that_stands_for_several_has_the_fields_of_the_latest():
    limit = RowLimit()
    limit.begin(DAY, {Incident.LANE_MISSING: FULL})
    for lane in ("acb", "ob"):
        limit.take(
            Note("r", datetime(2026, 11, 20, tzinfo=UTC), Severity.WARN, Incident.LANE_MISSING, "", 1, {lane: ""})
        )
    assert [(row.count, row.lanes) for row in limit.held()] == [(2, {"ob": ""})]
