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
