"""The step: one outcome a record, the same bits however the records are cut into batches."""

import hashlib
import json
import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.row import Coded, joined
from lanes.code import Bound, Outcome, Reason, Reject
from lanes.profile import PROFILES, profile
from lanes.registry import LANES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import CUT_BYTES, MAX_BYTES, Decoder, Fault, Plane, Scan, form_of
from reactor.evaluate.state import IDENTITIES, State
from reactor.evaluate.step import advance, outcomes, step
from reactor.evaluate.walk import Rules, Walk
from tests import oracle, strategies
from tests.strategies import START_MS, encode, mixed_archive, plane, planes, scan

BLUE, V3 = Rules(PROFILES["blue_8b"]), Rules(PROFILES["v3_base9"])
SC = Rules(profile("blue_8b", {"esof": {"application": "sc_post"}}))
KINDS = tuple(Outcome)


def run(lines, rules=BLUE, size=None, first=0, state=None):
    """Batches of some lines, `size` records each."""
    state, size = State() if state is None else state, size or len(lines)
    expected, batches = first, []
    for at in range(0, len(lines), size):
        some = lines[at : at + size]
        chunk = Chunk(0, list(range(first + at, first + at + len(some))), some)
        batches.append(step(state, chunk, rules, Decoder(), topic="t", segment=1, expected=expected))
        expected = batches[-1].last + 1
    return batches


def one(*records, rules=BLUE):
    """Outcome of the last of some records: a row as a dict, or ("plane" | "reject", ...)."""
    batch = run([r if isinstance(r, bytes) else encode(r) for r in records], rules)[0]
    return oracle.by_offset(batch)[len(records) - 1]


def reject(*records, rules=BLUE):
    """(code, lane) of the last of some records, which must be the only reject."""
    batch = run([r if isinstance(r, bytes) else encode(r) for r in records], rules)[0]
    block = batch.rows[Outcome.REJECT]
    assert block.offsets.tolist() == [len(records) - 1]
    return Reject(int(block.columns["code"][0])), block.columns["lane"][0]


def marks(*records, rules=BLUE):
    """Reasons of the last of some records."""
    return one(*records, rules=rules)["reasons"]


def fresh(**values):
    """Every plane at START_MS, so that a scan there bears no mark."""
    return planes(**values)


def total(batches):
    return sum(b.content_hash for b in batches) % 2**64


def sight(batches):
    """Everything that batches say of offsets: kinds, row hashes, gaps."""
    rows = sorted(
        (int(offset), kind, int(hashed))
        for b in batches
        for kind, block in b.rows.items()
        for offset, hashed in zip(block.offsets, block.hashes, strict=True)
    )
    return rows, [gap for b in batches for gap in b.skipped]


# -- one outcome a record ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_mixed_archive_has_every_outcome_reason_bound_and_wire_reject(seed):
    lines = mixed_archive(seed)
    assert lines == mixed_archive(seed) != mixed_archive(seed + 100)
    (batch,) = run(lines)
    scored = [batch.rows[kind] for kind in (Outcome.DECISION, Outcome.EVALUATION)]
    assert all(len(batch.rows[kind]) for kind in KINDS)
    assert len(scored[0]) >= 100
    assert {Bound(int(b)) for rows in scored for b in rows.columns["bound"]} == set(Bound)
    assert np.bitwise_or.reduce(np.concatenate([r.columns["reasons"] for r in scored])) == sum(
        1 << reason for reason in Reason
    )
    assert set(batch.rows[Outcome.REJECT].columns["code"].tolist()) == strategies.WIRE_CODES


def test_every_record_ends_in_exactly_one_outcome():
    lines = [*mixed_archive(3, 1000), None]
    (batch,) = run(lines)
    offsets = np.concatenate([block.offsets for block in batch.rows.values()])
    assert sorted(offsets.tolist()) == list(range(len(lines)))
    for block in batch.rows.values():
        assert (np.diff(block.offsets) > 0).all()  # in offset order
    assert (batch.first, batch.last) == (0, len(lines) - 1)


@pytest.mark.parametrize(
    "lines",
    [[b""], [encode(scan())], [encode(plane("mc", {"scale": 1.0}))], [None, None]],
    ids=["empty", "scan", "plane", "tombstones"],
)
def test_a_batch_may_be_of_one_kind_alone(lines):
    (batch,) = run(lines)
    assert sum(map(len, batch.rows.values())) == len(lines)
    assert len(batch.rows[Outcome.DECISION].take(np.array([], np.int64))) == 0
    assert batch.last_ts_ms == (START_MS if len(batch.rows[Outcome.DECISION]) else 0)


@pytest.mark.parametrize("seed", range(3))
def test_good_records_decide_as_if_the_poison_around_them_were_not_there(seed):
    rng = random.Random(seed)
    good = [line for line in mixed_archive(seed) if not isinstance(Decoder().decode(line), Fault)]
    poisoned = list(good)
    for _, raw, code in strategies.POISON:
        if code:
            poisoned.insert(rng.randrange(len(poisoned) + 1), raw)
    clean, dirty = run(good), run(poisoned)
    assert total(clean) == total(dirty)
    assert len(dirty[0].rows[Outcome.REJECT]) == len(clean[0].rows[Outcome.REJECT]) + sum(
        1 for _, _, code in strategies.POISON if code
    )


