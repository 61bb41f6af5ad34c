"""Two runs side by side: everything that differs is named, and nothing else."""

from dataclasses import replace

import pytest

from journal.judge.versus import versus
from journal.ledger.run import Segment, find, open_segments
from journal.refusal import Refusal
from lanes.profile import override
from tests.strategies import START_MS, encode, scan
from tests.written import BLUE, MINUTE_MS, begin, every_kind

CALM = {"scans": 4, "scans_a_only": 0, "scans_b_only": 0, "decided": 3, "decided_a_only": 0, "decided_b_only": 0,
        "other_asset": 0, "other_leverage": 0, "other_leverage_share": 0.0, "largest_difference": 0.0}  # fmt: skip


@pytest.fixture(scope="module")
def one(store):
    written = begin(store)
    written.append(every_kind())
    return written


def beside(store, one, copy):
    return versus(store, *(find(store, run_id=each.run_id) for each in (one, copy)))


def test_a_copy_differs_in_nothing(store, one):
    found = beside(store, one, one.copied())
    assert (found["differs"], found["params"], found["first"]) == ({}, {}, None)
    assert found["pairs"] == CALM


@pytest.mark.parametrize(
    ("changes", "pairs", "first"),
    [
        ({"put": {"leverage": "leverage + 0.5"}, "where": "log_offset = 8"},
         {"other_leverage": 1, "other_leverage_share": 1 / 3, "largest_difference": 0.5}, 1),
        ({"put": {"leverage": "reinterpretAsFloat64(reinterpretAsUInt64(leverage) + 1)"}, "where": "log_offset >= 8"},
         {"other_leverage": 2, "other_leverage_share": 2 / 3}, 1),
        ({"put": {"asset": "'ADAUSDT'"}, "where": "log_offset = 9"}, {"other_asset": 1}, 2),
        ({"without": "log_offset = 7"}, {"scans": 3, "scans_a_only": 1, "decided": 2}, None),
    ],
)  # fmt: skip
def test_a_row_that_differs_is_counted_and_the_first_is_named(store, one, changes, pairs, first):
    found = beside(store, one, one.copied("decisions", **changes))
    smallest = {"largest_difference": found["pairs"]["largest_difference"]} if "reinterpret" in str(changes) else {}
    assert found["pairs"] == CALM | pairs | smallest
    assert all(0 < value < 1e-12 for value in smallest.values())
    assert (found["first"] and found["first"]["scan_id"]) == first
    assert "content_hash" in found["differs"]


def test_a_scan_that_one_run_alone_decided_on_has_no_leverage_of_the_other(store):
    both = [begin(store) for _ in range(2)]
    for run, vel_div in zip(both, (-0.03, -0.01), strict=True):
        run.append([encode(scan(scan_id=5, ts_ms=START_MS + MINUTE_MS, vel_div=vel_div))])
    found = beside(store, *both)
    assert (found["pairs"]["scans"], found["pairs"]["decided_a_only"], found["pairs"]["other_leverage_share"]) == (
        1,
        1,
        None,
    )
    assert found["first"]["scan_id"] == 5
    assert (found["first"]["leverage_b"], found["first"]["asset_b"]) == (None, None)
    assert found["first"]["leverage_a"] > 0
    assert found["differs"]["decisions"] == [1, 0]


def test_params_are_of_the_last_segment_by_dotted_name(store, one):
    copy = one.copied()
    text = override(BLUE, {"fanin": {"abs_max": 8.5}}).model_dump_json()
    open_segments(store, [Segment(copy.run_id, 2, "t", 0, 13, "params", BLUE.name, text, "other", "c0de")])
    found = beside(store, one, copy)
    assert found["params"] == {"fanin.abs_max": [9.0, 8.5]}
    assert found["segments"] == [1, 2]


def test_a_run_beside_itself_is_refused(store, one):
    run = find(store, run_id=one.run_id)
    with pytest.raises(Refusal, match="both name run .*; fix: name two"):
        versus(store, run, replace(run))
