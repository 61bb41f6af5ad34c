"""Rejects that are evaluated again, after what made them rejects was mended: once, beside a run that stays as it was."""

import json
import uuid

import pytest

from journal.ledger.claim import take
from journal.ledger.run import pick
from lanes.code import Reject
from reactor.run.retry import name_of, retry
from tests.integration import records
from tests.integration.soaking import violet
from tests.written import Crash

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
KERNEL = """
import json, pathlib
FAILS = pathlib.Path({path!r})
def factory(params):
    def kernel(scan, planes):
        if scan.scan_id in json.loads(FAILS.read_text()):
            raise ArithmeticError("unlucky")
        return 1.25
    return kernel
"""
BAD = [n for n in range(60) if n % 5 == 3]
ROWS = "SELECT * EXCEPT (run_id, segment) FROM {} WHERE run_id = {{run:String}} ORDER BY log_offset"
STEPS = ["before_intent", "after_intent", "after_decisions", "before_completion", "after_completion"]


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """bad(IDS): from now on the kernel fails on these scans, and bad.config names it."""
    fails, module = tmp_path / "fails.json", f"kernel_{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{module}.py").write_text(KERNEL.format(path=str(fails)))
    monkeypatch.syspath_prepend(tmp_path)

    def fail(ids):
        fails.write_text(json.dumps(ids))

    fail.config = tmp_path / "config.toml"
    fail.config.write_text(f'[acb]\nkernel = "{module}:factory"\n')
    return fail


@pytest.fixture
def scans(tmp_path):
    return records.write(tmp_path / "scans.jsonl", [*records.every_plane(), *records.plain(60), b"{"])


def rows(journal, run_id, views=("decisions", "evaluations", "planes")):
    return {(view, row["log_offset"]): row for view in views for row in journal.rows(ROWS.format(view), run=run_id)}


def raw(journal, run_id):
    tables = ("decisions", "evaluations", "planes", "rejects", "batches")
    return [
        journal.value(f"SELECT count() FROM violet_{table} WHERE run_id = {{run:String}}", run=run_id)
        for table in tables
    ]


def again(journal, run, code="LANE_ERROR"):
    said = violet("rejects", "retry", "--code", code, "--run", run, "--data", journal.data, "--json")
    assert said.code == 0, said.err
    return said.json


def test_what_passes_is_beside_the_run_and_only_once(journal, scans, bad):
    bad([])
    sound = journal.soak(config=bad.config, scans=scans)
    bad(BAD)
    left = journal.soak(config=bad.config, scans=scans)
    assert left.counts["rejects"] == len(BAD) + 1
    before = rows(journal, left.run_id, ("decisions", "evaluations", "planes", "rejects"))
    bad(BAD[:4])  # the fix is half of one
    found = again(journal, left.run_id)
    assert (found["tried"], found["still"], found["source"]) == (len(BAD), {"LANE_ERROR": 4}, "archive")
    assert sum(found["passed"].values()) == len(BAD) - 4
    nothing = again(journal, left.run_id)
    assert (nothing["tried"], nothing["still"], nothing["before"], nothing["runs"]) == (
        4,
        {"LANE_ERROR": 4},
        len(BAD) - 4,
        [],
    )
    bad([])
    rest = again(journal, left.run_id)
    assert (rest["tried"], rest["before"]) == (4, len(BAD) - 4)
    over = again(journal, left.run_id)
    assert (over["tried"], over["runs"], over["before"]) == (0, [], len(BAD))

    runs = [*found["runs"], *rest["runs"]]
    passed = [rows(journal, run) for run in runs]
    assert not passed[0].keys() & passed[1].keys()
    rejected = {at for (view, at) in before if view == "rejects"}
    whole = {key: row for key, row in rows(journal, sound.run_id).items() if key[1] in rejected}
    assert len(whole) == len(BAD)
    topic = {"topic": None}  # that of each soak is its own
    assert {k: v | topic for each in passed for k, v in each.items()} == {k: v | topic for k, v in whole.items()}
    assert rows(journal, left.run_id, ("decisions", "evaluations", "planes", "rejects")) == before
    assert journal.figures(left.run_id)["content_hash"] == left.hash
    for run in runs:
        figures = journal.figures(run)
        assert [figures[name] for name in ("lost", "doubled", "corrupt", "rejects")] == [0, 0, 0, 0]
        said = violet("verify", run, "--data", journal.data, "--json")
        assert (said.code, said.json["identical"], said.json["recomputed"]) == (0, True, figures["records"]), said.err
        assert journal.value("SELECT min(segment) FROM segments WHERE run_id = {run:String}", run=run) == 2
    assert violet("verify", left.run_id, "--data", journal.data).code == 1  # by these kernels its rejects are none
    listed = violet("rejects", left.run_id, "--data", journal.data, "--json").json
    assert {row["code"]: (row["n"], row["retried"]) for row in listed} == {
        "LANE_ERROR": (len(BAD), len(BAD)), "MALFORMED": (1, 0),
    }  # fmt: skip
    assert again(journal, left.run_id, "malformed")["still"] == {"MALFORMED": 1}
    said = violet("replay", runs[0], "--data", journal.data)
    assert (said.code, "holds retried rejects alone" in said.err) == (3, True)


