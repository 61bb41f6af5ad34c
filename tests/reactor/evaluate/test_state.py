"""State of a stream as of an offset: planes by offset alone, exact identities, cadence, a dump that loses no bit."""

import json
from collections import deque

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lanes import registry
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import IDENTITIES, READ, State, StreamState
from reactor.evaluate.walk import Rules, Walk
from tests import strategies
from tests.strategies import START_MS, encode, plane

EXTREME = (5e-324, -0.0, 1.7976931348623157e308, 0.1 + 0.2, 2.0**-1074 * 3, 1.0 / 3.0, 123456789.12345678)


def after(*records):
    """The state that a walk over these records leaves."""
    state = State()
    lines = [encode(record) for record in records]
    Walk(state, Rules(PROFILES["blue_8b"]), Decoder()).take(Chunk(0, list(range(len(lines))), lines))
    return state


def known(stream):
    """Every plane of a stream by name, floats as hex, so that equal means the same bits; and the cadence."""
    planes = {n: [v.hex() if isinstance(v, float) else v for v in p] for n, p in zip(READ, stream.planes, strict=True)}
    return planes, stream.decide


# -- planes --------------------------------------------------------------------------------------------------------


OTHER = {
    "acb": {"signals": 2.0}, "meta": {"boost": 2.0}, "mc": {"scale": 0.5}, "ob": {"mult": 0.9}, "esof": {"score": 0.1},
    "posture": {"posture": "STALKER"}, "capital": {"capital_usd": 1.0}, "cadence": {"decide": 4},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize(("seq", "ts_ms"), [(0, START_MS - 10**9), (99, START_MS + 10**9), (5, START_MS)])
def test_the_last_plane_by_offset_holds_whatever_its_seq_or_ts_ms(name, seq, ts_ms):
    first = plane(name, (strategies.PLAIN | {"cadence": {"decide": 1}})[name], seq=5)
    second = plane(name, OTHER[name], seq=seq, ts_ms=ts_ms)
    assert known(after(first, second).stream("ng7")) == known(after(second).stream("ng7"))


@pytest.mark.parametrize(("name", "value"), strategies.PLAIN.items())
def test_a_plane_acts_on_its_own_stream_only(name, value):
    state = after(*strategies.planes(stream="a", **{name: value}))
    before = known(state.stream("b")), known(StreamState())
    assert before[0] == before[1]
    assert known(state.stream("a")) != before[0]


@pytest.mark.parametrize("name", OTHER)
def test_a_plane_changes_nothing_but_its_own_value(name):
    values = strategies.PLAIN | {"cadence": {"decide": 1}}
    every = [plane(n, v) for n, v in values.items()]
    was = known(after(*every).stream("ng7"))
    now = known(after(*every, plane(name, OTHER[name], ts_ms=START_MS + 1)).stream("ng7"))
    changed = {n for n in was[0] if was[0][n] != now[0][n]}
    assert changed == ({name} if name != "cadence" else set())
    assert (was[1] != now[1]) == (name == "cadence")


def test_a_multiplier_form_after_an_input_form_counts_alone_and_the_other_way_round():
    inputs = {"eff_imb": -0.2, "agree": 0.9, "n_assets": 6}
    stream = after(plane("ob", inputs), plane("ob", {"mult": 1.1})).stream("ng7")
    assert stream.lane_planes("ob") == {"ob": {"mult": 1.1, "ts_ms": START_MS}}
    stream = after(plane("ob", {"mult": 1.1}), plane("ob", inputs)).stream("ng7")
    assert stream.lane_planes("ob") == {"ob": inputs | {"ts_ms": START_MS}}


def test_a_foreign_kernel_sees_the_planes_of_its_lane_in_the_form_they_came_in():
    stream = after(
        plane("acb", {"signals": 2.0}),
        plane("mc", {"scale": 0.5}),
        plane("esof", {"score": 0.1}, ts_ms=START_MS + 7),
    ).stream("ng7")
    assert stream.lane_planes("acb") == {
        "acb": {"signals": 2.0, "ts_ms": START_MS}, "meta": None, "mc": {"scale": 0.5, "ts_ms": START_MS},
    }  # fmt: skip
    assert stream.lane_planes("esof") == {"esof": {"score": 0.1, "ts_ms": START_MS + 7}}
    assert stream.lane_planes("ob") == {"ob": None}
    assert stream.held("posture") is None
    assert after(plane("posture", {"posture": "STALKER"})).stream("ng7").held("posture") == {
        "posture": "STALKER",
        "ts_ms": START_MS,
    }
    assert stream.lane_planes("base") == stream.lane_planes("dc") == {}


@pytest.mark.parametrize("missing", READ)
def test_a_state_is_complete_only_when_every_plane_was_seen(missing):
    every = strategies.planes()
    assert after(*every).complete(registry.READ)
    assert not after(*(p for p in every if p["name"] != missing)).complete(registry.READ)
    assert not after(*every, plane("acb", {"boost": 1.0}, stream="other")).complete(registry.READ)


# -- identities ----------------------------------------------------------------------------------------------------


def test_4096_scans_back_is_a_repeat_and_4097_is_not():
    stream = StreamState()
    assert [stream.repeat(i, START_MS) for i in range(IDENTITIES)] == [False] * 4_096
    assert stream.repeat(0, START_MS)  # 4,096 back
    assert not stream.repeat(-1, START_MS)
    assert not stream.repeat(1, START_MS)  # 4,097 back
    assert len(stream.identities()) <= IDENTITIES


@pytest.mark.parametrize("count", range(2 * IDENTITIES - 1, 2 * IDENTITIES + 2))
def test_the_window_is_exact_where_older_identities_are_dropped(count):
    def after_many():
        stream = StreamState()
        for i in range(count):
            stream.repeat(i, START_MS)
        return stream

    assert after_many().repeat(count - IDENTITIES, START_MS)
    assert not after_many().repeat(count - IDENTITIES - 1, START_MS)
    assert len(after_many()._order) < 2 * IDENTITIES


def test_a_repeat_is_itself_the_last_sight_of_its_identity():
    stream = StreamState()
    stream.repeat(7, START_MS)
    for i in range(100, 100 + 4_000):
        stream.repeat(i, START_MS)
    assert stream.repeat(7, START_MS)
    for i in range(10_000, 10_000 + 4_095):
        stream.repeat(i, START_MS)
    assert stream.repeat(7, START_MS)  # 4,096 after the repeat, though 8,000 after the first


def test_an_identity_is_stream_scan_id_and_ts_ms():
    state = State()
    assert not state.stream("a").repeat(1, START_MS)
    assert not state.stream("a").repeat(1, START_MS + 1)
    assert not state.stream("a").repeat(2, START_MS)
    assert not state.stream("b").repeat(1, START_MS)
    assert state.stream("a").repeat(1, START_MS)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=300), st.integers(1, 20))
