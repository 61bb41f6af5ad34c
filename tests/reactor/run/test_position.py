"""Where a run begins: the state before an offset, exact, warm or cold; the offset of an event time."""

import pytest

from lanes import registry
from lanes.profile import PROFILES
from reactor.evaluate.record import Decoder, Scan
from reactor.evaluate.state import State
from reactor.evaluate.walk import Rules, Walk
from reactor.log.memory import MemoryLog
from reactor.run import position
from reactor.run.position import seek, warm
from tests.strategies import START_MS, encode, mixed_archive, plane, planes, scan

RULES = Rules(PROFILES["blue_8b"])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Spans that a short log can pass: 8, 64, 512."""
    monkeypatch.setattr(position, "WARM_FIRST", 8)
    monkeypatch.setattr(position, "WARM_MAX", 512)


def ranges(lines, asked=None):
    """Reads ranges of a log in memory, and keeps which were asked for."""
    log = MemoryLog(lines)

    def read(partition, first, end):
        if asked is not None:
            asked.append((first, end))
        return log.range(partition, first, end)

    return read


def state_after(lines):
    walk = Walk(State(), RULES, Decoder())
    for chunk in ranges(lines)(0, 0, len(lines)):
        walk.take(chunk)
    return walk.state


def scans(count, **fields):
    return [encode(scan(scan_id=i, ts_ms=START_MS + i * 1_000, **fields)) for i in range(count)]


PLANES = [encode(p) for p in planes()]


# -- warm ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, 1, 8, 9, 500])
def test_a_state_read_from_the_logs_first_record_is_exact(start, monkeypatch):
    monkeypatch.setattr(position, "WARM_FIRST", 512)
    lines = mixed_archive(1)
    state, how = warm(ranges(lines), 0, 0, start, RULES)
    assert how == "EXACT"
    assert state.dump() == state_after(lines[:start]).dump()
    assert {n: list(s.identities()) for n, s in state.streams.items()} == {
        n: list(s.identities()) for n, s in state_after(lines[:start]).streams.items()
    }


def test_a_state_that_knows_every_plane_is_warm_and_was_read_from_near():
    asked, lines = [], [*scans(600), *PLANES, *scans(1)]
    state, how = warm(ranges(lines, asked), 0, 0, len(lines), RULES)
    assert how == "WARM"
    assert asked == [(600, 608)]
    assert state.complete(registry.READ)


def test_reading_back_goes_further_until_every_plane_is_known():
    asked, lines = [], [*scans(600), *PLANES, *scans(30)]
    _, how = warm(ranges(lines, asked), 0, 0, len(lines), RULES)
    assert how == "WARM"
    assert asked == [(629, 637), (573, 637)]


def test_reading_back_is_bounded_and_then_the_run_is_cold():
    asked, lines = [], [*PLANES, *scans(2_000)]
    state, how = warm(ranges(lines, asked), 0, 0, len(lines), RULES)
    assert how == "COLD"
    assert [end - first for first, end in asked] == [8, 64, 512]
    assert state.stream("ng7").scans == 512


def test_one_stream_that_misses_a_plane_makes_the_run_cold():
    asked, other = [], [encode(scan(stream="other"))]
    _, how = warm(ranges([*scans(600), *PLANES, *other], asked), 0, 0, 608, RULES)
    assert how == "COLD"
    assert len(asked) == 3


def test_a_stretch_without_any_stream_is_not_warm():
    _, how = warm(ranges([*scans(1), *[b"{"] * 600]), 0, 0, 601, RULES)
    assert how == "COLD"


def test_a_log_that_lost_its_first_records_is_exact_from_what_it_has():
    lines = [*PLANES, *scans(20)]
    state, how = warm(ranges(lines), 0, 20, 27, RULES)
    assert how == "EXACT"
    assert state.stream("ng7").scans == 7


def test_nothing_at_or_after_the_start_is_read():
    asked, lines = [], [*PLANES, *scans(3), encode(plane("acb", {"boost": 3.0}))]
    state, _ = warm(ranges(lines, asked), 0, 0, 10, RULES)
    assert state.stream("ng7").held("acb")["boost"] == 1.0
    assert max(end for _, end in asked) == 10


# -- seek ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after_ms", "offset"), [(-1, 7), (0, 7), (1, 8), (5_000, 12), (5_001, 13), (19_000, 26), (19_001, 27)]
)
def test_a_time_is_the_first_scan_at_or_after_it(after_ms, offset):
    lines = [*PLANES, *scans(20)]
    state, at = seek(ranges(lines), 0, 0, len(lines), START_MS + after_ms, RULES)
    assert at == offset
    assert state.dump() == state_after(lines[:offset]).dump()


def test_planes_and_rejects_do_not_bear_the_time():
    late = START_MS + 10**9
    lines = [encode(plane("mc", {"scale": 0.5}, ts_ms=late)), encode(scan(ts_ms=late, v=3)), *scans(2)]
    assert seek(ranges(lines), 0, 0, 4, START_MS + 1_000, RULES)[1] == 3


def test_the_first_scan_counts_though_later_ones_are_earlier():
    times = [5, 9, 2, 7]
    lines = [encode(scan(scan_id=i, ts_ms=START_MS + t)) for i, t in enumerate(times)]
    assert [seek(ranges(lines), 0, 0, 4, START_MS + t, RULES)[1] for t in (0, 5, 6, 9, 10)] == [0, 0, 1, 1, 4]


def test_the_state_before_a_time_is_exact_across_chunks():
    lines = mixed_archive(2)
    whole = ranges(lines)

    def in_parts(partition, first, end):
        for at in range(first, end, 13):
            yield from whole(partition, at, min(at + 13, end))

    scan_times = [r.ts_ms for r in map(Decoder().decode, lines) if isinstance(r, Scan)]
    for ts_ms in sorted(scan_times)[::40]:
        state, at = seek(in_parts, 0, 0, len(lines), ts_ms, RULES)
        assert state.dump() == state_after(lines[:at]).dump()
        assert Decoder().decode(lines[at]).ts_ms >= ts_ms


def test_an_empty_log_is_sought_to_its_end():
    state, at = seek(ranges([]), 0, 0, 0, START_MS, RULES)
    assert (at, state.streams) == (0, {})
