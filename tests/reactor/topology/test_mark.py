"""Marks: what a lane reads has one hash, and what is the soak's to say is never a worker's."""

import msgspec
import pytest

from lanes.profile import PROFILES, override
from lanes.registry import LANES
from reactor.topology import mark as marks

BLUE = PROFILES["blue_8b"]
NAMES = [lane.name for lane in LANES]


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_s_own_params_are_accepted_and_come_back_as_they_are(name):
    other = override(BLUE, {name: {"enabled": False}})
    assert marks.accepted(BLUE, name, marks.params_of(other, name)) == getattr(other, name)
    assert marks.hash_of(marks.params_of(other, name)) != marks.hash_of(marks.params_of(BLUE, name))
    again = msgspec.json.decode(msgspec.json.encode(marks.params_of(BLUE, name)))
    assert marks.hash_of(again) == marks.hash_of(marks.params_of(BLUE, name))
    assert len(marks.hash_of(again)) == 16


SHARED = [
    ("base", {"thr": -0.03}),
    ("base", {"min_lev": 0.25}),
    ("esof", {"application": "sc_post"}),
    ("esof", {"near_one": 1e-6}),
]


@pytest.mark.parametrize(("name", "change"), SHARED)
def test_what_others_read_too_is_the_soak_s(name, change):
    other = override(BLUE, {name: change})
    assert marks.accepted(BLUE, name, marks.params_of(other, name)) is None
    (key,) = change
    assert f"{name}.{key}" in marks.words_of_soak(name).split(", ")
    assert getattr(getattr(marks.overlaid(BLUE, other), name), key) == getattr(getattr(BLUE, name), key)


def test_a_borrowed_number_of_another_lane_is_the_soak_s_too():
    other = override(BLUE, {"base": {"extreme": -0.06}})
    assert marks.accepted(BLUE, "acb", marks.params_of(other, "acb")) is None
    assert marks.accepted(BLUE, "ob", marks.params_of(other, "ob")) == BLUE.ob
    assert marks.words_of_soak("acb") == "base.thr, base.extreme, base.convexity"
    assert marks.words_of_soak("ob") == ""


def test_what_workers_may_choose_is_taken_over_and_nothing_else():
    other = override(
        BLUE, {"acb": {"signals_gain": 0.75}, "dc": {"boost": 1.5}, "fanin": {"abs_max": 8.5}, "esof": {"edge": 0.01}}
    )
    laid = marks.overlaid(BLUE, other)
    assert (laid.acb, laid.dc) == (other.acb, other.dc)
    assert laid.esof.edge == 0.01
    assert laid.fanin == BLUE.fanin
    assert marks.overlaid(BLUE, BLUE) == BLUE


def test_an_offset_is_read_of_any_reading():
    assert marks.offset_of(b'{"v":1,"lane":"acb","offset":17,"value":null,"more":[1]}') == 17
