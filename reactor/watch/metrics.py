"""Metrics of a soak for Prometheus: their names, their values, and the address that is scraped. Loopback only.

Counts are this process's and begin at 0, as Prometheus expects of a counter; what the journal knows of the whole run is
a gauge. Every label comes from a closed list, or is bounded. `python -m reactor.watch.metrics` prints what a soak that
has read nothing yet would answer. The only module that imports prometheus_client.
See docs/design/watching.md.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from journal.refusal import Refusal
from lanes.code import Bound, Mode, Outcome, Reject
from lanes.registry import LANES, REASONS

HOST: Final = "127.0.0.1"
LANE_NAMES: Final = tuple(lane.name for lane in LANES)
QUANTILES: Final = (0.01, 0.05, 0.5, 0.95, 0.99)
ASSET_QUANTILES: Final = (0.5, 0.95)
# Where multipliers are told apart: a haircut's plateaus, the consensus' 0.85 to 1.2, the boosts, the leverage to 9.
VALUE_BOUNDS: Final = (
    0.0, 0.25, 0.4, 0.5, 0.65, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0,
    5.0, 6.0, 7.0, 8.0, 9.0,
)  # fmt: skip
LATENCY_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. labels: their names; known: label values that are there from the start, at 0."""

    name: str
    kind: str  # counter, gauge or histogram
    says: str
    labels: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def _names(codes: Any) -> tuple[str, ...]:
    return tuple(code.name for code in codes)


FAMILIES: Final = (
    Family("violet_run_info", "gauge", "The run, always 1.", ("run_id", "name", "profile", "version")),
    Family("violet_mode", "gauge", "1 for the mode that the soak is in.", ("mode",), _names(Mode)),
    Family("violet_scans_total", "counter", "Scans journaled as a decision or an evaluation."),
    Family("violet_outcomes_total", "counter", "Records journaled, by their outcome.", ("kind",), _names(Outcome)),
    Family("violet_rejects_total", "counter", "Records rejected, by code.", ("code",), _names(Reject)),
    Family("violet_reasons_total", "counter", "Scans that bear a reason.", ("reason",), tuple(REASONS.values())),
    Family("violet_bound_total", "counter", "Decisions, by what fixed the leverage.", ("bound",), _names(Bound)),
    Family("violet_lane_value", "gauge", "What the lane said of the last scan journaled.", ("lane",)),
    Family("violet_lane_value_distribution", "histogram", "What the lane said of each scan.", ("lane",), LANE_NAMES,
           VALUE_BOUNDS),
    Family("violet_lane_quantile", "gauge", "Quantiles of a sample of what the lane said, from sketches (--sketches).",
           ("lane", "window", "quantile")),
    Family("violet_lane_asset_quantile", "gauge", "The same of decisions on one asset; beyond 50 assets: other.",
           ("lane", "asset", "window", "quantile")),
    Family("violet_lane_cpu_seconds_total", "counter", "CPU time of the lane's loops over columns.", ("lane",),
           (*LANE_NAMES, "fanin")),
    Family("violet_plane_age_seconds", "gauge", "Event-time age of a plane at the last scan; the oldest of streams.",
           ("plane",)),
    Family("violet_lag_records", "gauge", "Records known to wait behind the last journaled.", ("partition",)),
    Family("violet_last_scan_timestamp_seconds", "gauge", "Event time of the last scan journaled."),
    Family("violet_silence_seconds", "gauge", "Time since a scan was last journaled, or since the start."),
    Family("violet_coverage_ratio", "gauge",
           "Scans with outcome, of those and the rejects not known to be planes; since the last line in days."),
    Family("violet_time_coverage_ratio", "gauge",
           "Share of event time without gaps, of the worst stream; since the last line in days."),
    Family("violet_journal_latency_seconds", "histogram", "From a batch's first record to its completion.",
           (), (), LATENCY_BOUNDS_S),
    Family("violet_journal_away_timestamp_seconds", "gauge",
           "Since when ClickHouse does not answer; absent while it does."),
    Family("violet_broker_away_timestamp_seconds", "gauge",
           "Since when the broker does not answer; absent while it does."),
    Family("violet_disk_used_ratio", "gauge", "How full the disk of the data directory is."),
    Family("violet_journal_bytes", "gauge", "What the journal's tables take on disk."),
    Family("violet_lost", "gauge", "Deliverable offsets of the run without outcome."),
    Family("violet_doubled", "gauge", "Offsets with two outcomes, or rows of one key that differ."),
    Family("violet_corrupt", "gauge", "Batches whose recomputed hash differs."),
    Family("violet_orders_total", "counter", "Writes that the reactor tried outside its tap topics."),
    Family("violet_taps_dropped_total", "counter", "Readings that were not tapped: no room.", ("lane",),
           LANE_NAMES),
    Family("violet_health_timestamp_seconds", "gauge",
           "When coverage, lost, doubled, corrupt, disk and bytes were last asked of the journal."),
)  # fmt: skip
_FAMILY: Final = {family.name: family for family in FAMILIES}


