"""Metrics: named after Prometheus' rules, bounded, and equal to a plain count of the rows."""

import bisect
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from journal.refusal import Refusal
from lanes.code import Bound, Outcome, Reject
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.step import outcomes
from reactor.evaluate.walk import Rules, Walk
from reactor.run.settings import SoakSettings
from reactor.tap.writer import Taps
from reactor.watch.measure import Measures
from reactor.watch.metrics import FAMILIES, LANE_NAMES, VALUE_BOUNDS, Endpoint, Metrics
from reactor.watch.observe import Observers
from tests.strategies import encode, mixed_archive, plane, reason_names, scan

RUN = SimpleNamespace(run_id="r", name="n", profile="blue_8b", versions={"violet-reactor": "1"})
NO_TAPS = Taps((), "n", {})


def batch(lines, lane_done=lambda lane: None, state=None, partition=0):
    state = state or State()
    walk = Walk(state, Rules(PROFILES["blue_8b"]), Decoder())
    walk.take(Chunk(partition, list(range(len(lines))), lines))
    made = outcomes(walk, topic="t", partition=partition, segment=1, expected=0, lane_done=lane_done)
    made.state = state.dump()
    return made


def measured(*batches, ends=dict, latency_s=lambda: 0.3, taps=NO_TAPS):
    metrics = Metrics()
    measures = Measures(metrics, RUN, latency_s, ends, taps)
    for each in batches:
        measures.batch(each)
    return metrics


def samples(metrics):
    """(name, labels) -> value of everything a scrape reads."""
    return {
        (s.name, *sorted(s.labels.items())): s.value
        for family in text_string_to_metric_families(metrics.text())
        for s in family.samples
    }


def by(found, name):
    """The values of a metric with one label, by it; those above 0."""
    return {key[1][1]: value for key, value in found.items() if key[0] == name and value}


MIXED = mixed_archive(3, 700)


def test_what_the_taps_dropped_and_refused_is_told():
    taps = Taps(("acb",), "n", {})
    taps.paused = True
    made = batch(MIXED)
    taps.take(made)
    found = samples(measured(made, taps=taps))
    scans = len(made.rows[Outcome.DECISION]) + len(made.rows[Outcome.EVALUATION])
    assert by(found, "violet_taps_dropped_total") == {"acb": scans}
    assert found["violet_orders_total",] == 0


def test_counts_are_those_of_the_rows():
    made = batch(MIXED)
    found = samples(measured(made))
    rows = [made.rows[kind] for kind in (Outcome.DECISION, Outcome.EVALUATION)]
    scans = sum(map(len, rows))
    assert found["violet_scans_total",] == scans > 100
    assert by(found, "violet_outcomes_total") == {kind.name: len(made.rows[kind]) for kind in Outcome}
    codes = Counter(Reject(code).name for code in made.rows[Outcome.REJECT].columns["code"].tolist())
    assert by(found, "violet_rejects_total") == codes
    reasons = Counter(
        name for block in rows for mask in block.columns["reasons"].tolist() for name in reason_names(mask)
    )
    assert by(found, "violet_reasons_total") == reasons
    assert len(reasons) > 20
    bounds = Counter(Bound(code).name for code in made.rows[Outcome.DECISION].columns["bound"].tolist())
    assert by(found, "violet_bound_total") == bounds


def test_a_histogram_holds_each_scan_in_the_bucket_of_its_value():
    made = batch(MIXED)
    found = samples(measured(made, made))
    for lane in LANE_NAMES:
        values = []
        for kind in (Outcome.DECISION, Outcome.EVALUATION):
            c = made.rows[kind].columns
            values += (c["acb_boost"] * c["meta_boost"] * c["mc_scale"] if lane == "acb" else c[lane]).tolist()
        exact = sorted(values)
        for bound in VALUE_BOUNDS:
            key = ("violet_lane_value_distribution_bucket", ("lane", lane), ("le", repr(bound)))
            assert found[key] == 2 * bisect.bisect_right(exact, bound)
        assert found["violet_lane_value_distribution_count", ("lane", lane)] == 2 * len(values)
        assert found["violet_lane_value_distribution_sum", ("lane", lane)] == pytest.approx(2 * sum(values))


