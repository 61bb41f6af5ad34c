"""`violet soak` on the default path."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from reactor.cli import soak
from reactor.cli.common import program
from reactor.run.settings import SoakSettings
from tests.integration import records
from tests.integration.soaking import free_of

ROOT = Path(__file__).parents[3]
FUSED = """
import json, sys
from reactor.cli import main

code = main.run(["soak", "--scans", sys.argv[1], "--data", sys.argv[2], "--taps", "acb", "--log-format", "json", "--json"])
topology = ("reactor.topology", "faust", "aiokafka", "mode")
print(json.dumps([code, [name for name in sys.modules if name.startswith(topology)]]))
"""


@pytest.mark.slow
def test_a_fused_soak_loads_neither_faust_nor_the_topology(tmp_path):
    scans, data = records.write(tmp_path / "a.jsonl", records.plain(50)), tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-c", FUSED, scans, data], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=False, timeout=100,
    )  # fmt: skip
    summary, ends = map(json.loads, done.stdout.splitlines())
    assert (summary["state"], summary["records"]) == ("ENDED", 55)
    assert ends == [2, []]  # HOLD: so few decisions say nothing
    free_of(data)


@pytest.mark.parametrize("name", [n for n, f in SoakSettings.model_fields.items() if f.annotation is bool])
@pytest.mark.parametrize("wanted", [True, False])
def test_every_boolean_flag_wins_over_the_file_either_way(tmp_path, monkeypatch, name, wanted):
    config = tmp_path / "soak.toml"
    config.write_text(f"[reactor]\n{name} = {str(not wanted).lower()}\n")
    seen = []
    monkeypatch.setattr(soak, "run", lambda settings, as_json: seen.append(getattr(settings.soak, name)) or 0)
    flag = f"--{'' if wanted else 'no-'}{name.replace('_', '-')}"
    assert CliRunner().invoke(soak.command, ["--config", str(config), flag]).exit_code == 0
    assert CliRunner().invoke(soak.command, ["--config", str(config)]).exit_code == 0
    assert seen == [wanted, not wanted]


def test_the_hint_names_a_command_that_works_where_violet_is_not_on_the_path(tmp_path, monkeypatch):
    script = tmp_path / "my env" / "violet"
    script.parent.mkdir()
    script.touch(mode=0o700)
    monkeypatch.setattr(sys, "argv", [str(script), "soak"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == f"'{script}'"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "violet"
