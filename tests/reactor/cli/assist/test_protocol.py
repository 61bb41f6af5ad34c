"""`violet mcp`, driven by the SDK's own client over a soak that runs: right answers, and no way to write."""

import json
import os
import re
import signal
import subprocess
import sys

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from journal.query import saved
from reactor.standin.seeded import lines, write_market
from tests.integration.soaking import ROOT, VIOLET, Journal, free_of, produce, until, violet
from tests.journal.engine.test_reader import CHANGES, REACHES
from tests.test_pages import blocks

pytestmark = pytest.mark.slow
TOOLS = {"status", "runs", "gate", "saved_questions", "ask_saved", "tables", "query", "explain", "tap", "compare"}
SETTLED = "WHERE run_id = {run:String} AND log_offset < 200"  # what a soak that goes on no longer changes
QUERY = (
    f"SELECT scan_id, ts, asset, leverage, reasons, toString(bound) AS bound FROM decisions {SETTLED} ORDER BY scan_id"
)
# Where an answer is of one moment: what differs from one question to the next while a soak runs, and after.
MOMENT = {
    "lag_records",
    "silence_s",
    "mode_s",
    "disk_used",
    "journal_bytes",
    "parts",
    "looked_s",
    "looked_at",
    "writer",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory, session_tansu):
    """A data directory whose soak runs: it follows a topic that says nothing more."""
    home, topic = tmp_path_factory.mktemp("assist"), session_tansu.create_topic()
    sent = list(lines(20260614, 600))
    produce(session_tansu.bootstrap, topic, sent)
    soak = subprocess.Popen(
        [*VIOLET, "soak", "--bootstrap-servers", session_tansu.bootstrap, "--topic", topic, "--data", home / "d"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: soak.poll() is not None or (home / "d/sql.json").exists(), 60)
        asked = "SELECT sum(decisions + evaluations + planes + rejects) AS n FROM batches"
        until(
            lambda: (
                (said := violet("sql", asked, "--json", "--data", home / "d")).code == 0
                and said.json[0]["n"] == len(sent)
            ),
            60,
        )
        yield home / "d"
        assert soak.poll() is None, soak.stderr.read()  # it ran all the time
    finally:
        soak.send_signal(signal.SIGINT)
        soak.communicate(timeout=30)
    free_of(home / "d")


def asked(data, *calls):
    """The answers of one server to calls of (tool, arguments): text, and whether it is an error."""

    (config,) = (body for _, language, body in blocks(ROOT / "docs/assistants.md") if language == "json")
    words = json.loads(config)["mcpServers"]["violet"]["args"][:-1]  # as people write them, but for the folder

    async def drive():
        server = StdioServerParameters(
            command=VIOLET[0], args=[*VIOLET[1:], *words, str(data)], env={"PYTHONPATH": str(ROOT)}
        )
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            answers = [await client.call_tool(tool, arguments) for tool, arguments in calls]
        return tools, [(answer.content[0].text, bool(answer.is_error)) for answer in answers]

    return anyio.run(drive)


def told(data, *words):
    """What a command prints as JSON."""
    said = violet(*words, "--json", "--data", data)
    assert said.code in (0, 1, 2), said.err
    return said.json


def still(rows):
    return [{name: value for name, value in row.items() if name not in MOMENT} for row in rows]


def test_its_answers_are_those_of_the_commands_while_the_soak_runs(data):
    (first, *_) = told(data, "sql", QUERY)
    tools, answers = asked(
        data,
        ("query", {"sql": QUERY}),
        ("query", {"sql": QUERY.replace("{run:String}", "{r:String}"), "parameters": {"r": told(data, "runs")[0]["run_id"]}, "run": "violet"}),
        ("explain", {"what": str(first["scan_id"])}),
        ("tap", {"lane": "acb", "last": 5}),
        ("saved_questions", {}),
        ("ask_saved", {"name": "clamps"}),
        ("tables", {"table": "decisions"}),
        ("status", {}),
        ("gate", {"run": "latest"}),
        ("runs", {}),
        ("compare", {}),
        ("query", {"sql": "SELECT count() AS n FROM decisions"}),
    )  # fmt: skip
    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.annotations.read_only_hint and tool.description for tool in tools)
    assert [text for text, is_error in answers if is_error] == []
    query, by_parameter, explained, tapped, questions, clamps, columns, status, gate, runs, compare, count = (
        json.loads(text) for text, _ in answers
    )
    assert query == by_parameter == {"rows": told(data, "sql", QUERY), "warnings": []}
    assert query["rows"]
    assert explained == [told(data, "explain", str(first["scan_id"]))]
    line = told(
        data, "sql", f"SELECT acb FROM scans WHERE run_id = {{run:String}} AND log_offset = {tapped[-1]['offset']}"
    )
    assert len(tapped) == 5
    assert line == [{"acb": tapped[-1]["value"]}]
    assert {each["name"] for each in questions} == saved().keys()
    assert clamps["rows"]
    assert {row["column"]: row["type"] for row in columns}["leverage"] == "Float64"
    assert [row["state"] for row in status] == ["RUNNING"]
    assert still(status) == still(told(data, "status"))
    assert gate == told(data, "gate")
    assert runs == told(data, "runs")
    assert compare["run_id"] == gate["run_id"]
    assert (compare["comparisons"], compare["trust"][:4]) == ([], "HOLD")
    assert count["rows"][0]["n"] > 0