def test_the_last_scan_its_lanes_the_ages_of_its_planes_and_the_lag():
    lines = [
        encode(plane("ob", {"mult": 1.1}, ts_ms=1_746_372_700_000)),
        encode(plane("esof", {"mult": 0.5}, ts_ms=1_746_372_779_000)),
        encode(scan(ts_ms=1_746_372_780_000)),
        encode(scan(ts_ms=1_746_372_781_000, scan_id=2, vel_div=0.0)),
    ]
    found = samples(measured(batch(lines), ends=lambda: {0: 10, 1: 99}))
    assert by(found, "violet_lane_value") == {"base": 0.5, "dc": 1.0, "acb": 1.0, "ob": 1.1, "esof": 0.5}
    assert by(found, "violet_plane_age_seconds") == {"ob": 81.0, "esof": 2.0}
    other = [encode(plane("ob", {"mult": 1.1}, ts_ms=1_746_372_000_000)), encode(scan(ts_ms=1_746_372_300_000))]
    for order in ((0, 1), (1, 0)):  # of several partitions it is the oldest, whichever came last
        both = [batch(each, partition=p) for p, each in enumerate((lines, other))]
        assert by(samples(measured(*(both[p] for p in order))), "violet_plane_age_seconds") == {
            "ob": 300.0,
            "esof": 2.0,
        }
    assert found["violet_last_scan_timestamp_seconds",] == 1_746_372_781.0
    assert by(found, "violet_lag_records") == {"0": 6.0}  # nothing is known of a partition that was not read
    assert found["violet_silence_seconds",] < 5.0
    assert found["violet_journal_latency_seconds_bucket", ("le", "0.25")] == 0
    assert found["violet_journal_latency_seconds_bucket", ("le", "0.5")] == 1
    assert by(found, "violet_mode") == {"RUN": 1.0}


def test_every_lane_s_loop_is_timed_and_nothing_else():
    metrics = Metrics()
    measures = Measures(metrics, RUN, lambda: 0.0, dict, NO_TAPS)
    heard = []
    made = batch(MIXED, lambda lane: (heard.append(lane), measures.lane_done(lane)))
    assert heard == ["", *LANE_NAMES, "fanin"]
    measures.batch(made)
    spent = by(samples(metrics), "violet_lane_cpu_seconds_total")
    assert set(spent) == {*LANE_NAMES, "fanin"}
    assert all(0.0 < seconds < 1.0 for seconds in spent.values())


def test_who_is_timed_gives_the_same_rows():
    assert (
        batch(MIXED, Measures(Metrics(), RUN, float, dict, NO_TAPS).lane_done).content_hash == batch(MIXED).content_hash
    )


def test_a_batch_without_a_scan_counts_none():
    found = samples(measured(batch([b"{", encode(plane("ob", {"mult": 1.1}))])))
    assert found["violet_scans_total",] == 0
    assert by(found, "violet_outcomes_total") == {"PLANE": 1, "REJECT": 1}
    assert ("violet_last_scan_timestamp_seconds",) not in found


def test_labels_come_from_closed_lists():
    before, after = samples(Metrics()), samples(measured(batch(MIXED), batch(mixed_archive(5, 700))))
    new = {key[0] for key in after.keys() - before.keys()}
    assert new == {  # gauges that have no value before there is one
        "violet_run_info", "violet_lane_value", "violet_plane_age_seconds", "violet_last_scan_timestamp_seconds",
        "violet_silence_seconds",
    }  # fmt: skip
    assert len(after) < 350


def test_every_name_keeps_the_rules_of_prometheus():
    assert [f.name for f in FAMILIES if not f.name.startswith("violet_")] == []
    assert [f.name for f in FAMILIES if (f.kind == "counter") is not f.name.endswith("_total")] == []
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: Debian's package prometheus has it")
    text = subprocess.run(
        [sys.executable, "-m", "reactor.watch.metrics"], capture_output=True, text=True, check=True
    ).stdout
    for each in (text, measured(batch(MIXED)).text()):
        done = subprocess.run(["promtool", "check", "metrics"], input=each, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_answers_on_loopback_alone_and_refuses_a_port_that_is_taken(tmp_path):
    metrics = Metrics()
    endpoint = Endpoint(metrics, 0)
    try:
        assert endpoint._server.server_address[0] == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics", timeout=5) as answer:
            assert b"violet_scans_total 0.0" in answer.read()
        with pytest.raises(Refusal, match=f"--metrics-port {endpoint.port}: .*; fix: name a port that is free"):
            Observers(SoakSettings(data=tmp_path, metrics_port=endpoint.port), None)
    finally:
        endpoint.close()
    Endpoint(metrics, endpoint.port).close()
