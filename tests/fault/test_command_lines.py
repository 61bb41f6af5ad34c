"""No command line leaves a traceback, an orphan process or, where it is refused, a changed journal."""

import os
import time

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fault.command_lines import Field, lines

SECONDS = float(os.environ.get("COMMAND_LINES_S", "60"))  # by hand as long as there is time
FIRST = int(os.environ.get("COMMAND_LINES_SEED", "0"))
TOGETHER = 200  # lines of one seed


@pytest.fixture
def field(tmp_path):
    made = Field(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 400)
def test_no_command_line_leaves_a_traceback_an_orphan_or_a_changed_journal(field):
    deadline = time.monotonic() + SECONDS
    found, count, rounds = [], 0, FIRST

    @settings(
        max_examples=TOGETHER,
        deadline=None,
        derandomize=False,  # which would draw the same lines in every round
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(lines())
    def run(line):
        nonlocal count
        if time.monotonic() < deadline:
            faults = field.faults(line)
            print(*faults, sep="\n", end="\n" if faults else "", flush=True)  # by hand, with -s
            found.extend(faults)
            count += 1

    while time.monotonic() < deadline:
        print(f"seed {rounds}, after {count} lines", flush=True)
        seed(rounds)(run)()
        rounds += 1
    assert count > SECONDS / 10
    assert found == []
