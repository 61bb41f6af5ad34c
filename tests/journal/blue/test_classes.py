"""Classes: one word and one place for a difference; ranked, excused, and never guessed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.blue.classes import Class, Kind, _ulps, classify, excuse, of_unpaired
from journal.blue.contract import Allowed
from journal.blue.pairing import Pair

OURS = {
    "base": 2.0, "dc": 1.1, "acb": 1.0, "acb_boost": 1.0, "meta_boost": 1.0, "mc_scale": 1.0, "ob": 1.0, "esof": 1.0,
    "leverage": 2.2, "notional_usd": 11_000.0, "capital_usd": 25_000.0, "vel_div": -0.03, "dc_status": "CONFIRM",
    "posture": "APEX", "reasons": [], "strength": 0.5,
}  # fmt: skip
TRADE = {
    "lanes": {"base": 2.0, "dc": 1.1, "acb": 1.0, "ob": 1.0, "esof": 1.0}, "leverage": 2.2, "notional_usd": 11_000.0,
    "capital_before": 25_000.0, "vel_div": -0.03, "dc_status": "CONFIRM", "posture": "APEX", "planes": '{"ob":{}}',
    "math_fingerprint": "f", "marks": [],
}  # fmt: skip


def up(value, ulps=1):
    return math.nextafter(value, math.inf) if ulps == 1 else up(math.nextafter(value, math.inf), ulps - 1)


def found(evaluated=OURS, **trade):
    return classify(Pair(trade=TRADE | trade, decision=OURS, by="id", gap_ms=0, candidates=1), evaluated, "f")


def lanes(**values):
    return TRADE["lanes"] | values


def test_equal_bits_have_no_class_and_a_size_of_price_and_quantity_is_equal():
    assert found() is None
    assert found(notional_usd=up(11_000.0, 4)) is None
    assert found(notional_usd=up(11_000.0, 5)) == Class(Kind.LOGIC, ("notional",))
    assert found(lanes={}, vel_div=None, notional_usd=None, capital_before=None, dc_status="", posture="") is None


@pytest.mark.parametrize(
    ("trade", "kind", "where"),
    [
        ({"lanes": lanes(base=up(2.0)), "leverage": up(2.2)}, Kind.NUMERIC_POLICY, ("base",)),
        ({"lanes": lanes(base=up(2.0, 2))}, Kind.LOGIC, ("base",)),
        ({"lanes": lanes(base=up(2.0, 2)), "math_fingerprint": "g"}, Kind.NUMERIC_POLICY, ("base",)),
        ({"lanes": lanes(base=up(2.0, 5)), "math_fingerprint": "g"}, Kind.LOGIC, ("base",)),
        ({"lanes": lanes(acb=up(1.0, 2))}, Kind.NUMERIC_POLICY, ("acb",)),
        ({"lanes": lanes(dc=1.15, base=up(2.0))}, Kind.LOGIC, ("dc",)),
        ({"lanes": lanes(base=up(2.0)), "leverage": 3.0}, Kind.LOGIC, ("fanin",)),
        ({"leverage": up(2.2)}, Kind.NUMERIC_POLICY, ("fanin",)),
        ({"leverage": up(2.2, 2)}, Kind.LOGIC, ("fanin",)),
        ({"leverage": None}, Kind.UNATTRIBUTABLE, ("leverage",)),
        ({"lanes": lanes(ob=1.2), "planes": ""}, Kind.UNATTRIBUTABLE, ("ob",)),
        ({"leverage": 3.0, "marks": ["ADL"]}, Kind.EXCHANGE_EFFECT, ("ADL",)),
        ({"lanes": lanes(dc=1.15), "marks": ["ADL"]}, Kind.LOGIC, ("dc",)),
    ],
)  # fmt: skip
def test_a_difference_has_one_class_and_its_place(trade, kind, where):
    assert found(**trade) == Class(kind, where)


def test_what_cannot_be_evaluated_again_is_unclassified_and_so_is_what_nothing_moved():
    assert found(evaluated=None, leverage=3.0) == Class(Kind.UNCLASSIFIED, ("leverage",))
    assert found(posture="STALKER") == Class(Kind.UNCLASSIFIED, ("posture",))


def test_equal_bits_again_name_what_moved_it():
    moved = OURS | {"ob": 1.2, "leverage": 2.64}
    assert found(evaluated=moved, lanes=lanes(ob=1.2), leverage=2.64, notional_usd=None) == Class(
        Kind.MARKET_DATA, ("ob",)
    )
    theirs = {"lanes": lanes(ob=1.2), "leverage": 2.64, "notional_usd": None, "planes": "{}"}
    never = classify(Pair(trade=TRADE | theirs, decision=OURS, by="id", gap_ms=0, candidates=1), moved, "f")
    assert never == Class(Kind.STATE_INITIALISATION, ("ob",))  # BLUE never saw it, we did
    shifted = OURS | {"vel_div": -0.04, "base": 3.0, "leverage": 3.3}
    assert found(evaluated=shifted, vel_div=-0.04, lanes=lanes(base=3.0), leverage=3.3, notional_usd=None) == Class(
        Kind.MARKET_DATA, ("vel_div",)
    )


def test_groups_are_those_of_seed_000():
    groups = {kind: Class(kind, ()).group for kind in Kind}
    assert [kind for kind, group in groups.items() if group == "STATE_MACHINE"] == [
        Kind.STATE_INITIALISATION, Kind.MARKET_DATA, Kind.LOGIC,
    ]  # fmt: skip
    assert [kind for kind, group in groups.items() if group == "REDUCTION_ORDER"] == [Kind.NUMERIC_POLICY]


@pytest.mark.parametrize(
    ("why", "fields", "expected"),
    [
        ("OTHER_ASSET", {}, Class(Kind.LOGIC, ("asset",))), ("NO_SCAN", {}, Class(Kind.MARKET_DATA, ("scan",))),
        ("NO_SIGNAL", {}, Class(Kind.LOGIC, ("base",))), ("TAKEN", {}, Class(Kind.LOGIC, ("slot",))),
        ("NO_SIGNAL", {"scan_vel_div": 0.0}, Class(Kind.MARKET_DATA, ("vel_div",))),
        ("NO_DECISION_NEAR", {}, Class(Kind.UNATTRIBUTABLE, ("NO_DECISION_NEAR",))),
    ],
)  # fmt: skip
def test_a_trade_without_a_decision_has_a_class_too(why, fields, expected):
    assert of_unpaired({"why": why, "vel_div": -0.03, "scan_vel_div": -0.03} | fields) == expected


def test_a_known_difference_is_excused_until_it_expires_and_nowhere_else():
    entry = Allowed(kind="LOGIC", asset="BTCUSDT", lane="dc", reason="BLUE is to be mended", expires="2026-07-01")
    there = Class(Kind.LOGIC, ("dc",)), "BTCUSDT", [entry], "2026-06-30"
    assert excuse(*there) is entry
    assert excuse(*there[:3], "2026-07-01") is None
    assert excuse(there[0], "ETHUSDT", [entry], "2026-06-30") is None
    assert excuse(Class(Kind.LOGIC, ("base", "dc")), *there[1:]) is None
    assert excuse(Class(Kind.MARKET_DATA, ("dc",)), *there[1:]) is None
    anywhere = Allowed(kind="LOGIC", reason="known", expires="2026-07-01")
    assert excuse(Class(Kind.LOGIC, ("base", "dc")), "ETHUSDT", [anywhere], "2026-06-30") is anywhere


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 20))
def test_ulps_count_the_floats_between(value, steps):
    other = value
    for _ in range(steps):
        other = math.nextafter(other, math.inf)
    if math.isfinite(other) and (value > 0.0 or other < 0.0 or not steps):
        assert _ulps(value, other) == _ulps(other, value) == steps
    assert _ulps(-0.0, 0.0) == 1
