import importlib
import inspect

import pytest

from lanes.drift import REGISTER
from lanes.profile import PROFILES
from lanes.registry import LANES

BLUE = PROFILES["blue_8b"]
CONSTANTS = [drift for drift in REGISTER if not drift.key.endswith("()")]
RULES = [drift for drift in REGISTER if drift.key.endswith("()")]
# Constants that the seeds do state, and switches. Every other one is in the register.
STATED = {
    "base": {"enabled", "kernel", "thr", "extreme", "min_lev", "base_max", "convexity"},
    "dc": {"enabled", "kernel"},
    "acb": {"enabled", "kernel"},
    "ob": {"enabled", "kernel", "imb_from", "up", "down"},
    "esof": {"enabled", "kernel", "stale"},
    "fanin": {"abs_max", "stalker_cap", "fraction"},
    "select": {"min_alignment"},
}


def test_each_constant_is_the_profiles():
    held = {drift.key: getattr(getattr(BLUE, drift.key.split(".")[0]), drift.key.split(".")[1]) for drift in CONSTANTS}
    assert held == {drift.key: drift.value for drift in CONSTANTS}


@pytest.mark.parametrize("drift", RULES, ids=lambda drift: drift.key)
def test_a_rule_stands_in_the_docstring_of_its_module(drift):
    table = drift.key.split(".")[0]
    where = f"lanes.{table}" if table in [lane.name for lane in LANES] else {"select": "reactor.evaluate.asset"}[table]
    assert drift.value in " ".join(inspect.getdoc(importlib.import_module(where)).split())


def test_every_constant_is_stated_by_the_seeds_or_in_the_register():
    stated = {f"{table}.{key}" for table, keys in STATED.items() for key in keys}
    every = {f"{table}.{key}" for table in STATED for key, _ in getattr(BLUE, table)}
    assert every - stated == {drift.key for drift in CONSTANTS}


def test_each_is_registered_once_and_says_why():
    assert len({drift.key for drift in REGISTER}) == len(REGISTER)
    assert all(drift.sources_say and drift.chosen_by for drift in REGISTER)
