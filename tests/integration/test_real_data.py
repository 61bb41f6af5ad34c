"""Recorded bars through the whole of it: scan, soak, verdict, one hash."""

import json

import pytest

from tests.integration.soaking import KLINES, ended, fresh, recorded_month

# What commit aec54f3 makes of the recorded month; another value needs a line in CHANGELOG.md under Decisions change.
CONTENT_HASH = "b819262a559eb662"

needs_data = pytest.mark.skipif(
    not KLINES.is_file(), reason=f"no recorded bars: {KLINES.name} is not in ../shared/data"
)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """The month as a scan archive."""
    path = tmp_path_factory.mktemp("month") / "scans.jsonl.zst"
    assert recorded_month(path)
    return path


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_month_of_bars_gives_one_hash_whatever_the_batch_size(scans, tmp_path):
    data = tmp_path / "data"
    found = {}
    for size in (97, 4096):
        said = ended(
            fresh("soak", "--scans", scans, "--data", data, "--batch-size", size, "--name", f"of-{size}", "--json"), 300
        )
        found[size] = json.loads(said.out)
        assert said.code == {"PASS": 0, "HOLD": 2}[found[size]["verdict"]], said.err
    one, other = found.values()
    assert one["content_hash"] == other["content_hash"] == CONTENT_HASH
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
def test_a_month_is_replayed_identically_and_without_acb_differs_by_it_alone(journal, scans):
    soaked = journal.soak(scans=scans, name="month")
    same = journal.violet("replay", soaked.run_id, "--assert-identical", "--json")
    assert (same.code, same.json["identical"], same.json["content_hash"]) == (0, True, soaked.hash)
    assert same.json["records"] == soaked.summary["records"] > 43_000
    off = journal.violet("replay", soaked.run_id, "--set", "acb.enabled=false", "--name", "month-no-acb", "--json").json
    may = {"acb_boost", "meta_boost", "mc_scale", "acb", "raw", "cap", "bound", "leverage_fanin", "leverage",
           "notional_usd", "notional_fraction", "reasons"}  # fmt: skip
    assert {"acb", "leverage"} <= set(off["differing_columns"]) <= may
    sql = """SELECT count() AS n, countIf(acb_replayed != 1.0 OR raw_replayed != base * dc * 1.0 * ob * esof_fanin) AS wrong,
        countIf(leverage = leverage_replayed AND has(differs, 'leverage')) AS told, countIf(acb = 1.0 AND has(differs, 'leverage')) AS others
        FROM replays WHERE run_id = {run:String}"""
    (row,) = journal.rows(sql, run=off["run_id"])
    assert row == {"n": soaked.summary["decisions"] + soaked.summary["evaluations"], "wrong": 0, "told": 0, "others": 0}
