"""Sketches: quantiles of what each lane said, per asset, of the last hour and of the whole run, in constant memory.

A sketch is a list of values with weights. As long as it has seen at most KEPT distinct values it is the exact
distribution, which is the lasting case for lanes that say few different things (dc, esof). Beyond that tdigest merges
neighbours (delta 0.02: some 450 stay), and a quantile is the first value kept at which the weights reach its share.
Error in rank: at most 0.01 in the middle, 0.002 at p01 and p99, measured on skewed, uniform and atomic values. Bytes:
16 a value kept, at most 16 KiB a sketch.

It sees a sample: of each batch at most SAMPLES_S values a lane for each second since the last, ten seconds saved up at
most, each weighted with the scans it stands for; at BLUE's pace and in short runs that is every scan. A sample of k
adds a random error of 0.5 / sqrt(k) in rank. Exact quantiles of everything are in SQL, view `lane_quantiles`.

The hour is that of arrival, as Prometheus' own, in twelve slots of five minutes, so that no record's date can empty or
freeze it; a slot that leaves it is folded into the run's. All slots are in `violet_sketches` a minute later at most and
come back on a resume; what a crash took of the last minute is missing from the sample, from no outcome.
The only module that imports tdigest. See docs/design/watching.md.
"""

import importlib.util
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from journal.keep import sketches
from journal.refusal import Refusal
from journal.row import Batch, Coded, Rows
from journal.store import Store
from lanes.code import Outcome
from lanes.registry import LANES
from reactor.watch.measure import lane_values
from reactor.watch.metrics import ASSET_QUANTILES, QUANTILES, Metrics

Floats = NDArray[np.float64]
Key = tuple[str, str]  # lane, asset; no asset on a scan that did not decide
KEPT: Final = 1_024
DELTA: Final = 0.02
SLOT_S: Final = 300
SLOTS: Final = 12
ASSETS: Final = 50  # told apart, the first that come
OTHER: Final = "other"
SAMPLES_S: Final = 200
SAVED_S: Final = 10.0
WAITING: Final = 64  # samples that may wait for the thread that sketches; beyond, the oldest goes
WRITE_S: Final = 60.0
WINDOWS: Final = ("1h", "run")


def require() -> None:
    """Refuse where the extra is not installed."""
    if importlib.util.find_spec("tdigest") is None:
        raise Refusal(
            "--sketches needs the extra tdigest, which is not installed; fix: pip install 'violet-reactor[tdigest]' "
            "with a C compiler at hand, or leave --sketches away"
        )


@dataclass(slots=True)
class Sketch:
    """Values, rising, and their weights."""

    values: Floats
    weights: Floats

    @classmethod
    def empty(cls) -> "Sketch":
        return cls(np.empty(0), np.empty(0))

    def add(self, values: Floats, weights: Floats) -> None:
        """Take in more; what is not finite is left out, for tdigest would never return on it."""
        finite = np.isfinite(values)
        both = np.concatenate([self.values, values[finite]])
        kept, at = np.unique(both, return_inverse=True)
        summed: Floats = np.bincount(at, np.concatenate([self.weights, weights[finite]]), len(kept)).astype(np.float64)
        self.values, self.weights = (kept, summed) if len(kept) <= KEPT else _merged(kept, summed)

    def quantiles(self, shares: tuple[float, ...]) -> list[float]:
        """The first value at which the weights reach each share; NaN of nothing."""
        if not len(self.values):
            return [float("nan")] * len(shares)
        reached = np.cumsum(self.weights)
        at = np.searchsorted(reached, np.array(shares) * reached[-1], side="left")
        return [float(value) for value in self.values[np.minimum(at, len(self.values) - 1)]]


