"""Completion, as shells ask for it: every value that can be typed is offered, and nothing is said where none is known."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from journal.query import saved
from lanes.profile import PROFILES
from lanes.registry import LANES
from reactor.cli import value
from reactor.cli.main import COMMANDS, violet
from tests.written import begin

DRIVE = """
eval "$(violet completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_violet_completion violet
printf '%s\\n' "${COMPREPLY[@]}"
"""
VIOLET = '#!/bin/sh\nexec {python} -c "from reactor.cli.main import main; main()" "$@"\n'


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """bash("violet", "gate", "") -> what a tabulator there offers."""
    place = tmp_path_factory.mktemp("bin")
    (place / "violet").write_text(VIOLET.format(python=sys.executable), "utf-8")
    (place / "violet").chmod(0o755)
    env = os.environ | {"PATH": f"{place}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[3])}

    def ask(*words):
        line = ["bash", "--norc", "-c", DRIVE, "bash", *words]
        done = subprocess.run(line, check=True, capture_output=True, text=True, timeout=60, env=env, cwd=place)
        assert done.stderr == ""
        return [each for each in done.stdout.splitlines() if each]

    return ask


def test_bash_offers_commands_options_and_values(bash):
    assert bash("violet", "compare") == ["compare", "compare-runs"]
    assert bash("violet", "soak", "--prof") == ["--profile"]
    assert bash("violet", "soak", "--profile", "") == list(PROFILES)
    assert bash("violet", "lane", "run", "") == [lane.name for lane in LANES]
    assert bash("violet", "tap", "a") == ["acb"]
    assert bash("violet", "sql", "--saved", "") == list(saved())
    assert bash("violet", "gate", "--data", "nowhere", "") == []


def test_runs_are_offered_by_id_and_name_and_as_latest(store, journal):
    run = begin(store).run

    def offered(typed):
        context = click.Context(click.Command("gate"))
        context.params["data"] = journal.data
        return {item.value: item.help for item in value.runs(context, None, typed)}

    assert offered("late") == {"latest": "the newest run"}
    assert offered(run.run_id[:8]) == {run.run_id: run.name}
    assert run.name in offered("n-")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_lines_that_it_reads(shell):
    said = CliRunner().invoke(violet, ["completion", shell], prog_name="violet")
    assert said.exit_code == 0
    assert "_VIOLET_COMPLETE" in said.output
    if program := shutil.which(shell):
        subprocess.run([program, "-n", "/dev/stdin"], input=said.output, text=True, check=True, timeout=30)


def test_listing_the_commands_loads_none_of_them():
    look = "from reactor.cli.main import *; violet.shell_complete(click.Context(violet), '')"
    code = f"{look}; print([m for m in sys.modules if m.startswith('reactor.cli.') and m.count('.') == 2])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "['reactor.cli.stream', 'reactor.cli.main']\n"
    assert {item.value for item in violet.shell_complete(click.Context(violet), "")} == {*COMMANDS}
