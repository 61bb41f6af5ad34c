"""What `violet status` tells a watchdog."""

import pytest

from journal.judge.health import FAILING, HEALTHY, NOT_SURE
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
