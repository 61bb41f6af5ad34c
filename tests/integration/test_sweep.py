"""A sweep: each binding is what a replay under its params gives, a killed one goes on, and one hash holds."""

import os
import subprocess

import pytest

from tests.integration import records
from tests.integration.soaking import ROOT, VIOLET, until

pytestmark = pytest.mark.slow

SIZES = (
    "SELECT count() AS decisions, avg(leverage) AS leverage_mean, max(leverage) AS leverage_max, "
    "sum(notional_usd) AS notional_sum_usd, countIf(bound = 'ABS') AS abs, countIf(bound = 'FLOOR') AS floor "
    "FROM decisions WHERE run_id = {run:String}"
)
GRID = "[random]\ncount = 60000\nseed = 3\nbase.extreme = [-0.08, -0.04]\nfanin.abs_max = [6.0, 9.0]\n"


@pytest.fixture(scope="module")
def original(journal, tmp_path_factory):
    archive = records.write(tmp_path_factory.mktemp("swept") / "a.jsonl", records.mixed(600))
    return journal.soak(scans=archive, batch_size=250, name="swept")


def sweep(journal, *words, code=0):
    said = journal.violet("sweep", *words, "--json")
    assert said.code == code, said.err
    return said.json


def bindings(journal, made):
    return journal.rows(f"SELECT * FROM sweep_bindings WHERE sweep_id = '{made['sweep_id']}' ORDER BY binding")


def test_counterfactuals_are_what_replays_give(journal, original):
    made = sweep(journal, original.run_id, "--set", "fanin.abs_max=8.5", "--each-off")
    own, cap, *off = bindings(journal, made)
    assert made["bindings"] == 2 + len(off) == 7
    (was,) = journal.rows(SIZES, run=original.run_id)
    assert {name: own[name] for name in was} == pytest.approx(was)
    assert own["decisions"] == original.summary["decisions"]
    for at, (row, change) in enumerate(
        [
            (cap, "fanin.abs_max=8.5"),
            *zip(off, (f"{lane}.enabled=false" for lane in ("base", "dc", "acb", "ob", "esof")), strict=True),
        ]
    ):
        replayed = journal.violet("replay", original.run_id, "--set", change, "--name", f"r{at}", "--json").json
        (sizes,) = journal.rows(SIZES, run=replayed["run_id"])
        assert {name: row[name] for name in sizes} == pytest.approx(sizes), change
        assert (row["leverage_max"], row["decisions"]) == (sizes["leverage_max"], sizes["decisions"])


def test_killed_and_resumed_with_other_workers_it_has_the_hash_of_one_that_was_not(journal, original, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(GRID)
    there = "SELECT count() FROM violet_sweep_bindings"
    before = journal.value(there)
    words = ("sweep", str(grid), original.run_id, "--workers", "1", "--data", str(journal.data))
    process = subprocess.Popen(
        [*VIOLET, *words], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: journal.value(there) > before, within_s=120, every_s=0.01)
    finally:
        process.kill()
        process.wait(30)
    (state,) = journal.rows("SELECT state, sweep_id FROM sweeps WHERE bindings = 60001")
    assert state["state"] == "RUNNING"
    made = sweep(journal, grid, original.run_id, "--workers", 2)
    assert (made["sweep_id"], made["bindings"]) == (state["sweep_id"], 60_001)
    again = sweep(journal, grid, original.run_id, "--workers", 1)
    assert again["sweep_hash"] == made["sweep_hash"]
    assert journal.value(f"SELECT count() FROM sweep_bindings WHERE sweep_id = '{made['sweep_id']}'") == 60_001


def test_a_run_whose_rows_were_touched_is_not_swept(journal, tmp_path):
    archive = records.write(tmp_path / "b.jsonl", records.mixed(300))
    run = journal.soak(scans=archive, name="touched")
    journal.store.command(
        "ALTER TABLE violet_decisions UPDATE leverage = leverage + 0.000001 WHERE run_id = {run:String} AND log_offset = ("
        "SELECT max(log_offset) FROM violet_decisions WHERE run_id = {run:String}) SETTINGS mutations_sync = 2",
        {"run": run.run_id},
    )
    said = journal.violet("sweep", run.run_id, "--each-off")
    assert said.code == 3
    assert "do not give what run" in said.err
