"""What `violet status` tells a watchdog."""

import os
import signal
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice

import click
import pytest

from journal.engine import owner
from journal.judge.health import FAILING, HEALTHY, NOT_SURE
from journal.keep.migrate import migrate
from journal.lock import engine_lock, held
from journal.store import connect
from reactor.cli import status
from reactor.cli.status import exit_code


def run(health, state="RUNNING", replay_of=""):
    return {"health": health, "state": state, "replay_of": replay_of}


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], 2),
        ([run(HEALTHY)], 0),
        ([run(HEALTHY), run(NOT_SURE), run(FAILING)], 1),
        ([run(HEALTHY), run(NOT_SURE, "STOPPED")], 2),
        ([run(HEALTHY), run(FAILING, "ENDED")], 0),
        ([run(FAILING, "ENDED", "r1"), run(HEALTHY, "ENDED"), run(FAILING, "ENDED")], 0),
        ([run(FAILING, "ENDED", "r1")], 1),
    ],
    ids=["none", "one", "the worst", "stopped", "what ended is past", "a replay is no soak", "a replay alone"],
)
def test_the_worst_soak_that_goes_on_decides_the_exit_code(rows, code):
    assert exit_code(rows) == code


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"last_scan": None}, "none yet"),
        (
            {"last_scan": datetime(2025, 1, 21, tzinfo=UTC), "silence_s": 5.0, "drift_s": 90_000.0},
            "2025-01-21 00:00:00 UTC, journaled 5.0 s ago, 1 d 1 h after it happened",
        ),
    ],
)
def test_an_old_archive_is_not_said_to_be_behind(row, said):
    assert status._last_scan(row) == said


@pytest.mark.slow
def test_watching_an_idle_directory_keeps_one_engine_and_finds_another_where_it_ended(tmp_path, monkeypatch):
    with owner.running(tmp_path) as address, connect(address) as store:
        migrate(store, lambda name: None)
    monkeypatch.setattr(status, "EVERY_S", 0.01)
    with click.Context(status.command), closing(status._looks(tmp_path, None, None)) as looks:
        engines = [held(engine_lock(tmp_path)).pid for rows in islice(looks, 3) if rows == []]
        assert len(engines) == 3
        assert len(set(engines)) == 1
        os.kill(engines[0], signal.SIGKILL)
        assert next(looks) == []
        assert held(engine_lock(tmp_path)).pid != engines[0]
    assert held(engine_lock(tmp_path)) is None
