"""Checkpoints: what a lane reads has one hash, and what is the soak's to say is never a worker's."""

import msgspec
import pytest

from lanes.profile import PROFILES, override
from lanes.registry import LANES
from reactor.topology import checkpoint

BLUE = PROFILES["blue_8b"]
NAMES = [lane.name for lane in LANES]


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_s_own_params_are_accepted_and_come_back_as_they_are(name):
    other = override(BLUE, {name: {"enabled": False}})
    assert checkpoint.accepted(BLUE, name, checkpoint.params_of(other, name)) == getattr(other, name)
    assert checkpoint.hash_of(checkpoint.params_of(other, name)) != checkpoint.hash_of(checkpoint.params_of(BLUE, name))
    again = msgspec.json.decode(msgspec.json.encode(checkpoint.params_of(BLUE, name)))
    assert checkpoint.hash_of(again) == checkpoint.hash_of(checkpoint.params_of(BLUE, name))
    assert len(checkpoint.hash_of(again)) == 16


SHARED = [
    ("base", {"thr": -0.03}),
    ("base", {"min_lev": 0.25}),
    ("esof", {"application": "sc_post"}),
    ("esof", {"near_one": 1e-6}),
]


@pytest.mark.parametrize(("name", "change"), SHARED)
def test_what_others_read_too_is_the_soak_s(name, change):
    other = override(BLUE, {name: change})
    assert checkpoint.accepted(BLUE, name, checkpoint.params_of(other, name)) is None
    (key,) = change
    assert f"{name}.{key}" in checkpoint.names_of_soak(name).split(", ")
    assert getattr(getattr(checkpoint.overlaid(BLUE, other), name), key) == getattr(getattr(BLUE, name), key)


def test_a_borrowed_number_of_another_lane_is_the_soak_s_too():
    other = override(BLUE, {"base": {"extreme": -0.06}})
    assert checkpoint.accepted(BLUE, "acb", checkpoint.params_of(other, "acb")) is None
    assert checkpoint.accepted(BLUE, "ob", checkpoint.params_of(other, "ob")) == BLUE.ob
    assert checkpoint.names_of_soak("acb") == "base.thr, base.extreme, base.convexity"
    assert checkpoint.names_of_soak("ob") == ""


def test_what_workers_may_choose_is_taken_over_and_nothing_else():
    other = override(
        BLUE, {"acb": {"signals_gain": 0.75}, "dc": {"boost": 1.5}, "fanin": {"abs_max": 8.5}, "esof": {"edge": 0.01}}
    )
    laid = checkpoint.overlaid(BLUE, other)
    assert (laid.acb, laid.dc) == (other.acb, other.dc)
    assert laid.esof.edge == 0.01
    assert laid.fanin == BLUE.fanin
    assert checkpoint.overlaid(BLUE, BLUE) == BLUE


def test_an_offset_is_read_of_any_reading():
    assert checkpoint.offset_of(b'{"v":1,"lane":"acb","offset":17,"value":null,"more":[1]}') == 17
