"""The loop over a log in memory: batches by size and time, ends, gaps, stops, a ledger that is slow or fails."""

import gc
import threading
import time
import weakref

import pytest

from lanes.code import Outcome
from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder, Scan
from reactor.evaluate.state import State
from reactor.evaluate.step import step
from reactor.evaluate.walk import Rules
from reactor.log.archive import Cut
from reactor.log.memory import MemoryLog
from reactor.run import loop as module
from reactor.run.loop import POLL_S, Loop, Pace, Reader, first_at
from tests.strategies import START_MS, encode, mixed_archive, plane, scan

RULES = Rules(PROFILES["blue_8b"])
NEVER_MS = 60_000


class Ledger:
    """Keeps batches, and fails at the one that it is told to."""

    def __init__(self, fault_at=None, fault=None):
        self.batches, self.polled_at, self.fault_at, self.fault = [], [], fault_at, fault

    def append(self, batch, polled_at, commit):
        if len(self.batches) == self.fault_at:
            raise self.fault
        self.batches.append(batch)
        self.polled_at.append(polled_at)
        commit({batch.partition: batch.last + 1})

    @property
    def offsets(self):
        """Offsets with an outcome, by partition."""
        found = {}
        for batch in self.batches:
            rows = sorted(o for block in batch.rows.values() for o in block.offsets.tolist())
            found.setdefault(batch.partition, []).extend(rows)
        return found

    @property
    def content_hash(self):
        return sum(b.content_hash for b in self.batches) % 2**64


def reader(end=None, position=0, state=None):
    return Reader(state or State(), position, end)


def make(log, ledger, readers, batch_size=1_000, flush_ms=NEVER_MS, **options):
    return Loop(log, ledger, RULES, readers, Pace(batch_size, flush_ms), topic="t", segment=1, **options)


def read(log, readers, stop=lambda: False, **options):
    ledger = options.pop("ledger", None) or Ledger()
    return make(log, ledger, readers, **options).run(stop), ledger


def whole(lines):
    offsets = list(range(len(lines)))
    return step(State(), Chunk(0, offsets, list(lines)), RULES, Decoder(), topic="t", segment=1, expected=0)


def scans(count, first=0):
    return [encode(scan(scan_id=first + i, ts_ms=START_MS + (first + i) * 1_000)) for i in range(count)]


# -- batches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 97, 500, 4_096])
def test_a_log_is_read_to_its_end_once_whatever_the_batch_size(batch_size):
    lines = mixed_archive(1)
    ended, ledger = read(MemoryLog(lines), {0: reader(500)}, batch_size=batch_size)
    assert ended
    assert ledger.offsets == {0: list(range(500))}
    sizes = [b.last - b.first + 1 for b in ledger.batches]
    assert set(sizes[:-1]) <= {batch_size}
    assert 0 < sizes[-1] <= batch_size
    assert ledger.content_hash == whole(lines).content_hash
    assert ledger.batches[-1].state == whole(lines).state


@pytest.mark.parametrize("part", [1, 30, 499])
def test_how_many_records_are_scored_at_a_time_shows_nowhere(monkeypatch, part):
    monkeypatch.setattr(module, "PART", part)
    lines = mixed_archive(1)
    _, ledger = read(MemoryLog(lines), {0: reader(500)}, batch_size=400)
    assert [(b.first, b.last) for b in ledger.batches] == [(0, 399), (400, 499)]
    assert ledger.content_hash == whole(lines).content_hash
    assert ledger.batches[-1].state == whole(lines).state


def test_a_partition_that_is_at_its_end_is_fetched_no_more(monkeypatch):
    monkeypatch.setattr(module, "PART", 10)
    fetched = {0: 0, 1: 0}

    class Counts(MemoryLog):
        def poll(self, limit, timeout_s):
            chunks = super().poll(limit, timeout_s)
            for chunk in chunks:
                fetched[chunk.partition] += len(chunk)
            return chunks

    log = Counts(partitions=2)
    for at, line in enumerate(scans(900)):
        log.append(line, at >= 600)
    ended, ledger = read(log, {0: reader(5), 1: reader(300)})
    assert ended
    assert {p: len(offsets) for p, offsets in ledger.offsets.items()} == {0: 5, 1: 300}
    assert fetched == {0: 10, 1: 300}