@dataclass(slots=True)
class _Histogram:
    counts: NDArray[np.int64]  # one a bucket, not cumulated; the last is beyond all bounds
    total: float = 0.0


class Metrics(Collector):
    """Values of all families. Of each family one thread sets them, any may read: a scrape costs no lock."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {family.name: {} for family in FAMILIES}
        self._histograms: dict[str, dict[tuple[str, ...], _Histogram]] = {}
        self._asked: list[Callable[[], None]] = []
        for family in FAMILIES:
            keys: list[tuple[str, ...]] = [(value,) for value in family.known] if family.labels else [()]
            if family.kind == "histogram":
                size = len(family.bounds) + 1
                self._histograms[family.name] = {key: _Histogram(np.zeros(size, np.int64)) for key in keys}
            elif family.kind == "counter" or family.known:
                self._values[family.name] = dict.fromkeys(keys, 0.0)
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def add(self, name: str, value: float, *labels: str) -> None:
        """Raise a counter."""
        values = self._values[name]
        values[labels] = values.get(labels, 0.0) + value

    def set(self, name: str, value: float | None, *labels: str) -> None:
        """Set a gauge; None takes it away."""
        if value is None:
            self._values[name].pop(labels, None)
        else:
            self._values[name][labels] = value

    def replace(self, name: str, values: dict[tuple[str, ...], float]) -> None:
        """Set all of a gauge's values at once."""
        self._values[name] = values

    def one_of(self, name: str, label: str) -> None:
        """1 for one of the known label values, 0 for the others."""
        self._values[name] = {(known,): float(known == label) for known in _FAMILY[name].known}

    def observe(self, name: str, values: NDArray[np.float64], *labels: str) -> None:
        """Count values into a histogram's buckets."""
        histogram, bounds = self._histograms[name][labels], _FAMILY[name].bounds
        at = np.searchsorted(bounds, values, side="left")  # a bucket holds what is at most its bound
        histogram.counts += np.bincount(at, minlength=len(bounds) + 1)
        histogram.total += float(values.sum())

    def when_asked(self, call: Callable[[], None]) -> None:
        """Do this before each answer: for what changes by itself, such as a silence."""
        self._asked.append(call)

    def collect(self) -> Iterator[Any]:
        """All families, as Prometheus reads them."""
        for call in self._asked:
            call()
        for family in FAMILIES:
            if family.kind == "histogram":
                yield self._histogram(family)
                continue
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            made = kind(family.name, family.says, labels=family.labels)
            for labels, value in list(self._values[family.name].items()):
                made.add_metric(labels, value)
            yield made

    def _histogram(self, family: Family) -> HistogramMetricFamily:
        made = HistogramMetricFamily(family.name, family.says, labels=family.labels)
        for labels, histogram in self._histograms[family.name].items():
            counts = np.cumsum(histogram.counts.copy()).tolist()
            bounds = [*(repr(bound) for bound in family.bounds), "+Inf"]
            made.add_metric(labels, list(zip(bounds, counts, strict=True)), histogram.total)
        return made

    def text(self) -> str:
        """What a scrape reads."""
        return generate_latest(self.registry).decode()


class Endpoint:
    """The address at which Prometheus scrapes: http://127.0.0.1:PORT/metrics."""

    def __init__(self, metrics: Metrics, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(port, HOST, metrics.registry)
        except OSError as error:
            raise Refusal(
                f"--metrics-port {port}: {error.strerror or error}; fix: name a port that is free, or 0 for none"
            ) from None
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


if __name__ == "__main__":
    sys.stdout.write(Metrics().text())
