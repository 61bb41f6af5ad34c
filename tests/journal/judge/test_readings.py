"""Where readings are that meet a condition, and figures of each lane."""

import pytest

from journal.judge import readings
from journal.judge.readings import Places, figures
from journal.refusal import Refusal
from tests.strategies import START_MS, encode, scan
from tests.written import MINUTE_MS, begin, decisions, every_kind


@pytest.fixture(scope="module")
def one(store):
    """Scans 0 to 3 of ng7 at offsets 7 to 10, scan 2 of another stream at 13, and scans 20 and 21 in partition 1."""
    written = begin(store, partitions=(0, 1))
    written.append(every_kind())
    written.append([encode(scan(scan_id=2, ts_ms=START_MS + 5 * MINUTE_MS, stream="alt"))])
    written.append(decisions(2, first=20), partition=1)
    return written


def places(store, one, lane="base", where=None, stream=None):
    return Places(store, one.run_id, lane, where, stream)


def found(rows):
    return [(row["partition"], row["log_offset"], row["stream"]) for row in rows]


def test_a_scan_is_found_by_its_id_and_by_its_offset(store, one):
    assert found(places(store, one).of_scan(2)) == [(0, 9, "ng7"), (0, 13, "alt")]
    assert found(places(store, one, stream="alt").of_scan(2)) == [(0, 13, "alt")]
    assert found(places(store, one).at(1)) == [(1, 1, "ng7")]
    assert found(places(store, one).at(0)) == [(1, 0, "ng7")]  # in partition 0 a plane lies there
    assert found(places(store, one, where="false").at(9)) == [(0, 9, "ng7")]


def test_a_time_is_found_in_each_partition_that_has_it(store, one):
    assert places(store, one).since(START_MS) == {0: 7, 1: 0}
    assert places(store, one).since(START_MS + 2 * MINUTE_MS) == {0: 9, 1: 0}
    assert places(store, one).since(START_MS + 21 * MINUTE_MS) == {1: 1}
    assert places(store, one).latest_ms() == START_MS + 21 * MINUTE_MS
    assert places(store, one, stream="none").latest_ms() == 0


@pytest.mark.parametrize("look", [1, 4, 65_536])
def test_the_last_of_a_partition_are_found_however_far_back_they_lie(store, one, look, monkeypatch):
    monkeypatch.setattr(readings, "_LOOK", look)
    assert places(store, one).last(0, 14, 2) == [10, 13]
    assert places(store, one).last(1, 2, 2) == [0, 1]
    assert places(store, one).last(0, 13, 1) == [10]
    assert places(store, one).last(0, 14, 99) == [7, 8, 9, 10, 13]
    assert places(store, one).last(0, 14, 0) == places(store, one).last(2, 0, 5) == []
    assert places(store, one, where="value < 1").last(0, 14, 3) == [10]  # it does not signal


def test_a_range_is_cut_after_so_many_that_meet_the_condition(store, one):
    assert places(store, one).between(0, 0, 14, 99) == [7, 8, 9, 10, 13]
    assert places(store, one).between(0, 8, 13, 2) == [8, 9]
    assert places(store, one, where="stream = 'alt'").between(0, 0, 14, 99) == [13]


@pytest.mark.parametrize("where", ["value <", "(SELECT sleep(1)) = 0 SETTINGS readonly = 0", "nothing = 1"])
def test_a_condition_that_is_none_is_refused_with_the_fix(store, one, where):
    with pytest.raises(Refusal, match="fix: a condition such as 'value < 1'"):
        list(places(store, one, where=where).last(0, 14, 1))


def test_figures_are_of_each_lane_and_the_rate_is_of_the_recent_span(store, one):
    rows = figures(store, one.run_id, 5 * MINUTE_MS)
    assert {"base", "dc", "acb", "ob", "esof"} <= rows.keys()
    assert {row["n"] for row in rows.values()} == {7}
    assert (rows["base"]["low"], rows["base"]["high"], rows["base"]["q50"]) == (0.5, 8.0, 8.0)
    assert rows["base"]["rate_per_s"] == pytest.approx(2 / 300)  # the scans of the last five minutes
    assert figures(store, "nobody", 1_000) == {}
