"""Fan-in: compose the lanes' readings into one leverage, and keep what bound it.

raw      = base * dc * acb * ob * esof                              left to right, in the order of LANES
cap      = min(base_max * acb * ob * esof, abs_max)                 DC is not in the cap
cap      = min(cap, stalker_cap)                                    where the posture is STALKER
leverage = max(min_lev, min(raw, cap))
notional = capital * fraction * leverage                            (capital * fraction) first

A lane beyond the five multiplies behind them, in the cap too where it says so.
bound: FLOOR where min(raw, cap) < min_lev, else PRODUCT where raw <= cap, else the first of STALKER, ABS, CAP
whose term equals the cap. The floor lifts a zero to min_lev, as BLUE's does; it is marked.
A NaN comes out as min_lev, so whoever reads the leverage looks at raw and the product inside the cap first.
Source: findings 8b; findings 8 for `sc_post` (docs/design/sources.md).
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

from collections.abc import Sequence
from typing import Final

import numpy as np

from lanes.code import Bound, Reason
from lanes.kernel import Codes, Flags, Floats, kernel
from lanes.lane import Field, Kind, Plane
from lanes.params import Params, Positive, SpanMs

_PRODUCT: Final = int(Bound.PRODUCT)
_CAP: Final = int(Bound.CAP)
_ABS: Final = int(Bound.ABS)
_STALKER: Final = int(Bound.STALKER)
_FLOOR: Final = int(Bound.FLOOR)


class FaninParams(Params):
    """Caps and sizes. stalker_cap: None caps nothing. alert_age_ms: of the posture and capital planes."""

    abs_max: Positive
    stalker_cap: Positive | None
    fraction: Positive
    paper_capital_usd: Positive
    alert_age_ms: SpanMs


POSTURE: Final = Plane(
    name="posture",
    forms=((Field("posture", Kind.TEXT),),),
    alert="fanin.alert_age_ms",
    missing=Reason.PLANE_MISSING_POSTURE,
    stale=Reason.PLANE_STALE_POSTURE,
)
CAPITAL: Final = Plane(
    name="capital",
    forms=((Field("capital_usd", Kind.POSITIVE),),),
    alert="fanin.alert_age_ms",
    missing=Reason.PLANE_MISSING_CAPITAL,
    stale=Reason.PLANE_STALE_CAPITAL,
)


@kernel
def compose(
    factors: Sequence[float] | Floats, inside_cap: Sequence[bool] | Flags, stalker: bool,
    base_max: float, abs_max: float, stalker_cap: float, min_lev: float,
) -> tuple[float, float, float, int, float, bool]:  # fmt: skip
    """raw, cap, the product inside the cap, Bound code, leverage, and whether the floor lifted a zero.

    factors: of the lanes, in their order, the base first; inside_cap: of each whether it stands in the cap.
    stalker_cap: infinite where the posture caps nothing.
    """
    raw = factors[0]
    product = base_max
    for at in range(1, len(factors)):
        raw = raw * factors[at]
        if inside_cap[at]:
            product = product * factors[at]
    cap = abs_max if abs_max < product else product
    if stalker:
        cap = stalker_cap if stalker_cap < cap else cap
    bounded = cap if cap < raw else raw
    leverage = bounded if bounded > min_lev else min_lev
    if bounded < min_lev:
        bound = _FLOOR
    elif raw <= cap:
        bound = _PRODUCT
    elif stalker and cap == stalker_cap:
        bound = _STALKER
    elif cap == abs_max:
        bound = _ABS
    else:
        bound = _CAP
    return raw, cap, product, bound, leverage, bounded == 0.0


@kernel
def notional(capital: float, fraction: float, leverage: float) -> float:
    """Size in USD. Grouped from the left: capital * (fraction * leverage) has other bits."""
    return capital * fraction * leverage


@kernel
def column(
    factors: Floats, inside_cap: Flags, stalker: Flags, capital: Floats,
    base_max: float, abs_max: float, stalker_cap: float, min_lev: float, fraction: float,
) -> tuple[Floats, Floats, Floats, Codes, Floats, Flags, Floats]:  # fmt: skip
    """What `compose` gives for every row, and the notional. factors: (rows, lanes)."""
    n = len(factors)
    raw, cap, product, leverage, usd = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    bound, lifted = np.empty(n, np.int8), np.empty(n, np.bool_)
    for i in range(n):
        raw[i], cap[i], product[i], bound[i], leverage[i], lifted[i] = compose(
            factors[i], inside_cap, stalker[i], base_max, abs_max, stalker_cap, min_lev
        )
        usd[i] = notional(capital[i], fraction, leverage[i])
    return raw, cap, product, bound, leverage, lifted, usd


def sc_post(leverage: float, notional: float, mult: float, near_one: float) -> tuple[float, float, float]:
    """The haircut after the fan-in: leverage, notional, and the clamped multiplier. Near 1 it does not round.

    Python's own round: numba's and numpy's give another last digit on one notional in twelve.
    """
    clamped = max(0.0, min(1.0, mult))
    if abs(clamped - 1.0) < near_one:
        return leverage, notional, clamped
    return round(leverage * clamped, 6), round(notional * clamped, 12), clamped


def sc_column(leverage: Floats, notional: Floats, mult: Floats, near_one: float) -> tuple[Floats, Floats]:
    """Leverage and notional after `sc_post`, row by row where it is not a no-op. mult: clamped to [0, 1]."""
    cut, cut_usd = leverage.copy(), notional.copy()
    for i in np.flatnonzero(np.abs(mult - 1.0) >= near_one):
        row = leverage[i].item(), notional[i].item(), mult[i].item()
        cut[i], cut_usd[i], _ = sc_post(*row, near_one)
    return cut, cut_usd
