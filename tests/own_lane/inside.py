"""What holds where the lane of this folder is installed: run by test_own_lane.py, in processes that have it."""

import math
from functools import partial

import numpy as np
import pytest
from funding import LANE, funding

from journal.row import present
from journal.template import fill
from lanes import columns
from lanes.code import Outcome
from lanes.profile import PROFILES, Profile, override, profile
from lanes.registry import FIVE, LANES, PLANES, REASONS
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder, schema
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.run.foreign import Kernels
from reactor.tap.reading import readings, seen_by
from reactor.topology import checkpoint as checkpoints
from reactor.topology.checkpoint import LaneRecord
from reactor.topology.evaluator import Evaluator, LaneVersion
from reactor.topology.join import Join
from tests.lanes import points
from tests.lanes.bits import same
from tests.own_lane import archive
from tests.strategies import START_MS, encode, plane, reason_names, scan

OFF = PROFILES["blue_8b"]
ON = profile("blue_8b", {"funding": {"enabled": True}})
N = 50_000


def batch_of(lines, rules, seen=()):
    chunk = Chunk(0, list(range(len(lines))), lines)
    return step(State(), chunk, rules, Decoder(), topic="t", segment=1, expected=0, seen=seen)


LINES = archive.lines()


def test_it_stands_behind_the_five_and_is_off():
    assert (*FIVE, LANE) == LANES
    assert OFF.lanes == FIVE
    assert ON.lanes == LANES
    assert Profile.model_fields["funding"].annotation is LANE.params
    assert "funding" not in OFF.model_dump()
    assert OFF.hash == "115dcb3f324ee00f"  # what it is without the lane
    assert ON.hash != OFF.hash
    assert Profile.model_validate_json(ON.model_dump_json()) == ON


def test_while_it_is_off_every_outcome_is_what_it_was():
    """The plane too: a record of it is a reject by the name of the plane, as it is where nobody knows it."""
    off = batch_of(LINES, Rules(OFF))
    rejects = off.rows[Outcome.REJECT]
    unknown = [at for at, line in enumerate(LINES) if b'"funding"' in line]
    assert set(unknown) <= set(rejects.offsets.tolist())
    codes = dict(zip(rejects.offsets.tolist(), rejects.columns["code"].tolist(), strict=True))
    assert {codes[at] for at in unknown} == {201}
    assert "funding" not in off.rows[Outcome.DECISION].columns
    assert off.content_hash == batch_of([line for line in LINES if b'"funding"' not in line], Rules(OFF)).content_hash


def test_columns_scalar_kernel_and_pure_python_give_the_same_bits():
    where = points.inputs(N, 7, ON)
    found = columns.evaluate(where, ON, {})
    five = columns.evaluate(where, OFF, {})
    inputs = [where[name].tolist() for name in LANE.inputs]
    constants = ON.constants(LANE)
    for twin in (funding, funding.py_func):
        dear, value = (
            np.array(column)
            for column in zip(*(twin(*row, *constants) for row in zip(*inputs, strict=True)), strict=True)
        )
        assert same(found.columns["funding_dear"], dear).all()
        assert same(found.columns["funding"], value).all()
    with np.errstate(all="ignore"):
        assert same(found.raw, five.raw * value).all()  # behind the five, left to right
    assert 0.1 < np.mean(value != 1.0) < 0.9
    for lane in FIVE:
        assert same(found.columns[lane.name], five.columns[lane.name]).all()


