"""What the page shows: windows and whole runs, as the rows have them."""

import pytest

from journal.judge import page
from journal.ledger.run import find, now
from tests.strategies import START_MS, encode, scan
from tests.written import MINUTE_MS, begin, decisions, every_kind


@pytest.fixture(scope="module")
def one(store):
    """13 outcomes of every kind, 40 decisions, and a partition of scans that do not signal."""
    written = begin(store, partitions=(0, 1))
    written.append(every_kind())
    written.append(decisions(40, first=10))
    written.append(
        [encode(scan(scan_id=n, ts_ms=START_MS + n * MINUTE_MS, vel_div=0.0)) for n in range(5)], partition=1
    )
    return written


@pytest.fixture
def progress(store, one):
    found = page.Progress()
    found.read(store, one.run_id)
    return found


def test_progress_reads_each_batch_once(store, one, progress):
    assert progress.ends == {0: 52, 1: 4}
    told = progress.counts(one.run, now())
    counts = ("records", "decisions", "evaluations", "planes", "rejects")
    assert tuple(told[name] for name in counts) == (58, 43, 6, 7, 2)
    assert 0 <= told["silence_s"] < 600
    progress.read(store, one.run_id)
    assert progress.counts(one.run, now())["records"] == 58
    empty = page.Progress()
    empty.read(store, "nobody")
    assert (empty.ends, empty.counts(one.run, now())["silence_s"]) == ({}, None)


@pytest.mark.parametrize(
    ("records", "spans"),
    [(10, {0: (48, 52), 1: (0, 4)}), (1, {0: (52, 52), 1: (4, 4)}), (999, {0: (0, 52), 1: (0, 4)})],
)
def test_a_window_is_the_last_records_shared_by_the_partitions(one, progress, records, spans):
    assert page.Window.of(one.run, progress.ends, records).spans == spans


def test_a_window_that_is_empty_shows_nothing(store, one):
    window = page.Window.of(one.run, {}, 10)
    assert page.distribution(store, window) == {}
    assert page.bounds(store, window) == {}
    assert page.feed(store, window, {}) == []
    assert page.Latest()(store, window) is None
    assert page.series(store, window)["ts_ms"] == []


def test_series_and_distribution_hold_every_scan_of_the_window(store, one, progress):
    window = page.Window.of(one.run, progress.ends, 20)
    shown, spread = page.series(store, window), page.distribution(store, window)
    assert (sum(shown["scans"]), sum(shown["decisions"])) == (15, 10)
    assert shown["ts_ms"] == sorted(shown["ts_ms"])
    low, mean, high = shown["lines"]["base"]
    assert (min(low), max(high)) == (0.5, 8.0)
    assert all(a <= b <= c for a, b, c in zip(low, mean, high, strict=True))
    assert {lane: (row["n"], sum(row["counts"])) for lane, row in spread.items()} == dict.fromkeys(spread, (15, 15))
    assert (spread["base"]["min"], spread["base"]["max"]) == (0.5, 8.0)
    assert sum(page.bounds(store, window).values()) == 10


def test_the_feed_lists_the_newest_first_and_only_what_is_new(store, one, progress):
    window = page.Window.of(one.run, progress.ends, 200)
    listed = page.feed(store, window, {})
    assert [row["log_offset"] for row in listed] == [*range(52, 12, -1), 9, 8, 7]
    assert [row["log_offset"] for row in page.feed(store, window, {0: 50})] == [52, 51]


def test_the_latest_scan_comes_with_the_planes_before_it(store, one, progress):
    latest = page.Latest()
    window = page.Window.of(one.run, {0: 52}, 10)
    seen = latest(store, window)
    assert (seen["log_offset"], len(seen["planes"]), seen["planes_from"]) == (52, 7, 0)
    assert latest(store, window) == seen


def test_the_whole_run_has_its_health_codes_and_lanes(store, one, tmp_path):
    seen = page.whole(store, one.run, tmp_path, now())
    assert seen["rejects_by_code"] == {"MALFORMED": 1, "PLANE_VALUE": 1}
    assert sum(seen["bounds"].values()) == 43
    assert [lane["lane"] for lane in seen["lanes"]][:5] == ["base", "dc", "acb", "ob", "esof"]
    assert (seen["segments"], seen["mode"], seen["source"]) == (1, "INTERRUPTED", "broker")
    assert one.run_id in {row["run_id"] for row in page.listed(store)}
    assert page.beside(store, one.run_id) == []
    assert find(store, run_id=one.run_id) == one.run
