"""A lane beyond the five, in one file that a package brings: all that a lane has, and nothing of a run changes while it is off."""

import json
import os
import subprocess
import sys

import pytest

from tests.integration.soaking import ROOT, VIOLET
from tests.own_lane import archive

HERE = ROOT / "tests/own_lane"
INNER = ("tests/own_lane/inside.py", "tests/lanes/test_lane.py", "tests/journal/test_row.py")
ON = "[funding]\nenabled = true\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of a process that has the lane's package: what pip would have left of it."""
    site = tmp_path_factory.mktemp("site")
    package = site / "violet_funding-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: violet-funding\nVersion: 1.0\n", "utf-8")
    (package / "entry_points.txt").write_text("[violet.lanes]\nfunding = funding:LANE\n", "utf-8")
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (site, HERE, ROOT)))}


def run(*command, env, code=0):
    done = subprocess.run(
        [*map(str, command)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_every_surface_in_one_process_has_it(environment):
    run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *INNER, env=environment)


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ("missing=40", "missing=3", "two bits of their own"),
        ('"funding_dear"', '"leverage"', "a lane's columns must be its own"),
        ('"funding.x"', '"ob.x"', "inputs must be of its planes, were of ob"),
        ('name="funding",\n    title', 'name="select",\n    title', "a name that no table of a config has"),
        ("LANE = ", "OTHER = ", "lane funding (funding:LANE) must load, but raised AttributeError"),
        ("LANE = Lane(", "LANE = dict(", "must load, but raised TypeError: must be a Lane, was dict"),
        ("LANE = ", "1 / 0\nLANE = ", "must load, but raised ZeroDivisionError: division by zero"),
    ],
)
def test_it_is_refused_where_it_cannot_stand(environment, tmp_path, was, becomes, words):
    text = (HERE / "funding.py").read_text("utf-8")
    assert was in text
    (tmp_path / "funding.py").write_text(text.replace(was, becomes), "utf-8")
    path = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    for command in (("lanes", "--data", tmp_path), ("soak", "--data", tmp_path / "new")):
        said = run(*VIOLET, *command, env=environment | {"PYTHONPATH": path}, code=3)
        assert words in said.stderr
        assert (said.stdout, said.stderr.count("\n"), said.stderr[:8]) == ("", 1, "violet: ")
        assert said.stderr.endswith("; fix: mend the package that brings the lane, or uninstall it\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.timeout(360)
def test_the_product_has_it_from_the_config_to_the_dashboard(environment, tmp_path):
    scans, data, config = tmp_path / "scans.jsonl", tmp_path / "data", tmp_path / "on.toml"
    scans.write_bytes(b"\n".join(archive.lines()) + b"\n")
    config.write_text(ON, "utf-8")
    without = {name: value for name, value in environment.items() if name != "PYTHONPATH"}

    def violet(*arguments, env=environment, code=0):
        return run(*VIOLET, *arguments, env=env, code=code).stdout

    def soak(name, *arguments, env=environment):
        found = run(
            *VIOLET, "soak", "--scans", scans, "--data", data, "--name", name, "--json", *arguments, env=env, code=2
        )
        return json.loads(found.stdout)

    def sql(text, run_id):
        return json.loads(violet("sql", text, "--data", data, "--run", run_id, "--format", "json"))

    plain = soak("plain", env=without)
    assert "lane funding violet_decisions" in violet("migrate", "--dry-run", "--data", data)
    off, on = soak("off"), soak("on", "--config", config)
    assert off["content_hash"] == plain["content_hash"] != on["content_hash"]
    assert (off["planes"], off["rejects"]) == (plain["planes"], plain["rejects"])
    assert on["planes"] > off["planes"]
    assert (
        soak("apart", "--config", config, "--topology", "faust", "--lane-workers", "2")["content_hash"]
        == on["content_hash"]
    )

    run_id = on["run_id"]
    judged = "SELECT countIf(isNull(funding)) AS off, countIf(funding < 1) AS cut, countIf(raw != base * dc * acb * ob * esof_fanin * funding) AS other FROM scans WHERE run_id = {run:String}"
    (row,) = sql(judged, run_id)
    assert row["off"] == row["other"] == 0
    assert row["cut"] > 50
    assert sql(judged, off["run_id"])[0]["off"] == off["decisions"] + off["evaluations"]
    lanes = "SELECT lane, count() AS n FROM lane_readings WHERE run_id = {run:String} GROUP BY lane ORDER BY lane"
    assert {row["lane"] for row in sql(lanes, run_id)} == {"base", "dc", "acb", "ob", "esof", "funding"}
    assert "funding" not in {row["lane"] for row in sql(lanes, off["run_id"])}
    assert {row["comment"] for row in sql("DESCRIBE decisions", run_id) if row["name"] == "funding"} != {""}
    assert "funding" in {
        row["lane"] for row in sql("SELECT lane FROM lane_quantiles WHERE run_id = {run:String}", run_id)
    }

    for name in (on["run_id"], off["run_id"]):
        verified = json.loads(violet("verify", name, "--data", data, "--json"))
        assert (verified["lost"], verified["doubled"], verified["corrupt"]) == (0, 0, 0)
    found = [
        json.loads(line)
        for line in violet("tap", "funding", "--data", data, "--run", run_id, "--json", "--limit", "200").splitlines()
    ]
    assert {name for each in found for name in each["inputs"]} == {"funding.rate", "funding.mult"}
    explained = json.loads(violet("explain", f"@{found[-1]['offset']}", "--run", run_id, "--data", data, "--json"))
    assert [step["part"] for step in explained["steps"]] == ["base", "dc", "acb", "ob", "esof_fanin", "funding"]
    assert [row["lane"] for row in json.loads(violet("lanes", run_id, "--data", data, "--json"))][-1] == "funding"
    replayed = json.loads(violet("replay", run_id, "--set", "funding.gain=0.0", "--data", data, "--json"))
    differs = sql(
        "SELECT arrayJoin(differs) AS name, count() AS n FROM replays WHERE run_id = {run:String} GROUP BY name",
        replayed["run_id"],
    )
    assert (
        {"funding", "raw"}
        <= {row["name"] for row in differs}
        <= {
            "funding",
            "raw",
            "cap",
            "bound",
            "leverage_fanin",
            "leverage",
            "notional_usd",
            "notional_fraction",
            "reasons",
        }
    )
    assert (
        "unknown key funding.gian"
        in run(*VIOLET, "replay", run_id, "--set", "funding.gian=1", "--data", data, env=environment, code=3).stderr
    )

    refused = run(*VIOLET, "gate", "--data", data, env=without, code=3).stderr
    assert "lanes that are not installed here (funding)" in refused
    assert "funding" in run(sys.executable, "-m", "reactor.watch.metrics", env=environment).stdout
    pages = run(sys.executable, "-c", "from docs.generate import reference; print(reference())", env=environment).stdout
    assert "| `funding` | funding haircut |" in pages
    assert "### `[funding]`" in pages
    run(sys.executable, "deploy/grafana/dashboards.py", tmp_path, env=environment)
    board = json.loads((tmp_path / "violet-lane-funding.json").read_text("utf-8"))
    assert "avg(funding)" in json.dumps(board)
    assert "PLANE_MISSING_FUNDING" in json.dumps(board)
