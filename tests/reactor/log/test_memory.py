"""A log in memory behaves as a broker does towards a reactor: offsets, gaps, limits, waiting."""

import threading
import time

from reactor.log.archive import Cut
from reactor.log.memory import MemoryLog


def offsets(chunks):
    return {chunk.partition: chunk.offsets for chunk in chunks}


def test_records_get_offsets_in_order_and_a_gap_uses_some_up():
    log = MemoryLog([b"a", None], partitions=2)
    log.skip(2)
    assert (log.append(b"c"), log.append(b"x", 1), log.append(b"y", 1)) == (4, 0, 1)
    log.assign({0: 0, 1: 1})
    zero, one = log.poll(10, 0.0)
    assert (zero.offsets, zero.values) == ([0, 1, 4], [b"a", None, b"c"])
    assert (one.partition, one.offsets, one.values) == (1, [1], [b"y"])
    assert log.poll(10, 0.0) == []


def test_a_limit_holds_over_all_partitions_and_nothing_is_passed_over():
    log = MemoryLog([b"x"] * 5, partitions=2)
    for _ in range(4):
        log.append(b"y", 1)
    log.assign({0: 0, 1: 0})
    seen = {0: [], 1: []}
    while chunks := log.poll(3, 0.0):
        assert sum(map(len, chunks)) <= 3
        for chunk in chunks:
            seen[chunk.partition] += chunk.offsets
    assert seen == {0: [0, 1, 2, 3, 4], 1: [0, 1, 2, 3]}


def test_only_what_is_read_to_its_end_has_reached_it_gaps_there_included():
    log = MemoryLog([b"a", b"b"], partitions=3)
    log.append(b"x", 2)
    log.assign({0: 0, 1: 0})
    assert log.reached() == {1: 0}
    log.poll(1, 0.0)
    assert log.reached() == {1: 0}
    log.poll(1, 0.0)
    log.skip(3)
    assert log.reached() == {0: 5, 1: 0}
    log.append(b"c")
    assert log.reached() == {1: 0}


def test_a_poll_waits_for_a_record_and_no_longer_than_it_was_told():
    log = MemoryLog()
    log.assign({0: 0})
    began = time.monotonic()
    assert log.poll(1, 0.02) == []
    assert time.monotonic() - began >= 0.02
    writer = threading.Timer(0.02, log.append, [b"late"])
    writer.start()
    assert offsets(log.poll(1, 30.0)) == {0: [0]}
    writer.join()
    assert time.monotonic() - began < 20.0


def test_a_range_leaves_the_reader_where_it_stands():
    log = MemoryLog([b"a", b"b", b"c", b"d"])
    log.assign({0: 1})
    assert [chunk.values for chunk in log.range(0, 1, 3)] == [[b"b", b"c"]]
    assert list(log.range(0, 4, 9)) == []
    assert offsets(log.poll(9, 0.0)) == {0: [1, 2, 3]}


def test_a_cut_record_comes_with_its_length_and_digest():
    log = MemoryLog([b"a", Cut(b"head", 900_001, "d1")])
    log.assign({0: 0})
    (chunk,) = log.poll(9, 0.0)
    assert (chunk.values, chunk.cut) == ([b"a", b"head"], {1: (900_001, "d1")})


def test_it_remembers_what_it_is_told():
    log = MemoryLog()
    log.commit({0: 3, 1: 1})
    log.commit({0: 5})
    assert (log.committed, log.closed) == ({0: 5, 1: 1}, False)
    log.close()
    assert log.closed
