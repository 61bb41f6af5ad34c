"""Every import contract can break: an import that it forbids is planted in a copy, and the check names it there."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lanes.registry import LANES

ROOT = Path(__file__).parents[1]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
CONTRACTS = {contract["name"]: contract for contract in LINTER["contracts"]}
PLANTS = {  # contract -> who imports what
    "imports point one way: violet -> reactor -> journal -> lanes": ("lanes.params", "journal.refusal"),
    "the rooms of the journal stand one above the other": ("journal.ledger.incident", "journal.judge.scope"),
    "the rooms of the reactor stand one above the other": ("reactor.log.archive", "reactor.run.settings"),
    "a lane never imports a lane": ("lanes.ob", "lanes.acb"),
    "lanes touch no clock, dice, disk, socket, process or log": ("lanes.kernel", "random"),
    "bytes to outcomes is pure: no clock, dice, disk or socket": ("reactor.evaluate.chunk", "socket"),
    "bytes to outcomes ends at the row: evaluate knows nothing else of the journal": (
        "reactor.evaluate.record", "journal.query"),
    "the stand-in BLUE is a second reading: it shares no code with what it is compared with": (
        "reactor.standin.dirt", "lanes.code"),
    "confluent_kafka only in reactor.log, and in the drill, which is the other side of a topic": ("reactor.log.memory", "confluent_kafka"),
    "faust and its driver only in reactor.topology": ("reactor.topology.evaluator", "faust"),
    "chdb only in journal.engine.process": ("journal.engine.native", "chdb"),
    "h11 only in journal.engine.wire": ("journal.engine.reader", "h11"),
    "pyarrow only in reactor.feed.parquet and violet.rows, and of it snappy for lanes' workers": ("reactor.feed.table", "pyarrow"),
    "clickhouse_connect only in journal.store": ("journal.query", "clickhouse_connect"),
    "prometheus_client only in reactor.watch.metrics": ("reactor.watch.measure", "prometheus_client"),
    "mcp only in reactor.cli.assist.protocol": ("reactor.cli.assist.answers", "mcp"),
    "tdigest only in reactor.watch.sketch": ("reactor.watch.events", "tdigest"),
    "starlette, uvicorn and sse-starlette only in reactor.web": ("reactor.cli.web", "uvicorn"),
    "nobody imports the commands but `python -m violet`": ("reactor.run.upkeep", "reactor.cli.common"),
    "a stand-in is asked for by the commands that name it, and by nobody else": (
        "reactor.feed.alone", "reactor.standin.window"),
    "foreign bytes come in by feed: for commands, BLUE's trades and the stand-ins": (
        "reactor.tap.reading", "reactor.feed.mapping"),
    "the topology is chosen by commands: the default path never imports it": (
        "reactor.run.session", "reactor.topology.lane_topic"),
    "who watches a soak is chosen by commands: the run imports neither": (
        "reactor.run.position", "reactor.watch.metrics"),
    "a drill is asked for by its commands alone": ("reactor.cli.doctor", "reactor.drill.stage"),
    "a sweep is asked for by its command alone": ("reactor.run.replay", "reactor.run.sweep.bindings"),
    "what is asked about BLUE beyond the journal is asked by its commands alone": ("reactor.cli.gate", "reactor.blue.places"),
}  # fmt: skip


def test_every_contract_has_something_that_breaks_it():
    assert CONTRACTS.keys() == PLANTS.keys()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What the check says of a copy that holds every plant: contract -> its part of the report, where it is broken."""
    copy = tmp_path_factory.mktemp("planted")
    for package in LINTER["root_packages"]:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for number, (importer, imported) in enumerate(PLANTS.values()):
        file = copy / f"{importer.replace('.', '/')}.py"
        planted = f"\nif TYPE_CHECKING:\n    import {imported}\n" if number % 2 else f"\nimport {imported}\n"
        file.write_text(file.read_text("utf-8") + planted, "utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"], cwd=copy, check=False,
        capture_output=True, text=True, timeout=100, env={**os.environ, "COLUMNS": "400", "PYTHONPATH": str(copy)},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    parts = re.split(r"^(.+)\n-+\n", done.stdout[done.stdout.index("Broken contracts") :], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("contract", "plant"), PLANTS.items(), ids=PLANTS)
def test_a_planted_import_breaks_its_contract(report, contract, plant):
    importer, imported = plant
    assert re.search(rf"\b{re.escape(importer)} -> {re.escape(imported)}\b", report[contract]), report[contract]


def test_every_lane_stands_in_the_contract_that_keeps_lanes_apart():
    assert set(CONTRACTS["a lane never imports a lane"]["modules"]) == {f"lanes.{lane.name}" for lane in LANES}
