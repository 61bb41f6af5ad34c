"""The publisher: every line as it is, once, in order, at its pace; never over another archive's records."""

import zlib

import pytest

from journal.refusal import Refusal
from reactor.evaluate.record import Decoder, Fault
from reactor.feed import publish as publisher
from reactor.feed.publish import fill, publish
from reactor.log.archive import Cut, lines
from reactor.log.memory import MemoryLog
from tests.strategies import START_MS, encode, mixed_archive, plane, scan, write_archive


class Topic:
    """A topic in memory, as its writer and as its log; `written` holds what this writer wrote."""

    topic = "scans"

    def __init__(self, partitions=1, clock=None):
        self.log, self.partitions, self.clock = MemoryLog(partitions=partitions), partitions, clock
        self.written, self.flushed, self.low = [], 0, 0

    def write(self, line, key, partition):
        self.written.append((line, key, partition))
        self.log.append(line, partition)

    def expect(self, offsets):
        assert offsets == self.ends(range(self.partitions))

    def serve(self, seconds):
        self.clock.now += seconds

    def flush(self):
        self.flushed += 1

    def lows(self, partitions):
        return dict.fromkeys(partitions, self.low)

    def ends(self, partitions):
        return {p: len(self.records(p)) for p in partitions}

    def range(self, partition, first, end):
        return self.log.range(partition, first, end)

    def records(self, partition=0):
        return [v for chunk in self.log.range(partition, 0, 2**62) for v in chunk.values]


class Clock:
    """Event loop time that passes only where somebody waits."""

    def __init__(self, monkeypatch):
        self.now = 1_000.0
        monkeypatch.setattr(publisher.time, "monotonic", lambda: self.now)


def put(topic, path, **options):
    return publish(path, topic, topic, topic.partitions, **options)


def archive(tmp_path, body, name="a.jsonl"):
    return write_archive(tmp_path / name, body)


def scans(*seconds):
    return [encode(scan(scan_id=i, ts_ms=START_MS + int(s * 1_000))) for i, s in enumerate(seconds)]


# -- lines as they are -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_line_n_of_a_fresh_topic_is_offset_n_whatever_it_holds(tmp_path, name):
    topic, path = Topic(), archive(tmp_path, mixed_archive(2), name)
    assert put(topic, path) == (500, 0)
    assert [line for line, _, _ in topic.written] == list(lines(path))
    assert topic.flushed == 1


def test_a_long_line_is_published_cut(tmp_path):
    topic = Topic()
    put(topic, archive(tmp_path, [b"x" * 900_001, b"y"]))
    assert [type(line) for line, _, _ in topic.written] == [Cut, bytes]
    assert topic.written[0][0].length == 900_001


def test_the_key_is_the_stream_where_the_line_decodes(tmp_path):
    body = [
        encode(scan(stream="s-1")),
        encode(plane("mc", {"scale": 1.0}, stream="s-2")),
        b"{",
        b"",
        encode(scan(v=2)),
    ]
    topic = Topic()
    put(topic, archive(tmp_path, body))
    assert [key for _, key, _ in topic.written] == [b"s-1", b"s-2", None, None, None]


@pytest.mark.parametrize("partitions", [1, 2, 5])
def test_a_streams_lines_keep_their_order_in_one_partition(tmp_path, partitions):
    body = [line for line in mixed_archive(3) if len(line) < 900_000]
    topic = Topic(partitions)
    put(topic, archive(tmp_path, body))
    streams = {}
    for line in body:
        record = Decoder().decode(line)
        streams.setdefault("" if isinstance(record, Fault) else record.stream, []).append(line)
    for stream, own in streams.items():
        at = zlib.crc32(stream.encode()) % partitions
        assert [v for v in topic.records(at) if v in set(own)] == own
    assert sum(len(topic.records(p)) for p in range(partitions)) == len(body)


def test_progress_is_told_to_the_last_line(tmp_path):
    told = []
    put(Topic(), archive(tmp_path, scans(*range(2_500))), on_line=told.append)
    assert told == [1_000, 2_000, 2_500]


# -- going on --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 2, 3, 4_096])
def block(request, monkeypatch):
    monkeypatch.setattr(publisher, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("there", [0, 1, 250, 499, 500])
def test_a_topic_that_was_begun_is_gone_on_with_once(tmp_path, there, partitions):
    body = mixed_archive(4)
    path, topic, whole = archive(tmp_path, body), Topic(partitions), Topic(partitions)
    put(whole, path)
    put(topic, archive(tmp_path, body[:there], "part.jsonl"))
    topic.written.clear()
    assert put(topic, path) == (500, there)
    assert len(topic.written) == 500 - there
    assert [topic.records(p) for p in range(partitions)] == [whole.records(p) for p in range(partitions)]


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    ("at", "other"),
    [(0, b"x"), (2, b""), (4, encode(scan(scan_id=4, vel_div=-0.05))), (3, b"z" * 900_001)],
    ids=["first", "empty", "last", "long"],
)
def test_another_record_in_the_topic_is_refused_and_named(tmp_path, at, other):
    body = scans(0, 5, 10, 15, 20, 25)
    body[3] = b"y" * 900_001  # the same length, cut, and yet another line
    topic = Topic()
    put(topic, archive(tmp_path, [*body[:at], other, *body[at + 1 : 5]], "other.jsonl"))
    topic.written.clear()
    with pytest.raises(Refusal, match=rf"partition 0 holds another record .* at offset {at} \(line {at + 1}\); fix: "):
        put(topic, archive(tmp_path, body))
    assert topic.written == []


