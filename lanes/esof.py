"""EsoF lane: the haircut, the one lane with a fallback of its own.

esof = stale, where the plane is missing or older than max_age_ms, in either form
       the plane's multiplier clamped to [0, 1], NaN stays NaN for the finite check to see
       else of its score: the first plateau below the first split t, and so on; within `edge` E of a split
       lo + (hi - lo) * ((score - (t - E)) / (2.0 * E)), clamped to [lo, hi]; t + E is the next plateau's

Source: seed 004 section 8 (V-070..076); SPEC section 3 for the exact form; requirements 9.1.
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

import math
from typing import Final

import numpy as np

from lanes.code import PlaneForm
from lanes.kernel import Codes, Counts, Floats, kernel

Splits = tuple[float, float, float, float]
Plateaus = tuple[float, float, float, float, float]

_MULTIPLIER: Final = int(PlaneForm.MULTIPLIER)
_NEVER_SEEN: Final = int(PlaneForm.NEVER_SEEN)


@kernel
def esof(
    form: int, x: float, age_ms: int,
    splits: Splits, plateaus: Plateaus, edge: float, stale: float, max_age_ms: int,
) -> float:  # fmt: skip
    """Haircut in [0, 1]. form: PlaneForm code. x: multiplier or score; a score not finite gives `stale`."""
    if form == _NEVER_SEEN or age_ms > max_age_ms:
        return stale
    if form == _MULTIPLIER:
        return 0.0 if x <= 0.0 else 1.0 if x > 1.0 else x
    if not math.isfinite(x):
        return stale
    for i in range(len(splits)):
        lo, hi, start = plateaus[i], plateaus[i + 1], splits[i] - edge
        if x < start:
            return lo
        if x < splits[i] + edge:
            value = lo + (hi - lo) * ((x - start) / (2.0 * edge))
            value = value if value < hi else hi
            return value if value > lo else lo
    return plateaus[4]


@kernel
def column(
    form: Codes, x: Floats, age_ms: Counts,
    splits: Splits, plateaus: Plateaus, edge: float, stale: float, max_age_ms: int,
) -> Floats:  # fmt: skip
    """Haircut of every row."""
    n = len(form)
    value = np.empty(n)
    for i in range(n):
        value[i] = esof(form[i], x[i], age_ms[i], splits, plateaus, edge, stale, max_age_ms)
    return value
