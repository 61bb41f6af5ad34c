"""Identities: those of the last scans of each stream, read back from the rows."""

from journal.ledger.identity import identities
from lanes.code import Reject
from tests.strategies import START_MS, encode, plane, scan
from tests.written import begin, decisions


def test_identities_are_the_last_of_each_stream_in_offset_order(store):
    written = begin(store, partitions=(0, 1))
    lines = []
    for n in range(6):
        lines += [*decisions(1, first=n), *decisions(1, first=100 + n, stream="alt", vel_div=-0.01)]
    written.append(lines)
    written.append(decisions(3, first=700), partition=1)
    begin(store).append(decisions(2, first=900))

    def asked(last, limit):
        return [(stream, scan_id) for stream, scan_id, _ in identities(store, written.run_id, 0, last, limit)]

    assert asked(11, 2) == [("ng7", 4), ("alt", 104), ("ng7", 5), ("alt", 105)]
    assert asked(10, 2) == [("alt", 103), ("ng7", 4), ("alt", 104), ("ng7", 5)]
    assert asked(11, 50) == [each for n in range(6) for each in (("ng7", n), ("alt", 100 + n))]
    assert identities(store, written.run_id, 1, 2, 1) == [("ng7", 702, START_MS + 702 * 60_000)]


def test_a_scan_that_a_lane_rejected_counts_and_a_record_that_is_none_does_not(store):
    written = begin(store)
    infinite = [encode(plane(name, {"boost": 1e308})) for name in ("acb", "meta")]
    written.append(
        [*infinite, *decisions(1, first=8), encode(scan(scan_id=9, vel_div="x")), b"{", *decisions(1, first=10)]
    )
    codes = written.value("SELECT arraySort(groupArray(code)) FROM violet_rejects WHERE run_id = {run:String}")
    assert {Reject.LANE_NON_FINITE.name, Reject.WRONG_TYPE.name} <= set(codes)
    assert [scan_id for _, scan_id, _ in identities(store, written.run_id, 0, 99, 9)] == [8, 10]
