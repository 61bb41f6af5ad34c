"""Grafana's files hold together: the committed dashboards are those that are generated, and read what is provisioned."""

import os
import re
import subprocess
import sys

import pytest

from lanes.registry import LANES
from reactor.watch.metrics import FAMILIES
from tests.grafana import FOLDER, boards, panels
from tests.integration.soaking import ROOT

DATASOURCES = (ROOT / "deploy/grafana/provisioning/datasources/violet.yml").read_text("utf-8")
PROVIDER = (ROOT / "deploy/grafana/provisioning/dashboards/violet.yml").read_text("utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")


def test_the_committed_dashboards_are_those_that_are_generated(tmp_path):
    make = [sys.executable, ROOT / "deploy/grafana/dashboards.py", tmp_path]
    subprocess.run(make, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}, "run `make dashboards`"


def test_there_is_one_for_each_lane_and_for_each_question():
    lanes = {f"violet-lane-{lane.name}" for lane in LANES}
    assert boards().keys() == lanes | {"violet-overview", "violet-journal", "violet-blue"}
    for name, board in boards().items():
        assert board["uid"] == name
        assert [variable["name"] for variable in board["templating"]["list"]][:5] == [
            "metrics",
            "journal",
            "name",
            "run",
            "stream",
        ]


def test_the_dashboards_read_the_datasources_that_are_provisioned():
    provisioned = dict(
        zip(
            re.findall(r"^    uid: (\S+)", DATASOURCES, re.MULTILINE),
            re.findall(r"^    type: (\S+)", DATASOURCES, re.MULTILINE),
            strict=True,
        )
    )
    for board in boards().values():
        for variable in board["templating"]["list"]:
            if variable["type"] == "datasource":
                assert provisioned[variable["current"]["value"]] == variable["query"]
    uids = {target["datasource"]["uid"] for panel in panels() for target in panel.targets}
    assert uids == {"${metrics}", "${journal}"}


def test_what_the_provisioning_asks_of_the_environment_is_given_by_the_compose_file():
    asked = set(re.findall(r"\$\{(\w+)\}", DATASOURCES + PROVIDER))
    assert asked == set(re.findall(r"^      (VIOLET_\w+):", COMPOSE.partition("  grafana:")[2], re.MULTILINE))


@pytest.mark.parametrize("name", boards())
def test_panels_lie_side_by_side(name):
    taken = set()
    for panel in boards()[name]["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        assert panel["targets"]
    assert len({panel["id"] for panel in boards()[name]["panels"]}) == len(boards()[name]["panels"])


def test_every_metric_that_a_panel_asks_for_is_one_of_ours():
    asked = {
        name
        for panel in panels()
        for target in panel.targets
        for name in re.findall(r"violet_\w+", target.get("expr", ""))
    }
    known = {family.name for family in FAMILIES} | {
        f"{family.name}_bucket" for family in FAMILIES if family.kind == "histogram"
    }
    assert len(asked) > 15
    assert asked <= known
