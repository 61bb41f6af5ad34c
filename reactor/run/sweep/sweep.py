"""Sweep: bindings over a run, chunk by chunk, into the journal.

Chunks are evaluated by threads and inserted in their order. What a chunk holds follows from its numbers alone, so a
sweep that was killed makes the chunks that are not there, and the number of workers changes nothing.
"""

import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from journal.judge import swept
from journal.ledger.run import Run
from journal.store import Store
from lanes.fingerprint import math_fingerprint
from lanes.kernel import Floats
from lanes.profile import Profile, override
from reactor.log.connection import Connection
from reactor.run.foreign import load
from reactor.run.provenance import code_hash
from reactor.run.replay import ReplaySource
from reactor.run.sweep import scans
from reactor.run.sweep.bindings import Bindings
from reactor.run.sweep.fused import BOUNDS, NONE, SUMS, Block, Counters, Graph, aggregate

CHUNK: Final = 16_384  # bindings that are inserted together: some 2 MB, and 10 MB with their counters
_TAILS: Final = {"leverage_p05": 0.05, "leverage_p50": 0.5, "leverage_p95": 0.95, "leverage_p99": 0.99}


@dataclass(frozen=True)
class Sweep:
    """A sweep that is to be made. on_scans, on_bindings: told how many were read, and how many are in the journal."""

    store: Store
    run: Run
    bindings: Bindings
    histogram: bool
    workers: int
    on_scans: Callable[[int], None] = lambda n: None
    on_bindings: Callable[[int], None] = lambda n: None

    def make(self, broker: Connection | None) -> dict[str, Any]:
        """Evaluate what is not in the journal yet; the row of `violet_sweeps`. Raises Refusal where nothing can be."""
        profile = self.bindings.profile
        graph = Graph(profile, frozenset(load(profile).kernels))
        self.bindings.check(graph)
        widest = self._widest(profile)
        source = ReplaySource(self.store, self.run, broker, widest)
        try:
            ends = source.ends()
            found = scans.read(self.store, self.run, source, graph, widest, self.on_scans)
        finally:
            source.close()
        counters = self._counters(graph) if self.histogram else NONE
        sweep = {
            "run_id": self.run.run_id, "name": self.run.name, "asked": self.bindings.text(),
            "param_names": list(self.bindings.names), "bindings": len(self.bindings), "scans": found.compared,
            "decisions": len(found.inputs), "params_hash": profile.hash, "code_hash": code_hash(),
            "math_fingerprint": math_fingerprint(), "counters": counters.thresholds.tolist(),
        }  # fmt: skip
        named = hashlib.sha256(json.dumps([sweep, sorted(ends.items())], sort_keys=True).encode()).hexdigest()[:16]
        sweep |= {"sweep_id": named, "read_from": found.read_from, "sweep_hash": 0}
        swept.put(self.store, {**sweep, "revision": 0, "state": "RUNNING", "at": datetime.now(UTC)})
        done = swept.chunks(self.store, named, CHUNK)
        for columns in self._chunks(graph, found, counters, done):
            swept.put_bindings(self.store, named, columns)
            self.on_bindings(int(columns["binding"][-1]) + 1)
        sweep["sweep_hash"] = swept.hash_of(self.store, named)
        swept.put(self.store, {**sweep, "revision": 1, "state": "DONE", "at": datetime.now(UTC)})
        return sweep

    def _widest(self, profile: Profile) -> Profile:
        """The params under which the most scans decide."""
        name = "base.thr"
        given = [profile.base.thr, *self.bindings.grid.get(name, []), *self.bindings.ranges.get(name, ())]
        given += [each[name] for each in self.bindings.listed if name in each]
        return override(profile, {"base": {"thr": max(map(float, given))}})

    def _counters(self, graph: Graph) -> Counters:
        """Counters over every leverage that a binding may give."""
        at, least, most = graph.params.index, math.inf, 0.0
        for first in self._firsts():  # chunk by chunk: all of them are more than memory holds
            params = self._params(graph, first)
            least = min(least, float(params[at("base.min_lev")].min()))
            most = max(most, float(params[at("fanin.abs_max")].max()))
        return Counters.over(least, most)

    def _firsts(self) -> range:
        return range(0, len(self.bindings), CHUNK)

    def _params(self, graph: Graph, first: int) -> Floats:
        """All params of a chunk of bindings, one column each."""
        last = min(first + CHUNK, len(self.bindings))
        params = np.repeat(graph.own()[:, None], last - first, axis=1)
        params[[graph.params.index(name) for name in self.bindings.names]] = self.bindings.values(first, last)
        return params

    def _chunks(
        self, graph: Graph, found: scans.Scans, counters: Counters, done: dict[int, int]
    ) -> Iterator[dict[str, Any]]:
        """Columns of the chunks that are not there, in their order; a few are made ahead."""
        changed = graph.changed(self.bindings.names)

        def made(first: int) -> dict[str, Any]:
            params = self._params(graph, first)
            block = aggregate(graph, found.inputs, found.lanes, params, changed, counters)
            return _columns(first, self.bindings.values(first, first + params.shape[1]), block, counters)

        with ThreadPoolExecutor(self.workers) as pool:
            ahead: deque[Future[dict[str, Any]]] = deque()
            for first in self._firsts():
                if done.get(first // CHUNK, 0) < min(CHUNK, len(self.bindings) - first):
                    ahead.append(pool.submit(made, first))
                if len(ahead) > self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()


def _columns(first: int, values: Floats, block: Block, counters: Counters) -> dict[str, Any]:
    """Rows of `violet_sweep_bindings`, as columns."""
    n = block.bounds.shape[1]
    sums = dict(zip(SUMS, block.sums, strict=True))
    return {
        "binding": np.arange(first, first + n, dtype=np.uint64),
        "param_values": values.T.tolist(),
        "decisions": block.bounds.sum(axis=0).astype(np.uint64),
        "non_finite": sums.pop("non_finite").astype(np.uint64),
        **dict(zip(BOUNDS, block.bounds.astype(np.uint64), strict=True)),
        **sums,
        **{name: _quantile(block, counters, q) for name, q in _TAILS.items()},
        "histogram": block.histogram.tolist() if len(block.histogram) else [[]] * n,
    }


def _quantile(block: Block, counters: Counters, q: float) -> Floats:
    """What a share of the decisions is at most, to 1 %; NaN without counters."""
    if not len(block.histogram):
        return np.full(block.bounds.shape[1], np.nan)
    counted = np.cumsum(block.histogram, axis=1, dtype=np.int64)
    at = (counted < np.ceil(q * counted[:, -1:])).sum(axis=1)
    low, high = block.sums[SUMS.index("leverage_min")], block.sums[SUMS.index("leverage_max")]
    quantile: Floats = np.minimum(np.maximum(counters.values[np.minimum(at, len(counters.values) - 1)], low), high)
    return quantile
