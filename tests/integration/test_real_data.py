"""Recorded bars through the whole of it: scan, soak, verdict, one hash."""

import json

import pytest

from tests.integration.soaking import ROOT, ended, fresh

DATA = ROOT.parent / "shared/data"
KLINES, FUNDING = DATA / "klines_1m_binance_2025.parquet", DATA / "funding_8h_binance_2025.parquet"
needs_data = pytest.mark.skipif(
    not KLINES.is_file(), reason=f"no recorded bars: {KLINES.name} is not in ../shared/data"
)


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_month_of_bars_gives_one_hash_whatever_the_batch_size(tmp_path):
    scans, data = tmp_path / "scans.jsonl.zst", tmp_path / "data"
    made = ended(fresh("scan", "--klines", KLINES, "--funding", FUNDING, "--out", scans), 200)
    assert made.code == 0, made.err
    found = {}
    for size in (97, 4096):
        said = ended(
            fresh("soak", "--scans", scans, "--data", data, "--batch-size", size, "--name", f"of-{size}", "--json"), 300
        )
        found[size] = json.loads(said.out)
        assert said.code == {"PASS": 0, "HOLD": 2}[found[size]["verdict"]], said.err
    one, other = found.values()
    assert one["content_hash"] == other["content_hash"]
    for soaked in (one, other):
        assert 43_000 < soaked["decisions"] + soaked["evaluations"] < 43_300
        assert (soaked["coverage"], soaked["lost"], soaked["doubled"], soaked["corrupt"], soaked["rejects"]) == (
            1.0,
            0,
            0,
            0,
            0,
        )
        assert soaked["decisions"] >= 100
        assert "stand-in scanner" in soaked["verdict_basis"]
    said = ended(fresh("verify", "--data", data, "--json"), 120)
    assert (said.code, json.loads(said.out)["content_hash"]) == (0, one["content_hash"])


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