def test_every_attack_of_the_gate_is_refused(data, tmp_path):
    secret, token = data / "writer.json", json.loads((data / "writer.json").read_text())["token"]
    tables = told(
        data, "sql", "SELECT name, toString(uuid) AS uuid FROM system.tables WHERE database = 'default' ORDER BY name"
    )
    attacks = [
        re.sub(r"\bd\b", "violet_decisions", text).replace("{out}", str(tmp_path / "out")).replace("{secret}", str(secret))
        for text in (*CHANGES, *REACHES)
    ]  # fmt: skip
    other = [
        ("query", {"sql": "SELECT * FROM {t:Identifier}", "parameters": {"t": "violet_runs) SETTINGS readonly=0; DROP TABLE violet_runs; --"}}),
        ("query", {"sql": "SELECT 1", "parameters": {"x&readonly=0": "1"}, "max_rows": 10_000_000}),
        ("query", {"sql": "SELECT * FROM numbers(1001)"}),
        ("query", {"sql": "SELECT 1 FORMAT CSV"}),
        ("ask_saved", {"name": "../../etc/passwd"}),
        ("tap", {"lane": "acb) INTO OUTFILE '/tmp/x' --"}),
        ("tap", {"lane": "acb", "stream": "x') SETTINGS readonly = 0 --", "run": "'; DROP TABLE violet_runs"}),
        ("explain", {"what": "1 OR 1"}),
        ("tables", {"table": "violet_runs; DROP TABLE violet_runs"}),
        ("gate", {"run": "' OR 1 = 1 --"}),
        ("insert", {"sql": "SELECT 1"}),
    ]  # fmt: skip
    _, answers = asked(data, *(("query", {"sql": text, "max_rows": 100_000}) for text in attacks), *other)
    passed = [call for call, (_, is_error) in zip([*attacks, *other], answers, strict=True) if not is_error]
    assert passed == []
    assert [text for text, _ in answers if token in text] == []
    assert list(tmp_path.iterdir()) == []
    assert (
        told(
            data,
            "sql",
            "SELECT name, toString(uuid) AS uuid FROM system.tables WHERE database = 'default' ORDER BY name",
        )
        == tables
    )


def test_where_no_soak_runs_an_engine_is_there_for_the_question_alone(tmp_path):
    write_market(tmp_path / "m.jsonl.zst", 20260614, 600)
    journal = Journal(tmp_path / "d")
    gate = journal.soak(scans=tmp_path / "m.jsonl.zst").summary["verdict"]
    journal.close()
    _, [(text, is_error)] = asked(tmp_path / "d", ("gate", {}))
    free_of(tmp_path / "d")
    assert (is_error, json.loads(text)["verdict"]) == (False, gate)


def test_without_its_package_one_line_names_the_fix(tmp_path):
    code = "import sys; sys.modules['mcp'] = None; from reactor.cli.main import run; sys.exit(run(['mcp', '--data', sys.argv[1]]))"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert (
        done.stderr
        == "violet: violet mcp needs the extra mcp, which is not installed; fix: pip install 'violet-reactor[mcp]'\n"
    )
