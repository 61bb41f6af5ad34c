"""Math fingerprint: the arithmetic of this machine as one hash.

pow and log1p come from the machine's libm, which chooses an implementation by the CPU: with FMA and without, 692 of
1,000,000 cubes differ in the last bit, and so do a run's outcomes. Two machines of one fingerprint give the same bits.
See docs/design/running.md.
"""

import hashlib
import math
from functools import cache
from typing import Final

import numpy as np

from lanes.kernel import column, kernel

PROBES: Final = 65_536  # of which about 20 differ between pow with FMA and without
_EXPONENTS: Final = (3.0, 0.5, 3.0, 1.7)  # the cube is the default convexity: every second probe
_GOLDEN: Final = 0.618_033_988_749_894_9  # its multiples mod 1 fill [0, 1) evenly, with long mantissas


@kernel
def probe(x: float, y: float) -> tuple[float, float]:
    """Both functions of libm that a lane calls."""
    return x**y, math.log1p(x)


_compiled: Final = column(probe, inputs=2, outputs=2)


@cache
def math_fingerprint() -> str:
    """First 16 hex digits of the SHA-256 over what pow and log1p give, interpreted and compiled.

    A kernel's machine code and Python call the same libm; were it otherwise, the hash would be another one.
    """
    x = [n * _GOLDEN % 1.0 for n in range(1, PROBES + 1)]
    y = [_EXPONENTS[n % len(_EXPONENTS)] for n in range(PROBES)]
    found = hashlib.sha256()
    interpreted = zip(*map(probe.py_func, x, y), strict=True)
    for column_of in (*interpreted, *_compiled(np.array(x), np.array(y))):
        found.update(np.asarray(column_of, dtype="<f8").tobytes())
    return found.hexdigest()[:16]
