"""The whole chain row by row over the scalar kernels: what the column loops are compared with."""

import math
from itertools import repeat

import numpy as np

from lanes import acb, base, dc, esof, fanin, ob
from lanes.registry import FIVE

_OFF = ("acb_boost", "meta_boost", "mc_scale", "acb", "ob", "esof", "esof_fanin", "sc_mult")


def rows(function, *arguments):
    """`function` of every row, as columns. An array is one value a row, anything else a constant."""
    columns = (a.tolist() if isinstance(a, np.ndarray) else repeat(a) for a in arguments)
    results = list(map(function, *columns))
    if isinstance(results[0], tuple):
        return [np.array(column) for column in zip(*results, strict=True)]
    return np.array(results)


def _of_five(compose):
    inside = tuple(lane.inside_cap for lane in FIVE)

    def composed(base, dc, acb, ob, esof, *rest):
        return compose((base, dc, acb, ob, esof), inside, *rest)

    return composed


def readings(points, profile, twin):
    """Columns by name. twin: which form of a kernel is called, its `py_func` or the kernel itself."""
    i, b, a, o, e, f = points, profile.base, profile.acb, profile.ob, profile.esof, profile.fanin
    ones = np.ones(len(i["vel_div"]))
    out = dict.fromkeys(_OFF, ones)
    curve = (b.thr, b.extreme, b.min_lev, b.base_max, b.convexity)
    out["strength"], out["base"] = rows(twin(base.base), i["vel_div"], *curve)
    out["dc"] = rows(twin(dc.dc), i["dc_status"], profile.dc.boost)
    if a.enabled:
        out["acb_boost"], out["meta_boost"], out["mc_scale"], out["acb"] = rows(
            twin(acb.acb), *(i[name] for name in acb.LANE.inputs),
            a.signals_gain, a.signals_from, a.beta_low, a.beta_high, a.w750_thr,
            b.thr, b.extreme, b.convexity,
        )  # fmt: skip
    if o.enabled:
        out["ob"] = rows(
            twin(ob.ob), *(i[name] for name in ob.LANE.inputs),
            o.imb_from, o.imb_full, o.agree_above, o.up, o.down, o.min_assets,
        )  # fmt: skip
    if e.enabled:
        out["esof"] = rows(
            twin(esof.esof), *(i[name] for name in esof.LANE.inputs),
            e.splits, e.plateaus, e.edge, e.stale, e.max_age_ms,
        )  # fmt: skip
    after = e.application == "sc_post"
    out["sc_mult" if after else "esof_fanin"] = out["esof"]
    out["raw"], out["cap"], _, out["bound"], out["leverage_fanin"], out["floor_lifted"] = rows(
        _of_five(twin(fanin.compose)), out["base"], out["dc"], out["acb"], out["ob"], out["esof_fanin"],
        i["stalker"], b.base_max, f.abs_max, math.inf if f.stalker_cap is None else f.stalker_cap, b.min_lev,
    )  # fmt: skip
    usd = rows(twin(fanin.notional), i["capital_usd"], f.fraction, out["leverage_fanin"])
    out["leverage"], out["notional_usd"] = out["leverage_fanin"], usd
    if after:
        out["leverage"], out["notional_usd"], _ = rows(
            fanin.sc_post, out["leverage_fanin"], usd, out["esof"], e.near_one
        )
    return out
