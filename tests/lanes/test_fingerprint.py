"""The math fingerprint: the same on one machine however often it is asked, another one where pow has other bits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lanes import fingerprint
from lanes.fingerprint import PROBES, math_fingerprint, probe

ROOT = Path(__file__).parents[2]
# The second arithmetic of a machine: glibc is told not to use what its pow uses.
WITHOUT_FMA = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"}
needs_fma = pytest.mark.skipif(
    sys.platform != "linux" or "fma" not in Path("/proc/cpuinfo").read_text(),
    reason="a processor without FMA has one arithmetic alone: nothing can come out otherwise on it",
)
ASK = "from lanes.fingerprint import math_fingerprint; print(math_fingerprint())"


def of_process(**environment):
    """The fingerprint of another process."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", ASK], check=True, capture_output=True, text=True, timeout=60, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )  # fmt: skip
    return done.stdout.strip()


def test_every_process_of_a_machine_has_the_same():
    assert of_process(PYTHONHASHSEED="7") == math_fingerprint()
    assert len(bytes.fromhex(math_fingerprint())) == 8


@needs_fma
def test_another_pow_has_another():
    """glibc takes its pow without FMA: 41 of the probes differ in the last bit."""
    assert of_process(**WITHOUT_FMA) != math_fingerprint()


@pytest.mark.parametrize("function", ["pow", "log1p"])
def test_one_bit_of_one_probe_changes_it(monkeypatch, function):
    own = probe.py_func

    def other(x, y):
        power, log = own(x, y)
        if y == 1.7 and x > 0.999:
            return (np.nextafter(power, 2.0), log) if function == "pow" else (power, np.nextafter(log, 2.0))
        return power, log

    was = math_fingerprint()
    monkeypatch.setattr(fingerprint.probe, "py_func", other)
    assert math_fingerprint.__wrapped__() != was


def test_probes_use_the_whole_mantissa():
    """A cube of a short number is exact, and exact powers are alike on every machine."""
    x = [n * fingerprint._GOLDEN % 1.0 for n in range(1, PROBES + 1)]
    assert sum((value * 2.0**30).is_integer() for value in x) < PROBES / 100
    assert min(x) < 0.001
    assert max(x) > 0.999
