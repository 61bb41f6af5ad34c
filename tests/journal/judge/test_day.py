"""A line for each UTC day: which are due, and what of a run stands in which."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from journal.judge.day import Day, close, disk_bytes, due
from journal.judge.gate import HOLD
from journal.ledger.run import now
from lanes.code import Incident, Severity
from tests.written import begin, decisions, every_kind

DAY = date(2026, 3, 1)
EARLY = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "days"),
    [
        (EARLY, 0), (datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), 0), (datetime(2026, 3, 2, tzinfo=UTC), 1),
        (datetime(2026, 3, 4, 0, 30, tzinfo=timezone(timedelta(hours=2))), 2), (datetime(2026, 2, 1, tzinfo=UTC), 0),
    ],
)  # fmt: skip
def test_days_that_are_over_are_due_from_the_run_s_first_on(store, at, days):
    run = begin(store, started_at=EARLY).run
    assert due(store, run, at) == [DAY + timedelta(n) for n in range(days)]


def test_each_day_has_its_own_batches_and_is_closed_once(store):
    written = begin(store, started_at=EARLY)
    for first, lines in ((0, every_kind()), (13, decisions(3, first=20)), (16, every_kind(40))):
        written.append(lines)
        assert written.lines[0].keys() >= {first}
    day = "multiIf(first_offset = 0, toDateTime64('2026-03-01 23:59:59.999', 3, 'UTC'), first_offset = 13, toDateTime64('2026-03-03 00:00:00', 3, 'UTC'), written_at)"
    copy = written.copied("batches", put={"written_at": day})
    lines = close(store, copy.run, datetime(2026, 3, 4, 1, tzinfo=UTC))
    assert [line.day for line in lines] == [DAY, DAY + timedelta(1), DAY + timedelta(2)]
    assert [line.figures["decisions"] for line in lines] == [3, 0, 3]
    assert [line.figures["records"] for line in lines] == [13, 0, 3]
    assert [line.figures["first_offsets"] for line in lines] == [{0: 0}, {}, {0: 13}]
    assert [line.figures["last_offsets"] for line in lines] == [{0: 12}, {}, {0: 15}]
    assert [line.verdict for line in lines] == [HOLD] * 3
    assert lines[1].figures["held"] == "nothing was journaled"
    assert "decisions HOLD" in lines[2].figures["held"]
    assert [line.figures["lost"] for line in lines] == [0, 0, 0]
    assert due(store, copy.run, datetime(2026, 3, 4, 1, tzinfo=UTC)) == []
    assert due(store, copy.run, datetime(2026, 3, 5, 1, tzinfo=UTC)) == [DAY + timedelta(3)]
    stored = store.rows("SELECT day, decisions FROM days WHERE run_id = {r:String} ORDER BY day", {"r": copy.run_id})
    assert [row["decisions"] for row in stored] == [3, 0, 3]
    assert lines[0].figures["disk_bytes"] > 0 < disk_bytes(store)


def test_days_without_a_batch_cost_one_insert_however_many(store):
    """A machine that was off for years, or a clock that says so."""
    written = begin(store, started_at=EARLY)
    written.append(every_kind())
    today = now().date()
    written.ledger.note(Severity.WARN, Incident.DISK_SHORT)
    later = datetime(2140, 3, 1, 12, tzinfo=UTC)
    before = inserts(store)
    lines = close(store, written.run, later)
    assert inserts(store) - before == 3  # what lies before the one day with a batch, that day, what lies behind
    assert [line.day for line in lines] == [DAY + timedelta(n) for n in range((later.date() - DAY).days)]
    assert {line.day for line in lines if line.figures["records"]} == {today}
    assert {line.day for line in lines if line.figures["warnings"]} == {today}
    assert {line.figures["held"] for line in lines if line.day != today} == {"nothing was journaled"}
    assert due(store, written.run, later) == []
    assert store.count("SELECT count() FROM days WHERE run_id = {r:String}", {"r": written.run_id}) == len(lines)


def inserts(store):
    """Blocks that were ever inserted into the table of the days."""
    return store.count(
        "SELECT sum(max_block_number - min_block_number + 1) FROM system.parts WHERE table = 'violet_days' AND active"
    )


def test_a_line_reads_as_one():
    figures = {
        "decisions": 3, "evaluations": 1, "rejects": 2, "lost": 1, "doubled": 0, "corrupt": 4, "coverage": 0.9567,
        "time_coverage": None, "warnings": 5, "errors": 6, "disk_bytes": 3 << 20, "held": "",
    }  # fmt: skip
    words = (
        "2026-03-01 PASS: 4 scans, 3 decisions, 2 rejects, lost 1, doubled 0, corrupt 4, coverage 95.7%, "
        "time_coverage none, 5 warnings, 6 errors, journal 3.0 MiB"
    )
    assert str(Day(DAY, "PASS", figures)) == words
    assert str(Day(DAY, "PASS", figures | {"held": "lost FAIL"})) == f"{words} (lost FAIL)"
