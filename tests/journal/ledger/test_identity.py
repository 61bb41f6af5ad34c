"""Identities: those of the last scans of each stream, read back from the rows."""

import pytest

from journal.ledger import identity
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


@pytest.mark.parametrize(
    ("streams", "limit", "spans"),
    [
        ([], 1, [(0, 99)]),
        (["ng7"], 1, [(96, 99)]),
        (["ng7"], 3, [(88, 99)]),
        (["alt", "ng7"], 1, [(96, 99), (92, 95), (88, 91)]),
        (["alt"], 2, [(92, 99), (84, 91), (76, 83)]),
        (["old", "ng7"], 1, [(at, at + 3) for at in range(96, 28, -4)] + [(0, 31)]),
        (["gone"], 99, [(0, 99)]),
    ],
)
def test_no_more_is_read_than_the_last_scans_of_known_streams_need(store, monkeypatch, streams, limit, spans):
    written = begin(store)
    lines = decisions(100)
    lines[0] = encode(scan(scan_id=0, stream="old"))
    lines[80], lines[90] = (encode(scan(scan_id=n, stream="alt")) for n in (80, 90))
    written.append(lines)
    read, one = [], identity._identities

    def noted(*args):
        read.append(args[3])
        return one(*args)

    monkeypatch.setattr(identity, "_identities", noted)
    found = identities(store, written.run_id, 0, 99, limit, streams)
    assert read == spans
    everything = identities(store, written.run_id, 0, 99, limit)
    assert [each for each in everything if each[0] in streams] == [each for each in found if each[0] in streams]


def test_a_scan_that_a_lane_rejected_counts_and_a_record_that_is_none_does_not(store):
    written = begin(store)
    infinite = [encode(plane(name, {"boost": 1e308})) for name in ("acb", "meta")]
    written.append(
        [*infinite, *decisions(1, first=0), encode(scan(scan_id=9, vel_div="x")), b"{", *decisions(1, first=10)]
    )
    codes = written.value("SELECT arraySort(groupArray(code)) FROM violet_rejects WHERE run_id = {run:String}")
    assert {Reject.LANE_NON_FINITE.name, Reject.WRONG_TYPE.name} <= set(codes)
    assert [scan_id for _, scan_id, _ in identities(store, written.run_id, 0, 99, 9)] == [0, 10]
