"""Runs that are written by the reactor's own step and ledger into a real engine, without a broker or a process."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from journal.ledger import run as runs
from journal.ledger.ledger import Ledger
from journal.ledger.run import Run, Segment, now, open_segments, save
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from tests.integration import records

PROFILE = PROFILES["blue_8b"]
ABSENT = ("acb", "meta", "mc", "ob", "esof")  # most tests are about something else


@dataclass
class Written:
    """A run in a journal, and the ledger that wrote it."""

    run: Run
    ledger: Ledger


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("judged")


@pytest.fixture(scope="session")
def write(store):
    """write(RUN_ID, lines, state=..., days=(3, 2)) -> Written: a batch of equal length for each number of days ago."""

    def make(run_id, lines, *, state="RUNNING", days=(0,), kind="archive", rules=PROFILE, absent=ABSENT):
        started = now() - timedelta(days=max(days))
        run = Run(
            run_id,
            run_id,
            state,
            rules.name,
            {"kind": kind, "topic": "scans"},
            {},
            {"0": 0},
            "EXACT",
            (),
            {},
            started,
            asked={"absent": absent},
        )
        segment = Segment(run_id, 1, "scans", 0, 0, "start", rules.name, rules.model_dump_json(), rules.hash, "code")
        open_segments(store, [segment])
        run = save(store, run)
        ledger, at, size = Ledger(store, run_id, lambda *_: []), State(), -(-len(lines) // len(days))
        for number, ago in enumerate(days):
            first, some = number * size, lines[number * size :][:size]
            if some:
                chunk = Chunk(0, list(range(first, first + len(some))), some)
                batch = step(at, chunk, Rules(rules, {}), Decoder(), topic="scans", segment=1, expected=first)
                with pytest.MonkeyPatch.context() as clock:
                    clock.setattr(runs, "now", partial(lambda ago: now() - timedelta(days=ago), ago))
                    ledger.append(batch, 0.0, lambda positions: None)
        return Written(run, ledger)

    return make


@pytest.fixture(scope="session")
def plain():
    """plain(400) -> lines of so many scans and their planes."""
    return records.plain