def test_a_batch_is_no_larger_than_asked_where_more_comes_at_once():
    class Eager(MemoryLog):
        def poll(self, limit, timeout_s):
            return super().poll(100, timeout_s)

    _, ledger = read(Eager(scans(250)), {0: reader(250)}, batch_size=30)
    assert [b.last - b.first + 1 for b in ledger.batches] == [30] * 8 + [10]


def test_a_batch_and_its_parts_are_full_by_bytes_too_so_that_memory_is_bounded(monkeypatch):
    lines = scans(100)
    monkeypatch.setattr(module, "PART_BYTES", 2 * len(lines[0]))
    monkeypatch.setattr(module, "BATCH_BYTES", 7 * len(lines[0]))
    scored, outcomes = [], module.outcomes
    monkeypatch.setattr(module, "outcomes", lambda walk, **how: scored.append(walk.size) or outcomes(walk, **how))
    log = MemoryLog(lines)
    poll = log.poll
    log.poll = lambda limit, wait_s: poll(3, wait_s)
    _, ledger = read(log, {0: reader(end=100)})
    assert max(scored) <= 3 * len(lines[-1])
    assert max(batch.last - batch.first + 1 for batch in ledger.batches) <= 9
    assert ledger.content_hash == whole(lines).content_hash


def test_the_log_is_told_how_far_the_journal_is():
    log = MemoryLog(scans(10))
    read(log, {0: reader(10)}, batch_size=4)
    assert log.committed == {0: 10}


def test_rows_are_journaled_by_time_where_no_more_comes():
    log, ledger = MemoryLog(scans(3)), Ledger()
    deadline = time.monotonic() + 30
    ended, _ = read(
        log,
        {0: reader()},
        lambda: bool(ledger.batches) or time.monotonic() > deadline,
        ledger=ledger,
        flush_ms=20,
    )
    assert not ended  # nobody said that the log has an end
    assert ledger.offsets == {0: [0, 1, 2]}


def test_time_counts_from_the_first_record_of_a_batch(monkeypatch):
    clock = {"now": 100.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: clock["now"])
    seen = []

    class Slow(MemoryLog):
        """One record a poll, 40 ms apart."""

        def poll(self, limit, timeout_s):
            seen.append(timeout_s)
            clock["now"] += 0.04
            return super().poll(1, 0.0)

    _, ledger = read(Slow(scans(9)), {0: reader(9)}, flush_ms=100)
    assert [b.last for b in ledger.batches] == [3, 7, 8]  # at 120 ms: three records after the first
    assert [round(at, 2) for at in ledger.polled_at] == [100.04, 100.2, 100.36]
    assert all(0.0 <= wait <= POLL_S for wait in seen)


def test_a_poll_waits_no_longer_than_the_oldest_record_may():
    loop = make(MemoryLog(), Ledger(), {0: reader(), 1: reader()}, flush_ms=20)
    assert loop._wait_s() == POLL_S
    loop._take(0, Chunk(0, [0], scans(1)))
    assert 0.0 <= loop._wait_s() <= 0.02
    loop._readers[0].since -= 10.0
    assert loop._wait_s() == 0.0


# -- ends and gaps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [1, 5, 7, 8, 19, 20])
@pytest.mark.parametrize("batch_size", [1, 7, 1_000])
def test_nothing_is_read_beyond_the_end(end, batch_size):
    readers = {0: reader(end)}
    ended, ledger = read(MemoryLog(scans(20)), readers, batch_size=batch_size)
    assert ended
    assert ledger.offsets == {0: list(range(end))}
    assert readers[0].position == end


def test_a_run_that_is_at_its_end_reads_nothing():
    class Untouched(MemoryLog):
        def assign(self, positions):
            raise AssertionError

    ended, ledger = read(Untouched(scans(3)), {0: reader(3, position=3)})
    assert ended
    assert ledger.batches == []


