"""One scan's delay of the planes: found where it is the cause, and nowhere else."""

import pytest

from journal.blue.noise_floor import seen
from journal.blue.pairing import Pair
from reactor.blue.again import deciders
from reactor.blue.delay import ALL, explained, share
from tests.strategies import START_MS, encode, plane, planes, scan
from tests.written import MINUTE_MS, begin

ONE = {"vel_div": -0.03}
NOTHING: dict = {}


@pytest.fixture(scope="module")
def run(store):
    """Scans 0 to 3, before scan 1 a new ob, before scan 2 a new ob and acb, before scan 3 nothing."""
    written = begin(store)
    written.append([
        *map(encode, planes()), scanned(0),
        encode(plane("ob", {"mult": 1.1})), scanned(1),
        encode(plane("ob", {"mult": 1.2})), encode(plane("acb", {"boost": 1.5})), scanned(2), scanned(3),
    ])  # fmt: skip
    return written


def scanned(n):
    return encode(scan(scan_id=n, ts_ms=START_MS + n * MINUTE_MS, **ONE))


def late(store, run, n, recorded=NOTHING, **lanes):
    """What explains a trade on scan n whose lanes are these beside a base and dc as ours; recorded: of its fields."""
    (row,) = store.rows(
        "SELECT * FROM decisions WHERE run_id = {r:String} AND scan_id = {n:Int64}", {"r": run.run_id, "n": n}
    )
    theirs = {name: lanes.get(name, row[name]) for name in ("base", "dc", "acb", "ob", "esof")}
    leverage = theirs["base"] * theirs["dc"] * theirs["acb"] * theirs["ob"] * theirs["esof"]
    trade = {"trade_id": "t", "leverage": leverage, "lanes": theirs, "vel_div": None, "dc_status": "", "planes": ""}
    trade |= {"posture": "", "capital_before": None, "notional_usd": None} | recorded
    pair = Pair(trade=trade, decision=row, by="id", gap_ms=0, candidates=1)
    return explained([pair], seen(store, run.run_id, [pair]), deciders(store, run.run_id))


def test_a_late_plane_is_named_and_all_where_it_takes_all(store, run):
    assert late(store, run, 1, ob=1.0) == {"t": "ob"}
    assert late(store, run, 2, ob=1.1) == {"t": "ob"}
    assert late(store, run, 2, acb=1.0) == {"t": "acb"}
    assert late(store, run, 2, ob=1.1, acb=1.0) == {"t": ALL}
    assert late(store, run, 0, esof=0.4) == {}  # no scan of the journal comes before the first


def test_what_no_delay_gives_is_not_explained(store, run):
    assert late(store, run, 1, ob=1.05) == late(store, run, 2, ob=1.0) == late(store, run, 3, ob=1.1) == {}


def test_a_plane_without_an_earlier_row_is_not_taken_for_one_that_never_was(store):
    began = begin(store)
    began.append([encode(plane("ob", {"mult": 1.1})), scanned(7), encode(plane("acb", {"boost": 1.5})), scanned(8)])
    assert late(store, began, 8, acb=1.0) == {}


@pytest.mark.parametrize(
    "recorded", [{"capital_before": 30_000.0}, {"posture": "STALKER"}, {"dc_status": "CONFIRM"}, {"notional_usd": 1.0}]
)
def test_a_delay_explains_nothing_where_something_else_differs_too(store, run, recorded):
    assert late(store, run, 1, ob=1.0) == {"t": "ob"}
    assert late(store, run, 1, recorded, ob=1.0) == {}
    assert late(store, run, 1, recorded) == {}


def test_a_share_counts_what_is_explained():
    assert share(4, {"a": "ob", "b": ALL, "c": "ob"}, 1) == {
        "n": 4, "explained": 3, "share": 0.75, "dropped": 1, "by_plane": {"ob": 2, ALL: 1}
    }  # fmt: skip
    assert share(0, {}, 0)["share"] is None
