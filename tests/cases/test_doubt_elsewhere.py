"""Cases: a batch in doubt that the machine or the kernel of the resume computes otherwise is refused, and never HALTS a run."""

import os
import signal
import subprocess
import sys

import pytest

from tests.cases.test_what_is_said import TELLING
from tests.integration import records
from tests.integration.soaking import ROOT, ended, fresh, violet
from tests.lanes.test_fingerprint import WITHOUT_FMA, needs_fma

COUNT = 600
# A soak that is killed the second time that it comes to a step.
KILLED = """
import os, signal, sys
from reactor.cli.drilled import soak_until
soak_until(sys.argv[2:], sys.argv[1], 2, lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
KERNEL = "def factory(params):\n    return lambda scan, planes: {}\n"


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("step", "way"), [pytest.param("after_decisions", "pow", marks=needs_fma), ("after_intent", "kernel")]
)
def test_a_batch_in_doubt_that_would_come_out_otherwise_here_is_refused_and_changes_nothing(tmp_path, step, way):
    lines = [records.scan(n, vel_div=TELLING[n % len(TELLING)]) for n in range(COUNT)]
    scans, data = records.write(tmp_path / "s.jsonl", lines), tmp_path / "data"
    kernel, config = tmp_path / "mine.py", tmp_path / "soak.toml"
    kernel.write_text(KERNEL.format(1.25))
    config.write_text('[ob]\nkernel = "mine:factory"\n')
    flags = ["--scans", scans, "--data", data, "--config", config, "--batch-size", 100, "--json", "--name", "doubt"]
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def rows():
        kinds = ("decisions", "evaluations", "batches", "segments")
        parts = [f"(SELECT sum(cityHash64(*)) FROM violet_{kind} FINAL) AS {kind}" for kind in kinds]
        return violet("sql", f"SELECT {', '.join(parts)}", "--data", data, "--json").json

    soak = [sys.executable, "-c", KILLED, step, *map(str, flags)]
    killed = subprocess.run(soak, env=os.environ | path, capture_output=True, text=True, timeout=100, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = rows()
    if way == "kernel":
        kernel.write_text(KERNEL.format(1.5))
    refused = ended(fresh("soak", *flags, "--new-segment", env=path | (WITHOUT_FMA if way == "pow" else {})))
    assert (refused.code, refused.out, "Traceback" in refused.err) == (3, "", False), refused.err
    assert "the batch in doubt at offsets 100 to 199 comes out differently with another" in refused.err
    assert ("arithmetic (math fingerprint" if way == "pow" else "kernels (") in refused.err
    assert rows() == before
    kernel.write_text(KERNEL.format(1.25))
    left = ended(fresh("soak", *flags, env=path)).json
    assert (left["state"], left["records"], left["lost"], left["corrupt"]) == ("ENDED", COUNT, 0, 0)
    assert len(left["segments"]) == 1
