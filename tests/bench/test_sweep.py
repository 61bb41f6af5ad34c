"""What a sweep costs: one scan and 64 scans under many bindings, by the fused loop, and by NumPy beside it.

NumPy's power has other bits than libm's, so its share of differing sizes stands beside its rate.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
import pytest

from lanes.profile import PROFILES
from reactor.run.sweep import fused
from reactor.run.sweep.bindings import Bindings

pytestmark = pytest.mark.bench

BLUE = PROFILES["blue_8b"]
RANGES = {
    "base.extreme": (-0.08, -0.04), "base.base_max": (6.0, 9.0), "dc.boost": (1.0, 1.3), "fanin.abs_max": (7.0, 10.0),
    "fanin.fraction": (0.1, 0.3),
}  # fmt: skip
N = 1_000_000
CHUNK = 16_384
ROUNDS = 5


def market(n):
    """Scans with a signal, planes as multipliers: inputs of the graph, and the lanes' values."""
    random = np.random.default_rng(8)
    graph = fused.Graph(BLUE)
    given = {name: np.zeros(n) for name in graph.inputs}
    given |= {"vel_div": random.uniform(-0.06, -0.02, n), "dc_status": random.integers(0, 3, n).astype(float)}
    given |= {f"{plane}.form": np.ones(n) for plane in ("acb", "ob", "esof")}
    given |= {f"{plane}.seen": np.ones(n) for plane in ("meta", "mc", "capital")}
    given |= {f"{plane}.x": random.uniform(0.8, 1.2, n) for plane in ("acb", "meta", "mc", "ob", "esof")}
    given["capital_usd"] = np.full(n, 25_000.0)
    scans = np.column_stack([given[name] for name in graph.inputs])
    acb = given["acb.x"] * given["meta.x"] * given["mc.x"]
    lanes = np.column_stack([np.ones(n), np.ones(n), acb, given["ob.x"], np.minimum(given["esof.x"], 1.0)])
    return graph, scans, lanes, given


def columns(graph, n):
    bindings = Bindings(BLUE, ranges=RANGES, random=n, seed=1)
    params = np.repeat(graph.own()[:, None], n, axis=1)
    params[[graph.params.index(name) for name in bindings.names]] = bindings.values(1, n + 1)
    return params


def timed(work):
    work()
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return median(took)


def by_numpy(graph, scans, lanes, params):
    """Leverage of one scan under every binding, as an array program has it."""
    p = dict(zip(graph.params, params, strict=True))
    x = dict(zip(graph.inputs, scans[0], strict=True))
    strength = np.clip((p["base.thr"] - x["vel_div"]) / (p["base.thr"] - p["base.extreme"]), 0.0, 1.0)
    base = p["base.min_lev"] + np.power(strength, 3.0) * (p["base.base_max"] - p["base.min_lev"])
    dc = p["dc.boost"] if x["dc_status"] == 1.0 else 1.0
    raw = base * dc * lanes[0, 2] * lanes[0, 3] * lanes[0, 4]
    cap = np.minimum(p["base.base_max"] * lanes[0, 2] * lanes[0, 3] * lanes[0, 4], p["fanin.abs_max"])
    leverage = np.maximum(p["base.min_lev"], np.minimum(raw, cap))
    return leverage, x["capital_usd"] * p["fanin.fraction"] * leverage


def by_python(graph, scans, lanes, params):
    """The same by the base lane's plain Python, with Python's own pow, binding by binding."""
    names = ("thr", "extreme", "min_lev", "base_max", "convexity")
    curves = zip(*(params[graph.params.index(f"base.{name}")].tolist() for name in names), strict=True)
    boosts, tops = (params[graph.params.index(name)].tolist() for name in ("dc.boost", "fanin.abs_max"))
    x = dict(zip(graph.inputs, scans[0].tolist(), strict=True))
    acb, ob, esof = lanes[0, 2:].tolist()
    base, confirmed, found = BLUE.lanes[0].kernel.py_func, x["dc_status"] == 1.0, []
    for curve, boost, top in zip(curves, boosts, tops, strict=True):
        raw = base(x["vel_div"], *curve)[1] * (boost if confirmed else 1.0) * acb * ob * esof
        cap = min(curve[3] * acb * ob * esof, top)
        found.append(max(curve[2], min(raw, cap)))
    return np.array(found)


def test_sweep(capsys):
    graph, scans, lanes, _ = market(64)
    params = columns(graph, N)
    swept = graph.changed(RANGES)
    parts = [np.ascontiguousarray(params[:, at : at + CHUNK]) for at in range(0, N, CHUNK)]
    counters = fused.Counters.over(0.5, 10.0)

    def run(count, workers, counted=fused.NONE):
        with ThreadPoolExecutor(workers) as pool:
            return list(
                pool.map(lambda part: fused.aggregate(graph, scans[:count], lanes[:count], part, swept, counted), parts)
            )

    def copied(workers):
        """Seven columns read and two written, as the least that one scan under every binding moves."""
        out = np.empty((2, N))

        def move(at):
            some = slice(at, at + CHUNK)
            np.add.reduce(params[:7, some], axis=0, out=out[0, some])
            out[1, some] = out[0, some]

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(move, range(0, N, CHUNK)))

    rates = {
        f"{name}, {workers} threads": count * N / timed(lambda count=count, w=workers, c=c: run(count, w, c)) / 1e6
        for name, count, c in (
            ("one scan", 1, fused.NONE), ("64 scans", 64, fused.NONE), ("64 scans with counters", 64, counters),
        )
        for workers in (1, 2)
    }  # fmt: skip
    rates |= {f"memory: 7 columns in, 2 out, {w} threads": N / timed(lambda w=w: copied(w)) / 1e6 for w in (1, 2)}
    rates["NumPy, one scan"] = N / timed(lambda: by_numpy(graph, scans, lanes, params)) / 1e6
    mine = np.concatenate([part.sums[0] for part in run(1, 2)])
    exact = by_python(graph, scans, lanes, params)
    numpy, _ = by_numpy(graph, scans, lanes, params)
    with capsys.disabled():
        print(f"\n{'a million bindings':45} M evaluations/s")
        for name, rate in rates.items():
            print(f"{name:45} {rate:10.1f}")
        print(
            f"sizes that differ from Python's pow: fused {(mine != exact).mean():.2%}, NumPy {(numpy != exact).mean():.2%}"
        )
    assert (mine == exact).all()
