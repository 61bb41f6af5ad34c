"""A wall clock that is wrong when a soak starts: it chooses no run, closes no day and drops nothing."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from journal.ledger.run import save
from journal.ledger.steady import CLOCK
from tests.integration import records
from tests.integration.fixtures import own_journal
from tests.integration.soaking import interrupted, stand_still

pytestmark = pytest.mark.slow
journal = own_journal
DAY_S = 86_400.0


@pytest.fixture
def start():
    """start(OFF_S) lets this process be one that has just begun, on a wall clock that is off by so much."""
    known = dict(vars(CLOCK))

    def begun(off_s):
        CLOCK.__init__(lambda: time.time() + off_s, boot=known["_boot"])

    yield begun
    vars(CLOCK).update(known)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return [records.write(folder / f"{n}.jsonl", records.mixed(n, long=False)) for n in (200, 600)]


def test_a_clock_that_has_stood_still_closes_the_days_that_are_over(journal, archives, start):
    """Before the others leave stamps of days to come."""
    start(0.0)
    left = interrupted(journal.data, 1, scans=archives[1], name="days", batch_size=100)
    run = journal.run("days")
    save(journal.store, replace(run, started_at=run.started_at - timedelta(days=3)))
    lines = "SELECT count() FROM days WHERE run_id = {r:String}"
    start(0.0)
    interrupted(journal.data, 1, scans=archives[1], name="days", batch_size=100)
    assert journal.value(lines, r=left.run_id) == 0
    stand_still(journal.data)
    start(0.0)
    journal.soak(scans=archives[1], name="days")
    assert journal.value(lines, r=left.run_id) == 3


@pytest.mark.parametrize("off_s", [-DAY_S, -7.0, 3 * DAY_S])
def test_of_runs_that_began_on_other_clocks_the_later_one_is_resumed_asked_and_shown(journal, archives, start, off_s):
    name = f"off{off_s:.0f}"
    start(DAY_S if off_s > 0 else 0.0)
    ended = journal.soak(scans=archives[0], name=name)
    (journal.data / "clock.json").unlink()
    start(off_s)
    left = interrupted(journal.data, 1, scans=archives[1], name=name, batch_size=100)
    for batches in (1, 2):
        start(off_s * (1 + batches))
        again = interrupted(journal.data, batches, scans=archives[1], name=name, batch_size=100)
        assert again.run_id == left.run_id != ended.run_id
    assert journal.violet("sql", "SELECT {run:String} AS r", "--json").json == [{"r": left.run_id}]
    assert journal.violet("status", "--name", name, "--json").json[0]["run_id"] == left.run_id
    assert journal.violet("runs", "--json").json[0]["run_id"] == left.run_id
    start(0.0)
    assert journal.soak(scans=archives[1], name=name).run_id == left.run_id


@pytest.mark.parametrize("off_s", [50 * DAY_S, 400 * DAY_S])
def test_a_clock_that_is_ahead_at_a_start_closes_no_day_and_drops_nothing(journal, archives, start, off_s):
    name = f"ahead{off_s:.0f}"
    start(0.0)
    calm = journal.soak(scans=archives[1])
    left = interrupted(journal.data, 2, scans=archives[1], name=name, batch_size=100, keep_inputs="30d")
    (journal.data / "clock.json").unlink(missing_ok=True)  # the machine was off meanwhile
    start(off_s)
    again = interrupted(journal.data, 2, scans=archives[1], name=name, batch_size=100, keep_inputs="30d")
    assert "the wall clock has not been seen to stand still for 60 min yet" in again.err
    kept = "SELECT (SELECT count() FROM planes WHERE run_id = {r:String}) AS kept, (SELECT sum(planes) FROM batches WHERE run_id = {r:String}) AS counted"
    (planes,) = journal.rows(kept, r=left.run_id)
    assert planes["kept"] == planes["counted"] > 0
    assert journal.value("SELECT count() FROM days WHERE run_id = {r:String}", r=left.run_id) == 0
    start(0.0)
    last = journal.soak(scans=archives[1], name=name, keep_inputs="30d")
    assert (last.run_id, last.hash, last.counts) == (left.run_id, calm.hash, calm.counts)
