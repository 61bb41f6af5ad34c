"""One slot: episodes of sticky decisions, and what one trade at a time makes of them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.blue.intake import STANDIN, forget
from journal.blue.slot import _missed, _stacked, episodes, slots
from tests.journal.blue import agreed
from tests.strategies import START_MS, encode, plane, scan
from tests.written import MINUTE_MS, begin

AT_MS = START_MS + 500 * 86_400_000  # other tests have trades of their own
WINDOW = (AT_MS, AT_MS + 60 * MINUTE_MS)


def said(minute, symbol="BTCUSDT", **fields):
    ranks = {"prices": {symbol: 10.0}, "irp": {symbol: {"score": 0.4, "alignment": 0.6}}}
    return encode(scan(scan_id=minute, ts_ms=AT_MS + minute * MINUTE_MS, **ranks, **fields))


def quiet(minute):
    return said(minute, vel_div=0.0)


@pytest.fixture(scope="module")
def run(store):
    """Minutes: 0-2 BTC, a repeat of 2, 3 BTC, 4-5 ETH, 6 quiet, 7-9 ETH, 10-19 quiet, then BTC but every second scan."""
    written = begin(store)
    lines = [*map(said, range(3)), said(2), said(3), said(4, "ETHUSDT"), said(5, "ETHUSDT"), quiet(6)]
    lines += [*(said(n, "ETHUSDT") for n in range(7, 10)), *map(quiet, range(10, 20))]
    lines += [encode(plane("cadence", {"decide": 2}, ts_ms=AT_MS)), *map(said, range(20, 26))]
    written.append(lines)
    return written


def test_an_episode_is_one_run_of_an_asset_whatever_repeats_or_is_passed_over(store, run):
    found = [(e.asset, (e.first_ms - AT_MS) // MINUTE_MS, (e.last_ms - AT_MS) // MINUTE_MS, e.decisions)
             for e in episodes(store, run.run_id, WINDOW)]  # fmt: skip
    assert found == [("BTCUSDT", 0, 3, 4), ("ETHUSDT", 4, 5, 2), ("ETHUSDT", 7, 9, 3), ("BTCUSDT", 21, 25, 3)]
    assert [e.asset for e in episodes(store, run.run_id, (AT_MS, AT_MS + MINUTE_MS))] == ["BTCUSDT"]


@pytest.fixture
def traded(store, run):
    """traded((entry, exit, bars), ...) -> the slots of trades in minutes."""
    brought = []

    def make(*rows, paired):
        made = [
            {"trade_id": f"{STANDIN}-slot-{n}", "asset": "BTCUSDT", "entry_ts_ms": AT_MS + entry * MINUTE_MS,
             "exit_ts_ms": None if end is None else AT_MS + end * MINUTE_MS, "bars_held": bars}
            for n, (entry, end, bars) in enumerate(rows)
        ]  # fmt: skip
        while brought:
            forget(store, brought.pop(), "others take their place")
        brought.append(agreed.traded(store, *made, label=STANDIN))
        return slots(store, run.run_id, STANDIN, WINDOW, paired)

    yield make
    for import_id in brought:
        forget(store, import_id, "the test is over")


def test_where_blue_takes_every_free_decision_nothing_is_missed(traded):
    found = traded((0, 3, 3), (4, 8, 4), (9, 20, 11), paired=3)
    assert (found.trades, found.ours, len(found.missed), found.stacked) == (3, 3, 0, 0)
    assert (found.bars_held, found.scans) == (18, 18)  # a scan that the cadence passes over is one too
    assert (found.share, found.blind) == (1.0, [])
    blind = traded((0, 3, 2), (4, 8, 4), paired=2)
    assert (blind.share, blind.blind) == (6 / 7, [(AT_MS, AT_MS + 3 * MINUTE_MS + 1)])


def test_bars_are_counted_as_the_scans_came_so_a_late_scan_is_one_when_it_comes(store, traded):
    late = begin(store)
    late.append([*map(said, (30, 31, 33, 34, 32, 35, 36, 37, 40, 39, 41))])  # 32 and 39 come late
    traded((32, 36, 2), paired=1)
    assert slots(store, late.run_id, STANDIN, WINDOW, 1).scans == 2  # entered on the late scan itself
    traded((31, 36, 5), paired=1)
    assert slots(store, late.run_id, STANDIN, WINDOW, 1).scans == 5
    traded((37, 39, 2), paired=1)
    assert slots(store, late.run_id, STANDIN, WINDOW, 1).scans == 2  # and left on one


def test_a_free_decision_that_blue_did_not_take_is_missed_once_and_moves_nothing_else(traded):
    found = traded((0, 1, 1), (7, 8, 1), (21, 25, 4), paired=3)
    assert [(row["ts_ms"] - AT_MS) // MINUTE_MS for row in found.missed] == [2, 4, 9]
    assert (found.trades, found.ours, found.hold_ms) == (3, 6, MINUTE_MS)
    assert found.missed[1]["asset"] == "ETHUSDT"


@pytest.mark.parametrize(
    ("trades", "untold"),
    [
        (((0, 3, 3), (4, 8, 4), (9, 25, 16)), 0),
        (((0, 3, 3), (4, None, None), (9, 25, 16)), 3),  # minutes 5, 7 and 8: nobody recorded when it ended
        (((0, 3, 3), (4, 8, 4), (9, 20, 11)), 0),  # 21 may be a trade that is open yet, for 11 minutes at most
        (((0, 1, 1), (2, 3, 1)), 6),  # 4 may be one for a minute; from 7 on it is beyond the records
        (((9, 10, 1), (21, 25, 4)), 3),  # from 0 a trade may have been open for 4 minutes: 5, 7 and 8 not
        (((0, None, None),), 11),  # all that stands after it
    ],
)
def test_decisions_beyond_what_blue_recorded_are_told_by_nobody_and_not_missed(traded, trades, untold):
    found = traded(*trades, paired=len(trades))
    assert (len(found.missed), found.untold) == (0, untold)


def test_a_stream_that_blue_does_not_trade_is_no_part_of_its_slot(store, run, traded):
    traded((0, 1, 1), (7, 8, 1), (21, 25, 4), paired=3)
    assert not slots(store, run.run_id, STANDIN, WINDOW, 3, ["another"]).missed


def test_without_trades_there_is_nothing_to_compare_with(store, run):
    found = slots(store, run.run_id, "REAL", WINDOW, 0)
    assert (found.trades, found.ours, found.hold_ms, found.scans) == (0, 0, None, 0)
    assert found.share is None


def test_trades_on_top_of_each_other_are_counted():
    assert _stacked([(0, 10), (5, 6), (7, 12), (12, 13)]) == 2


@given(
    st.sets(st.integers(0, 100)),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9)), max_size=8),
    st.integers(0, 9),
)
def test_what_is_missed_lies_in_a_free_slot_and_no_two_of_it_are_nearer_than_a_holding(times, trades, hold_ms):
    held = sorted((entry, entry + length) for entry, length in trades)
    free = [{"ts_ms": t} for t in sorted(times)]
    missed = [row["ts_ms"] for row in _missed(free, held, hold_ms)]
    assert all(not any(entry <= t <= end for entry, end in held) for t in missed)
    entries = [entry for entry, _ in held]
    assert all(b - a > hold_ms or any(a < e <= b for e in entries) for a, b in pairwise(missed))
