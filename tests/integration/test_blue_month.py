"""The recorded month beside the stand-in BLUE, from bars to the look, as commands."""

import json

import pytest

from tests.integration.soaking import FUNDING, KLINES, ended, fresh
from tests.integration.test_real_data import needs_data


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_month_beside_the_stand_in_blue_is_cleaned_to_2121_trades_each_sized_bit_for_bit(tmp_path):
    scans, data, trades, legs = (tmp_path / name for name in ("scans.jsonl.zst", "data", "trades.csv", "legs.csv"))
    for arguments in (
        ("scan", "--klines", KLINES, "--funding", FUNDING, "--out", scans),
        ("soak", "--scans", scans, "--data", data),
        ("blue", "simulate", "--scans", scans, "--out", trades, "--legs-out", legs, "--dirt"),
        ("blue", "import", "--trades", trades, "--legs", legs, "--data", data),
    ):
        assert (said := ended(fresh(*arguments), 300)).code == 0, said.err
    seen = json.loads(ended(fresh("blue", "look", "--data", data, "--json"), 60).out)
    cleaned = seen["cleaning"]
    assert (cleaned["rows"], cleaned["trade_ids"], cleaned["most_rows"], cleaned["kept"]) == (3_453, 2_193, 317, 2_121)
    assert sum(cleaned["dropped"].values()) == 3_453 - 2_121
    assert (seen["universe"]["share"], seen["colocation"]["share"], seen["unmatched"]["n"]) == (1.0, 1.0, 0)
    assert (seen["leverage"]["identical"], seen["leverage"]["n"]) == (2_121, 2_121)
    assert {row["identical"] == row["n"] for row in seen["buckets"]} == {True}
    assert seen["trust"].startswith("HOLD")
