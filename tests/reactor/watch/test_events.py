"""Events: a line each, and silence where nobody listens."""

import contextlib
import io
import json
import os
from datetime import UTC, date, datetime

from journal.judge.day import Day
from journal.ledger.incident import Note
from lanes.code import Incident, Severity
from reactor.watch.events import Events

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def told(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_incident_waits_for_the_run_and_keeps_its_time():
    stream = io.StringIO()
    events = Events(stream, "n")
    events.incident(Note("r1", AT, Severity.INFO, Incident.STARTED, "EXACT start"))
    assert stream.getvalue() == ""
    events.bind("r1", 3)
    events.incident(Note("r1", AT, Severity.WARN, Incident.BROKER_AWAY, "the broker was away for 2.0 s", 7))
    first, second = told(stream)
    assert list(first)[:3] == ["at", "level", "event"]
    assert first == {
        "at": "2026-11-21T12:00:00Z", "level": "info", "event": "started", "name": "n", "run_id": "r1", "segment": 3,
        "detail": "EXACT start", "count": 1,
    }  # fmt: skip
    assert (second["level"], second["event"], second["count"]) == ("warning", "broker_away", 7)


def test_the_line_of_a_day_has_its_figures_and_no_nan():
    stream = io.StringIO()
    events = Events(stream, "n")
    events.bind("r1", 1)
    events.upkeep(Day(date(2026, 11, 20), "HOLD", {"run_id": "r1", "day": date(2026, 11, 20), "verdict": "HOLD",
                                                   "coverage": float("nan"), "last_offsets": {0: 9}}))  # fmt: skip
    events.upkeep("dropped by age: 3 planes")
    day, upkeep = told(stream)
    assert (day["event"], day["day"], day["verdict"], day["coverage"]) == ("day", "2026-11-20", "HOLD", None)
    assert (upkeep["event"], upkeep["detail"]) == ("upkeep", "dropped by age: 3 planes")


def test_a_reader_that_went_away_ends_nothing():
    reading, writing = os.pipe()
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w") as stream:
        events = Events(stream, "n")
        events.say("heard")
        assert json.loads(os.read(reading, 1_000))["event"] == "heard"
        os.close(reading)
        events.say("unheard")
        events.say("unheard")
        assert not events.on


def test_text_tells_nothing_here():
    events = Events(None, "n")
    events.say("anything")
    assert not events.on
