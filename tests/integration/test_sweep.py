"""A sweep: each binding is what a replay under its params gives, a killed one goes on, and one hash holds."""

import json
import signal

import pytest

from tests.integration import records
from tests.integration.soaking import interrupted

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
    return journal.rows(f"SELECT * FROM sweep_bindings WHERE sweep_id = '{made['sweep_id']}' ORDER BY binding", run="")


def test_counterfactuals_are_what_replays_give(journal, original):
    made = sweep(journal, original.run_id, "--set", "fanin.abs_max=8.5", "--each-off")
    found = {json.dumps({k: v for k, v in row["params"].items()}): row for row in bindings(journal, made)}
    assert len(found) == made["bindings"] == 7
    assert made["decisions"] == original.summary["decisions"]
    own, cap, *off = found.values()
    assert {name: pytest.approx(own[name]) for name in journal.rows(SIZES, run=original.run_id)[0]} == journal.rows(
        SIZES, run=original.run_id
    )[0]
    for at, (row, change) in enumerate(
        [(cap, "fanin.abs_max=8.5"), *zip(off, (f"{lane}.enabled=false" for lane in ("base", "dc", "acb", "ob", "esof")), strict=True)]
    ):
        replayed = journal.violet("replay", original.run_id, "--set", change, "--name", f"r{at}", "--json").json
        (sizes,) = journal.rows(SIZES, run=replayed["run_id"])
        assert {name: row[name] for name in sizes} == pytest.approx(sizes), change
        assert (row["leverage_max"], row["decisions"]) == (sizes["leverage_max"], sizes["decisions"])


def test_killed_and_resumed_with_other_workers_it_has_the_hash_of_one_that_was_not(journal, original, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(GRID)
    there = "SELECT count() FROM violet_sweep_bindings"
    before = journal.value(there, run="")
    words = ("sweep", str(grid), original.run_id, "--workers", "1", "--data", str(journal.data))
    interrupted(words, lambda: journal.value(there, run="") > before, signal.SIGKILL)
    (state,) = journal.rows("SELECT state, sweep_id FROM sweeps WHERE bindings = 60001", run="")
    assert state["state"] == "RUNNING"
    made = sweep(journal, grid, original.run_id, "--workers", 2)
    assert (made["sweep_id"], made["bindings"]) == (state["sweep_id"], 60_001)
    again = sweep(journal, grid, original.run_id, "--workers", 1)
    assert again["sweep_hash"] == made["sweep_hash"]
    assert journal.value(f"SELECT count() FROM sweep_bindings WHERE sweep_id = '{made['sweep_id']}'", run="") == 60_001


def test_a_run_whose_rows_were_touched_is_not_swept(journal, tmp_path):
    archive = records.write(tmp_path / "b.jsonl", records.mixed(300))
    run = journal.soak(scans=archive, name="touched")
    journal.write(
        "ALTER TABLE violet_decisions UPDATE leverage = leverage + 0.000001 WHERE run_id = {run:String} AND log_offset = ("
        "SELECT max(log_offset) FROM violet_decisions WHERE run_id = {run:String}) SETTINGS mutations_sync = 2", run=run.run_id,
    )  # fmt: skip
    said = journal.violet("sweep", run.run_id, "--each-off")
    assert said.code == 3
    assert "do not give what run" in said.err
