"""The catalogue: what it has, and that the quick set holds on this machine."""

import re

import pytest

from reactor.drill import drill
from reactor.drill.catalogue import NOT_COVERED, SCENARIOS
from tests.integration.soaking import processes


def test_every_scenario_has_a_name_of_its_own_and_says_what_must_hold():
    assert len({each.name for each in SCENARIOS}) == len(SCENARIOS)
    assert [each.name for each in SCENARIOS if not re.fullmatch(r"[a-z0-9-]+", each.name)] == []
    assert all(each.fault and each.must for each in SCENARIOS)
    assert all(fault and why for fault, why in NOT_COVERED)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kill_a_damage_and_a_rival_hold(tmp_path):
    chosen = [each for each in SCENARIOS if each.name in ("kill-after-intent", "row-deleted", "two-names")]
    found = drill.drill(chosen, 1, keep=tmp_path / "scratch")
    assert [(each.name, each.broken, each.held) for each in found] == [(each.name, (), True) for each in chosen]
    assert processes(tmp_path) == {}
