"""What was journaled can be proved: from the archive, from the log, from itself; and what was touched is found."""

import json
import shutil
import struct
import uuid

import pytest

from journal.judge.gate import summary
from journal.ledger.ledger import audit, positions
from journal.ledger.run import find
from journal.store import Store
from lanes.code import Outcome
from tests.integration.fixtures import own_journal
from tests.integration.soaking import Topic, soak, violet

journal = own_journal

BASES = ("decisions", "evaluations", "planes", "rejects")


@pytest.fixture(scope="module")
def proved(journal, mixed, tmp_path_factory):
    """A run on an archive of its own, which may be moved away."""
    archive = shutil.copy(mixed, tmp_path_factory.mktemp("proved") / "mixed.jsonl")
    return journal.soak(scans=archive, batch_size=250)


@pytest.fixture
def copied(journal, proved):
    """A copy of the run under another id, to be touched."""
    run_id = f"copy-{uuid.uuid4().hex[:8]}"
    for table in ("runs", "segments", "batches", *BASES):
        journal.store.command(
            f"INSERT INTO violet_{table} SELECT * REPLACE ({{new:String}} AS run_id) FROM violet_{table} WHERE violet_{table}.run_id = {{run:String}}",
            {"new": run_id, "run": proved.run_id},
        )
    return run_id


def verify(journal, run_id, *more):
    said = journal.violet("verify", run_id, "--json", *more)
    assert said.code == {"PASS": 0, "FAIL": 1}[said.json["verdict"]]
    return said.json


def clauses(journal, run_id):
    """Verdicts of the gate's clauses by name, and its own."""
    said = journal.violet("gate", run_id, "--json")
    assert said.code == {"PASS": 0, "FAIL": 1, "HOLD": 2}[said.json["verdict"]], said.err
    (segment,) = said.json["segments"]
    return {c["name"]: (c["verdict"], c["figure"]) for c in segment["clauses"]}, said.json["verdict"]


def same(report, soaked):
    assert (report["verdict"], report["identical"], report["differing"]) == ("PASS", True, 0)
    assert report["content_hash"] == report["recomputed_hash"] == soaked.hash
    assert report["recomputed"] == soaked.summary["records"]
    assert {name: report[name] for name in soaked.counts} == soaked.counts


def test_it_is_the_same_from_the_archive_and_from_what_is_stored(journal, proved, tmp_path):
    report = verify(journal, proved.run_id)
    assert report["recomputed_from"] == "archive"
    same(report, proved)
    (stored,) = journal.rows(report["content_hash_sql"])
    assert f"{stored['content_hash']:016x}" == proved.hash
    archive = proved.summary["source"]["path"]
    moved = shutil.move(archive, tmp_path / "elsewhere.jsonl")
    try:
        report = verify(journal, proved.run_id)
    finally:
        shutil.move(moved, archive)
    assert report["recomputed_from"].startswith("stored inputs")
    same(report, proved)


@pytest.mark.slow
def test_it_is_the_same_from_the_log(journal, kafka, two_streams):
    arguments = ("--scans", two_streams, "--bootstrap-servers", kafka.bootstrap, "--topic", "proof", "--partitions", 2)
    assert violet("publish", *arguments).code == 0
    soaked = journal.soak(bootstrap_servers=kafka.bootstrap, topic="proof", until="end", batch_size=100)
    report = verify(journal, soaked.run_id, "--bootstrap-servers", kafka.bootstrap)
    assert report["recomputed_from"] == "log"
    same(report, soaked)
    report = verify(journal, soaked.run_id)
    assert report["recomputed_from"].startswith("stored inputs")
    same(report, soaked)


@pytest.mark.slow
def test_a_changed_archive_is_not_taken_for_the_one_that_was_read(journal, mixed, tmp_path):
    archive = shutil.copy(mixed, tmp_path / "a.jsonl")
    soaked = journal.soak(scans=archive)
    archive.write_bytes(archive.read_bytes().replace(b"CONFIRM", b"NEUTRAL"))
    report = verify(journal, soaked.run_id)
    assert report["recomputed_from"].startswith("stored inputs")
    same(report, soaked)


def test_every_command_about_a_run_answers(journal, proved):
    (run,) = [row for row in journal.violet("status", "--json").json if row["run_id"] == proved.run_id]
    assert (run["state"], run["health"], run["short"], run["decisions"], run["trading_mode"]) == (
        "ENDED",
        "NOT SURE",
        ["plane_mc", "plane_meta", "plane_ob", "rejects"],
        proved.summary["decisions"],
        "DARK",
    )
    lanes = journal.violet("lanes", proved.run_id, "--json").json
    assert [row["lane"] for row in lanes] == ["base", "dc", "acb", "ob", "esof"]
    assert [row["provenance"] for row in lanes] == ["default", *["stand-in"] * 4]
    scans = proved.summary["decisions"] + proved.summary["evaluations"]
    assert {row["n"] for row in lanes} == {scans}
    rejects = journal.violet("rejects", proved.run_id, "--json").json
    assert sum(row["n"] for row in rejects) == proved.summary["rejects"]
    shown = journal.violet("rejects", proved.run_id, "--code", "too_large", "--json").json
    assert [row["bytes"] > 900_000 for row in shown] == [True]
    doctor = journal.violet("doctor", "--json").json
    assert {row["check"] for row in doctor if row["ok"]} >= {"python", "arithmetic", "embedded broker", "journal"}