# Well-formed and not clean, or clean but for a name.
ODD = [
    *(encode(scan(context=context)) for context in ({}, {"a": {"b": 1}}, {"a": [1]}, {"a": None, "b": True})),
    *(encode(scan(context={"a": json.loads("[" * n + "]" * n)})) for n in (125, 126, 127, 200)),
    encode(scan(context={"long": "x" * 1000})),
    *(encode(scan(prices={"BTCUSDT": 1.0, "ETHUSDT": price})) for price in (0.0, -0.0, -1.0, 0, 5e-324)),
    *(encode(scan(prices={"BTCUSDT": 0.0, name: 1.0})) for name in ("eth", "ETH USDT", "X" * 33)),
    encode(scan(irp={"btc": {"score": 1.0, "alignment": 1.0}})),
    *(encode(scan(stream=name)) for name in ("", "a b", "s" * 65)),
    encode(plane("acb", {"boost": 1.2}) | {"stream": "a b"}),
    *(encode(plane("acb", value)) for value in ({"boost": 1.2, "signals": 1.0}, {"boost": 1.2, "note": 1}, {})),
]


@settings(max_examples=100)
@given(
    st.lists(
        st.binary(max_size=40) | strategies.damaged() | strategies.records.map(encode) | st.sampled_from(ODD),
        min_size=1,
        max_size=12,
    )
)
def test_the_walk_takes_each_record_as_the_decoder_does(lines):
    walk, decoder = Walk(State(), BLUE, Decoder()), Decoder()
    lines = lines * 2  # the second time all names are known
    walk.take(Chunk(0, list(range(len(lines))), lines))
    records = [decoder.decode(line) for line in lines]
    assert [row[0] for row in walk.scans] == [i for i, r in enumerate(records) if isinstance(r, Scan)]
    taken = [(row[0], row[3], row[4], repr(row[5:9])) for row in walk.planes if row[0] >= 0]
    planes = [(i, r) for i, r in enumerate(records) if isinstance(r, Plane)]
    assert taken == [(i, r.seq, r.ts_ms, repr(form_of(r)[:4])) for i, r in planes]
    assert walk.faults == {i: r for i, r in enumerate(records) if isinstance(r, Fault)}
    assert walk.decoder.take_unknown() == decoder.take_unknown()


@pytest.mark.parametrize(
    "field",
    [
        {"stream": "a b"}, {"prices": {"btc": 1.0}}, {"irp": {"btc": {"score": 1.0, "alignment": 1.0}}},
        {"context": []}, {"context": {"a": "\ud800"}}, {"context": {"pad": "x" * 900_000}}, {"note": 1}, {"v": 2},
    ],
    ids=lambda field: str(field)[:30],
)  # fmt: skip
def test_a_walk_that_knows_every_name_still_judges_each_field(field):
    walk, decoder, raw = Walk(State(), BLUE, Decoder()), Decoder(), encode(scan(scan_id=1) | field)
    walk.take(Chunk(0, [0, 1, 2], [encode(scan()), raw, raw]))
    record = decoder.decode(raw)
    assert walk.faults == ({1: record, 2: record} if isinstance(record, Fault) else {})
    assert isinstance(record, Fault) == (field != {"note": 1})
    assert walk.decoder.take_unknown() == ({"note": 2} if field == {"note": 1} else {})


def test_a_walk_judges_size_though_a_line_is_long_by_white_space_alone():
    walk = Walk(State(), BLUE, Decoder())
    lines = [encode(scan(scan_id=i)).ljust(size) for i, size in enumerate((1, MAX_BYTES, MAX_BYTES + 1))]
    walk.take(Chunk(0, [0, 1, 2], lines))
    assert {at: fault.code for at, fault in walk.faults.items()} == {2: Reject.TOO_LARGE}


# -- against the oracle --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "reference"),
    [(BLUE, oracle.BLUE), (V3, oracle.V3), (SC, oracle.SC_POST)],
    ids=["blue_8b", "v3_base9", "sc_post"],
)
def test_every_row_is_the_scalar_oracles_bit_for_bit(rules, reference):
    lines = mixed_archive(7, 4_000)
    walker = oracle.Oracle(reference)
    expected = {offset: walker.outcome(line) for offset, line in enumerate(lines)}
    found = {}
    for batch in run(lines, rules, size=1_500):
        found |= oracle.by_offset(batch)
    assert oracle.differences(found, expected) == []
    assert sum(isinstance(row, dict) for row in found.values()) > 2_000


