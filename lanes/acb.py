"""ACB lane: the regime, adaptive circuit breaker times meta times Monte Carlo scale.

acb = acb_boost * meta_boost * mc_scale, left to right

acb_boost  = the plane's boost; or of its signals
             1.0 + signals_gain * log1p(signals) if signals >= signals_from else 1.0; 1.0 if never seen
meta_boost = the meta plane's boost; or, where the acb plane gave signals,
             1.0 + beta * strength ** convexity with beta_high if w750 >= w750_thr else beta_low; else 1.0
mc_scale   = the mc plane's scale, else 1.0

The strength is the base lane's formula, written out again: lanes are independent. All but the product is a
default, replaceable by a wrapped kernel; see the drift register.
Source: findings 8b; default acb (docs/design/sources.md).
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

import math
from typing import Final

from lanes.code import PlaneForm, Reason
from lanes.kernel import kernel
from lanes.lane import Field, Kind, Lane, Plane
from lanes.params import LaneParams, NotNegative, SpanMs

_INPUTS: Final = int(PlaneForm.INPUTS)
_NEVER_SEEN: Final = int(PlaneForm.NEVER_SEEN)
ACB_MAX: Final = 4.0  # marked beyond; requirements section 9.2


class AcbParams(LaneParams):
    """Regime. signals_from: below it the boost is 1.0; w750_thr parts beta_low from beta_high."""

    signals_gain: NotNegative
    signals_from: NotNegative
    beta_low: NotNegative
    beta_high: NotNegative
    w750_thr: float
    alert_age_ms: SpanMs


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


ACB = Plane(
    name="acb",
    forms=((Field("boost", Kind.MULTIPLIER),), (Field("signals", Kind.NUMBER),)),
    alert="acb.alert_age_ms",
    missing=Reason.PLANE_MISSING_ACB,
    stale=Reason.PLANE_STALE_ACB,
)
META = Plane(
    name="meta",
    forms=((Field("boost", Kind.MULTIPLIER),),),
    alert="acb.alert_age_ms",
    missing=Reason.PLANE_MISSING_META,
    stale=Reason.PLANE_STALE_META,
    excused_by="acb",  # signals come without it: it is computed from w750
)
MC = Plane(
    name="mc",
    forms=((Field("scale", Kind.MULTIPLIER),),),
    alert="acb.alert_age_ms",
    missing=Reason.PLANE_MISSING_MC,
    stale=Reason.PLANE_STALE_MC,
)
LANE = Lane(
    name="acb",
    title="ACB regime",
    formula="acb_boost * meta_boost * mc_scale",
    source="findings 8b; factors: default acb",
    params=AcbParams,
    kernel=acb,
    inputs=("acb.form", "acb.x", "meta.seen", "meta.x", "mc.seen", "mc.x", "vel_div", "w750"),
    constants=(
        "signals_gain", "signals_from", "beta_low", "beta_high", "w750_thr",
        "base.thr", "base.extreme", "base.convexity",
    ),
    planes=(ACB, META, MC),
    components=("acb_boost", "meta_boost", "mc_scale"),
    factors=True,
    doubts=lambda inputs, value, params: {Reason.ACB_OUT_OF_RANGE: value > ACB_MAX},
)  # fmt: skip
