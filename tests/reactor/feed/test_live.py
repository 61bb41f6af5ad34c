"""Live: the same order as the archive while records keep to the bound, and a restart that doubles and loses nothing."""

import json
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.refusal import Refusal
from lanes.code import Reject
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder
from reactor.feed import mapping, sequence, table
from reactor.feed.live import HELD_MAX, Feed, Merger, Resumed, Stamp, follow
from reactor.standin.enrich import Enricher
from tests.reactor.feed.test_sequence import FEEDS, HEAD, T0

TOML = "".join(HEAD.format(name=n, feeds=f).replace("file", "topic") + fields for n, (f, fields) in FEEDS.items())
LATENESS_MS = 500


class Topic:
    """A topic in memory: what has come by now, up to a limit, and where its end is."""

    def __init__(self, lines):
        self.lines, self.next, self._reached, self.is_away, self.is_same = lines, 0, {}, False, True

    def poll_until(self, now_ms, limit=10**6):
        values = []
        while self.next + len(values) < len(self.lines) and len(values) < limit:
            arrival_ms, raw = self.lines[self.next + len(values)]
            if arrival_ms > now_ms:
                break
            values.append(raw)
        offsets = list(range(self.next, self.next + len(values)))
        self.next += len(values)
        if self.next == len(self.lines) or self.lines[self.next][0] > now_ms:
            self._reached = {0: self.next}
        return [Chunk(0, offsets, values)] if values else []

    def reached(self):
        return self._reached

    def away(self):
        return self.is_away

    def same(self):
        return self.is_same


def arrivals(seed, count=60, bound_ms=LATENESS_MS):
    """Six topics whose records arrive up to the bound after their time, and so out of order."""
    dice = random.Random(seed)
    topics = {}
    for name in FEEDS:
        found = []
        for n in range(count):
            ts_ms = T0 + dice.randrange(20_000)
            line = {
                "t": ts_ms,
                "n": n,
                "x": -0.03 if name == "scans" else round(dice.random(), 6),
                "p": {"BTCUSDT": 1.5},
            }
            found.append((ts_ms + dice.randrange(bound_ms), json.dumps(line).encode()))
        topics[name] = sorted(found)
    return topics


def opened(topics, resumed=None):
    feeds = []
    for source in mapping.parse(TOML):
        topic = Topic(topics[source.name])
        at, done = resumed.place(source.name, 0) if resumed else (0, set())
        topic.next = at or 0
        feeds.append(Feed(source, 0, topic, at or 0, done))
    return feeds


def run(feeds, merger, since_ms, until_ms, step_ms=50, limit=10**6):
    written = []
    for now_ms in range(since_ms, until_ms, step_ms):
        for feed in feeds:
            if merger.wants(feed):
                merger.take(feed, feed.log.poll_until(now_ms, limit), now_ms)
        written += merger.due(now_ms)
    return written


def archive(topics, folder, enricher=None):
    """The log of the same records as files."""
    sources = mapping.parse(TOML.replace("topic", "file"))

    def rows(source):
        return iter([table.object_row(n, raw) for n, (_, raw) in enumerate(topics[source.name])])

    return list(sequence.log(sources, rows, sequence.Sequencer(lambda bad: None), folder, enricher))


END_MS = T0 + 25_000


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([7, 50, 333]))
def test_records_late_up_to_the_bound_give_the_log_of_the_archive(tmp_path_factory, seed, step_ms):
    topics = arrivals(seed, bound_ms=LATENESS_MS - step_ms)
    feeds = opened(topics)
    merger = Merger(feeds, LATENESS_MS)
    written = run(feeds, merger, T0, END_MS, step_ms)
    assert [out.line for out in written] == archive(topics, tmp_path_factory.getbasetemp())
    assert sum(merger.late.values()) == 0
    assert {out.key for out in written} == {b"ng7"}


def test_a_record_beyond_the_bound_is_written_late_and_counted():
    topics = arrivals(1)
    arrival_ms, raw = topics["acb"].pop(3)
    topics["acb"].append((T0 + 22_000, raw))
    feeds = opened(topics)
    merger = Merger(feeds, LATENESS_MS)
    written = run(feeds, merger, T0, END_MS)
    assert len(written) == 360
    assert merger.late == {**dict.fromkeys(FEEDS, 0), "acb": 1}
    assert msgspec.json.decode(written[-1].stamp, type=Stamp).arrival_ms == T0 + 22_000
    assert arrival_ms < T0 + 22_000


@pytest.mark.parametrize("limit", [1, 3])
def test_a_backlog_merges_by_event_time_however_unevenly_it_is_read(tmp_path, limit):
    """A feed far behind its end holds the others back, long after they are due."""
    topics = {name: sorted(lines, key=lambda line: json.loads(line[1])["t"]) for name, lines in arrivals(4).items()}
    backlog = {name: [(T0, raw) for _, raw in lines] for name, lines in topics.items()}
    feeds = opened(backlog)
    merger = Merger(feeds, 0)
    written = []
    for now_ms in range(T0, T0 + 900):
        for n, feed in enumerate(feeds):
            merger.take(feed, feed.log.poll_until(now_ms, limit if n else 40), now_ms)
        written += merger.due(now_ms)
    assert [out.line for out in written] == archive(topics, tmp_path)


