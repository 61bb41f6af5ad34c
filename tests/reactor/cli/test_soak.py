"""`violet soak` on the default path."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