def _merged(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """As few of them as tdigest needs. It wants them in no order."""
    from tdigest import TDigest

    digest = TDigest(delta=DELTA)
    for i in np.random.default_rng(len(values)).permutation(len(values)).tolist():
        digest.update(float(values[i]), float(weights[i]))
    digest.compress()
    kept = np.array([(each["m"], each["c"]) for each in digest.centroids_to_list()])
    return kept[:, 0].copy(), kept[:, 1].copy()


@dataclass(frozen=True, slots=True)
class Sample:
    """Some scans of a batch: what the lanes said, and on which asset."""

    at_s: float
    lanes: Mapping[str, Floats]
    assets: Coded
    weight: float


class Sketches:
    """The sketches of one run. `batch` is the journaling thread's; all else is for one other thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        require()
        self._clock, self._dice = clock, np.random.default_rng(0)
        self._allowed, self._taken_at = SAMPLES_S * SAVED_S, clock()
        self._waiting: deque[Sample] = deque(maxlen=WAITING)
        self._known: set[str] = set()
        self._folded: dict[Key, Sketch] = {}
        self._folded_to = 0  # start of the last slot in it
        self._slots: dict[int, dict[Key, Sketch]] = {}  # start, Unix seconds -> sketches
        self._unwritten: set[int] = set()  # starts of slots; 0 for what is folded

    def batch(self, batch: Batch) -> None:
        """Sample what was journaled: a few array look-ups."""
        at = self._clock()
        self._allowed = min(SAMPLES_S * SAVED_S, self._allowed + SAMPLES_S * max(0.0, at - self._taken_at))
        self._taken_at = at
        blocks = [block for kind in (Outcome.DECISION, Outcome.EVALUATION) if len(block := batch.rows[kind])]
        scans = sum(map(len, blocks))
        some = min(scans, int(self._allowed))
        if not some:
            return
        self._allowed -= some
        for block in blocks:
            n = max(1, some * len(block) // scans)
            picked = block
            if n < len(block):
                picked = _columns(block).take(np.sort(self._dice.choice(len(block), n, replace=False)))
            assets: Any = picked.columns["asset"]
            self._waiting.append(Sample(at, lane_values(picked), assets, len(block) / n))

    def work(self) -> None:
        """Take in what waits."""
        while self._waiting:
            self._take(self._waiting.popleft())
        self._roll(self._clock())

    def quantiles(self) -> Iterator[tuple[Key, str, Sketch]]:
        """(lane, asset), window and sketch; the asset "*" stands for all scans of the lane."""
        hour: dict[Key, Sketch] = {}
        for slot in self._slots.values():
            _fold(hour, slot)
        whole = {key: Sketch(each.values, each.weights) for key, each in self._folded.items()}
        _fold(whole, hour)
        for window, found in zip(WINDOWS, (hour, whole), strict=True):
            for (lane, asset), sketch in found.items():
                if asset:
                    yield (lane, asset), window, sketch
            for lane in dict.fromkeys(lane for lane, _ in found):
                of = [each for key, each in found.items() if key[0] == lane]
                values, weights = (np.concatenate([getattr(s, part) for s in of]) for part in ("values", "weights"))
                order = np.argsort(values, kind="stable")
                yield (lane, "*"), window, Sketch(values[order], weights[order])

    def tell(self, metrics: Metrics) -> None:
        """Set the gauges."""
        lanes: dict[tuple[str, ...], float] = {}
        assets: dict[tuple[str, ...], float] = {}
        for (lane, asset), window, sketch in self.quantiles():
            shares, into, key = (
                (QUANTILES, lanes, (lane, window)) if asset == "*" else (ASSET_QUANTILES, assets, (lane, asset, window))
            )
            for share, value in zip(shares, sketch.quantiles(shares), strict=True):
                into[*key, str(share)] = value
        metrics.replace("violet_lane_quantile", lanes)
        metrics.replace("violet_lane_asset_quantile", assets)

    def write(self, store: Store, run_id: str) -> None:
        """Store what changed, as one insert. A slot's place is taken by that of an hour later, when it is folded."""
        due, self._unwritten = self._unwritten, set()
        rows = [
            (run_id, slot // SLOT_S % SLOTS + 1 if slot else 0, slot or self._folded_to, *key, sketch)
            for slot in sorted(due)
            for key, sketch in (self._slots.get(slot, {}) if slot else self._folded).items()
        ]
        if not rows:
            return
        columns: dict[str, list[Any]] = {
            name: [row[i] for row in rows] for i, name in enumerate(("run_id", "place", "slot", "lane", "asset"))
        }
        columns["slot"] = [datetime.fromtimestamp(slot, UTC) for slot in columns["slot"]]
        columns["samples"] = [row[-1].values.tolist() for row in rows]
        columns["weights"] = [row[-1].weights.tolist() for row in rows]
        try:
            sketches.write(store, columns, f"{run_id}|sketches|{self._clock()}")
        except Refusal:
            self._unwritten |= due
            raise

    def load(self, store: Store, run_id: str) -> None:
        """Go on with what the run stored."""
        rows = sketches.read(store, run_id)
        self._folded_to = max((row["slot"] for row in rows if not row["place"]), default=0)
        for row in rows:
            key = row["lane"], row["asset"]
            sketch = Sketch(np.array(row["samples"], dtype=float), np.array(row["weights"], dtype=float))
            if not row["place"]:
                self._folded[key] = sketch
            elif row["slot"] > self._folded_to:  # else its place was only not taken again
                self._slots.setdefault(row["slot"], {})[key] = sketch
            self._known.add(row["asset"])
        self._known -= {"", OTHER}

    def _take(self, sample: Sample) -> None:
        start = int(sample.at_s) // SLOT_S * SLOT_S
        slot = self._slots.setdefault(start, {})
        self._unwritten.add(start)
        for code in np.unique(sample.assets.codes).tolist():
            here = sample.assets.codes == code
            asset = self._named(sample.assets.names[code])
            for lane, values in sample.lanes.items():
                found, counts = np.unique(values[here], return_counts=True)
                slot.setdefault((lane, asset), Sketch.empty()).add(found, np.multiply(counts, sample.weight))

    def _named(self, asset: str) -> str:
        if asset in self._known or not asset:
            return asset
        if len(self._known) >= ASSETS:
            return OTHER
        self._known.add(asset)
        return asset

    def _roll(self, at_s: float) -> None:
        """Fold the slots that left the hour."""
        for start in sorted(s for s in self._slots if s <= at_s - SLOT_S * SLOTS):
            _fold(self._folded, self._slots.pop(start))
            self._folded_to = max(self._folded_to, start)
            self._unwritten = (self._unwritten - {start}) | {0}


def _fold(into: dict[Key, Sketch], sketches: Mapping[Key, Sketch]) -> None:
    for key, sketch in sketches.items():
        into.setdefault(key, Sketch.empty()).add(sketch.values, sketch.weights)


def _columns(block: Rows) -> Rows:
    """The columns that are sampled."""
    wanted = {"asset", *chain(*(lane.made_of for lane in LANES))}
    return Rows(block.offsets, {name: block.columns[name] for name in wanted & block.columns.keys()}, block.hashes)
