"""Taps: the reactor's thread never waits for them, what they hold is bounded, and all of it is counted."""

import threading
import time

from lanes.code import Incident, Severity
from lanes.registry import LANES
from reactor.log.connection import plain
from reactor.log.kafka import KafkaLog
from reactor.log.outlet import TapWriter
from reactor.tap import writer as tap
from reactor.tap.reading import decode, encode, readings, tap_topic
from reactor.tap.writer import Taps
from tests.reactor.tap.test_reading import batch_of
from tests.strategies import mixed_archive

BATCH = batch_of(mixed_archive(7, 1_500))
SCANS = len(readings(BATCH, "base", "k"))
NAMES = [lane.name for lane in LANES]


class Kept:
    """A writer that keeps what it is given, once it is let: no broker can be made to stand still at an exact place."""

    refused = 0

    def __init__(self, *, most=10**9, open_=True):
        self.records, self.most, self.gate = {}, most, threading.Event()
        self.failed, self.last = {}, {}
        if open_:
            self.gate.set()

    def create(self, partitions):
        self.gate.wait(30)
        return True

    def write(self, topic, partition, records):
        taken = records[: self.most]
        self.records.setdefault(topic, []).extend(taken)
        return len(taken)

    def serve(self):
        failed, self.failed = self.failed, {}
        return failed

    def latest(self):
        return self.last

    def close(self, timeout_s):
        pass


def taps(lanes, writer):
    made = Taps(lanes, "n", dict.fromkeys(lanes, "k"))
    made.start(writer, 1)
    return made


def told(made):
    notes = []
    made.tell(lambda *note: notes.append(note))
    return notes


def test_every_reading_goes_in_the_order_of_offsets_under_its_stream():
    writer = Kept()
    made = taps(NAMES, writer)
    made.take(BATCH)
    made.close()
    assert (made.dropped.total(), told(made)) == (0, [])
    for lane in NAMES:
        wanted = readings(BATCH, lane, "k")
        assert made.sent[lane] == SCANS
        assert writer.records[tap_topic("n", lane)] == [(each.stream.encode(), encode(each)) for each in wanted]


def test_the_reactor_never_waits_and_what_it_hands_over_is_bounded(monkeypatch):
    monkeypatch.setattr(tap, "ROWS_MAX", 3 * SCANS)
    writer = Kept(open_=False)
    made = taps(["acb", "ob"], writer)
    began = time.monotonic()
    for _ in range(1_000):
        made.take(BATCH)
    assert time.monotonic() - began < 5.0  # a batch's readings alone take milliseconds
    assert made.dropped == {"acb": 997 * SCANS, "ob": 997 * SCANS}
    assert told(made) == [
        (Severity.WARN, Incident.TAPS_DROPPED, f"acb {997 * SCANS}, ob {997 * SCANS} readings: {tap.FULL}")
    ]
    assert told(made) == []
    writer.gate.set()
    made.close()
    assert made.sent == {"acb": 3 * SCANS, "ob": 3 * SCANS}


def test_a_session_ends_although_its_taps_stand_still(monkeypatch):
    monkeypatch.setattr(tap, "DRAIN_S", 0.1)
    writer = Kept(open_=False)
    made = taps(["dc"], writer)
    made.take(BATCH)
    began = time.monotonic()
    made.close()
    assert time.monotonic() - began < 5.0
    assert (made.sent["dc"], made.dropped["dc"]) == (0, SCANS)
    writer.gate.set()


