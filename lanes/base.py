"""Base lane: the cubic of how far vel_div lies below the threshold.

strength = clip((thr - vel_div) / (thr - extreme)), clip to [0, 1], NaN stays NaN
base     = min_lev + strength ** convexity * (base_max - min_lev)

`**` is libm's pow of two floats; s * s * s differs in the last bit on a quarter of all inputs. The convexity
is an argument, never a literal that a compiler could unroll.
Source: seed 004 sections 2 and 8b; SPEC section 3; requirements 9.5.
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

import numpy as np

from lanes.kernel import Floats, kernel


@kernel
def base(
    vel_div: float, thr: float, extreme: float, min_lev: float, base_max: float, convexity: float
) -> tuple[float, float]:
    """Strength in [0, 1] and base in [min_lev, base_max]; both NaN where vel_div is. Needs thr > extreme."""
    x = (thr - vel_div) / (thr - extreme)
    strength = 0.0 if x < 0.0 else 1.0 if x > 1.0 else x
    return strength, min_lev + strength**convexity * (base_max - min_lev)


@kernel
def column(
    vel_div: Floats, thr: float, extreme: float, min_lev: float, base_max: float, convexity: float
) -> tuple[Floats, Floats]:
    """Strength and base of every row."""
    n = len(vel_div)
    strength, value = np.empty(n), np.empty(n)
    for i in range(n):
        strength[i], value[i] = base(vel_div[i], thr, extreme, min_lev, base_max, convexity)
    return strength, value
