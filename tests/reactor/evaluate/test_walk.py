"""The walk: what it keeps of records, however they come; see test_step.py for what becomes of them."""

import gc
import tracemalloc
from itertools import pairwise
from types import SimpleNamespace

import pytest

from lanes.code import Reject
from lanes.profile import PROFILES
from lanes.registry import FIVE
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.record import Decoder, Fault
from reactor.evaluate.state import State
from reactor.evaluate.walk import PLANE_CODES, Rules, Walk
from tests.strategies import encode, mixed_archive, plane, planes, scan

BLUE = Rules(PROFILES["blue_8b"])


class WithoutMc(Rules):
    """Rules under which nobody reads the plane mc, as where the one lane that reads a plane is off."""

    @property
    def planes(self):
        return {name: code for name, code in super().planes.items() if name != "mc"}


def walked(chunk, rules=BLUE):
    walk = Walk(State(), rules, Decoder())
    walk.take(chunk)
    return walk


def typed(lines):
    """A chunk as stored inputs come: typed records where the lines are good, bytes for the others."""
    records = [Decoder().decode(line) for line in lines]
    good = {at: record for at, record in enumerate(records) if not isinstance(record, Fault)}
    values = [None if at in good else line for at, line in enumerate(lines)]
    return Chunk(0, list(range(len(lines))), values, typed=good)


def kept(walk):
    rows = [[repr(row) for row in rows] for rows in (walk.scans, walk.planes)]
    faults = {at: (fault.code, fault.stream) for at, fault in walk.faults.items()}
    return rows, walk.versions, faults, walk.state.dump(), walk.streams.names, walk.assets.names, walk.texts.names


@pytest.mark.parametrize("seed", range(3))
def test_typed_records_are_walked_as_their_bytes_are(seed):
    lines = mixed_archive(seed)
    assert kept(walked(typed(lines))) == kept(walked(Chunk(0, list(range(len(lines))), lines)))


@pytest.mark.parametrize("at", [0, 63, 64, 130])
def test_a_cut_line_is_found_wherever_it_stands_in_its_chunk(at):
    lines = [encode(scan(scan_id=i)) for i in range(150)]
    walk = walked(Chunk(0, list(range(1_000, 1_150)), lines, {1_000 + at: (987_654, "ab" * 32)}))
    assert {place: fault.code for place, fault in walk.faults.items()} == {at: Reject.TOO_LARGE}
    assert "987654" in walk.faults[at].detail


@pytest.mark.parametrize("first", [(), (scan(),)], ids=["of a new stream", "of a known stream"])
@pytest.mark.parametrize("stored", [False, True])
def test_a_plane_that_nobody_reads_is_a_reject_that_names_those_that_are_read(first, stored):
    lines = [encode(record) for record in (*first, plane("mc", {"scale": 0.5}), scan(scan_id=2))]
    walk = walked(typed(lines) if stored else Chunk(0, list(range(len(lines))), lines), WithoutMc(PROFILES["blue_8b"]))
    ((at, fault),) = walk.faults.items()
    assert (at, fault.code, fault.kind, fault.stream) == (len(first), Reject.PLANE_NAME, "plane", "ng7")
    assert "'mc'" in fault.detail
    assert "acb, meta, ob" in fault.detail


@pytest.mark.parametrize("is_on", [True, False])
def test_a_plane_that_only_a_lane_which_is_off_reads_is_none(monkeypatch, is_on):
    lane = SimpleNamespace(name="own", plane_names=("ob", "rates"))
    profile = SimpleNamespace(of=lambda name: SimpleNamespace(enabled=is_on), lanes=(*FIVE, *[lane] * is_on))
    monkeypatch.setattr("reactor.evaluate.walk.MORE", (lane,))
    monkeypatch.setattr("reactor.evaluate.walk.PLANE_CODES", PLANE_CODES | {"rates": 8})
    assert Rules(profile).planes == PLANE_CODES | ({"rates": 8} if is_on else {})


def test_scans_are_counted_before_any_cadence_plane_too():
    stored = walked(Chunk(0, [0, 1], [encode(scan(scan_id=i)) for i in (1, 2)])).state.stream("ng7").store()
    assert (stored.decide, stored.scans) == (1, 2)


def test_the_cadence_counts_scans_since_its_plane_and_the_count_is_stored():
    lines = [encode(r) for r in (plane("cadence", {"decide": 7}), *(scan(scan_id=i) for i in (1, 2, 2, 3)))]
    stored = walked(Chunk(0, list(range(len(lines))), lines)).state.stream("ng7").store()
    assert (stored.decide, stored.scans) == (7, 3)  # a repeat is not counted


def test_what_a_kernel_says_of_its_fault_is_kept_up_to_200_characters():
    def fails(record, given):
        raise ValueError("x" * 300)

    walk = walked(Chunk(0, [0], [encode(scan())]), Rules(PROFILES["blue_8b"], {"ob": fails}))
    assert walk.faults[0].detail == ("ValueError: " + "x" * 300)[:200]


def test_a_scan_points_at_the_planes_that_it_saw():
    records = [scan(scan_id=1), *planes(), scan(scan_id=2), plane("ob", {"mult": 0.9}), scan(scan_id=3)]
    walk = walked(Chunk(0, list(range(len(records))), [encode(record) for record in records]))
    assert all(
        walk.planes[place][0] < row[0] for row, seen in zip(walk.scans, walk.versions, strict=True) for place in seen
    )
    changed = [sum(a != b for a, b in zip(one, other, strict=True)) for one, other in pairwise(walk.versions)]
    assert changed == [7, 1]


def test_long_records_are_decoded_a_few_at_a_time_so_that_memory_is_bounded_by_bytes():
    symbols = [f"S{n:05d}USDT" for n in range(4_000)]
    prices, irp = dict.fromkeys(symbols, 1.5), {each: {"score": 0.25, "alignment": 0.5} for each in symbols}
    lines = [encode(scan(scan_id=n, prices=prices, irp=irp)) for n in range(64)]
    chunk = Chunk(0, [*range(len(lines))], [*lines])
    assert chunk.size == sum(map(len, lines)) > 3 * 4_194_304
    walk = Walk(State(), BLUE, Decoder())
    gc.collect()
    tracemalloc.start()
    try:
        walk.take(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(walk.scans) == len(lines)
    assert peak < 50e6, f"{peak / 1e6:.0f} MB for {chunk.size / 1e6:.0f} MB of records"