@settings(max_examples=150)
@given(st.lists(strategies.records, min_size=1, max_size=12), st.data())
def test_any_records_are_the_oracles(records, data):
    few = [r | {"stream": data.draw(st.sampled_from("ab"))} for r in records]
    times = st.integers(START_MS, START_MS + 2_000_000)
    few = [r | {"ts_ms": data.draw(times)} if data.draw(st.booleans()) else r for r in few]
    lines = [encode(r) for r in few]
    walker = oracle.Oracle()
    expected = {offset: walker.outcome(line) for offset, line in enumerate(lines)}
    assert oracle.differences(oracle.by_offset(run(lines)[0]), expected) == []


# -- determinism ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [BLUE, SC], ids=["fan_in", "sc_post"])
@pytest.mark.parametrize("size", [1, 7, 97, 4_096])
def test_no_bit_depends_on_how_records_are_cut_into_batches(size, rules):
    lines = mixed_archive(5, 600)
    whole, cut = run(lines, rules), run(lines, rules, size=size)
    assert total(whole) == total(cut)
    assert sight(whole) == sight(cut)
    assert whole[-1].state == cut[-1].state


@pytest.mark.parametrize("size", [1, 7, 97])
def test_parts_joined_are_the_whole(size):
    def spelled(values):
        return values.strings() if isinstance(values, Coded) else list(values)

    lines = [line for line in mixed_archive(5, 600) if len(line) < MAX_BYTES]
    (whole,), both = run(lines), joined(run(lines, size=size))
    for name in ("topic", "partition", "segment", "first", "last", "skipped", "unknown", "last_ts_ms", "state"):
        assert getattr(both, name) == getattr(whole, name), name
    for kind, block in whole.rows.items():
        assert both.rows[kind].digest() == block.digest()
        for name, values in block.columns.items():
            assert repr(spelled(both.rows[kind].columns[name])) == repr(spelled(values)), name


@pytest.mark.parametrize("size", [1, 7, 97])
def test_no_bit_depends_on_a_resume_between_batches(size):
    lines = mixed_archive(6, 600)
    whole, scans, state = run(lines), [], State()
    resumed = []
    for at in range(0, len(lines), size):
        some = lines[at : at + size]
        resumed += run(some, first=at, state=state)
        scans += [r for r in map(Decoder().decode, some) if isinstance(r, Scan)]
        last = [(s.stream, s.scan_id, s.ts_ms) for s in scans]
        state = State.load(resumed[-1].state, last)
    assert sight(resumed) == sight(whole)
    assert resumed[-1].state == whole[-1].state


def test_no_bit_depends_on_how_a_walk_is_fed():
    lines = mixed_archive(5, 600)
    rng, walk, at = random.Random(1), Walk(State(), BLUE, Decoder()), 0
    while at < len(lines):
        count = rng.randint(1, 40)
        walk.take(Chunk(0, list(range(at, min(at + count, len(lines)))), lines[at : at + count]))
        at += count
    fed = outcomes(walk, topic="t", partition=0, segment=1, expected=0)
    assert sight([fed]) == sight(run(lines))


def test_streams_do_not_touch_each_other():
    lines = mixed_archive(8, 900)
    streams = {}
    for line in lines:
        record = Decoder().decode(line)
        if not isinstance(record, Fault):
            streams.setdefault(record.stream, []).append(line)
    assert len(streams) == 3
    assert total(run(lines)) == sum(total(run(some)) for some in streams.values()) % 2**64


def test_a_state_that_was_only_moved_on_is_the_same_state():
    lines = mixed_archive(9)
    state = State()
    advance(state, Chunk(0, list(range(len(lines))), lines), BLUE, Decoder())
    assert state.dump() == run(lines)[0].state


@pytest.mark.parametrize("name", ["acb", "meta", "mc", "ob", "esof", "capital"])
def test_one_planes_value_by_one_ulp_alone_changes_the_hash(name):
    # An APEX decision below every cap: each factor reaches the product.
    base = [*fresh(esof={"mult": 0.9}), scan(vel_div=-0.0337)]
    field, value = next(iter((strategies.PLAIN | {"esof": {"mult": 0.9}})[name].items()))
    moved = [*base[:-1], plane(name, {field: math.nextafter(value, math.inf)}), base[-1]]
    assert run([encode(r) for r in base])[0].content_hash != run([encode(r) for r in moved])[0].content_hash


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vel_div", math.nextafter(-0.0337, 0.0)),
        ("vel_div", math.nextafter(-0.0337, -1.0)),
        ("w750", 0.0),
        ("w750", 5e-324),
        ("dc_status", "CONTRADICT"),  # no other value changes with it
        ("dc_status", "CONFIRM"),
        ("dc_status", "SIDEWAYS"),
        ("irp", {"ETHUSDT": {"score": 0.41, "alignment": 0.6}}),
        ("irp", None),
        ("prices", {"BTCUSDT": 94210.5, "ETHUSDT": 1.0, "SOLUSDT": 0.0}),  # one reason alone
        ("stream", "ng8"),
        ("scan_id", 18),
        ("ts_ms", START_MS + 1),
    ],
    ids=lambda v: str(v)[:20],
)
def test_one_field_of_a_scan_alone_changes_the_hash(field, value):
    base = scan(vel_div=-0.0337, prices={"BTCUSDT": 94210.5, "ETHUSDT": 1.0, "SOLUSDT": 1.0})
    every = [encode(p) for stream in ("ng7", "ng8") for p in planes(stream=stream)]
    hashes = {run([*every, encode(record)])[0].content_hash for record in (base, base | {field: value})}
    assert len(hashes) == 2


