"""The five lanes and the fan-in over the columns of a batch.

One compiled loop a lane, then the fan-in's. A foreign kernel's column takes the place of its lane's default;
a lane that is off is 1.0 and still has its columns. Nothing is judged here: a row that is not finite bears
the code of the lane that made it so, and the caller rejects it.
Source: SPEC sections 2 and 3.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lanes import acb, base, dc, esof, fanin, ob
from lanes.code import PlaneForm
from lanes.kernel import Codes, Counts, Flags, Floats
from lanes.lane import LANES
from lanes.params import Profile

Lap = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Inputs:
    """What the lanes read, one row a scan. A plane's value counts only where its form or flag says so."""

    vel_div: Floats
    w750: Floats  # NaN: absent
    dc_status: Codes  # DcStatus
    acb_form: Codes  # PlaneForm
    acb_x: Floats  # boost or signals
    meta_seen: Flags
    meta: Floats
    mc_seen: Flags
    mc: Floats
    ob_form: Codes  # PlaneForm
    ob_mult: Floats
    ob_eff_imb: Floats
    ob_agree: Floats
    ob_n_assets: Counts
    esof_form: Codes  # PlaneForm
    esof_x: Floats  # multiplier or score
    esof_age_ms: Counts  # event time; negative where the plane is from later than the scan
    stalker: Flags
    capital_usd: Floats  # paper capital where none was seen


@dataclass(slots=True, kw_only=True)
class Readings:
    """What the lanes and the fan-in say of every row."""

    strength: Floats
    base: Floats
    dc: Floats
    acb_boost: Floats
    meta_boost: Floats
    mc_scale: Floats
    acb: Floats
    ob: Floats
    esof: Floats
    esof_fanin: Floats  # the factor inside raw and cap: 1.0 under sc_post
    raw: Floats
    cap: Floats
    bound: Codes  # Bound
    leverage_fanin: Floats
    sc_mult: Floats  # the factor after the fan-in: 1.0 under fan_in
    leverage: Floats
    notional_usd: Floats
    floor_lifted: Flags
    non_finite: Codes  # 0: all finite; 1 to 5: the first lane of LANES that is not; 6: the fan-in


def evaluate(inputs: Inputs, profile: Profile, columns: Mapping[str, Floats], lap: Lap = lambda lane: None) -> Readings:
    """Evaluate every row. columns: values of foreign kernels by lane. lap: told of each lane when its loop is over."""
    b, f, ones = profile.base, profile.fanin, np.ones(len(inputs.vel_div))

    def value(lane: str, default: Callable[[], Floats]) -> Floats:
        if not getattr(profile, lane).enabled:
            return ones
        return columns[lane] if lane in columns else default()

    lap("")
    strength, cubic = base.column(inputs.vel_div, b.thr, b.extreme, b.min_lev, b.base_max, b.convexity)
    base_ = value("base", lambda: cubic)
    lap("base")
    boost, meta, mc, regime = _regime(inputs, profile, columns, ones)
    lap("acb")
    dc_ = value("dc", lambda: dc.column(inputs.dc_status, profile.dc.boost))
    lap("dc")
    ob_ = value("ob", lambda: _consensus(inputs, profile))
    lap("ob")
    esof_ = _haircut(inputs, profile, columns, ones)
    lap("esof")
    after = profile.esof.application == "sc_post"
    inside, sc_mult = (ones, esof_) if after else (esof_, ones)
    stalker_cap = math.inf if f.stalker_cap is None else f.stalker_cap
    raw, cap, product, bound, leverage_fanin, lifted, usd = fanin.column(
        base_, dc_, regime, ob_, inside, inputs.stalker, inputs.capital_usd,
        b.base_max, f.abs_max, stalker_cap, b.min_lev, f.fraction,
    )  # fmt: skip
    leverage = leverage_fanin
    if after:
        leverage, usd = fanin.sc_column(leverage_fanin, usd, sc_mult, profile.esof.near_one)
    lap("fanin")
    readings = Readings(
        strength=strength, base=base_, dc=dc_, acb_boost=boost, meta_boost=meta, mc_scale=mc, acb=regime,
        ob=ob_, esof=esof_, esof_fanin=inside, raw=raw, cap=cap, bound=bound, leverage_fanin=leverage_fanin,
        sc_mult=sc_mult, leverage=leverage, notional_usd=usd, floor_lifted=lifted,
        non_finite=np.zeros(len(ones), np.int8),
    )  # fmt: skip
    _mark_non_finite(readings, product)
    return readings


def _regime(
    inputs: Inputs, profile: Profile, columns: Mapping[str, Floats], ones: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    p, b = profile.acb, profile.base
    if not p.enabled:
        return ones, ones, ones, ones
    if "acb" in columns:  # a foreign kernel answers for the whole regime
        return columns["acb"], ones, ones, columns["acb"]
    return acb.column(
        inputs.acb_form, inputs.acb_x, inputs.meta_seen, inputs.meta, inputs.mc_seen, inputs.mc,
        inputs.vel_div, inputs.w750,
        p.signals_gain, p.signals_from, p.beta_low, p.beta_high, p.w750_thr, b.thr, b.extreme, b.convexity,
    )  # fmt: skip


def _consensus(inputs: Inputs, profile: Profile) -> Floats:
    p = profile.ob
    return ob.column(
        inputs.ob_form, inputs.ob_mult, inputs.ob_eff_imb, inputs.ob_agree, inputs.ob_n_assets,
        p.imb_from, p.imb_full, p.agree_above, p.up, p.down, p.min_assets,
    )  # fmt: skip


def _haircut(inputs: Inputs, profile: Profile, columns: Mapping[str, Floats], ones: Floats) -> Floats:
    p = profile.esof
    if not p.enabled:
        return ones
    form, x, age_ms = inputs.esof_form, inputs.esof_x, inputs.esof_age_ms
    if "esof" in columns:  # a haircut by whomever is clamped to [0, 1]: a fresh multiplier
        x = columns["esof"]
        form, age_ms = np.full(len(x), PlaneForm.MULTIPLIER, np.int8), np.zeros(len(x), np.int64)
    return esof.column(form, x, age_ms, p.splits, p.plateaus, p.edge, p.stale, p.max_age_ms)


def _mark_non_finite(readings: Readings, product: Floats) -> None:
    """Mark rows with the first that is not finite: lanes in their order, then the fan-in."""
    # From the last to the first, so that the first one stays.
    for values in (readings.raw, product, readings.notional_usd):
        readings.non_finite[~np.isfinite(values)] = len(LANES) + 1
    for code, lane in reversed(tuple(enumerate(LANES, 1))):
        for name in (lane.name, *lane.components):
            readings.non_finite[~np.isfinite(getattr(readings, name))] = code