def test_gaps_are_told_with_the_batch_that_follows_them():
    log = MemoryLog()
    log.skip(4)
    for line in scans(3):
        log.append(line)
        log.skip(2)
    readers = {0: reader(13)}
    ended, ledger = read(log, readers, batch_size=1)
    assert ended
    assert ledger.offsets == {0: [4, 7, 10]}
    assert [b.skipped for b in ledger.batches] == [[(0, 3)], [(5, 6)], [(8, 9)]]


def test_a_gap_at_the_end_does_not_keep_a_run_open():
    log = MemoryLog(scans(3))
    log.skip(5)  # control records: the end is 8, and nothing is delivered there
    ended, ledger = read(log, {0: reader(8)})
    assert ended
    assert ledger.offsets == {0: [0, 1, 2]}


def test_a_log_of_gaps_alone_ends():
    log = MemoryLog()
    log.skip(5)
    ended, ledger = read(log, {0: reader(5)})
    assert ended
    assert ledger.batches == []


def test_an_end_inside_a_gap_is_an_end():
    log = MemoryLog(scans(3))
    log.skip(5)
    for line in scans(3, 3):
        log.append(line)
    ended, ledger = read(log, {0: reader(5)})
    assert ended
    assert ledger.offsets == {0: [0, 1, 2]}


def test_every_partition_is_read_to_its_own_end():
    log = MemoryLog(partitions=3)
    for partition in range(3):
        for line in scans(10 * (partition + 1), 1_000 * partition):
            log.append(line, partition)
    readers = {p: reader(5 * (p + 1)) for p in range(3)}
    ended, ledger = read(log, readers, batch_size=4)
    assert ended
    assert ledger.offsets == {p: list(range(5 * (p + 1))) for p in range(3)}
    assert log.committed == {0: 5, 1: 10, 2: 15}


# -- until a time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 1_000])
@pytest.mark.parametrize(("after_ms", "end"), [(0, 0), (1, 1), (3_000, 3), (3_001, 4), (9_000, 9), (9_001, 10)])
def test_a_run_ends_before_the_first_scan_at_or_after_a_time(after_ms, end, batch_size):
    readers = {0: reader(10)}
    ended, ledger = read(MemoryLog(scans(10)), readers, batch_size=batch_size, until_ms=START_MS + after_ms)
    assert ended
    assert ledger.offsets.get(0, []) == list(range(end))


def test_planes_and_rejects_from_later_do_not_end_a_run():
    late = START_MS + 10**9
    lines = [
        *scans(2),
        encode(plane("mc", {"scale": 1.0}, ts_ms=late)),
        encode(scan(ts_ms=late, v=2)),
        *scans(2, 2),
    ]
    _, ledger = read(MemoryLog(lines), {0: reader(6)}, until_ms=START_MS + 3_000)
    assert ledger.offsets == {0: [0, 1, 2, 3, 4]}


@pytest.mark.parametrize("end", [2, 4, 6])
def test_of_an_end_and_a_time_the_first_holds(end):
    _, ledger = read(MemoryLog(scans(10)), {0: reader(end)}, until_ms=START_MS + 4_000)
    assert ledger.offsets == {0: list(range(min(end, 4)))}


def test_a_time_ends_each_partition_on_its_own():
    log = MemoryLog(partitions=2)
    for line in scans(10):
        log.append(line, 0)
    for line in scans(10, 5):
        log.append(line, 1)
    _, ledger = read(log, {0: reader(10), 1: reader(10)}, until_ms=START_MS + 7_000)
    assert ledger.offsets == {0: list(range(7)), 1: [0, 1]}