def test_one_posture_alone_changes_the_hash():
    hashes = {
        run([encode(r) for r in [*fresh(posture={"posture": name}), scan(vel_div=-0.0337)]])[0].content_hash
        for name in ("APEX", "TURTLE", "HIBERNATE", "STALKER", "LURKER")
    }
    assert len(hashes) == 5


def test_other_params_alone_change_the_hash():
    other = Rules(profile("blue_8b", {"acb": {"alert_age_ms": 3_600_001}}))
    lines = [encode(r) for r in [*fresh(), scan()]]
    assert run(lines)[0].content_hash != run(lines, other)[0].content_hash


def test_prices_that_change_nothing_that_is_stored_do_not_change_the_hash():
    lines = [[encode(scan(prices={"BTCUSDT": price}))] for price in (1.0, 2.0)]
    assert len({run(some)[0].content_hash for some in lines}) == 1


# -- the questions in their order ----------------------------------------------------------------------------------


def test_a_repeat_is_asked_before_the_signal():
    again = marks(*fresh(), scan(), scan(vel_div=0.5, irp=None))
    assert again == {"DUP_SCAN"}


def test_the_signal_is_asked_before_the_cadence():
    off = [*fresh(), plane("cadence", {"decide": 2})]
    assert marks(*off, scan(vel_div=-0.02)) == {"NO_SIGNAL"}
    assert marks(*off, scan(irp=None)) == {"CADENCE"}


def test_the_asset_is_asked_last():
    assert marks(*fresh(), scan(irp=None)) == {"NO_ELIGIBLE_ASSET"}
    assert one(*fresh(), scan(irp=None))["asset"] == ""


@pytest.mark.parametrize(
    ("vel_div", "decides"),
    [
        (-0.02, False),
        (math.nextafter(-0.02, -1.0), True),
        (math.nextafter(-0.02, 0.0), False),
        (-605.0, True),
        (0.0, False),
    ],
)
def test_the_signal_is_strictly_below_the_threshold(vel_div, decides):
    assert one(*fresh(), scan(vel_div=vel_div))["decided"] is decides


def test_every_scan_is_evaluated_whatever_its_reason():
    rows = [one(*fresh(acb={"boost": 1.25}), *some) for some in ([scan()], [scan(irp=None)], [scan(), scan()])]
    lanes = ("base", "dc", "acb_boost", "ob", "esof", "cap", "leverage", "notional_usd")
    assert len({tuple(row[name] for name in lanes) for row in rows}) == 1
    assert [row["decided"] for row in rows] == [True, False, False]


def test_the_cadence_lets_the_qth_scan_since_its_plane_decide():
    def scans(count, first):
        return [scan(scan_id=first + i) for i in range(count)]

    lines = [
        *fresh(), scan(scan_id=1), scan(scan_id=2), plane("cadence", {"decide": 3}), *scans(7, 10),
        plane("cadence", {"decide": 2}), *scans(3, 20), plane("cadence", {"decide": 1}), *scans(2, 30),
    ]  # fmt: skip
    (batch,) = run([encode(r) for r in lines])
    decided = batch.rows[Outcome.DECISION].columns["scan_id"].tolist()
    assert decided == [1, 2, 12, 15, 21, 30, 31]


def test_repeats_are_not_counted_by_the_cadence_but_scans_without_signal_are():
    lines = [
        plane("cadence", {"decide": 2}),
        scan(scan_id=1),
        scan(scan_id=1),
        scan(scan_id=1),
        scan(scan_id=2),
    ]
    assert one(*lines)["decided"]
    lines = [plane("cadence", {"decide": 2}), scan(scan_id=1, vel_div=0.0), scan(scan_id=2)]
    assert one(*lines)["decided"]
    lines = [plane("cadence", {"decide": 2}), b"{", plane("mc", {"scale": 1.0}), scan(scan_id=1)]
    assert not one(*lines)["decided"]


def test_a_repeat_from_4096_scans_back_is_marked_and_from_further_back_decides_again():
    lines = [encode(scan(scan_id=i)) for i in range(IDENTITIES)]
    last = {count: one(*lines[:count], scan(scan_id=0)) for count in (1, IDENTITIES)}
    assert all(not row["decided"] and "DUP_SCAN" in row["reasons"] for row in last.values())
    assert one(*lines, scan(scan_id=IDENTITIES), scan(scan_id=0))["decided"]


