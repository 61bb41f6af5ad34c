"""Segments of remote lanes: one begins where another version decides, and partitions decided alike share its number."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lanes.code import Incident
from lanes.profile import PROFILES, override
from reactor.evaluate.state import State
from reactor.run.foreign import Kernels
from reactor.run.resume import segment_of
from reactor.run.settings import load
from reactor.topology import segments as module
from reactor.topology.segments import LaneSegments

BLUE = PROFILES["blue_8b"]
OTHER = override(BLUE, {"acb": {"signals_gain": 0.75}})
THIRD = override(BLUE, {"acb": {"signals_gain": 0.25}})


class Source:
    """A source whose readings come from the profile that the test says, by partition."""

    def __init__(self):
        self.by = {0: BLUE, 1: BLUE}

    def versions(self, partition):
        return self.by[partition] and (self.by[partition].hash,)

    def decided(self, versions):
        return next(p for p in (BLUE, OTHER, THIRD) if p.hash == versions[0]), {}

    def values(self, partition, offsets):
        return f"values of {partition}"

    def begins_at(self, starts):
        self.starts = starts


def of(profile, partition, number=1):
    made = segment_of(replace(load({}, environ={}), profile=profile), Kernels(), "t", "r", number)
    return replace(made, partition=partition)


@pytest.fixture
def world(monkeypatch):
    """Lanes of a run with two partitions, both in segment 1, and what the journal was given."""
    found = SimpleNamespace(source=Source(), opened=[], notes=[])
    ledger = SimpleNamespace(insist=lambda call: call(None), note=lambda *note: found.notes.append(note))
    monkeypatch.setattr(module.runs, "open_segments", lambda store, opened: found.opened.extend(opened))
    found.lanes = LaneSegments(found.source)
    found.lanes.opened([of(BLUE, 0), of(BLUE, 1)])
    found.lanes.begin(SimpleNamespace(start={"0": 3, "1": 4}), ledger)
    return found


def change(world, partition, profile, offset):
    """Another version decides from an offset on; the segment's number, or None where none opens."""
    world.source.by[partition] = profile
    switch = world.lanes.switch(partition)
    return None if switch is None else switch(offset, State())[1]


def test_the_source_is_told_where_the_run_begins(world):
    assert world.source.starts == {0: 3, 1: 4}


def test_lanes_that_decide_as_before_open_nothing(world):
    assert change(world, 0, BLUE, 10) is None
    assert change(world, 0, None, 10) is None  # no scan was met yet
    assert world.opened == world.notes == []


def test_another_version_opens_a_segment_at_the_first_offset_it_decides(world):
    assert change(world, 0, OTHER, 10) == 2
    assert change(world, 0, OTHER, 11) is None
    (opened,) = world.opened
    assert (opened.segment, opened.partition, opened.first_offset, opened.params_hash) == (2, 0, 10, OTHER.hash)
    assert "lanes went on with another profile or params" in opened.cause
    assert [code for _, code, _ in world.notes] == [Incident.SEGMENT_OPENED]
    assert {p: number for p, (_, number) in world.lanes.decides.items()} == {0: 2, 1: 1}


def test_partitions_that_come_to_be_decided_alike_share_a_number_and_others_do_not(world):
    assert [change(world, 0, OTHER, 10), change(world, 0, THIRD, 20)] == [2, 3]
    assert change(world, 1, THIRD, 15) == 3  # as partition 0 is decided from 20 on
    assert change(world, 1, BLUE, 30) == 4  # never back into a segment that is over


def test_a_segment_that_decided_nothing_yet_becomes_that_of_the_lanes(world):
    fresh = [replace(of(BLUE, p, 2), first_offset=10) for p in (0, 1)]
    world.lanes.opened(fresh, fresh=True)
    assert change(world, 0, OTHER, 10) == 2
    assert {(s.segment, s.partition, s.params_hash) for s in world.opened} == {(2, p, OTHER.hash) for p in (0, 1)}
    assert world.notes == []


def test_once_values_were_asked_for_a_segment_is_no_longer_fresh(world):
    world.lanes.opened([replace(of(BLUE, 0, 2), first_offset=10)], fresh=True)
    assert world.lanes.values(0, np.array([10])) == "values of 0"
    assert change(world, 0, OTHER, 10) == 3


def test_a_resume_keeps_what_the_lanes_chose_and_takes_the_rest_from_the_soak():
    mine = override(BLUE, {"fanin": {"abs_max": 8.5}, "acb": {"signals_gain": 0.1}})
    newest = replace(of(OTHER, 0), kernels={"acb": "k"})
    adopted = LaneSegments(Source()).adopted(of(mine, 0), newest)
    assert adopted.params_hash == override(OTHER, {"fanin": {"abs_max": 8.5}}).hash
    assert adopted.kernels == {"acb": "k"}