def test_the_journals_own_bytes_are_enough_and_what_is_gone_is_said(journal, scans, bad, tmp_path):
    bad([])
    sound = journal.soak(config=bad.config, scans=scans)
    lines = scans.read_bytes().splitlines()
    at = next(n for n, line in enumerate(lines) if b'"scan_id":8,' in line)
    lines[at] = lines[at][:-1] + b',"context":{"long":"' + b"x" * 70_000 + b'"}}'
    long = records.write(tmp_path / "long.jsonl", lines)
    bad(BAD)
    left = journal.soak(config=bad.config, scans=long)
    long.unlink()
    bad([])
    found = again(journal, left.run_id)
    assert found["source"].startswith("stored inputs")
    assert (found["tried"], found["gone"]) == (len(BAD) - 1, 1)
    (run,) = found["runs"]
    whole = rows(journal, sound.run_id)
    for key, row in rows(journal, run).items():
        assert row | {"topic": ""} == whole[key] | {"topic": ""}
    said = violet("verify", run, "--data", journal.data, "--json")
    assert (said.code, said.json["identical"]) == (0, True), said.json


@pytest.mark.parametrize("step", STEPS)
def test_a_retry_that_dies_at_any_step_goes_on(journal, scans, bad, step, monkeypatch):
    monkeypatch.setattr("reactor.run.retry.TOGETHER", 5)
    bad(BAD)
    left = journal.soak(config=bad.config, scans=scans)
    run = pick(journal.store, left.run_id)
    bad([])
    seen = 0

    def seam(name):
        nonlocal seen
        seen += name == step
        if name == step and seen == 2:  # in the second batch
            raise Crash(name)

    def claim():
        return take(journal.store, name_of(run), "here")

    with pytest.raises(Crash):
        retry(journal.store, run, Reject.LANE_ERROR, None, claim(), seam=seam)
    said = violet("rejects", "retry", "--code", "MALFORMED", "--run", run.run_id, "--data", journal.data)
    assert (said.code, "is not done; fix: `violet rejects retry --code LANE_ERROR" in said.err) == (3, True), said.err
    found = retry(journal.store, run, Reject.LANE_ERROR, None, claim())
    (one,) = found.runs
    assert pick(journal.store, one).state == "ENDED"
    figures = journal.figures(one)
    assert [figures[name] for name in ("records", "lost", "doubled", "corrupt")] == [len(BAD), 0, 0, 0]
    assert raw(journal, one)[:4] == [figures[name] for name in ("decisions", "evaluations", "planes", "rejects")]
    assert violet("verify", one, "--data", journal.data).code == 0
    assert retry(journal.store, run, Reject.LANE_ERROR, None, claim()).runs == []