def test_its_plane_is_a_plane_as_others_are():
    assert list(PLANES)[-2:] == ["funding", "cadence"]
    assert REASONS[40] == "PLANE_MISSING_FUNDING"
    assert "funding" in schema()["$defs"]["Plane"]["properties"]["name"]["enum"]

    def marks_of(*each):
        rows = batch_of([encode(record) for record in each], Rules(ON)).rows[Outcome.DECISION]
        return reason_names(int(rows.columns["reasons"][-1]))

    assert "PLANE_MISSING_FUNDING" in marks_of(scan())
    here = plane("funding", {"rate": 0.0}, ts_ms=START_MS - LANE.off.alert_age_ms)
    assert not {"PLANE_MISSING_FUNDING", "PLANE_STALE_FUNDING"} & {*marks_of(here, scan())}
    old = plane("funding", {"rate": 0.0}, ts_ms=START_MS - LANE.off.alert_age_ms - 1)
    assert "PLANE_STALE_FUNDING" in marks_of(old, scan())
    stored = State()
    chunk = Chunk(0, [0], [encode(here)])
    step(stored, chunk, Rules(ON), Decoder(), topic="t", segment=1, expected=0)
    assert State.load(stored.dump(), ()).stream("ng7").held("funding") == {"rate": 0.0, "ts_ms": here["ts_ms"]}


def test_its_words_are_in_the_row_hash_where_it_is_on():
    rows = batch_of(LINES, Rules(ON)).rows[Outcome.DECISION]
    names = [column.name for column in present(Outcome.DECISION, rows.columns)]
    assert names[-2:] == ["funding_dear", "funding"]
    off = batch_of(LINES, Rules(OFF)).rows[Outcome.DECISION]
    assert [column.name for column in present(Outcome.DECISION, off.columns)] == names[:-2]
    neutral = Rules(override(ON, {"funding": {"gain": 0.0}}))
    assert batch_of(LINES, neutral).content_hash != batch_of(LINES, Rules(OFF)).content_hash


def test_a_reading_of_it_says_what_it_read():
    batch = batch_of(LINES, Rules(ON), seen=seen_by(["funding"]))
    found = readings(batch, "funding", "k")
    assert len(found) == len(batch.rows[Outcome.DECISION]) + len(batch.rows[Outcome.EVALUATION])
    assert {name for each in found for name in each.inputs} == {"funding.rate", "funding.mult"}
    assert any(each.age_ms for each in found)
    assert {name for each in found for name in each.components} == {"funding_dear"}
    assert readings(batch_of(LINES, Rules(OFF)), "funding", "k") == []


def test_lanes_apart_give_the_rows_of_lanes_together():
    join = Join(ON, "log", None, {0: 0})
    join.begin({0: 0})
    chunk = Chunk(0, list(range(len(LINES))), LINES)
    for lane in LANES:
        voice = Evaluator(LaneVersion.of(lane.name, "t", "log", ON, Kernels()), 0, State(), 0, -1)
        for at, (_, value, mark) in enumerate(voice.evaluate(chunk)):
            join.take(lane.name, LaneRecord(at, value, mark, 0))
    assert join.ready(chunk, None)[0] == len(LINES)
    apart = step(State(), chunk, Rules(ON), Decoder(), topic="t", segment=1, expected=0, values=partial(join.values, 0))
    together = batch_of(LINES, Rules(ON))
    for kind in Outcome:
        assert apart.rows[kind].digest() == together.rows[kind].digest()


def test_a_worker_of_it_is_heard_with_params_of_its_own():
    other = override(ON, {"funding": {"gain": 1.0}})
    assert checkpoints.accepted(ON, "funding", checkpoints.params_of(other, "funding")) == other.funding
    assert checkpoints.names_of_soak("funding") == ""


def test_sql_files_go_over_it():
    assert "('funding', ifNull(funding, nan), map('funding_dear', ifNull(funding_dear, nan)))" in fill("$lane_readings")
    assert fill("$raw") == "base * dc * acb * ob * esof_fanin * ifNull(funding, 1.)"
    assert "'PLANE_STALE_FUNDING'' = 41" in fill("$reasons")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_where_it_is_not_finite_the_row_is_a_reject_by_its_name(bad):
    where = points.inputs(4, 0, ON)
    for column in where.values():
        column[:] = 1
    assert columns.evaluate(where, ON, {"funding": np.array([1.0, bad, 1.0, 1.0])}).non_finite.tolist() == [0, 6, 0, 0]
    where["capital_usd"][2] = math.inf  # the fan-in's, whose number is behind the lanes'
    assert columns.evaluate(where, ON, {}).non_finite.tolist() == [0, 0, 7, 0]