def test_what_is_not_taken_and_what_fails_later_is_dropped():
    writer = Kept(most=100)
    made = taps(["esof"], writer)
    made.take(BATCH)
    writer.failed = {tap_topic("n", "esof"): 7}
    made.close()
    parts = -(-SCANS // tap.PART)
    assert (made.sent["esof"], made.dropped["esof"]) == (100 * parts - 7, SCANS - 100 * parts + 7)
    ((severity, code, words),) = told(made)
    assert (severity, code, words) == (
        Severity.WARN, Incident.TAPS_DROPPED, f"esof {made.dropped['esof']} readings: {tap.AWAY}",
    )  # fmt: skip


def test_taps_of_no_lanes_keep_nothing():
    made = Taps((), "n", {})
    made.take(BATCH)
    made.close()
    assert (made.seen, made.sent, made.dropped, told(made)) == ((), {}, {}, [])


def test_a_writer_writes_to_its_topics_alone(tansu):
    mine, other = tap_topic("alone", "acb"), tansu.create_topic()
    writer = TapWriter(plain(tansu.bootstrap), [mine], "alone-taps")
    assert writer.create(1)
    assert writer.create(1)  # they may be there
    record = (b"ng7", encode(readings(BATCH, "acb", "k")[0]))
    assert [writer.write(topic, 0, [record]) for topic in (mine, other, "orders")] == [1, 0, 0]
    assert writer.refused == 2
    taken = writer.write(mine, 5, [record])  # there is no such partition, which it may only learn later
    writer.close(10.0)
    assert taken - writer.serve().get(mine, 0) == 0
    log = KafkaLog(plain(tansu.bootstrap), mine, "tests")
    (chunk,) = log.range(0, 0, 1)
    assert decode(chunk.values[0]) == readings(BATCH, "acb", "k")[0]
    log.close()
    log = KafkaLog(plain(tansu.bootstrap), other, "tests")
    assert log.ends([0]) == {0: 0}
    log.close()


def reading_of(run):
    return encode(readings(BATCH, "acb", "k", run)[0])


def test_another_run_in_the_topic_is_told_once_and_readings_tell_the_two_apart(monkeypatch):
    monkeypatch.setattr(tap, "OTHERS_S", 0.0)
    monkeypatch.setattr(tap, "IDLE_S", 0.01)
    writer, topic = Kept(open_=False), tap_topic("n", "acb")
    writer.last = {topic: reading_of("before")}  # an earlier run's: no word of it
    made = Taps(["acb"], "n", {"acb": "k"}, "mine")
    made.start(writer, 1)
    looks = counted(writer)
    writer.gate.set()
    until(lambda: looks)
    for last in ("mine", "other", "other"):
        writer.last = {topic: reading_of(last)}
        wanted = len(looks) + 2
        until(lambda wanted=wanted: len(looks) >= wanted)
    made.take(BATCH)
    made.close()
    assert told(made) == [(Severity.WARN, Incident.TAP_SHARED, f"run other writes to {topic!r} too")]
    assert {decode(value).run for _, value in writer.records[topic]} == {"mine"}


def counted(writer):
    looks, latest = [], writer.latest
    writer.latest = lambda: looks.append(1) or latest()
    return looks


def until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_is_written_into_a_topic_that_holds_something_else():
    writer, topic = Kept(), tap_topic("n", "acb")
    writer.last = {topic: b'{"v":1,"kind":"scan"}'}
    made = Taps(["acb", "dc"], "n", {"acb": "k", "dc": "k"}, "mine")
    made.start(writer, 1)
    made.take(BATCH)
    made.close()
    assert (made.sent["acb"], made.dropped["acb"], made.sent["dc"]) == (0, SCANS, SCANS)
    assert topic not in writer.records
    assert f"acb {SCANS} readings: {topic!r} holds something else" in told(made)[0][2]


def test_the_last_record_of_each_topic_is_read_once(tansu):
    mine = tap_topic("last", "acb")
    writer = TapWriter(plain(tansu.bootstrap), [mine], "last-taps")
    assert writer.create(2)
    assert writer.latest() == {}
    writer.write(mine, 1, [(b"ng7", b"one"), (b"ng7", b"two")])
    writer.close(10.0)
    assert writer.latest() == {mine: b"two"}
    assert writer.latest() == {}
