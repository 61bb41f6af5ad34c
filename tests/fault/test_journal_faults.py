"""What ClickHouse may do to a soak: be away, lose answers, refuse rows, refuse for good, lose parts."""

import json
import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

from journal.engine.address import WRITER, read
from journal.keep.migrate import migrate
from journal.lock import engine_lock, held
from journal.refusal import Refusal
from reactor.drill.proxy import Proxy
from reactor.run import attend
from tests.fault.crash import whole
from tests.integration import records
from tests.integration.soaking import ROOT, Journal, ended, free_of, interrupted, processes, soak, until, violet

pytestmark = pytest.mark.slow  # they wait for a server that is away
COUNT = 600


@pytest.fixture(scope="module")
def calm(journal, topic):
    return journal.soak(**topic.source)


@pytest.fixture
def own(tmp_path):
    """A directory of its own, for what cannot be taken back."""
    opened = Journal(tmp_path / "own")
    yield opened
    opened.close()


# -- away ------------------------------------------------------------------------------------------------------------------


def remote(journal, url, tmp_path, monkeypatch, topic, name):
    """Flags of a soak whose journal is that engine at another address, as a server would be."""
    address = read(journal.data, WRITER)
    monkeypatch.setenv("VIOLET_JOURNAL_PASSWORD", address.token)
    config = tmp_path / "server.toml"
    config.write_text(f'[journal]\nurl = "{url}"\nuser = "{WRITER}"\n', "utf-8")
    return ["soak", "--config", config, *topic.flags, "--data", tmp_path / "here", "--name", name, "--json"]


@pytest.fixture
def unmerged(journal):
    """The journal without merges, which would take a second copy of a row away before it is counted."""
    journal.store.command("SYSTEM STOP MERGES")
    yield journal
    journal.store.command("SYSTEM START MERGES")