def test_event_time_going_back_is_marked_and_changes_nothing_else():
    late = one(*fresh(), scan(scan_id=1, ts_ms=START_MS + 1_000), scan(ts_ms=START_MS))
    assert late["reasons"] == {"OUT_OF_ORDER"}
    assert late["decided"]
    assert marks(*fresh(), scan(scan_id=1), scan()) == set()  # the same time is not back
    after = [scan(scan_id=i, ts_ms=START_MS + ms) for i, ms in enumerate((5_000, 1_000, 2_000))]
    assert marks(*fresh(), *after) == set()  # against the scan before it


# -- as of -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_ms", [-(10**9), 0, 10**9])
def test_a_later_or_fresher_plane_never_changes_an_older_decision(ahead_ms):
    lines = [encode(r) for r in [*fresh(), scan()]]
    later = [encode(p) for p in planes(START_MS + ahead_ms, acb={"boost": 2.0}, posture={"posture": "STALKER"})]
    alone, followed = run(lines)[0], run(lines + later)[0]
    assert alone.content_hash == followed.content_hash


def test_a_plane_between_two_scans_of_one_batch_changes_only_the_second():
    lines = [
        *fresh(),
        scan(scan_id=1),
        plane("ob", {"mult": 0.9}),
        scan(scan_id=2),
        plane("ob", {"mult": 1.1}),
        scan(),
    ]
    rows = run([encode(r) for r in lines])[0].rows[Outcome.DECISION]
    assert rows.columns["ob"].tolist() == [1.0, 0.9, 1.1]


def test_a_plane_of_another_stream_changes_nothing():
    other = planes(stream="other", acb={"boost": 2.0}, capital={"capital_usd": 1.0})
    assert oracle.differences({0: one(*fresh(), *other, scan())}, {0: one(*fresh(), scan())}) == []


def test_an_older_plane_that_comes_later_holds():
    row = one(*fresh(), plane("acb", {"boost": 1.1}, seq=0, ts_ms=START_MS - 1_000), scan())
    assert row["acb_boost"] == 1.1


# -- marks -----------------------------------------------------------------------------------------------------------

MISSING = {f"PLANE_MISSING_{n}" for n in ("ACB", "META", "MC", "OB", "ESOF", "POSTURE", "CAPITAL")}


def test_a_stream_without_planes_is_sized_as_the_contract_says_and_marked():
    row = one(scan())
    assert row["reasons"] == MISSING
    assert (row["acb_boost"], row["meta_boost"], row["mc_scale"], row["ob"], row["esof"]) == (
        1.0,
        1.0,
        1.0,
        1.0,
        0.4,
    )
    assert (row["capital_usd"], row["posture"], row["dc_status"]) == (25_000.0, "", "NEUTRAL")


@pytest.mark.parametrize("name", strategies.PLAIN)
def test_each_missing_plane_has_its_own_mark(name):
    every = [p for p in fresh() if p["name"] != name]
    assert marks(*every, scan()) == {f"PLANE_MISSING_{name.upper()}"}
    assert marks(*fresh(), scan()) == set()


def test_signals_stand_for_the_meta_plane():
    every = [p for p in fresh(acb={"signals": 2.0}) if p["name"] != "meta"]
    assert marks(*every, scan()) == set()


@pytest.mark.parametrize(("name", "alert_ms"), oracle.ALERT_MS.items())
def test_each_stale_plane_has_its_own_mark_strictly_beyond_its_age(name, alert_ms):
    def at(age_ms):
        others = [p | {"ts_ms": START_MS + age_ms} for p in fresh() if p["name"] != name]
        return marks(*others, plane(name, strategies.PLAIN[name]), scan(ts_ms=START_MS + age_ms))

    assert at(alert_ms) == set()
    assert at(alert_ms + 1) == {f"PLANE_STALE_{name.upper()}"}
    assert at(-alert_ms * 10) == set()  # a plane from later than the scan is fresh


@pytest.mark.parametrize("value", [{"mult": 0.9}, {"score": 0.1}], ids=["multiplier", "score"])
@pytest.mark.parametrize(
    ("age_ms", "fresh_"), [(-(10**9), True), (-1, True), (0, True), (900_000, True), (900_001, False)]
)
def test_a_haircut_is_stale_strictly_over_900_s_of_event_time_in_either_form(age_ms, fresh_, value):
    row = one(plane("esof", value), scan(ts_ms=START_MS + age_ms))
    assert row["esof"] == (0.9 if fresh_ else 0.4)
    assert ("PLANE_STALE_ESOF" in row["reasons"]) is not fresh_