def test_repeats_are_those_of_a_plain_window(scan_ids, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reactor.evaluate.state.IDENTITIES", window)
        stream, last = StreamState(), deque(maxlen=window)
        for scan_id in scan_ids:
            assert stream.repeat(scan_id, START_MS) == (scan_id in last)
            last.append(scan_id)
            assert set(stream.identities()) == {(each, START_MS) for each in last}


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=200), st.integers(0, 200), st.integers(1, 20))
def test_identities_read_back_are_the_same_window(scan_ids, at, window):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reactor.evaluate.state.IDENTITIES", window)
        whole = State()
        for scan_id in scan_ids[:at]:
            whole.stream("a").repeat(scan_id, START_MS)
        back = [("a", scan_id, START_MS) for scan_id in scan_ids[:at][-window:]]
        resumed = State.load(whole.dump(), back)
        for scan_id in scan_ids[at:]:
            assert resumed.stream("a").repeat(scan_id, START_MS) == whole.stream("a").repeat(scan_id, START_MS)


# -- dump and load -------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.lists(strategies.plane_records, max_size=12))
def test_a_dump_is_json_and_loads_to_the_same_bits(records):
    state = after(*records)
    for stream in state.streams.values():
        stream.scans, stream.last_ts_ms = 2**40 + 1, START_MS
    loaded = State.load(state.dump(), [])
    assert {n: known(s) for n, s in loaded.streams.items()} == {n: known(s) for n, s in state.streams.items()}
    assert [(s.scans, s.last_ts_ms) for s in loaded.streams.values()] == [(2**40 + 1, START_MS)] * len(state.streams)
    assert loaded.dump() == state.dump()
    assert json.loads(state.dump()).keys() == state.streams.keys()


@pytest.mark.parametrize("value", EXTREME)
def test_extreme_floats_survive_a_dump(value):
    state = State()
    state.stream("ng7").planes[:] = [(2, value, value, value, START_MS, "")] * len(READ)
    loaded = State.load(state.dump(), []).stream("ng7")
    assert {v.hex() for held in loaded.planes for v in held[1:4]} == {value.hex()}


def test_an_empty_state_is_an_empty_object():
    assert State().dump() == b"{}"
    assert State.load(b"{}", []).streams == {}


def test_a_stream_known_by_its_identities_alone_is_there():
    assert State.load(b"{}", [("a", 1, START_MS)]).stream("a").repeat(1, START_MS)


def test_a_whole_state_brings_its_identities_with_it():
    state = State()
    stream = state.streams["ng7"] = StreamState()
    for n in range(3):
        stream.repeat(n, START_MS + n)
    loaded = State.load(
        json.dumps({name: msgspec.to_builtins(each) for name, each in state.whole().items()}).encode(), ()
    )
    assert loaded.identities() == state.identities()
    assert loaded.streams["ng7"].repeat(1, START_MS + 1)