def test_what_is_known_of_a_topic_takes_a_digest_a_block(tmp_path):
    topic = Topic()
    put(topic, archive(tmp_path, [b"%d" % n for n in range(20_000)]))
    (held,) = publisher._records(topic, 1)
    assert (held.count, len(held.marks)) == (20_000, 20_000 // publisher.BLOCK)


def test_a_topic_with_more_records_than_the_archive_has_lines_is_refused(tmp_path):
    topic = Topic()
    put(topic, archive(tmp_path, scans(0, 1, 2)))
    with pytest.raises(Refusal, match="more records than the archive has lines; fix: "):
        put(topic, archive(tmp_path, scans(0, 1), "short.jsonl"))


def test_a_topic_that_lost_its_first_records_is_refused(tmp_path):
    topic = Topic()
    topic.low = 7
    with pytest.raises(Refusal, match="lost its first records"):
        put(topic, archive(tmp_path, scans(0)))


def test_a_broken_archive_is_refused_before_anything_is_written(tmp_path):
    topic = Topic()
    topic.log.append(b"{}")
    path = archive(tmp_path, [b"{}", b"{}"], "a.jsonl.zst")
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(Refusal, match="cannot be read"):
        put(topic, path)
    assert topic.written == []


# -- pace ------------------------------------------------------------------------------------------------------------


def times(tmp_path, monkeypatch, body, pace, **options):
    """Seconds after the first line at which each line is written."""
    clock = Clock(monkeypatch)
    topic, at = Topic(clock=clock), []
    write = topic.write

    def timed(*line):
        at.append(clock.now)
        write(*line)

    topic.write = timed
    fill(archive(tmp_path, body), topic, [0], pace=pace, **options)
    return [round(now - at[0], 6) for now in at]


def test_scans_wait_for_their_event_time_at_the_pace(tmp_path, monkeypatch):
    assert times(tmp_path, monkeypatch, scans(0, 5, 10, 70), 10.0) == [0.0, 0.5, 1.0, 7.0]
    assert times(tmp_path, monkeypatch, scans(0, 5, 10), 1.0) == [0.0, 5.0, 10.0]
    assert times(tmp_path, monkeypatch, scans(0, 5, 10), None) == [0.0, 0.0, 0.0]


def test_the_pace_follows_the_running_maximum_so_that_late_scans_wait_for_nobody(tmp_path, monkeypatch):
    assert times(tmp_path, monkeypatch, scans(0, 60, 10, 30, 60, 61), 1.0) == [
        0.0,
        60.0,
        60.0,
        60.0,
        60.0,
        61.0,
    ]
    assert times(tmp_path, monkeypatch, scans(50, 0, 10, 60), 1.0) == [0.0, 0.0, 0.0, 10.0]


def test_planes_and_malformed_lines_go_at_once_and_in_file_order(tmp_path, monkeypatch):
    first, second = scans(0, 10)
    ahead = encode(plane("mc", {"scale": 1.0}, ts_ms=START_MS + 10**9))
    body = [ahead, b"{", first, ahead, b"", b"x" * 900_001, second, ahead]
    assert times(tmp_path, monkeypatch, body, 1.0) == [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 10.0]


@pytest.mark.parametrize("before", [1, 2, 3, 4])
def test_what_was_journaled_is_republished_at_once(tmp_path, monkeypatch, before):
    waited = times(tmp_path, monkeypatch, scans(0, 100, 200, 230, 250), 1.0, paced_from=before)
    assert waited == {
        1: [0.0, 0.0, 100.0, 130.0, 150.0], 2: [0.0, 0.0, 0.0, 30.0, 50.0], 3: [0.0, 0.0, 0.0, 0.0, 20.0],
        4: [0.0, 0.0, 0.0, 0.0, 0.0],
    }[before]  # fmt: skip


def test_lines_that_are_there_already_neither_wait_nor_set_the_pace(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    topic, path = Topic(clock=clock), archive(tmp_path, scans(0, 100, 200, 230))
    put(topic, archive(tmp_path, scans(0, 100), "part.jsonl"))
    put(topic, path, pace=1.0)
    assert clock.now == 1_030.0
