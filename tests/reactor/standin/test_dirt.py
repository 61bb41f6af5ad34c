"""The dirt on the stand-in's trades: the recorded counts, exactly, and in proportion where there are fewer trades."""

from collections import Counter, defaultdict

import pytest

from reactor.standin.blue import Trade
from reactor.standin.dirt import TRADES, soil

MINUTE_MS = 60_000


def clean(count):
    return [
        Trade(f"STAND-IN-{n:05d}", "BTCUSDT", at := 1_746_372_780_000 + n * 5 * MINUTE_MS, 100.0, 2.0, 25_000.0, 1.0,
              -0.03, bars_held=3, exit_ts_ms=at + 3 * MINUTE_MS, exit_price=99.0, exit_reason="MAX_HOLD", pnl=2.0)
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [TRADES, TRADES + 500])
def test_the_recorded_counts_come_out_exactly(count):
    dirt = soil(clean(count), 1)
    rows = Counter(row.trade_id for row in dirt.rows)
    assert (len(dirt.rows), len(rows), max(rows.values())) == (3_453, 2_193, 317)
    assert (dirt.trades, dirt.most_rows, dirt.kept) == (2_193, 317, 2_121)
    pnls = defaultdict(set)
    for row in dirt.rows:
        pnls[row.trade_id].add(row.pnl)
    several = [trade_id for trade_id, n in rows.items() if n > 1]
    assert round(100 * sum(len(pnls[i]) == 1 for i in several) / len(several), 1) == 98.3
    last = {row.trade_id: row for row in sorted(dirt.rows, key=lambda row: row.exit_ts_ms)}.values()
    halted = [row for row in last if row.exit_reason == "HIBERNATE_HALT"]
    assert len(halted) == dirt.hibernate_halt
    assert sum(row.bars_held == 0 and row not in halted for row in last) == dirt.bars_held_0
    assert len(last) - dirt.hibernate_halt - dirt.bars_held_0 == 2_121


@pytest.mark.parametrize("count", [1, 5, 100, 700])
def test_fewer_trades_are_dirty_in_proportion(count):
    dirt = soil(clean(count), 1)
    assert dirt.trades == count
    assert len(dirt.rows) == round(3_453 * count / 2_193)
    assert max(Counter(row.trade_id for row in dirt.rows).values()) == dirt.most_rows


def test_dirt_never_touches_an_entry_nor_the_trades_that_it_is_given():
    given = clean(300)
    told = {t.trade_id: (t.asset, t.side, t.entry_ts_ms, t.leverage, t.vel_div, t.entry_price) for t in given}
    dirt = soil(given, 3)
    assert given == clean(300)
    assert all(
        told[t.trade_id] == (t.asset, t.side, t.entry_ts_ms, t.leverage, t.vel_div, t.entry_price) for t in dirt.rows
    )
    assert [t.entry_ts_ms for t in dirt.rows] != sorted(t.entry_ts_ms for t in dirt.rows)  # rows come late
