"""Readings: what a lane said of every scan, with what it read, the same however the records were cut."""

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.row import joined
from lanes.code import Outcome
from lanes.profile import PROFILES, profile
from lanes.registry import BY_NAME, LANES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State, seen_columns
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.tap.reading import Reading, decode, encode, readings, seen_by, tap_topic
from tests import oracle
from tests.strategies import START_MS, mixed_archive, plane, planes, scan
from tests.strategies import encode as line_of

BLUE = Rules(PROFILES["blue_8b"])
NAMES = tuple(lane.name for lane in LANES)
SEEN = seen_by(NAMES)
SCANS = (Outcome.DECISION, Outcome.EVALUATION)


def batch_of(lines, rules=BLUE, size=None, seen=SEEN):
    """One batch of some lines, of parts of `size` records."""
    state, size, parts, at = State(), size or len(lines), [], 0
    while at < len(lines):
        some = lines[at : at + size]
        chunk = Chunk(0, list(range(at, at + len(some))), some)
        parts.append(step(state, chunk, rules, Decoder(), topic="t", segment=1, expected=at, seen=seen))
        at += len(some)
    return joined(parts)


def last(lane, *records, rules=BLUE):
    """A lane's reading of the last of some records."""
    return readings(batch_of([line_of(each) for each in records], rules), lane, "k")[-1]


def bits(value):
    return struct.pack(">d", value)


@pytest.mark.parametrize("rules", [BLUE, Rules(profile("blue_8b", {"esof": {"application": "sc_post"}}))])
@pytest.mark.parametrize("lane", NAMES)
def test_a_reading_is_what_the_oracle_saw_and_said(lane, rules):
    lines = mixed_archive(4, 700)
    walker = oracle.Oracle(oracle.BLUE if rules is BLUE else oracle.SC_POST)
    batch = batch_of(lines, rules, seen=seen_by([lane]))
    found = {each.offset: each for each in readings(batch, lane, "kernel")}
    scans = {int(at) for kind in SCANS for at in batch.rows[kind].offsets}
    assert sorted(scans) == list(found)
    ages = 0
    for offset, line in enumerate(lines):
        row = walker.outcome(line)
        if offset not in found:
            continue
        said, record = found[offset], json.loads(line)
        assert (said.lane, said.topic, said.partition, said.kernel_hash) == (lane, "t", 0, "kernel")
        assert (said.stream, said.scan_id, said.ts_ms) == (record["stream"], record["scan_id"], record["ts_ms"])
        assert said.params_hash == rules.profile.hash
        assert bits(said.value) == bits(
            row["acb_boost"] * row["meta_boost"] * row["mc_scale"] if lane == "acb" else row[lane]
        )
        for name, column in BY_NAME[lane].shown.items():
            wanted = float(record.get("dc_status") == "CONFIRM") if column == "confirm" else row[column]
            assert bits(said.components[name]) == bits(wanted), name
        held = walker.streams[record["stream"]].planes
        wanted = {"base": {"vel_div": record["vel_div"]}, "acb": {"vel_div": record["vel_div"]}}.get(lane, {})
        if lane == "acb" and record.get("w750") is not None:
            wanted["w750"] = record["w750"]
        if lane == "dc":
            known = {None: "NEUTRAL", "CONFIRM": "CONFIRM", "CONTRADICT": "CONTRADICT", "NEUTRAL": "NEUTRAL"}
            wanted["dc_status"] = known.get(record.get("dc_status"), "UNKNOWN")
        for name in seen_by([lane]):
            if name in held:
                form = next(f for f in oracle.FORMS[name] if all(each in held[name][0] for each in f))
                wanted |= {f"{name}.{each}": held[name][0][each] for each in form}
        assert said.inputs == wanted, offset
        assert said.age_ms == (record["ts_ms"] - held[lane][1] if lane in held else None)
        ages += said.age_ms is not None
    assert bool(ages) == (lane in ("acb", "ob", "esof"))


@pytest.mark.parametrize("lane", NAMES)
@pytest.mark.parametrize("size", [1, 7, 97])
def test_readings_do_not_depend_on_how_records_are_cut(lane, size):
    lines = mixed_archive(5, 600)
    assert readings(batch_of(lines, size=size), lane, "k") == readings(batch_of(lines), lane, "k")


def test_to_carry_planes_changes_no_row():
    lines = mixed_archive(6, 500)
    plain, carrying = batch_of(lines, seen=()), batch_of(lines)
    for kind, rows in plain.rows.items():
        assert rows.digest() == carrying.rows[kind].digest()
    added = {name for each in SEEN for name in seen_columns(each)}
    assert carrying.rows[Outcome.DECISION].columns.keys() - plain.rows[Outcome.DECISION].columns.keys() == added


def test_a_negative_age_and_a_plane_that_was_never_seen():
    assert last("acb", plane("acb", {"boost": 1.2}, ts_ms=START_MS + 5), scan()).age_ms == -5
    never = last("ob", scan())
    assert (never.age_ms, never.inputs, never.value) == (None, {}, 1.0)


def test_a_lane_that_is_off_says_one_and_still_shows_what_lay_before_it():
    said = last("ob", *planes(ob={"mult": 1.1}), scan(), rules=Rules(PROFILES["v3_base9"]))
    assert (said.value, said.inputs) == (1.0, {"ob.mult": 1.1})


def test_a_batch_without_scans_has_no_readings():
    assert readings(batch_of([line_of(each) for each in planes()]), "acb", "k") == []


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]),
    st.dictionaries(st.text(max_size=4), st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)),
)
def test_a_reading_keeps_every_bit_through_its_record(value, part, inputs):
    said = Reading(1, "acb", "t", 3, 2**62, "ng7", 2**63 - 1, START_MS, value, {"x": part}, inputs, None, "p", "k")
    again = decode(encode(said))
    assert again == said
    assert encode(again) == encode(said)
    assert (bits(again.value), bits(again.components["x"])) == (bits(value), bits(part))
    assert math.copysign(1.0, again.value) == math.copysign(1.0, value)


def test_each_lane_has_a_topic_of_its_soaks():
    assert tap_topic("paper", "acb") == "violet.paper.lanes.acb"