def test_the_first_scan_at_a_time_is_found_by_position():
    chunk = Chunk(0, [40, 41, 42, 43], [b"{", *scans(3)])
    assert first_at(chunk, START_MS) == 1
    assert first_at(chunk, START_MS + 1_500) == 3
    assert first_at(chunk, START_MS + 2_001) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_first_scan_of_a_time_is_the_decoder_s_whatever_lies_before_it(seed):
    lines = mixed_archive(seed)
    records = [Decoder().decode(line) for line in lines]
    times = [(at, record.ts_ms) for at, record in enumerate(records) if isinstance(record, Scan)]
    for ts_ms in [*sorted({ts for _, ts in times})[::37], 1 << 60]:
        wanted = next((at for at, ts in times if ts >= ts_ms), None)
        assert first_at(Chunk(0, list(range(len(lines))), lines), ts_ms) == wanted


# -- stops ---------------------------------------------------------------------------------------------------------


def test_a_stop_before_the_first_poll_reads_nothing():
    ended, ledger = read(MemoryLog(scans(3)), {0: reader(3)}, lambda: True)
    assert not ended
    assert ledger.batches == []


@pytest.mark.parametrize("polls", [1, 3, 8])
def test_a_stop_journals_what_was_read_and_the_same_run_goes_on(polls):
    lines = mixed_archive(2)

    class Sips(MemoryLog):
        def poll(self, limit, timeout_s):
            return super().poll(min(limit, 33), timeout_s)

    def session(state, position, left):
        readers = {0: reader(500, position, state)}
        ended, ledger = read(Sips(lines), readers, lambda: next(left, None) is None, batch_size=50)
        return ended, ledger, readers[0].position

    ended, first, position = session(State(), 0, iter(range(polls)))
    assert not ended
    assert first.offsets == {0: list(range(33 * polls))}
    assert position == 33 * polls
    known = [r for r in map(Decoder().decode, lines[:position]) if isinstance(r, Scan)]
    state = State.load(first.batches[-1].state, [(s.stream, s.scan_id, s.ts_ms) for s in known])
    ended, second, _ = session(state, position, iter(range(10**6)))
    assert ended
    assert (first.content_hash + second.content_hash) % 2**64 == whole(lines).content_hash


# -- a ledger or log that fails or is slow ---------------------------------------------------------------------------


@pytest.mark.parametrize("fault_at", [0, 2, 9])
@pytest.mark.parametrize("fault", [ValueError("refused"), KeyboardInterrupt(), SystemExit(3)])
def test_a_failure_of_the_ledger_surfaces_and_nothing_is_journaled_after_it(fault_at, fault):
    ledger, log = Ledger(fault_at, fault), MemoryLog(scans(10))
    with pytest.raises(type(fault)):
        read(log, {0: reader(10)}, ledger=ledger, batch_size=1)
    assert ledger.offsets.get(0, []) == list(range(fault_at))
    assert log.committed == ({0: fault_at} if fault_at else {})


def test_a_failure_surfaces_while_nothing_more_comes():
    ledger = Ledger(0, ValueError("refused"))
    with pytest.raises(ValueError, match="refused"):
        read(MemoryLog(scans(1)), {0: reader()}, ledger=ledger, flush_ms=1)


def test_a_failure_of_whom_a_batch_is_told_surfaces():
    def fails(batch):
        raise ValueError("display")

    with pytest.raises(ValueError, match="display"):
        read(MemoryLog(scans(5)), {0: reader(5)}, batch_size=1, on_batch=fails)


def test_a_failure_of_the_log_surfaces_and_full_batches_before_it_are_journaled():
    class Breaks(MemoryLog):
        def poll(self, limit, timeout_s):
            found = super().poll(1, timeout_s)
            if not found or found[0].offsets[0] >= 7:
                raise ConnectionError("gone")
            return found

    ledger = Ledger()
    with pytest.raises(ConnectionError, match="gone"):
        read(Breaks(scans(10)), {0: reader(10)}, ledger=ledger, batch_size=2)
    assert ledger.offsets == {0: list(range(6))}


def test_nothing_more_is_read_while_the_ledger_waits():
    log, ahead = MemoryLog(scans(100)), []

    class Slow(Ledger):
        def append(self, batch, polled_at, commit):
            ahead.append(log._positions[0] - batch.last - 1)
            super().append(batch, polled_at, commit)

    _, ledger = read(log, {0: reader(100)}, ledger=Slow(), batch_size=10)
    assert ledger.offsets == {0: list(range(100))}
    assert max(ahead) == 0  # what is in hand is one batch


