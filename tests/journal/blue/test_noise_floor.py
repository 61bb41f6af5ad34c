"""BLUE against BLUE: two records of one trade, and how far they lie apart."""

import pytest

from journal.blue.intake import STANDIN, Intake, bring, forget, trade
from journal.blue.noise_floor import of_blue
from tests.strategies import START_MS

AT_MS = START_MS + 600 * 86_400_000  # other tests have trades of their own


def test_rows_of_one_trade_that_are_not_the_same_are_blue_against_itself(store):
    row = {"asset": "BTCUSDT", "entry_ts_ms": AT_MS, "leverage": 1.0, "pnl": 2.0}
    rows = [row | {"trade_id": f"{STANDIN}-floor-1"}, row | {"trade_id": f"{STANDIN}-floor-1", "pnl": 5.0},
            row | {"trade_id": f"{STANDIN}-floor-2"}, row | {"trade_id": f"{STANDIN}-floor-2", "base": 1.0},
            row | {"trade_id": f"{STANDIN}-floor-3"}, row | {"trade_id": f"{STANDIN}-floor-3"}]  # fmt: skip
    made = [trade(n, each, b"") for n, each in enumerate(rows)]
    brought = bring(store, Intake(label=STANDIN, source="s", mapping="m", clock_offset_ms=0, trades=made, legs=[]))
    try:
        found = of_blue(store, STANDIN, (AT_MS, AT_MS + 1))
        assert found == {"n": 2, "other_pnl": 1, "other_lanes": 1, "pnl_gap_mean": pytest.approx(1.5)}
        assert of_blue(store, STANDIN, (AT_MS + 1, AT_MS + 2)) == {
            "n": 0, "other_pnl": 0, "other_lanes": 0, "pnl_gap_mean": None
        }  # fmt: skip
    finally:
        forget(store, brought.import_id, "the test is over")