@pytest.mark.slow
def test_a_judgment_fetches_no_row_for_each_batch(journal, two_streams, monkeypatch):
    soaked = journal.soak(scans=two_streams, batch_size=20)
    run, fetched = find(journal.store, run_id=soaked.run_id), []
    rows = Store.rows

    def counted(self, *question):
        answer = rows(self, *question)
        fetched.append(len(answer))
        return answer

    monkeypatch.setattr(Store, "rows", counted)
    assert summary(journal.store, run)["content_hash"] == soaked.hash
    audit(journal.store, run.run_id)
    positions(journal.store, run.run_id)
    monkeypatch.undo()
    batches = journal.value("SELECT count() FROM batches WHERE run_id = {run:String}", run=soaked.run_id)
    assert max(fetched) < 10 < batches / 2


TOUCHES = {
    "a value": ("ALTER TABLE violet_decisions UPDATE esof = esof + 0.0625 IN PARTITION '{run}' WHERE log_offset = {at}", "corrupt"),
    "a reason": ("ALTER TABLE violet_decisions UPDATE reasons = bitXor(reasons, 16) IN PARTITION '{run}' WHERE log_offset = {at}", "corrupt"),
    "a row gone": ("ALTER TABLE violet_decisions DELETE IN PARTITION '{run}' WHERE log_offset = {at}", "lost"),
    "another row": ("INSERT INTO violet_decisions SELECT * REPLACE (leverage * 2 AS leverage) FROM violet_decisions "
                    "WHERE run_id = '{run}' AND log_offset = {at}", "doubled"),
    "another outcome": ("INSERT INTO violet_rejects (run_id, segment, topic, partition, log_offset, code) SELECT run_id, segment, topic, "
                        "partition, log_offset, 'EMPTY' FROM violet_decisions WHERE run_id = '{run}' AND log_offset = {at}", "doubled"),
}  # fmt: skip


@pytest.mark.parametrize("touch", TOUCHES)
def test_a_row_that_was_touched_is_found_and_named(journal, copied, proved, touch):
    at = journal.value(
        "SELECT max(log_offset) FROM decisions WHERE run_id = {run:String} AND log_offset < 300", run=copied
    )
    assert clauses(journal, copied)[1] == proved.summary["verdict"] == "HOLD"
    sql, clause = TOUCHES[touch]
    journal.store.command(sql.format(run=copied, at=at), {})
    journal.store.command(
        f"OPTIMIZE TABLE violet_decisions PARTITION '{copied}' FINAL" if "ALTER" in sql else "SELECT 1"
    )
    found, verdict = clauses(journal, copied)
    assert verdict == "FAIL"
    assert found[clause] == ("FAIL", 1)
    report = verify(journal, copied)
    assert report["verdict"] == "FAIL"
    named = [*report["first_differing"], *report["corrupt_batches"]]
    assert any(f"offset {at}:" in each for each in named)
    assert report["corrupt_batches"]  # the batch by its range, of which this offset is one
    topic, _, span = report["corrupt_batches"][0].rpartition(" ")
    first, last = map(int, span.split("-"))
    assert first <= at <= last
    assert topic.endswith("/0")


# -- explain -------------------------------------------------------------------------------------------------------------


def explain(journal, what, run_id):
    said = journal.violet("explain", what, "--run", run_id, "--json")
    assert said.code == 0, said.err
    return said.json


@pytest.mark.parametrize("table", ["decisions", "evaluations"])
def test_the_parts_of_every_outcome_multiply_to_raw_bit_for_bit(journal, proved, table):
    offsets = journal.rows(
        f"SELECT log_offset, scan_id FROM {table} WHERE run_id = {{run:String}} ORDER BY cityHash64(log_offset) LIMIT 4",
        run=proved.run_id,
    )
    for row in offsets:
        told = explain(journal, f"@{row['log_offset']}", proved.run_id)
        assert told["outcome"] == table[:-1]
        assert [step["part"] for step in told["steps"]] == ["base", "dc", "acb", "ob", "esof_fanin"]
        product = told["steps"][0]["value"]
        for step in told["steps"][1:]:
            product *= step["value"]
            assert product.hex() == step["product"].hex()
        assert product.hex() == told["raw"].hex()
        assert (told["acb_boost"] * told["meta_boost"] * told["mc_scale"]).hex() == told["acb"].hex()
        cap = min(8.0 * told["acb"] * told["ob"] * told["esof_fanin"], 9.0)
        assert told["cap"] == (min(cap, 2.0) if told["posture"] == "STALKER" else cap)
        assert told["leverage_fanin"] == max(0.5, min(told["raw"], told["cap"]))
        assert told["notional_usd"] == told["capital_usd"] * told["fraction"] * told["leverage"]
        assert (table == "decisions") == bool(told["asset"]) == told["actuated"]
        assert (
            told in [t if isinstance(t, dict) else t[0] for t in [explain(journal, row["scan_id"], proved.run_id)]]
            or told["reasons"]
        )


