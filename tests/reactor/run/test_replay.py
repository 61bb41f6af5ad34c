"""Replay: the records of a run as a log that ends, and what is refused. Whole replays run in tests/integration."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from journal.ledger.run import Run
from journal.refusal import Refusal
from lanes.profile import PROFILES, override
from reactor.log.memory import MemoryLog
from reactor.run import replay as module
from reactor.run.foreign import Kernels
from reactor.run.replay import _Rerun, refuse_taken
from reactor.run.resume import segment_of
from reactor.run.settings import load

BLUE = PROFILES["blue_8b"]
RUN = Run("r", "soaked", "ENDED", "blue_8b", {}, {}, {"0": 0}, "EXACT", (), {}, datetime(2026, 3, 1, tzinfo=UTC))
SIBLING = replace(RUN, run_id="s", name="soaked-replay", state="STOPPED", source={"replay_of": "r"})


class Source:
    """Ten records of partition 0 and four of partition 1, of which the first two are no more."""

    def __init__(self):
        self._log = MemoryLog([b"a"] * 10, partitions=2)
        for _ in range(4):
            self._log.append(b"b", 1)

    def ends(self):
        return {0: 10, 1: 4}

    def range(self, partition, first, end):
        for at in range(first, end, 3):  # as an archive gives them: a part at a time
            yield from self._log.range(partition, at, min(at + 3, end))


def segment(profile):
    settings = replace(load({}, environ={}), profile=profile)
    return segment_of(settings, Kernels(), "t", "r", 1)


def test_partitions_come_one_after_the_other_each_to_its_end():
    log, given, reached = _Rerun(Source()), [], []
    log.assign({0: 0, 1: 2})
    while chunks := log.poll(2, 0.0):
        given += [(chunk.partition, offset) for chunk in chunks for offset in chunk.offsets]
        reached.append(dict(log.reached()))
        assert all(len(chunk) <= 2 for chunk in chunks)
    assert given == [(0, n) for n in range(10)] + [(1, 2), (1, 3)]
    assert reached[0] == {}
    assert log.reached() == {0: 10, 1: 4}
    assert log.poll(2, 0.0) == []


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"select": {"min_alignment": 0.1}}, "select.min_alignment is 0.1, was 0.0"),
        ({"base": {"thr": -0.01}}, "base.thr is -0.01, was -0.02"),
    ],
)
def test_stored_inputs_are_refused_to_params_that_would_choose_another_asset(tables, words):
    with pytest.raises(Refusal, match=words):
        module._refuse_unstored([segment(BLUE)], override(BLUE, tables))


@pytest.mark.parametrize("tables", [{}, {"base": {"thr": -0.03}}, {"acb": {"enabled": False}}, {"fanin": {"abs_max": 8.5}}])  # fmt: skip
def test_stored_inputs_serve_params_that_choose_the_same_asset(tables):
    module._refuse_unstored([segment(BLUE)], override(BLUE, tables))


@pytest.mark.parametrize(
    ("there", "new", "words"),
    [
        (replace(RUN, name="soaked-replay"), False, "is the name of a soak; fix: give the replay another"),
        (replace(SIBLING, state="HALTED", reason="full"), False, r"s is HALTED \(full\); fix: look into it"),
        (replace(SIBLING, source={"replay_of": "other"}), False, "s of run other"),
        (replace(SIBLING, source={"replay_of": "other"}), True, None),
        (replace(SIBLING, state="ENDED"), False, None),
        (SIBLING, False, None),
        (None, False, None),
    ],
)
def test_a_name_stands_for_one_replay_until_it_ended(monkeypatch, there, new, words):
    settings = load({"name": "soaked-replay", "new": new}, environ={})
    monkeypatch.setattr(module, "find", lambda store, name: there)
    monkeypatch.setattr(module, "segments", lambda store, run_id: [segment(settings.profile)])
    if words is None:
        refuse_taken(None, settings, RUN)
    else:
        with pytest.raises(Refusal, match=words):
            refuse_taken(None, settings, RUN)
