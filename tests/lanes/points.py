"""Joint points of all inputs: every edge of every branch with its neighbours, with draws and the wild.

A row is tame (edges and plausible draws), or some of its inputs are wild (NaN, infinities, -0.0, denormals,
huge), so that most rows still reach the last line of the fan-in.
"""

import dataclasses

import numpy as np

from lanes.columns import Inputs

WILD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, 1e308, -1e308, 1.0, -1.0])


def around(*edges):
    """Each edge and its two neighbours."""
    at = np.array(edges, dtype=np.float64)
    return np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)])


def inputs(n, seed, profile):
    """n joint points around the edges of a profile."""
    rng = np.random.default_rng(seed)
    wildness = rng.choice([0.0, 0.1, 0.5], n, p=[0.7, 0.2, 0.1])

    def floats(edges, lo, hi):
        drawn = np.where(rng.random(n) < 0.4, rng.choice(edges, n), rng.uniform(lo, hi, n))
        return np.where(rng.random(n) < wildness, rng.choice(WILD, n), drawn)

    def codes(high):
        return rng.integers(0, high, n).astype(np.int8)

    def flags():
        return rng.random(n) < 0.5

    base, acb, ob, esof = profile.base, profile.acb, profile.ob, profile.esof
    multipliers = around(0.0, 0.3, 0.85, 1.0, 1.125, 1.2, 1.6)
    splits = [s + d for s in esof.splits for d in (-esof.edge, 0.0, esof.edge)]
    ages = np.array([-1, 0, esof.max_age_ms - 1, esof.max_age_ms, esof.max_age_ms + 1, 2**62])
    return Inputs(
        vel_div=floats(around(base.thr, base.extreme, -0.0337, 0.0), -0.06, -0.01),
        w750=floats(around(acb.w750_thr), -0.01, 0.01),
        dc_status=codes(4),
        acb_form=codes(3),
        acb_x=floats(around(0.0, acb.signals_from, 2.0), 0.0, 3.0),
        meta_seen=flags(),
        meta=floats(multipliers, 0.5, 1.5),
        mc_seen=flags(),
        mc=floats(multipliers, 0.0, 1.0),
        ob_form=codes(3),
        ob_mult=floats(multipliers, 0.85, 1.2),
        ob_eff_imb=floats(around(ob.imb_from, -ob.imb_from, ob.imb_full, -ob.imb_full), -0.4, 0.4),
        ob_agree=floats(around(ob.agree_above), 0.6, 1.0),
        ob_n_assets=rng.integers(ob.min_assets - 2, ob.min_assets + 3, n),
        esof_form=codes(3),
        esof_x=floats(around(*splits, 0.0, 1.0), -0.4, 1.2),
        esof_age_ms=np.where(rng.random(n) < 0.5, 0, rng.choice(ages, n)),
        stalker=flags(),
        capital_usd=floats(around(25_000.0), 1.0, 100_000.0),
    )


def take(points, rows):
    """Some rows of the points."""
    return Inputs(**{f.name: getattr(points, f.name)[rows] for f in dataclasses.fields(Inputs)})
