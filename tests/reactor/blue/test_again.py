"""A decision evaluated again with what BLUE recorded, and the class of what still differs: each plant by its name."""

import dataclasses
import json
from collections import Counter

import pytest

from journal.blue.classes import Class, Kind, classify, differs
from journal.blue.pairing import Pair
from journal.blue.recorded import LANE_NAMES
from lanes.code import DcStatus, Outcome
from lanes.fingerprint import math_fingerprint
from lanes.profile import PROFILES
from lanes.registry import LANES, REASONS
from reactor.blue.again import again, deciders, own_planes, seen
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.standin.blue import Engine, trades
from reactor.standin.plant import planted
from reactor.standin.seeded import lines as seeded
from tests.written import begin
from tests.written import decisions as rows

RULES = Rules(PROFILES["blue_8b"])


@pytest.fixture(scope="module")
def market():
    return list(seeded(11, 1_500))


@pytest.fixture(scope="module")
def decisions(market):
    """(scan_id, asset) -> a row of `decisions`."""
    columns = (
        step(State(), Chunk(0, list(range(len(market))), market), RULES, Decoder(), topic="t", segment=1, expected=0)
        .rows[Outcome.DECISION]
        .columns
    )
    numbers = {name: each.tolist() for name, each in columns.items() if hasattr(each, "tolist")}
    numbers |= {lane.name: lane.value(columns).tolist() for lane in LANES if lane.name in LANE_NAMES and lane.factors}
    texts = {name: columns[name].strings() for name in ("asset", "posture", "stream")}
    rows = [
        dict(zip([*numbers, *texts], row, strict=True)) for row in zip(*numbers.values(), *texts.values(), strict=True)
    ]
    for row in rows:
        row["w750"] = None if row["w750"] != row["w750"] else row["w750"]
        row["dc_status"] = DcStatus(row["dc_status"]).name
        row["reasons"] = [name for bit, name in REASONS.items() if row["reasons"] >> bit & 1]
    return {(row["scan_id"], row["asset"]): row for row in rows}


def pairs(market, decisions, *names):
    """Trades of a stand-in beside the decisions on their scans."""
    engine, lines, rows = planted(names, Engine(), market)
    found = []
    for trade in rows(list(trades(lines, engine))):
        row = dataclasses.asdict(trade)
        row |= {"lanes": {n: row[n] for n in LANE_NAMES if row.get(n) is not None}, "marks": row.get("marks", [])}
        row["notional_usd"] = row["entry_price"] * row["quantity"]
        at = [d for d in decisions.values() if d["ts_ms"] == row["entry_ts_ms"] and d["asset"] == row["asset"]]
        if at:
            found.append(Pair(trade=row, decision=at[0], by="id", gap_ms=0, candidates=1))
    return found


def classes(found):
    evaluated = again(found, [seen(each) for each in found], lambda row: RULES)
    return Counter(classify(pair, row, math_fingerprint()) for pair, row in zip(found, evaluated, strict=True))


def test_equal_params_give_equal_bits_again_and_nothing_to_class(market, decisions):
    found = pairs(market, decisions)
    assert len(found) > 40
    assert classes(found) == {None: len(found)}
    own = again(found, [own_planes(each.decision) for each in found], lambda row: RULES)
    assert all(row["leverage"] == each.decision["leverage"] for row, each in zip(own, found, strict=True))


@pytest.mark.parametrize(
    ("name", "only"),
    [
        ("dc-boost", {(Kind.LOGIC, ("dc",))}), ("cap-off", {(Kind.LOGIC, ("fanin",))}),
        ("esof-stale", {(Kind.STATE_INITIALISATION, ("esof",))}), ("base-max", {(Kind.LOGIC, ("base",))}),
        ("thr", {(Kind.LOGIC, ("base",)), (Kind.LOGIC, ("acb", "base"))}),
        ("cube-ulp", {(Kind.NUMERIC_POLICY, ("base",)), (Kind.NUMERIC_POLICY, ("acb", "base")), (Kind.NUMERIC_POLICY, ("acb",))}),
        ("plane-late", {(Kind.MARKET_DATA, ("ob",)), (Kind.STATE_INITIALISATION, ("ob",))}),
        ("trades-merged", {(Kind.LOGIC, ("notional",))}),
    ],
)  # fmt: skip
def test_a_plant_is_found_where_it_was_planted_and_nothing_else_is_blamed(market, decisions, name, only):
    found = classes(pairs(market, decisions, name))
    assert len(found) > 1 or None not in found
    assert {(each.kind, each.where) for each in found if each} <= only, found