def test_no_other_plane_loses_its_value_with_age():
    values = {"acb": {"boost": 1.3}, "ob": {"mult": 1.1}, "mc": {"scale": 0.7}, "meta": {"boost": 1.2}}
    young, old = (
        one(*fresh(**values, capital={"capital_usd": 7.0}), scan(ts_ms=START_MS + age)) for age in (0, 10 * 10**9)
    )
    assert all(young[n] == old[n] for n in ("acb_boost", "ob", "mc_scale", "meta_boost", "capital_usd", "posture"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"acb": {"boost": 4.0}}, set()),
        ({"acb": {"boost": math.nextafter(4.0, 5.0)}}, {"ACB_OUT_OF_RANGE"}),
        ({"acb": {"boost": 2.0}, "meta": {"boost": 3.0}}, {"ACB_OUT_OF_RANGE"}),
        ({"ob": {"mult": 0.85}}, set()),
        ({"ob": {"mult": 1.2}}, set()),
        ({"ob": {"mult": math.nextafter(0.85, 0.0)}}, {"OB_OUT_OF_RANGE"}),
        ({"ob": {"mult": math.nextafter(1.2, 2.0)}}, {"OB_OUT_OF_RANGE"}),
        ({"ob": {"eff_imb": 9.0, "agree": 0.9, "n_assets": 9}}, set()),
        ({"esof": {"mult": 1.0}}, set()),
        ({"esof": {"mult": math.nextafter(1.0, 2.0)}}, {"ESOF_OUT_OF_RANGE"}),
        ({"esof": {"score": -1.0}}, set()),
        ({"esof": {"score": math.nextafter(-1.0, -2.0)}}, {"ESOF_OUT_OF_RANGE"}),
        ({"esof": {"score": math.nextafter(1.0, 2.0)}}, {"ESOF_OUT_OF_RANGE"}),
        ({"posture": {"posture": "TURTLE"}}, set()),
        ({"posture": {"posture": "turtle"}}, {"POSTURE_UNKNOWN"}),
        ({"mc": {"scale": 0.0}}, {"FLOOR_LIFTED"}),
        ({"acb": {"boost": 0.0}}, {"FLOOR_LIFTED"}),
        ({"mc": {"scale": 5e-324}}, set()),  # the floor, but of no zero
    ],
    ids=str,
)
def test_what_is_usable_but_out_of_range_is_kept_and_marked(values, expected):
    assert marks(*fresh(**values), scan()) == expected


@pytest.mark.parametrize(
    ("status", "read", "marked"),
    [(..., "NEUTRAL", False), (None, "NEUTRAL", False), ("NEUTRAL", "NEUTRAL", False), ("CONFIRM", "CONFIRM", False),
     ("CONTRADICT", "CONTRADICT", False), ("UNKNOWN", "UNKNOWN", True), ("", "UNKNOWN", True), ("confirm", "UNKNOWN", True)],
)  # fmt: skip
def test_an_unknown_dc_status_takes_the_else_branch_and_is_marked(status, read, marked):
    row = one(*fresh(), scan(vel_div=-0.03, dc_status=status))
    assert (row["dc_status"], row["dc"]) == (read, 1.1 if status == "CONFIRM" else 1.0)
    assert row["reasons"] == ({"DC_UNKNOWN"} if marked else set())


def test_a_dropped_symbol_is_marked_once_however_many_there_are():
    assert marks(*fresh(), scan(prices={"BTCUSDT": 1.0, "A": 0.0, "B": -1.0})) == {"SYMBOL_DROPPED"}
    assert marks(*fresh(), scan(prices={"BTCUSDT": 1.0, "A": 5e-324})) == set()


def test_a_disabled_lane_has_no_marks():
    everything_wrong = fresh(acb={"boost": 9.0}, ob={"mult": 9.0}, esof={"mult": 9.0}, posture={"posture": "LURKER"})
    assert marks(scan(), rules=V3) == {"PLANE_MISSING_CAPITAL"}
    late = scan(ts_ms=START_MS + 10**9)
    assert marks(*everything_wrong, late, rules=V3) == {"PLANE_STALE_CAPITAL"}
    for lane in ("acb", "ob", "esof"):
        rules = Rules(profile("blue_8b", {lane: {"enabled": False}}))
        named = {"acb": ("ACB", "META", "MC")}.get(lane, (lane.upper(),))
        assert marks(scan(), rules=rules) == MISSING - {f"PLANE_MISSING_{n}" for n in named}


# -- the recorded soak -----------------------------------------------------------------------------------------------


def test_v3_base9_gives_the_recorded_median_and_a_saturated_scan():
    drawn = random.Random(3)
    triggered = [-0.0337 + drawn.choice((-1, 1)) * drawn.random() * 0.01 for _ in range(1_000)]
    triggered += [2 * -0.0337 - vd for vd in triggered] + [-0.0337]
    lines = [encode(scan(scan_id=i, vel_div=vd)) for i, vd in enumerate([*triggered, 0.0, -0.01])]
    rows = run(lines, V3)[0].rows[Outcome.DECISION]
    assert np.median(rows.columns["vel_div"]) == -0.0337
    assert np.median(rows.columns["leverage"]) == 1.3095000185185186
    saturated = one(scan(vel_div=-605.0), rules=V3)
    assert saturated["fraction"] * saturated["leverage"] == 1.8
    assert saturated["notional_usd"] == 45_000.0


# -- lanes that are not finite, foreign kernels ----------------------------------------------------------------------

HUGE = {"boost": 1e308}