def test_a_plane_and_a_reject_are_explained_too(journal, proved):
    for table, field in (("planes", "value"), ("rejects", "code")):
        (row,) = journal.rows(
            f"SELECT log_offset, {field} AS told FROM {table} WHERE run_id = {{run:String}} ORDER BY log_offset LIMIT 1",
            run=proved.run_id,
        )
        told = explain(journal, f"@{row['log_offset']}", proved.run_id)
        assert (told["outcome"], told[field]) == (table[:-1], row["told"])


def test_the_waterfall_for_people(journal, proved):
    offset = journal.value("SELECT min(log_offset) FROM decisions WHERE run_id = {run:String}", run=proved.run_id)
    said = journal.violet("explain", f"@{offset}", "--run", proved.run_id)
    raw = explain(journal, f"@{offset}", proved.run_id)["raw"]
    assert said.code == 0
    for word in (
        "base",
        "dc",
        "acb",
        "ob",
        "esof",
        "raw",
        raw.hex(),
        "cap",
        "bound",
        "leverage",
        "sc_mult",
        "notional",
        "SHORT",
    ):
        assert word in said.out
    quiet = journal.value("SELECT min(log_offset) FROM evaluations WHERE run_id = {run:String}", run=proved.run_id)
    assert "did not decide: " in journal.violet("explain", f"@{quiet}", "--run", proved.run_id).out
    assert journal.violet("explain", "@999999", "--run", proved.run_id).code == 3
    assert journal.violet("explain", "abc", "--run", proved.run_id).code == 3


def test_a_view_gives_the_reactors_bits(journal, proved):
    """raw, acb, notional_fraction and leverage_bits are not stored."""
    sql = "SELECT base, dc, acb_boost, meta_boost, mc_scale, ob, esof_fanin, fraction, leverage, acb, raw, notional_fraction, leverage_bits FROM {} WHERE run_id = {{run:String}}"
    for table in ("decisions", "evaluations"):
        for row in journal.rows(sql.format(table), run=proved.run_id):
            acb = row["acb_boost"] * row["meta_boost"] * row["mc_scale"]
            raw = row["base"] * row["dc"] * acb * row["ob"] * row["esof_fanin"]
            assert (row["acb"], row["raw"], row["notional_fraction"]) == (acb, raw, row["fraction"] * row["leverage"])
            assert struct.pack("<Q", row["leverage_bits"]) == struct.pack("<d", row["leverage"])


def test_the_views_are_what_the_tables_hold(journal, proved):
    for kind in Outcome:
        name = f"{kind.name.lower()}s"
        assert (
            journal.value(f"SELECT count() FROM {name} WHERE run_id = {{run:String}}", run=proved.run_id)
            == proved.summary[name]
        )
    readings = "SELECT count() FROM lane_readings WHERE run_id = {run:String}"
    assert journal.value(readings, run=proved.run_id) == 5 * (
        proved.summary["decisions"] + proved.summary["evaluations"]
    )
    source = json.loads(journal.value("SELECT source FROM runs WHERE run_id = {run:String}", run=proved.run_id))
    assert source == proved.summary["source"]


@pytest.mark.slow
def test_an_acb_kernel_of_somebody_else_takes_the_lanes_place(journal, topic, tmp_path, monkeypatch):
    package = tmp_path / "foreign_kernel"
    package.mkdir()
    (package / "__init__.py").write_text(
        "def factory(params):\n    def kernel(scan, planes):\n        if scan.scan_id == 13:\n            raise ArithmeticError('unlucky')\n"
        "        return 1.25 if planes['acb'] is None else 2.0 * planes['acb'].get('boost', 0.5)\n    return kernel\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / "violet.toml"
    config.write_text('[acb]\nkernel = "foreign_kernel:factory"\n')
    said = violet(
        "soak", "--config", config, *Topic.flags.fget(topic), "--data", journal.data, "--name", "foreign", "--json"
    )
    summary = said.json
    assert summary["kernels"].keys() == {"acb"}
    assert "acb" not in summary["standin_lanes"]
    rejects = journal.rows(
        "SELECT code, lane, scan_id, detail FROM rejects WHERE run_id = {run:String} AND code = 'LANE_ERROR'",
        run=summary["run_id"],
    )
    assert {(row["lane"], row["scan_id"], row["detail"]) for row in rejects} == {
        ("acb", 13, "ArithmeticError: unlucky")
    }
    assert journal.value(
        "SELECT countIf(acb = 1.25) > 0 AND countIf(acb = 2.7) > 0 FROM decisions WHERE run_id = {run:String}",
        run=summary["run_id"],
    )
    calm = soak(journal.data, **topic.source, name="calm")
    assert calm.hash != summary["content_hash"]
