"""ACB lane: the regime, adaptive circuit breaker times meta times Monte Carlo scale.

acb = acb_boost * meta_boost * mc_scale, left to right

acb_boost  = the plane's boost; or of its signals
             1.0 + signals_gain * log1p(signals) if signals >= signals_from else 1.0; 1.0 if never seen
meta_boost = the meta plane's boost; or, where the acb plane gave signals,
             1.0 + beta * strength ** convexity with beta_high if w750 >= w750_thr else beta_low; else 1.0
mc_scale   = the mc plane's scale, else 1.0

The strength is the base lane's formula, written out again: lanes are independent. All but the product is a
default, replaceable by a wrapped kernel; see the drift register.
Source: seed 004 section 8b (V-082); SPEC section 3; requirements 9.2.
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

import math
from typing import Final

import numpy as np

from lanes.code import PlaneForm
from lanes.kernel import Codes, Flags, Floats, kernel

_INPUTS: Final = int(PlaneForm.INPUTS)
_NEVER_SEEN: Final = int(PlaneForm.NEVER_SEEN)


@kernel
def acb(
    form: int, x: float, meta_seen: bool, meta: float, mc_seen: bool, mc: float,
    vel_div: float, w750: float,
    signals_gain: float, signals_from: float, beta_low: float, beta_high: float, w750_thr: float,
    thr: float, extreme: float, convexity: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    """acb_boost, meta_boost, mc_scale and their product.

    form: PlaneForm code. x: the boost or the signals. NaN w750: absent, counts as below its threshold.
    """
    boost = x
    if form == _NEVER_SEEN:
        boost = 1.0
    elif form == _INPUTS:
        boost = 1.0 + signals_gain * math.log1p(x) if x >= signals_from else 1.0
    meta_boost = 1.0
    if meta_seen:
        meta_boost = meta
    elif form == _INPUTS:
        ratio = (thr - vel_div) / (thr - extreme)
        strength = 0.0 if ratio < 0.0 else 1.0 if ratio > 1.0 else ratio
        beta = beta_high if w750 >= w750_thr else beta_low
        meta_boost = 1.0 + beta * strength**convexity
    mc_scale = mc if mc_seen else 1.0
    return boost, meta_boost, mc_scale, boost * meta_boost * mc_scale


@kernel
def column(
    form: Codes, x: Floats, meta_seen: Flags, meta: Floats, mc_seen: Flags, mc: Floats,
    vel_div: Floats, w750: Floats,
    signals_gain: float, signals_from: float, beta_low: float, beta_high: float, w750_thr: float,
    thr: float, extreme: float, convexity: float,
) -> tuple[Floats, Floats, Floats, Floats]:  # fmt: skip
    """The three factors and their product of every row."""
    n = len(form)
    boost, meta_boost, mc_scale, value = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        boost[i], meta_boost[i], mc_scale[i], value[i] = acb(
            form[i], x[i], meta_seen[i], meta[i], mc_seen[i], mc[i], vel_div[i], w750[i],
            signals_gain, signals_from, beta_low, beta_high, w750_thr, thr, extreme, convexity,
        )  # fmt: skip
    return boost, meta_boost, mc_scale, value
