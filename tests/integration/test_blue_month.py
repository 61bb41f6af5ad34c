"""The recorded month beside the stand-in BLUE, from bars to look, verdict and report, as commands."""

import json
import re
import shlex

import pytest

from lanes.registry import LANES
from tests.integration.soaking import FUNDING, KLINES, ROOT, ended, fresh, recorded_month, violet
from tests.integration.test_real_data import needs_data
from tests.integration.test_report import numbers

BLOCK = "<!-- run by tests/integration/test_blue_month.py -->\n```sh\n"


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


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_the_page_s_five_commands_find_no_difference_in_a_recorded_month_and_its_report_says_what_sql_says(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert recorded_month(tmp_path / "scans.jsonl.zst")
    page = (ROOT / "docs/blue.md").read_text("utf-8")
    lines = page.partition(BLOCK)[2].partition("```")[0].splitlines()
    assert len(lines) == 5
    for line in lines:
        assert (said := ended(fresh(*shlex.split(line)[1:]), 300)).code == 0, said.out + said.err
    assert re.search(r"^PASS \(equivalent\), STAND-IN trades$", said.out, re.MULTILINE), said.out
    assert re.search(r"trust  HOLD \(needs 3 more passing comparisons; trades of BLUE; ", said.out), said.out

    def ask(sql):
        return violet("sql", sql, "--data", "my-soak", "--json").json

    (row,) = ask("SELECT verdict, is_over, pairs, trades, figures, measures, clauses FROM compares")
    figures, n = json.loads(row["figures"]), row["trades"]
    assert n > 1_000
    assert (row["verdict"], row["is_over"], row["pairs"], figures["pairs"]["by_id"]) == ("PASS", True, n, n)
    assert (figures["universe"]["share"], figures["colocation"]["share"]) == (1.0, 1.0)
    assert (figures["unpaired"], figures["classes"], figures["slot"]["missed"]) == ({}, [], 0)
    assert all(each["holds"] for each in json.loads(row["clauses"]))
    assert ask("SELECT count() AS n, countIf(is_identical) AS same, countIf(class = '') AS plain, "
               "countIf(lanes = recorded_lanes) AS lanes, uniqExact(length(recorded_lanes)) AS kinds, "
               "any(length(recorded_lanes)) AS most FROM compare_pairs") == [
        {"n": n, "same": n, "plain": n, "lanes": n, "kinds": 1, "most": len(LANES)}]  # fmt: skip
    assert violet("trust", "--data", "my-soak").code == 2
    for name in ("report.html", "report.json"):
        said = violet("report", "latest", "--against", "blue", "-o", name, "--data", "my-soak")
        assert said.code == 0, said.err
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert {name: report["compare"][name] for name in ("figures", "measures", "clauses")} == {
        name: json.loads(row[name]) for name in ("figures", "measures", "clauses")
    }
    (counted,) = ask("SELECT (SELECT count() FROM decisions) AS decisions, (SELECT count() FROM scans) AS scans")
    assert (report["run"]["decisions"], report["window"]["scans"]) == (counted["decisions"], counted["scans"])
    made = (tmp_path / "report.html").read_text("utf-8")
    shown = {float(value) for value in re.findall(r'<data value="([^"]+)">', made)}
    assert shown - numbers(report) <= {float(n)}
    assert "<b>PASS</b>" in made
    assert "a STAND-IN made them. It can never earn trust" in made