@pytest.mark.parametrize(
    ("values", "lane"),
    [
        ({"acb": HUGE, "meta": HUGE}, "acb"),
        ({"acb": HUGE}, "fanin"),
        ({"ob": {"mult": 1.7976931348623157e308}}, "fanin"),
        ({"capital": {"capital_usd": 1.7976931348623157e308}}, "fanin"),
        ({"acb": {"signals": 1.7976931348623157e308}}, None),  # log1p of it is finite
    ],
    ids=str,
)
def test_what_is_not_finite_rejects_with_the_name_of_its_lane(values, lane):
    if lane is None:
        assert isinstance(one(*fresh(**values), scan()), dict)
    else:
        assert reject(*fresh(**values), scan()) == (Reject.LANE_NON_FINITE, lane)


def test_a_scan_that_overflows_says_which_and_still_counts_as_an_identity():
    lines = [encode(r) for r in [*fresh(acb=HUGE), scan(), plane("acb", {"boost": 1.0}), scan()]]
    (batch,) = run(lines)
    block = batch.rows[Outcome.REJECT]
    assert [block.columns[n][0] for n in ("kind", "stream", "scan_id", "ts_ms", "detail")] == [
        "scan", "ng7", 17, START_MS, "fanin is not finite",
    ]  # fmt: skip
    assert block.columns["raw"] == [encode(scan())]
    assert oracle.by_offset(batch)[len(lines) - 1]["reasons"] == {"DUP_SCAN"}


@pytest.mark.parametrize("lane", [lane.name for lane in LANES])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (math.nan, Reject.LANE_NON_FINITE),
        (math.inf, Reject.LANE_NON_FINITE),
        (np.float64("nan"), Reject.LANE_NON_FINITE),
        ("1.0", Reject.LANE_ERROR),
        (b"1.0", Reject.LANE_ERROR),
        (None, Reject.LANE_ERROR),
        ([1.0], Reject.LANE_ERROR),
        (1.0 + 0j, Reject.LANE_ERROR),
        (10**400, Reject.LANE_ERROR),
        (ZeroDivisionError("by zero"), Reject.LANE_ERROR),
        (RecursionError(), Reject.LANE_ERROR),
    ],
    ids=repr,
)
def test_a_foreign_kernel_that_fails_rejects_its_scan_alone(lane, answer, code):
    def kernel(record, planes):
        if record.scan_id != 17:
            return 1.0
        if isinstance(answer, Exception):
            raise answer
        return answer

    rules = Rules(PROFILES["blue_8b"], {lane: kernel})
    lines = [*fresh(), scan(scan_id=1), scan(), scan(scan_id=2), scan()]
    (batch,) = run([encode(r) for r in lines], rules)
    block = batch.rows[Outcome.REJECT]
    if lane == "esof" and answer == math.inf:  # clamped to 1: a haircut by whomever is
        assert len(block) == 0
        return
    assert [Reject(c) for c in block.columns["code"].tolist()] == [code, code]  # the repeat fails too
    assert block.columns["lane"] == [lane, lane]
    assert block.columns["scan_id"].tolist() == [17, 17]
    assert batch.rows[Outcome.DECISION].columns["scan_id"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("lane", "column"), [("base", "base"), ("dc", "dc"), ("acb", "acb_boost"), ("ob", "ob"), ("esof", "esof")]
)
def test_a_foreign_kernels_answer_takes_the_place_of_its_lane(lane, column):
    rules = Rules(PROFILES["blue_8b"], {lane: lambda record, planes: 0.75 + record.scan_id * 1e-3})
    found = [one(*fresh(), scan(scan_id=i), rules=rules)[column] for i in (1, 2)]
    assert found == [0.751, 0.752]


@pytest.mark.parametrize("answer", [1, np.float32(1.5), np.int64(1), True])
def test_any_real_number_is_an_answer(answer):
    assert one(*fresh(), scan(), rules=Rules(PROFILES["blue_8b"], {"ob": lambda r, p: answer}))["ob"] == float(answer)


def test_a_foreign_kernel_sees_the_planes_as_of_its_scan():
    seen = []

    def kernel(record, given):
        seen.append((record.scan_id, given["ob"] and given["ob"]["mult"]))
        return 1.0

    rules = Rules(PROFILES["blue_8b"], {"ob": kernel})
    lines = [
        scan(scan_id=1),
        plane("ob", {"mult": 0.9}),
        scan(scan_id=2),
        plane("ob", {"mult": 1.1}),
        scan(scan_id=2),
    ]
    run([encode(r) for r in lines], rules)
    assert seen == [(1, None), (2, 0.9), (2, 1.1)]


@pytest.mark.parametrize("order", [("acb", "ob"), ("ob", "acb")])
def test_of_several_failing_kernels_the_first_in_the_order_of_lanes_is_named(order):
    def fails(record, given):
        raise ValueError("no")

    kernels = {"dc": lambda r, p: math.nan} | dict.fromkeys(order, fails)
    assert reject(*fresh(), scan(), rules=Rules(PROFILES["blue_8b"], kernels)) == (Reject.LANE_ERROR, "acb")


