"""A refusal names the rule and the fix, exits 3, and leaves the disk as it was."""

import json
import os
import socket
import time

import pytest

from journal.lock import soak_lock
from reactor.log.admin import PATIENCE_S
from tests.integration import records
from tests.integration.soaking import ended, free_of, interrupted, listing, until, violet


@pytest.fixture
def folder(tmp_path):
    """A folder with a good archive and nothing else; its data directory does not exist."""
    records.write(tmp_path / "good.jsonl", records.plain(20))
    return tmp_path


def toml(folder, text):
    path = folder / "violet.toml"
    path.write_text(text, "utf-8")
    return path


CASES = {
    "a missing archive": (["--scans", "{folder}/none.jsonl"], ["none.jsonl", "no such file", "name a scan archive"]),
    "a folder as archive": (["--scans", "{folder}"], ["--scans", "fix:"]),
    "a file as directory": (["--scans", "{good}", "--data", "{good}"], ["is a file and no folder", "name a folder"]),
    "a missing config": (["--config", "{folder}/none.toml"], ["none.toml", "no such file"]),
    "an unknown flag": (["--scan", "{good}"], ["No such option"]),
    "an unknown command": (["--frm", "0"], ["No such option"]),
    "a batch size of none": (["--scans", "{good}", "--batch-size", "0"], ["--batch-size", "greater than or equal to 1"]),
    "a name with a slash": (["--scans", "{good}", "--name", "a/b"], ["--name", "letters, digits"]),
    "no such profile": (["--scans", "{good}", "--profile", "blue_9"], ["blue_8b, v3_base9", "'blue_9'"]),
    "no such pace": (["--scans", "{good}", "--speed", "fast"], ["--speed", "60x", "'fast'"]),
    "no such span": (["--scans", "{good}", "--for", "soon"], ["--for", "14d", "'soon'"]),
    "two sources": (["--scans", "{good}", "--bootstrap-servers", "h:1", "--topic", "t"], ["give one of them"]),
    "a topic without a broker": (["--topic", "t"], ["--bootstrap-servers and --topic go together"]),
}  # fmt: skip
TABLES = {
    "an unknown key": ("[reactor]\nbatchsize = 5\n", ["reactor.batchsize", "batch_size"]),
    "an unknown lane key": ("[acb]\nboots = 1.0\n", ["acb.boots"]),
    "an unknown table": ("[lanes]\nx = 1\n", ["lanes"]),
    "a param out of range": ("[dc]\nboost = 0.5\n", ["dc", "at least 1", "0.5"]),
    "a param of the wrong type": ('[fanin]\nabs_max = "nine"\n', ["fanin.abs_max"]),
    "broken TOML": ("[reactor\n", ["not TOML", "mend that line"]),
    "a kernel that is not there": ('[acb]\nkernel = "no_such_package.module:factory"\n', ["no_such_package", "fix:"]),
}


def refused(folder, arguments, words):
    before = listing(folder)
    said = violet("soak", *arguments)
    assert (said.code, said.out) == (3, "")
    text = " ".join(said.err.split())
    assert "Traceback" not in text
    for word in words:
        assert word in text
    assert listing(folder) == before


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_flag(folder, monkeypatch, case):
    monkeypatch.chdir(folder)
    arguments, words = CASES[case]
    given = [each.format(folder=folder, good=folder / "good.jsonl") for each in arguments]
    refused(folder, given if "--data" in given else [*given, "--data", folder / "data"], words)


@pytest.mark.parametrize("case", TABLES)
def test_a_wrong_config(folder, case):
    text, words = TABLES[case]
    path = toml(folder, text)
    refused(folder, ["--config", path, "--scans", folder / "good.jsonl", "--data", folder / "data"], words)