def test_batches_are_told_in_order_once_they_are_journaled():
    ledger, told = Ledger(), []
    read(
        MemoryLog(scans(9)), {0: reader(9)}, ledger=ledger, batch_size=2,
        on_batch=lambda batch: told.append((batch.first, len(ledger.batches))),
    )  # fmt: skip
    assert told == [(0, 1), (2, 2), (4, 3), (6, 4), (8, 5)]


@pytest.mark.parametrize("fault", [None, ValueError("x"), KeyboardInterrupt()])
def test_the_garbage_collector_is_on_again_however_a_run_ends(fault):
    try:
        read(MemoryLog(scans(3)), {0: reader(3)}, ledger=Ledger(0 if fault else None, fault))
    except type(fault):
        pass
    assert gc.isenabled()


def test_garbage_goes_while_nothing_comes(monkeypatch):
    monkeypatch.setattr(module, "COLLECT_S", 0.0)

    class Cycle:
        pass

    cycles = []

    def stop():
        if not cycles:
            cycle = Cycle()
            cycle.itself = cycle
            cycles.append(weakref.ref(cycle))
            return False
        return cycles[0]() is None or time.monotonic() > deadline

    deadline = time.monotonic() + 5.0
    make(MemoryLog(), Ledger(), {0: reader()}).run(stop)
    assert cycles[0]() is None


# -- the log in memory -----------------------------------------------------------------------------------------------


def test_a_log_in_memory_delivers_from_a_position_on_and_says_where_it_ends():
    log = MemoryLog(scans(5))
    log.assign({0: 2})
    assert log.reached() == {}
    assert [c.offsets for c in log.poll(2, 0.0)] == [[2, 3]]
    assert log.reached() == {}
    assert [c.offsets for c in log.poll(2, 0.0)] == [[4]]
    assert log.reached() == {0: 5}
    log.skip(3)
    assert log.reached() == {0: 8}
    assert log.append(b"x") == 8
    assert log.reached() == {}
    assert [c.values for c in log.poll(9, 0.0)] == [[b"x"]]
    assert log.poll(9, 0.0) == []


def test_a_poll_of_a_log_in_memory_wakes_when_something_is_written():
    log = MemoryLog()
    log.assign({0: 0})
    writer = threading.Timer(0.05, lambda: log.append(None))
    writer.start()
    began = time.monotonic()
    assert [c.values for c in log.poll(9, 30.0)] == [[None]]
    assert time.monotonic() - began < 10.0
    writer.join()


def test_a_cut_line_in_memory_comes_as_from_a_broker():
    log = MemoryLog([b"a", Cut(b"head", 900_001, "ff")])
    (chunk,) = log.range(0, 0, 2)
    assert (chunk.values, chunk.cut) == ([b"a", b"head"], {1: (900_001, "ff")})
    _, ledger = read(log, {0: reader(2)})
    assert ledger.batches[0].rows[Outcome.REJECT].columns["bytes"].tolist() == [1, 900_001]


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 9])
def test_a_chunk_splits_with_its_cut_lines(at):
    offsets, cut = [3, 5, 8, 9], {5: (1, "a"), 9: (2, "b")}
    head, tail = Chunk(1, offsets, [b"3", b"5", b"8", b"9"], cut).split(at)
    assert (head.partition, tail.partition) == (1, 1)
    assert head.offsets + tail.offsets == offsets
    assert head.offsets == offsets[:at]
    assert head.values + tail.values == [b"3", b"5", b"8", b"9"]
    assert head.cut == {o: known for o, known in cut.items() if o in head.offsets}
    assert tail.cut == {o: known for o, known in cut.items() if o in tail.offsets}
    again = Chunk(1, list(head.offsets), list(head.values), dict(head.cut))
    again.extend(tail)
    assert (again.offsets, again.cut) == (offsets, cut)
