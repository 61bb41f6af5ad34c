"""The code hash covers every module of ours that can change an outcome."""

import subprocess
import sys

from reactor.run.provenance import _DECIDING, code_hash

# Modules that `reactor.evaluate.step` loads and that cannot change an outcome: packages, and refusals.
CARRIERS = {"lanes", "journal", "reactor", "reactor.evaluate", "lanes.unfit", "journal.refusal"}


def test_the_code_hash_covers_what_the_step_is_made_of() -> None:
    script = "import sys, reactor.evaluate.step; print(*[m for m in sys.modules if m.split('.')[0] in ('lanes','reactor','journal')])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    covered = {f"{package}.{module}" for package, modules in _DECIDING.items() for module in modules}
    assert set(loaded) - CARRIERS == covered


def test_the_code_hash_is_stable_in_a_process() -> None:
    assert code_hash() == code_hash()
    assert len(code_hash()) == 16
