"""Measures: what is counted of each batch once it is journaled, and what is asked of the journal now and then.

Counting is over columns, after the append, so it is in no outcome and before none. The figures that cost a query come
on a thread of their own, at most a twentieth of its time. A lane's CPU time is the thread's between two laps, read
seven times a part of 4,096 records: that of the default kernels; a foreign one runs scan by scan in the walk.
See docs/design/watching.md.
"""

import time
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from journal.judge.health import health
from journal.ledger.run import Run, now
from journal.row import Batch, Rows
from journal.store import Store
from lanes.code import Bound, Outcome, Reject
from lanes.registry import LANES, REASONS
from reactor.evaluate.state import READ, Stored
from reactor.tap.writer import Taps
from reactor.watch.metrics import Metrics

AGES_S: Final = 1.0  # plane ages are looked up at most this often: it decodes the state of all streams
_SCANS: Final = (Outcome.DECISION, Outcome.EVALUATION)
_STATE: Final = msgspec.json.Decoder(dict[str, Stored])
_FIGURES: Final = {
    "latest_coverage": "violet_coverage_ratio",  # of the day that runs: so an alert ends with its cause
    "latest_time_coverage": "violet_time_coverage_ratio",
    "lost": "violet_lost",
    "doubled": "violet_doubled",
    "corrupt": "violet_corrupt",
    "disk_used": "violet_disk_used_ratio",
    "journal_bytes": "violet_journal_bytes",
}


class Measures:
    """Feeds the metrics of a run from the thread that journals it."""

    def __init__(
        self, metrics: Metrics, run: Run, latency_s: Callable[[], float],
        ends: Callable[[], Mapping[int, int]], taps: Taps,
    ) -> None:  # fmt: skip
        """latency_s: of the batch that was journaled last. ends: of the log's partitions, as far as known."""
        self._metrics, self._latency_s, self._ends, self._taps = metrics, latency_s, ends, taps
        self._lap_s, self._cpu_s = 0.0, dict.fromkeys((*(lane.name for lane in LANES), "fanin"), 0.0)
        self._scanned_at = time.monotonic()
        self._ages_at: dict[int, float] = {}
        self._aged: dict[int, list[tuple[str, float]]] = {}  # by partition
        self._positions: dict[int, int] = {}
        version = run.versions.get("violet-reactor", "")
        metrics.set("violet_run_info", 1.0, run.run_id, run.name, run.profile, version)
        metrics.one_of("violet_mode", "RUN")
        metrics.when_asked(self._silence)

    def lane_done(self, lane: str) -> None:
        """A lane's loop is over; without a name the first one begins."""
        at = time.thread_time()
        if lane:
            self._cpu_s[lane] += at - self._lap_s
        self._lap_s = at

    def batch(self, batch: Batch) -> None:
        """Count what was journaled."""
        metrics = self._metrics
        for kind in Outcome:
            metrics.add("violet_outcomes_total", len(batch.rows[kind]), kind.name)
        codes, counts = np.unique(_column(batch.rows[Outcome.REJECT], "code"), return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            metrics.add("violet_rejects_total", count, Reject(code).name)
        blocks = [block for kind in _SCANS if len(block := batch.rows[kind])]
        for block in blocks:
            self._scans(block)
        if blocks:
            self._scanned_at = time.monotonic()
            last = max(blocks, key=lambda block: int(block.offsets[-1]))
            for lane, values in lane_values(last).items():
                metrics.set("violet_lane_value", float(values[-1]), lane)
            metrics.set("violet_last_scan_timestamp_seconds", int(_column(last, "ts_ms")[-1]) / 1e3)
        bounds = np.bincount(_column(batch.rows[Outcome.DECISION], "bound"), minlength=len(Bound))
        for bound in Bound:
            metrics.add("violet_bound_total", int(bounds[bound]), bound.name)
        for lane, seconds in self._cpu_s.items():
            metrics.add("violet_lane_cpu_seconds_total", seconds, lane)
            self._cpu_s[lane] = 0.0
        metrics.observe("violet_journal_latency_seconds", np.array([self._latency_s()]))
        self._positions[batch.partition] = batch.last + 1
        self.look()
        if (at := time.monotonic()) - self._ages_at.get(batch.partition, 0.0) >= AGES_S:
            self._ages_at[batch.partition] = at
            self._ages(batch)

    def look(self) -> None:
        """How much of the log is known to wait, and what the taps did; also while nothing comes."""
        for lane, dropped in self._taps.dropped.items():
            self._metrics.set("violet_taps_dropped_total", dropped, lane)
        self._metrics.set("violet_orders_total", self._taps.refused)
        for partition, end in self._ends().items():
            if (position := self._positions.get(partition)) is not None:
                self._metrics.set("violet_lag_records", max(0, end - position), str(partition))

    def _scans(self, block: Rows) -> None:
        metrics = self._metrics
        metrics.add("violet_scans_total", len(block))
        reasons = _column(block, "reasons")
        there = int(np.bitwise_or.reduce(reasons))
        for bit, name in REASONS.items():
            if there >> bit & 1:
                metrics.add("violet_reasons_total", int(np.count_nonzero(reasons & np.uint64(1 << bit))), name)
        for lane, values in lane_values(block).items():
            metrics.observe("violet_lane_value_distribution", values, lane)

    def _ages(self, batch: Batch) -> None:
        """Event-time age of each plane at the last scan of its stream; of several streams the oldest."""
        self._aged[batch.partition] = [
            (plane, (stream.last_ts_ms - held.ts_ms) / 1e3)
            for stream in _STATE.decode(batch.state).values()
            for plane, held in stream.planes.items()
            if stream.last_ts_ms
        ]
        ages = list(chain.from_iterable(self._aged.values()))
        for plane in READ:
            self._metrics.set(
                "violet_plane_age_seconds", max((age for name, age in ages if name == plane), default=None), plane
            )

    def _silence(self) -> None:
        self._metrics.set("violet_silence_seconds", time.monotonic() - self._scanned_at)


def ask(metrics: Metrics, store: Store, run: Run, data: Path) -> None:
    """Set what only the journal knows: coverage, lost, doubled, corrupt, disk, bytes."""
    found = health(store, run, data, writer="this process", at=now())
    for name, metric in _FIGURES.items():
        metrics.set(metric, found[name])
    metrics.set("violet_health_timestamp_seconds", time.time())


def lane_values(block: Rows) -> dict[str, NDArray[np.float64]]:
    """What each lane said, by lane; of those that have columns."""
    return {lane.name: lane.value(block.columns) for lane in LANES if block.columns.keys() >= {*lane.made_of}}


def _column(block: Rows, name: str) -> NDArray[Any]:
    return np.asarray(block.columns[name])
