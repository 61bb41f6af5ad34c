"""The stand-in BLUE: its sizes are the lanes' bit for bit though it shares none of their code; one slot; paper only."""

import json
import math
from collections import defaultdict
from itertools import pairwise

import pytest

from lanes.code import Outcome
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.standin import blue as standin
from reactor.standin.blue import REMEMBERED, Engine, trades
from reactor.standin.seeded import lines as seeded
from tests.integration import records


def decisions(lines):
    """(stream, ts_ms) -> (asset, leverage as hex) of every decision of the reactor; two scans may share an instant.

    A scan whose regime is infinite rejects there, while BLUE would size it at its cap: (any asset, 9).
    """
    batch = step(State(), Chunk(0, list(range(len(lines))), list(lines)), Rules(PROFILES["blue_8b"]), Decoder(),
                 topic="t", segment=1, expected=0)  # fmt: skip
    columns, rejects = batch.rows[Outcome.DECISION].columns, batch.rows[Outcome.REJECT].columns
    found = defaultdict(set)
    for stream, ts_ms, asset, leverage in zip(
        columns["stream"].strings(), columns["ts_ms"].tolist(), columns["asset"].strings(), columns["leverage"].tolist(),
        strict=True,
    ):  # fmt: skip
        found[stream, ts_ms].add((asset, leverage.hex()))
    for stream, ts_ms, lane in zip(rejects["stream"], rejects["ts_ms"].tolist(), rejects["lane"], strict=True):
        if lane:
            found[stream, ts_ms] |= {(asset, (9.0).hex()) for asset in records.SYMBOLS}
    return found


@pytest.fixture(scope="module")
def market():
    return list(seeded(11, 1_500))


@pytest.fixture(params=["seeded", "mixed"])
def archive(request, market):
    return market if request.param == "seeded" else records.mixed(2_000)


def test_every_trade_is_a_decision_of_the_reactor_bit_for_bit(archive):
    decided, made = decisions(archive), list(trades(archive, Engine()))
    stream = next(record["stream"] for record in map(json.loads, archive[:50]) if record["kind"] == "scan")
    assert len(made) > 20
    for trade in made:
        assert (trade.asset, trade.leverage.hex()) in decided[stream, trade.entry_ts_ms]
        assert math.isclose(trade.entry_price * trade.quantity, trade.capital_before * 0.20 * trade.leverage)


def test_at_most_one_trade_is_open_and_each_is_over_after_its_bars(market):
    made = list(trades(market, Engine()))
    assert all(before.exit_ts_ms < after.entry_ts_ms for before, after in pairwise(made))
    low, high = standin.HOLD_BARS
    assert {trade.bars_held for trade in made} <= set(range(low, high + 1))
    assert len({trade.bars_held for trade in made}) > 5


def test_the_legs_of_a_trade_are_the_whole_of_it(market):
    made = list(trades(market, Engine()))
    assert {len(trade.legs) for trade in made} == {1, 2}
    for trade in made:
        assert math.isclose(sum(leg.quantity for leg in trade.legs), trade.quantity)
        assert sum(leg.pnl for leg in trade.legs) == trade.pnl
        assert trade.legs[-1].exit_ts_ms == trade.exit_ts_ms


def test_a_seed_is_one_history_and_another_is_another(market):
    assert list(trades(market, Engine())) == list(trades(market, Engine()))
    assert list(trades(market, Engine())) != list(trades(market, Engine(seed=1)))


def test_everything_it_makes_says_that_it_is_a_stand_in(market):
    assert all(trade.trade_id.startswith("STAND-IN-") for trade in trades(market, Engine()))


def test_another_dc_boost_changes_confirmed_trades_alone_and_a_stale_esof_is_a_fixed_factor():
    def one(engine, **fields):
        planes = [records.plane("esof", {"mult": 0.8}), records.scan(1, vel_div=-0.04, **fields)]
        (trade,) = trades([*planes, *(records.scan(n, vel_div=0.0) for n in range(2, 30))], engine)
        return trade.leverage

    base = 0.5 + ((-0.02 + 0.04) / (-0.02 + 0.05)) ** 3.0 * 7.5
    assert one(Engine(), dc_status="CONFIRM") == base * 1.10 * 1.0 * 1.0 * 0.8
    assert one(Engine(dc_boost=1.15), dc_status="CONFIRM") == base * 1.15 * 1.0 * 1.0 * 0.8
    assert one(Engine(dc_boost=1.15), dc_status="NEUTRAL") == one(Engine(), dc_status="NEUTRAL") == base * 0.8
    assert one(Engine(esof_stale=True)) == base * 0.4


def test_a_stream_of_its_own_and_a_cadence_are_followed():
    lines = records.mixed(600, records.STREAMS)
    ids = {stream: {t.entry_ts_ms for t in trades(lines, Engine(stream=stream))} for stream in records.STREAMS}
    assert all(ids.values())
    for stream, times in ids.items():
        decided = {ts_ms for name, ts_ms in decisions(lines) if name == stream}
        assert times <= decided


@pytest.mark.parametrize(("behind", "sizes"), [(REMEMBERED - 1, 1), (REMEMBERED, 2)])
def test_a_scan_is_a_repeat_among_as_many_as_the_shadow_remembers(behind, sizes):
    """One scan that signals, others that do not, and the first again: from further back it is sized again by both."""
    lines = [records.scan(0), *(records.scan(n, vel_div=0.0) for n in range(1, behind + 1)), records.scan(0)]
    lines += [records.scan(n, vel_div=0.0) for n in range(9_000, 9_020)]  # so that every trade is over
    assert len(list(trades(lines, Engine()))) == sizes
    batch = step(State(), Chunk(0, list(range(len(lines))), lines), Rules(PROFILES["blue_8b"]), Decoder(),
                 topic="t", segment=1, expected=0)  # fmt: skip
    assert len(batch.rows[Outcome.DECISION]) == sizes