def test_lost_answers_and_a_server_that_is_away_leave_every_row_once(unmerged, topic, calm, tmp_path, monkeypatch):
    journal = unmerged
    proxy = Proxy(urlsplit(read(journal.data, WRITER).url).port)
    flags = remote(journal, proxy.url, tmp_path, monkeypatch, topic, "proxied")
    # Not from the zygote: a password comes by the environment.
    process = subprocess.Popen(
        [sys.executable, "-c", "from reactor.cli.main import main; main()", *map(str, flags), "--batch-size", "60"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = "SELECT count() FROM batches WHERE run_id IN (SELECT run_id FROM runs WHERE name = 'proxied')"
    until(lambda: journal.value(seen) >= 2, every_s=0.01)
    proxy.lose = 5
    until(lambda: not proxy.lose, every_s=0.01)
    proxy.go()
    time.sleep(0.8)
    proxy.delay_s = 0.01
    proxy.come()
    said = ended(process)
    assert said.code == calm.code, said.err
    summary = json.loads(said.out)
    assert (summary["content_hash"], summary["state"]) == (calm.hash, "ENDED")
    assert proxy.lost >= 4  # the last one's connection may have gone with the proxy
    whole(journal.rows, summary["run_id"], COUNT)
    for table in ("decisions", "evaluations", "planes", "rejects", "batches"):  # not only in the final state
        key = "phase, first_offset" if table == "batches" else "log_offset"
        assert (
            journal.value(
                f"SELECT count() - uniqExact({key}) FROM violet_{table} WHERE run_id = {{run:String}}",
                run=summary["run_id"],
            )
            == 0
        )
    away = journal.rows(
        "SELECT severity, detail FROM incidents WHERE run_id = {run:String} AND code = 'JOURNAL_AWAY'",
        run=summary["run_id"],
    )
    assert away
    assert {row["severity"] for row in away} == {"WARN"}
    assert not (tmp_path / "here/engine").exists()  # no engine of its own beside the server
    proxy.go()


def test_a_server_that_is_not_there_is_refused_at_the_start(topic, tmp_path):
    config = tmp_path / "server.toml"
    config.write_text('[journal]\nurl = "http://127.0.0.1:9"\n', "utf-8")
    began = time.monotonic()
    said = violet("soak", "--config", config, *topic.flags, "--data", tmp_path / "data")
    assert (said.code, said.out) == (3, "")
    assert "http://127.0.0.1:9" in said.err
    assert "Traceback" not in said.err
    assert time.monotonic() - began < 15


def test_an_engine_that_sleeps_is_waited_for(topic, calm, tmp_path, spawn):
    data = tmp_path / "data"
    process = spawn("soak", *topic.flags, "--data", data, "--batch-size", 10, "--json")
    pid = until(
        lambda: next(
            (p for p, c in processes(data).items() if "journal.engine.process" in c and (data / "sql.json").exists()),
            None,
        )
    )
    until(
        lambda: (
            json.loads(violet("sql", "SELECT count() AS n FROM batches", "--data", data, "--json").out or '[{"n":0}]')[
                0
            ]["n"]
            > 2
        )
    )
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(pid, signal.SIGCONT)
    assert ended(process).json["content_hash"] == calm.hash


def test_an_engine_that_is_stopped_is_an_alarm_by_its_name_and_keeps_nobody_from_stopping(topic, calm, tmp_path, spawn):
    data = tmp_path / "data"
    flags = ["soak", *topic.flags, "--data", data, "--batch-size", 10, "--json"]
    process = spawn(*flags)
    held_by = until(lambda: held(engine_lock(data)))
    until(lambda: "STARTED" in violet("sql", "SELECT code FROM incidents", "--data", data, "--json").out)
    os.kill(held_by.pid, signal.SIGSTOP)
    began = time.monotonic()
    memory = attend.outage_file(data, "violet")
    until(memory.exists)
    assert time.monotonic() - began < 10
    said = violet("status", "--data", data)
    assert (
        said.code,
        "does not answer" in said.err,
        "soak violet: ClickHouse at http" in " ".join(said.err.split()),
    ) == (
        3,
        True,
        True,
    )
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    left = ended(process)
    assert time.monotonic() - began < 7  # 4 s on an idle machine
    assert (left.code, "ALARM: ClickHouse at http" in left.err, "Traceback" in left.err) == (3, True, False)
    free_of(data)
    again = ended(spawn(*flags)).json
    assert (again["content_hash"], again["lost"], again["doubled"]) == (calm.hash, 0, 0)
    assert not memory.exists()
    codes = violet(
        "sql", "SELECT code, detail FROM incidents WHERE code = 'JOURNAL_AWAY'", "--data", data, "--json"
    ).json
    assert [row["detail"].endswith("until the soak ended") for row in codes] == [True]


def test_an_engine_that_somebody_else_holds_is_named(tmp_path):
    """Another process has the directory's engine and does not answer."""
    data = tmp_path / "data"
    engine_lock(data).parent.mkdir(parents=True)
    hold = "import sys, time; from pathlib import Path; from journal.lock import Lock; Lock.acquire(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, engine_lock(data)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        scans = records.write(tmp_path / "a.jsonl", records.plain(20))
        began = time.monotonic()
        said = violet("soak", "--scans", scans, "--data", data)
        assert said.code == 3
        assert f"pid {holder.pid}" in " ".join(said.err.split())
        assert 9 < time.monotonic() - began < 30
        assert not (data / "engine").exists()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert soak(data, scans=scans).summary["records"] == 22


def test_an_engine_killed_behind_the_last_batch_still_leaves_a_verdict(topic, calm, tmp_path):
    data = tmp_path / "data"

    def kill(step):
        if step == "after_commit":
            ((pid, _),) = [each for each in processes(data).items() if "journal.engine.process" in each[1]]
            os.kill(pid, signal.SIGKILL)

    soaked = soak(data, kill, **topic.source)
    assert (soaked.hash, soaked.counts, soaked.summary["state"]) == (calm.hash, calm.counts, "ENDED")
    free_of(data)


def test_an_engine_killed_while_a_run_is_opened_is_started_again(topic, calm, tmp_path, monkeypatch):
    data, killed = tmp_path / "data", []

    def kill(store, backup):
        if not killed:
            killed.append(held(engine_lock(data)).pid)
            os.kill(killed[0], signal.SIGKILL)
            until(lambda: held(engine_lock(data)) is None)
        return migrate(store, backup)

    monkeypatch.setattr(attend, "migrate", kill)
    soaked = soak(data, **topic.source)
    assert (soaked.hash, soaked.counts, len(killed)) == (calm.hash, calm.counts, 1)
    free_of(data)


# -- what a reader sees of a batch that is not complete ----------------------------------------------------------------------


def test_half_a_batch_is_no_fault_of_the_journal(journal, topic, calm, spawn):
    """A gate or a verify at any moment, or after a crash, judges completed batches."""
    command = ["soak", *topic.flags, "--data", journal.data, "--batch-size", 50, "--name", "half", "--json"]
    assert ended(spawn(*command, seam="after_planes", at=3)).code == -signal.SIGKILL
    run = journal.run("half")
    there = journal.figures(run.run_id)
    before = journal.value(
        "SELECT sum(decisions + evaluations + planes + rejects) FROM batches WHERE run_id = {run:String}",
        run=run.run_id,
    )
    assert there | {"records": before, "lost": 0, "doubled": 0, "corrupt": 0} == there
    assert journal.violet("end", "--name", "half").code == 0  # ended as it is, for good
    assert journal.violet("verify", run.run_id, "--json").json["verdict"] == "PASS"
    clauses = journal.violet("gate", run.run_id, "--json").json["segments"][0]["clauses"]
    assert not [c["name"] for c in clauses if c["verdict"] == "FAIL"]


# -- refused ---------------------------------------------------------------------------------------------------------------


def test_a_row_that_clickhouse_refuses_becomes_a_reject_and_its_neighbours_stay(own, topic, calm, spawn):
    own.violet("migrate")
    bad = 100
    own.store.command(f"ALTER TABLE violet_decisions ADD CONSTRAINT unlucky CHECK scan_id != {bad}")
    own.store.command(f"ALTER TABLE violet_evaluations ADD CONSTRAINT unlucky CHECK scan_id != {bad}")
    command = ["soak", *topic.flags, "--data", own.data, "--batch-size", 250, "--json"]
    assert ended(spawn(*command, seam="before_completion", at=1)).code == -signal.SIGKILL
    said = ended(spawn(*command))
    summary = said.json
    assert (summary["state"], summary["lost"], summary["doubled"], summary["corrupt"], summary["records"]) == (
        "ENDED",
        0,
        0,
        0,
        COUNT,
    )
    refused = own.rows("SELECT log_offset, scan_id, kind, detail, raw FROM rejects WHERE code = 'BLOCK_REFUSED'")
    assert {(row["scan_id"], row["kind"]) for row in refused} == {(bad, "scan")}
    lines = records.mixed(COUNT, long=False)
    for row in refused:
        assert row["raw"].encode() == lines[row["log_offset"]]
        assert "unlucky" in row["detail"]
    assert summary["decisions"] + summary["evaluations"] == calm.summary["decisions"] + calm.summary[
        "evaluations"
    ] - len(refused)
    whole(own.rows, summary["run_id"], COUNT)


def test_a_table_that_is_gone_is_refused_at_the_start(own, topic):
    interrupted(own.data, name="violet", batch_size=100, **topic.source)
    own.store.command("RENAME TABLE violet_planes TO elsewhere")
    said = own.violet("soak", *topic.flags)
    assert (said.code, said.out, "violet_planes" in said.err) == (3, "", True)
    assert "Traceback" not in said.err
    assert own.run("violet").state == "STOPPED"


def test_a_refusal_that_will_not_pass_halts_the_run_until_somebody_says_so(own, topic, calm):
    done = 0

    def spoil(step):
        nonlocal done
        done += step == "after_completion"
        if step == "after_completion" and done == 2:
            own.store.command(
                "CREATE MATERIALIZED VIEW spoilt ENGINE = Memory AS SELECT throwIf(1, 'spoilt') FROM violet_planes"
            )

    left = soak(own.data, spoil, batch_size=50, **topic.source)
    assert (left.code, left.summary["state"], left.summary["verdict"]) == (1, "HALTED", "FAIL")
    assert (left.summary["records"], left.summary["lost"], left.summary["doubled"], left.summary["corrupt"]) == (
        100,
        0,
        0,
        0,
    )
    assert "spoilt" in own.run("violet").reason
    assert "HALTED" in left.err
    own.store.command("DROP VIEW spoilt")
    with pytest.raises(Refusal, match="HALTED.*--resume-halted"):
        soak(own.data, **topic.source)
    again = soak(own.data, resume_halted="the view is gone", **topic.source)
    assert (again.hash, again.run_id, again.summary["state"]) == (calm.hash, left.run_id, "ENDED")
    assert (again.code, again.summary["verdict"]) == (1, "FAIL")  # the error incident stays
    codes = [row["code"] for row in own.rows("SELECT code FROM incidents ORDER BY at")]
    assert codes == ["STARTED", "HALTED", "HALT_RESUMED", "RESUMED", "ENDED"]
    whole(own.rows, left.run_id, COUNT)


# -- lost ------------------------------------------------------------------------------------------------------------------


def test_a_batch_in_doubt_that_comes_out_otherwise_halts_the_run(journal, topic, spawn):
    command = ["soak", *topic.flags, "--data", journal.data, "--batch-size", 50, "--name", "otherwise", "--json"]
    assert ended(spawn(*command, seam="after_intent", at=2)).code == -signal.SIGKILL
    run = journal.run("otherwise")
    journal.store.command(
        f"ALTER TABLE violet_batches UPDATE digest = 'x' IN PARTITION '{run.run_id}' WHERE phase = 'INTENT' AND first_offset = 50 "
        "SETTINGS mutations_sync = 1"
    )
    with pytest.raises(Refusal, match="offsets 50 to 99 does not come out the same again.*HALTED"):
        soak(journal.data, name="otherwise", **topic.source)
    assert journal.run("otherwise").state == "HALTED"
    assert (
        journal.value(
            "SELECT count() FROM incidents WHERE run_id = {run:String} AND severity = 'ERROR'", run=run.run_id
        )
        == 1
    )


def test_a_row_that_is_gone_refuses_the_resume(journal, topic):
    left = interrupted(journal.data, name="gone", batch_size=100, **topic.source)
    at = journal.value("SELECT min(log_offset) FROM decisions WHERE run_id = {run:String}", run=left.run_id)
    journal.store.command(
        f"ALTER TABLE violet_decisions DELETE IN PARTITION '{left.run_id}' WHERE log_offset = {at} SETTINGS mutations_sync = 1"
    )
    with pytest.raises(Refusal, match="holds .* decisions where its batches count .*violet verify"):
        soak(journal.data, name="gone", **topic.source)
    report = journal.violet("verify", left.run_id, "--json").json
    assert (report["verdict"], report["lost"], report["corrupt"]) == ("FAIL", 1, 1)
    first, last = map(int, report["corrupt_batches"][0].rpartition(" ")[2].split("-"))
    assert first <= at <= last


def test_a_damaged_part_file_refuses_the_resume(tmp_path, topic):
    data = tmp_path / "data"
    left = interrupted(data, name="violet", batch_size=100, **topic.source)
    assert left.run_id
    # All of them: some parts are merged away already, and a damage to those is none.
    parts = [p for p in (data / "engine").rglob("data.bin") if holds_scans(p.parent)]
    for part in parts:
        part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(Refusal, match=r"were set aside: violet_|holds .* where its batches count"):
        soak(data, **topic.source)


def holds_scans(folder):
    """Whether a part's columns are those of decisions and evaluations."""
    text = (folder / "columns.txt").read_text("utf-8", "replace")
    return "`asset`" in text and "`notional_usd`" in text