def test_a_disabled_lanes_kernel_is_never_asked():
    def fails(record, given):
        raise ValueError("no")

    rules = Rules(PROFILES["v3_base9"], {"acb": fails, "ob": fails, "esof": fails})
    (batch,) = run([encode(scan())], rules)
    assert [len(batch.rows[kind]) for kind in KINDS] == [1, 0, 0, 0]


# -- offsets, long lines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offsets", "expected", "gaps"),
    [
        ([0, 1, 2], 0, []),
        ([5, 6, 7], 5, []),
        ([5, 6, 7], 3, [(3, 4)]),
        ([5, 7, 10], 5, [(6, 6), (8, 9)]),
        ([5, 7, 10], 0, [(0, 4), (6, 6), (8, 9)]),
        ([9], 8, [(8, 8)]),
        ([2**62, 2**62 + 2], 2**62, [(2**62 + 1, 2**62 + 1)]),
    ],
    ids=str,
)
def test_offsets_that_were_never_delivered_are_told_as_ranges(offsets, expected, gaps):
    lines = [encode(scan(scan_id=i)) for i in range(len(offsets))]
    batch = step(State(), Chunk(0, offsets, lines), BLUE, Decoder(), topic="t", segment=1, expected=expected)
    assert batch.skipped == gaps
    assert batch.rows[Outcome.DECISION].offsets.tolist() == offsets
    told = sum(b - a + 1 for a, b in batch.skipped) + len(offsets)
    assert told == offsets[-1] - expected + 1


def test_a_cut_line_rejects_as_too_large_with_the_length_and_digest_of_the_whole():
    head = encode(scan()).ljust(CUT_BYTES)  # even a head that would decode
    chunk = Chunk(0, [4, 5, 6], [encode(scan(scan_id=1)), head, encode(scan())], {5: (1_234_567, "ab" * 32)})
    batch = step(State(), chunk, BLUE, Decoder(), topic="t", segment=1, expected=4)
    block = batch.rows[Outcome.REJECT]
    assert block.offsets.tolist() == [5]
    assert block.columns["code"].tolist() == [Reject.TOO_LARGE]
    assert (block.columns["bytes"].tolist(), block.columns["digest"]) == ([1_234_567], ["ab" * 32])
    assert block.columns["raw"] == [head]
    assert batch.rows[Outcome.DECISION].columns["scan_id"].tolist() == [1, 17]  # not a repeat of the cut one


def test_a_cut_record_of_unknown_length_rejects_too():
    head = encode(scan()).ljust(CUT_BYTES)
    batch = step(
        State(), Chunk(0, [0], [head], {0: (CUT_BYTES, "ab" * 32)}), BLUE, Decoder(), topic="t", segment=1, expected=0
    )
    block = batch.rows[Outcome.REJECT]
    assert (block.columns["code"].tolist(), block.columns["bytes"].tolist()) == ([Reject.TOO_LARGE], [CUT_BYTES])
    assert block.columns["detail"] == ["cut, and its headers do not say of what; at most 900000"]


def test_a_reject_keeps_64_kib_of_its_bytes_and_the_digest_of_all():
    raw = b"[" + b" " * 100_000
    block = run([raw, None])[0].rows[Outcome.REJECT]
    assert [len(r) for r in block.columns["raw"]] == [65_536, 0]
    assert block.columns["bytes"].tolist() == [100_001, 0]
    assert block.columns["digest"] == [hashlib.sha256(r).hexdigest() for r in (raw, b"")]


def test_a_planes_row_holds_its_form_alone():
    lines = [
        plane("acb", {"signals": 3, "boost": 1.5, "x": 1}),
        plane("ob", {"n_assets": 3, "agree": 1, "eff_imb": 0.1}),
    ]
    block = run([encode(r) for r in lines])[0].rows[Outcome.PLANE]
    numbers = [block.columns[n].tolist() for n in ("form", "x", "y", "z")]
    assert [str(row) for row in zip(*numbers, strict=True)] == ["(1, 1.5, nan, nan)", "(2, 0.1, 1.0, 3.0)"]


def test_unknown_fields_are_told_with_their_batch():
    lines = [
        encode(scan(note=1)),
        encode(scan(scan_id=2, note=2)),
        encode(plane("mc", {"scale": 1.0, "x": 1})),
    ]
    state, decoder = State(), Decoder()
    first = step(state, Chunk(0, [0, 1, 2], lines), BLUE, decoder, topic="t", segment=1, expected=0)
    second = step(state, Chunk(0, [3], lines[:1]), BLUE, decoder, topic="t", segment=1, expected=3)
    assert first.unknown == {"note": 2, "value.x": 1}
    assert second.unknown == {"note": 1}


def test_a_rows_own_floats_keep_the_bits_of_the_wire():
    for value in (-0.0, 5e-324, -1.7976931348623157e308, -0.1 - 0.2):
        row = one(*fresh(), scan(vel_div=value, w750=value))
        assert struct.pack("<d", row["vel_div"]) == struct.pack("<d", row["w750"]) == struct.pack("<d", value)
