"""Joint points of all inputs: every edge of every branch with its neighbours, with draws and the wild.

A row is tame (edges and plausible draws), or some of its inputs are wild (NaN, infinities, -0.0, denormals,
huge), so that most rows still reach the last line of the fan-in.
"""

import numpy as np

from lanes.code import PlaneForm
from lanes.registry import MORE

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
    points = {
        "vel_div": floats(around(base.thr, base.extreme, -0.0337, 0.0), -0.06, -0.01),
        "w750": floats(around(acb.w750_thr), -0.01, 0.01),
        "dc_status": codes(4),
        "acb.form": codes(3),
        "acb.x": floats(around(0.0, acb.signals_from, 2.0), 0.0, 3.0),
        "meta.seen": flags(),
        "meta.x": floats(multipliers, 0.5, 1.5),
        "mc.seen": flags(),
        "mc.x": floats(multipliers, 0.0, 1.0),
        "ob.form": (form := codes(3)),
        "ob.x": np.where(
            form == PlaneForm.INPUTS,
            floats(around(ob.imb_from, -ob.imb_from, ob.imb_full, -ob.imb_full), -0.4, 0.4),
            floats(multipliers, 0.85, 1.2),
        ),
        "ob.y": floats(around(ob.agree_above), 0.6, 1.0),
        "ob.z": rng.integers(ob.min_assets - 2, ob.min_assets + 3, n).astype(np.float64),
        "esof.form": codes(3),
        "esof.x": floats(around(*splits, 0.0, 1.0), -0.4, 1.2),
        "esof.age_ms": np.where(rng.random(n) < 0.5, 0, rng.choice(ages, n)),
        "stalker": flags(),
        "capital_usd": floats(around(25_000.0), 1.0, 100_000.0),
    }
    drawn = {"form": lambda: codes(3), "seen": flags, "age_ms": lambda: rng.choice(ages, n)}
    for name in (each for lane in MORE for each in lane.inputs if each not in points):
        points[name] = drawn.get(name.split(".")[1], lambda: floats(multipliers, -0.1, 1.5))()
    return points


def take(points, rows):
    """Some rows of the points."""
    return {name: column[rows] for name, column in points.items()}