def test_planes_that_never_came_in_an_hour_are_data_of_the_market(market, decisions):
    found = classes(pairs(market, decisions, "planes-missing"))
    assert {each.kind for each in found if each} <= {Kind.MARKET_DATA, Kind.STATE_INITIALISATION}
    assert len(found) > 1
    assert {name for each in found if each for name in each.where} <= {
        "acb",
        "meta",
        "mc",
        "ob",
        "esof",
        "capital",
        "posture",
    }


def test_a_window_shifted_by_a_bar_is_the_scan_s_own_data(market, decisions):
    found = classes(pairs(market, decisions, "window-shifted"))
    assert all(each.kind is Kind.MARKET_DATA and "vel_div" in each.where for each in found), found


def test_what_blue_did_not_record_cannot_be_told(market, decisions):
    found = classes(pairs(market, decisions, "unrecorded", "dc-boost"))
    assert {each for each in found if each} == {Class(Kind.UNATTRIBUTABLE, ("leverage",))}
    plain = pairs(market, decisions, "dc-boost")
    unseen = [dataclasses.replace(each, trade=each.trade | {"planes": ""}) for each in plain]
    assert {each for each in classes(unseen) if each} == {Class(Kind.UNATTRIBUTABLE, ("dc",))}


def test_what_decided_a_row_is_its_segment_s(store):
    written = begin(store)
    written.append(rows(2))
    rules = deciders(store, written.run_id)
    assert rules({"segment": 1, "partition": 0}).profile == RULES.profile
    with pytest.raises(KeyError):
        rules({"segment": 2, "partition": 0})


def test_another_capital_is_a_state_and_a_mark_is_the_exchange_s(market, decisions):
    (pair, *_) = pairs(market, decisions)
    capital = pair.trade["capital_before"] * 2.0
    planes = json.loads(pair.trade["planes"]) | {
        "capital": {"value": {"capital_usd": capital}, "ts_ms": 1_746_372_780_000}
    }
    richer = dataclasses.replace(pair, trade=pair.trade | {
        "capital_before": capital, "notional_usd": capital * 0.20 * pair.trade["leverage"], "planes": json.dumps(planes),
    })  # fmt: skip
    assert classes([richer]) == {Class(Kind.STATE_INITIALISATION, ("capital",)): 1}
    partial = dataclasses.replace(pair, trade=pair.trade | {"notional_usd": 1.0, "marks": ["PARTIAL_FILL"]})
    assert classes([partial]) == {Class(Kind.EXCHANGE_EFFECT, ("PARTIAL_FILL",)): 1}
    unmarked = dataclasses.replace(partial, trade=partial.trade | {"marks": []})
    assert classes([unmarked]) == {Class(Kind.LOGIC, ("notional",)): 1}
    other = dataclasses.replace(pair, trade=partial.trade | {"leverage": pair.trade["leverage"] * 2.0})
    assert classes([other]) == {Class(Kind.EXCHANGE_EFFECT, ("PARTIAL_FILL",)): 1}
    assert "leverage" in differs(other)


@pytest.mark.parametrize(
    ("beside", "value", "is_there"), [({}, 1.1, True), ({"stream": "x", "kind": "scan"}, 1.1, True), ({}, -1.0, False)]
)
def test_a_plane_that_cannot_be_is_no_plane_that_was_never_seen(market, decisions, beside, value, is_there):
    found = pairs(market, decisions)[:2]
    planes = [{**own_planes(each.decision), "ob": {"value": {"mult": value}, "ts_ms": 1, **beside}} for each in found]
    planes[0] = own_planes(found[0].decision)
    planes[1]["ob"]["ts_ms"] = found[1].decision["ts_ms"]
    first, second = again(found, planes, lambda row: RULES)
    assert first["leverage"] == found[0].decision["leverage"]
    assert (second["ob"] if second else None) == (value if is_there else None)