@pytest.mark.parametrize("silent", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_broker_that_does_not_answer(folder, monkeypatch, silent):
    limit_s = PATIENCE_S if silent else 2.0  # one of the two waits as long as a user does
    monkeypatch.setattr("reactor.log.admin.PATIENCE_S", limit_s)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:  # takes the connection and says nothing
            listener.listen()
        address = "{}:{}".format(*listener.getsockname())
        began = time.monotonic()
        refused(
            folder,
            ["--bootstrap-servers", address, "--topic", "t", "--data", folder / "data"],
            [address, "fix: ", "answers nothing" if silent else "fix: start the broker"],
        )
    assert time.monotonic() - began < limit_s + 5


def test_a_topic_that_is_not_there(folder, tansu):
    flags = ["--bootstrap-servers", tansu.bootstrap, "--topic", "nowhere", "--data", folder / "data"]
    refused(folder, flags, ["'nowhere'", "violet publish"])


@pytest.mark.slow
def test_a_directory_that_another_soak_holds(folder, spawn):
    data, scans = folder / "data", folder / "good.jsonl"
    records.write(scans, [records.scan(n, ts_ms=records.START_MS + 1_000 * n) for n in range(600)])
    holder = spawn("soak", "--scans", scans, "--data", data, "--speed", "20x", "--json")
    until(
        lambda: (
            (data / "sql.json").exists()
            and violet("sql", "SELECT count() FROM decisions", "--data", data, "--json").out
            not in ("", '[{"count()":0}]\n')
        ),
        every_s=0.2,
    )
    before = dict(listing(data / "locks"))
    said = violet("soak", "--scans", scans, "--data", data)
    assert said.code == 3
    text = " ".join(said.err.split())
    assert f"locked by pid {holder.pid}" in text
    assert f"kill {holder.pid}" in text
    assert listing(data / "locks") == before
    assert json.loads(soak_lock(data, "violet").read_text())["pid"] == holder.pid
    other = violet("end", "--data", data)
    assert (other.code, f"pid {holder.pid}" in other.err) == (3, True)
    holder.send_signal(2)
    assert ended(holder, 20).code == 2


@pytest.mark.parametrize(
    "command", ["sql", "gate", "verify", "explain", "rejects", "replay", "status", "migrate", "end", "serve"]
)
def test_no_command_makes_a_journal_where_none_is(folder, command):
    argument = {"sql": ["SELECT 1"], "explain": ["1"], "replay": ["1"]}.get(command, [])
    before = listing(folder)
    said = violet(command, *argument, "--data", folder / "data")
    assert (said.code, said.out) == (3, "")
    assert "violet soak" in said.err
    assert listing(folder) == before


def test_a_broken_archive_starts_no_run(folder):
    scans = folder / "broken.jsonl.zst"
    scans.write_bytes(b"\x28\xb5\x2f\xfd" + os.urandom(200))
    refused(folder, ["--scans", scans, "--data", folder / "data"], ["broken.jsonl.zst", "cannot be read", "fix:"])


@pytest.mark.slow
def test_a_market_that_was_made_for_a_soak_that_is_then_refused_goes_again(folder):
    data = folder / "data"
    interrupted(data, scans=folder / "good.jsonl", name="violet", batch_size=5)
    free_of(data)
    before = {path for path in listing(data) if not path.startswith("engine")}
    said = violet("soak", "--data", data)
    assert (said.code, said.out) == (3, "")
    assert "making a seeded market" in said.err
    assert "fix: " in said.err
    assert {path for path in listing(data) if not path.startswith("engine")} == before


READERS = {
    "sql": ["SELECT 1"], "status": [], "gate": [], "verify": [], "explain": ["@0"], "rejects": [], "tap": ["acb"],
    "lanes": [], "web": [], "serve": [], "migrate": [], "end": [], "replay": ["latest"],
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_command_writes_nothing_into_a_folder_of_somebody_else_nor_makes_one(folder, name):
    theirs = folder / "theirs"
    (theirs / "engine").mkdir(parents=True)
    (theirs / "engine" / "main.c").write_text("int main() {}")
    before = listing(folder)
    said = violet(name, *READERS[name], "--data", theirs)
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith(f"violet: --data {theirs}: holds other things ('engine' for one)")
    assert said.err.count("\n") == 1
    said = violet(name, *READERS[name], "--data", folder / "absent")
    expected = (0, "") if name == "lanes" else (3, f"violet: --data {folder / 'absent'}: holds no journal; fix: ")
    assert (said.code, said.err[: len(expected[1])]) == expected
    assert listing(folder) == before


def test_a_soak_into_a_folder_of_somebody_else_writes_nothing_there(folder):
    refused(folder, ["--scans", folder / "good.jsonl", "--data", folder], ["'good.jsonl' for one", "name a folder"])


def test_doctor_says_that_a_folder_is_somebody_elses(folder):
    before = listing(folder)
    rows = {row["check"]: row for row in violet("doctor", "--data", folder, "--json").json}
    assert (rows["journal"]["ok"], "holds other things" in rows["journal"]["found"]) == (False, True)
    assert listing(folder) == before