def test_a_feed_that_is_too_far_ahead_is_not_read():
    feeds = opened(arrivals(4))
    merger = Merger(feeds, LATENESS_MS)
    assert all(map(merger.wants, feeds))
    feeds[0].pending.extend(range(HELD_MAX))
    assert [merger.wants(feed) for feed in feeds] == [False] + [True] * 5


@settings(max_examples=25)
@given(st.data())
def test_a_restart_anywhere_doubles_nothing_and_loses_nothing(tmp_path_factory, data):
    topics = arrivals(data.draw(st.integers(0, 50)), bound_ms=LATENESS_MS - 50)
    topics["mc"][5] = (topics["mc"][5][0], b'{"t": "soon"}')
    parts = frozenset({"irp", "dc"})
    log = []
    since_ms = T0
    stops = data.draw(st.lists(st.integers(T0, END_MS), max_size=3))
    last_ms = END_MS + 2 * LATENESS_MS  # a start at END_MS still holds all back for the bound
    for until_ms in [*sorted(stops), last_ms]:
        enricher = Enricher(parts)
        resumed = Resumed(enricher)
        for offset, out in enumerate(log):
            resumed.take(offset, out.line, out.stamp)
        assert (resumed.next, resumed.doubled) == (len(log), 0)
        feeds = opened(topics, resumed)
        written = run(feeds, Merger(feeds, LATENESS_MS, enricher), since_ms, until_ms)
        # Of what a killed process wrote, the broker has any first part.
        log += written if until_ms == last_ms else written[: data.draw(st.integers(0, len(written)))]
        since_ms = until_ms
    stamps = [msgspec.json.decode(out.stamp, type=Stamp) for out in log]
    assert sorted((s.source, s.offset) for s in stamps) == sorted((n, at) for n in FEEDS for at in range(60))
    # One enricher over the log as it became gives its lines again.
    twin = Enricher(parts)
    assert [out.line for out in log] == [
        out.line if out.key is None else sequence.enriched(twin, _bare(out.line)) for out in log
    ]


def _bare(line):
    record = json.loads(line)
    for name in ("irp", "dc_status", "context"):
        record.pop(name, None)
    return msgspec.json.encode(record)


def test_a_row_that_does_not_fit_is_in_the_log_as_a_reject_of_a_name():
    topics = arrivals(1)
    topics["mc"][5] = (topics["mc"][5][0], b'{"t": "soon"}')
    topics["acb"][0] = (topics["acb"][0][0], b"\xff{")
    feeds = opened(topics)
    merger = Merger(feeds, LATENESS_MS)
    lines = [out.line for out in run(feeds, merger, T0, END_MS) if out.key is None]
    assert [Decoder().decode(line).code for line in lines] == [Reject.SCHEMA_VERSION] * 2
    bad = [json.loads(line) for line in lines]
    assert sorted(each["source"] for each in bad) == ["acb", "mc"]
    found = next(each for each in bad if each["source"] == "mc")
    assert (found["v"], found["offset"], found["raw"]) == (0, 5, '{"t": "soon"}')
    assert "ts_ms: 'soon' is no number" in found["said"]
    assert merger.sequencer.tallies["mc"].set_aside == 1


def test_a_topic_that_something_else_wrote_to_is_refused():
    with pytest.raises(Refusal, match="record 0 of the output topic is not of `violet sequence`"):
        Resumed(None).take(0, b"{}", None)


def test_records_that_a_second_writer_put_there_again_are_told_apart():
    topics = arrivals(1)
    feeds = opened(topics)
    log = run(feeds, Merger(feeds, LATENESS_MS), T0, END_MS)
    resumed = Resumed(None, first=7)
    for offset, out in enumerate([*log[:50], *log[40:], log[0]], 7):
        resumed.take(offset, out.line, out.stamp)
    assert (resumed.doubled, resumed.records, resumed.next) == (11, 371, 378)


def test_a_broker_that_is_away_holds_back_what_is_newer_and_nothing_is_late_for_it():
    topics = arrivals(1)
    feeds = opened(topics)
    merger = Merger(feeds, LATENESS_MS)
    written = run(feeds, merger, T0, T0 + 5_000)
    slow = feeds[0]
    slow.log.is_away, slow.log.poll_until = True, lambda now_ms, limit: []
    written += run(feeds, merger, T0 + 5_000, T0 + 15_000)
    assert max(json.loads(out.line)["ts_ms"] for out in written) <= slow.newest_ms
    slow.log.is_away = False
    del slow.log.poll_until
    written += run(feeds, merger, T0 + 15_000, END_MS)
    assert (len(written), sum(merger.late.values())) == (360, 0)


def test_nothing_is_written_while_nobody_knows_whose_records_came():
    feeds, now = opened(arrivals(2)), [T0]
    for feed in feeds:
        feed.log.poll = lambda limit, timeout_s, log=feed.log: log.poll_until(now[0], limit)
    known_ms = T0 + 5_000
    feeds[3].log.same = lambda: now[0] >= known_ms
    written = []

    def stop():
        now[0] += 100
        return now[0] > END_MS

    follow(feeds, Merger(feeds, LATENESS_MS), lambda out: written.append(now[0]), lambda: now[0], stop)
    assert (len(written), min(written)) == (360, known_ms)
