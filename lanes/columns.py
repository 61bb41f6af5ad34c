"""The five lanes and the fan-in over the columns of a batch.

One compiled loop a lane (`say`), then the fan-in's (`compose`): in one process, or each lane in a process of its own.
A foreign kernel's column takes the place of its lane's default; a lane that is off is 1.0 and still has its columns.
Nothing is judged here: a row that is not finite bears the code of the lane that made it so, and the caller rejects it.
Source: SPEC sections 2 and 3.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Said:
    """What one lane says of every row: its value, and its components in the order of Lane.components."""

    value: Floats
    components: tuple[Floats, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """Columns of the five lanes, and of rows where a foreign kernel failed the lane and its words."""

    said: dict[str, Said]
    faults: dict[int, tuple[str, str]]


def evaluate(inputs: Inputs, profile: Profile, columns: Mapping[str, Floats], lap: Lap = lambda lane: None) -> Readings:
    """Evaluate every row. columns: values of foreign kernels by lane. lap: told of each lane when its loop is over."""
    said = {}
    lap("")
    for lane in _SAY:
        said[lane] = say(lane, inputs, profile, columns.get(lane))
        lap(lane)
    readings = compose(profile, said, inputs.stalker, inputs.capital_usd)
    lap("fanin")
    return readings


def say(lane: str, inputs: Inputs, profile: Profile, foreign: Floats | None) -> Said:
    """One lane alone over every row. foreign: values of a kernel in its place."""
    return _SAY[lane](inputs, profile, foreign, np.ones(len(inputs.vel_div)))


def compose(profile: Profile, said: Mapping[str, Said], stalker: Flags, capital_usd: Floats) -> Readings:
    """The fan-in over what the five lanes said, whoever asked them. stalker: rows under that posture."""
    f, ones = profile.fanin, np.ones(len(stalker))
    base_, dc_, regime, ob_, esof_ = (said[lane.name].value for lane in LANES)
    boost, meta, mc = said["acb"].components
    after = profile.esof.application == "sc_post"
    inside, sc_mult = (ones, esof_) if after else (esof_, ones)
    stalker_cap = math.inf if f.stalker_cap is None else f.stalker_cap
    raw, cap, product, bound, leverage_fanin, lifted, usd = fanin.column(
        base_, dc_, regime, ob_, inside, stalker, capital_usd,
        profile.base.base_max, f.abs_max, stalker_cap, profile.base.min_lev, f.fraction,
    )  # fmt: skip
    leverage = leverage_fanin
    if after:
        leverage, usd = fanin.sc_column(leverage_fanin, usd, sc_mult, profile.esof.near_one)
    readings = Readings(
        strength=said["base"].components[0], base=base_, dc=dc_, acb_boost=boost, meta_boost=meta, mc_scale=mc,
        acb=regime, ob=ob_, esof=esof_, esof_fanin=inside, raw=raw, cap=cap, bound=bound,
        leverage_fanin=leverage_fanin, sc_mult=sc_mult, leverage=leverage, notional_usd=usd, floor_lifted=lifted,
        non_finite=np.zeros(len(ones), np.int8),
    )  # fmt: skip
    _mark_non_finite(readings, product)
    return readings


def _cubic(inputs: Inputs, profile: Profile, foreign: Floats | None, ones: Floats) -> Said:
    p = profile.base
    strength, cubic = base.column(inputs.vel_div, p.thr, p.extreme, p.min_lev, p.base_max, p.convexity)
    return Said(ones if not p.enabled else cubic if foreign is None else foreign, (strength,))


def _confirm(inputs: Inputs, profile: Profile, foreign: Floats | None, ones: Floats) -> Said:
    if not profile.dc.enabled:
        return Said(ones)
    return Said(dc.column(inputs.dc_status, profile.dc.boost) if foreign is None else foreign)


def _regime(inputs: Inputs, profile: Profile, foreign: Floats | None, ones: Floats) -> Said:
    p, b = profile.acb, profile.base
    if not p.enabled:
        return Said(ones, (ones, ones, ones))
    if foreign is not None:  # a foreign kernel answers for the whole regime
        return Said(foreign, (foreign, ones, ones))
    boost, meta, mc, regime = acb.column(
        inputs.acb_form, inputs.acb_x, inputs.meta_seen, inputs.meta, inputs.mc_seen, inputs.mc,
        inputs.vel_div, inputs.w750,
        p.signals_gain, p.signals_from, p.beta_low, p.beta_high, p.w750_thr, b.thr, b.extreme, b.convexity,
    )  # fmt: skip
    return Said(regime, (boost, meta, mc))


def _consensus(inputs: Inputs, profile: Profile, foreign: Floats | None, ones: Floats) -> Said:
    p = profile.ob
    if not p.enabled:
        return Said(ones)
    if foreign is not None:
        return Said(foreign)
    consensus = ob.column(
        inputs.ob_form, inputs.ob_mult, inputs.ob_eff_imb, inputs.ob_agree, inputs.ob_n_assets,
        p.imb_from, p.imb_full, p.agree_above, p.up, p.down, p.min_assets,
    )  # fmt: skip
    return Said(consensus)


def _haircut(inputs: Inputs, profile: Profile, foreign: Floats | None, ones: Floats) -> Said:
    p = profile.esof
    if not p.enabled:
        return Said(ones)
    form, x, age_ms = inputs.esof_form, inputs.esof_x, inputs.esof_age_ms
    if foreign is not None:  # a haircut by whomever is clamped to [0, 1]: a fresh multiplier
        x = foreign
        form, age_ms = np.full(len(x), PlaneForm.MULTIPLIER, np.int8), np.zeros(len(x), np.int64)
    return Said(esof.column(form, x, age_ms, p.splits, p.plateaus, p.edge, p.stale, p.max_age_ms))


_SAY: Final[Mapping[str, Callable[[Inputs, Profile, Floats | None, Floats], Said]]] = {
    "base": _cubic, "dc": _confirm, "acb": _regime, "ob": _consensus, "esof": _haircut,
}  # fmt: skip


def _mark_non_finite(readings: Readings, product: Floats) -> None:
    """Mark rows with the first that is not finite: lanes in their order, then the fan-in."""
    # From the last to the first, so that the first one stays.
    for values in (readings.raw, product, readings.notional_usd):
        readings.non_finite[~np.isfinite(values)] = len(LANES) + 1
    for code, lane in reversed(tuple(enumerate(LANES, 1))):
        for name in (lane.name, *lane.components):
            readings.non_finite[~np.isfinite(getattr(readings, name))] = code
