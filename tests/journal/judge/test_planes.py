"""How many of the scans had each plane, counted from the reasons on their rows."""

from journal.judge.planes import missing, read, shares
from journal.judge.scope import Scope
from lanes.profile import PROFILES, override
from tests.strategies import START_MS, encode, plane
from tests.written import BLUE, begin, decisions

MC = encode(plane("mc", {"scale": 0.9}, ts_ms=START_MS))


def test_only_lanes_that_are_on_read_planes():
    assert list(read(BLUE)) == ["acb", "meta", "mc", "ob", "esof"]
    assert list(read(override(BLUE, {"acb": {"enabled": False}}))) == ["ob", "esof"]
    assert read(PROFILES["v3_base9"]) == {}


def test_a_share_is_of_the_scans_in_scope(store):
    written = begin(store)
    written.append([*decisions(6), MC, *decisions(14, first=6)])
    written.append([b"{"])
    there = dict.fromkeys(["acb", "meta", "ob", "esof"], 0.0)
    assert shares(missing(store, Scope(written.run_id, {0: 21}), BLUE)) == there | {"mc": 0.7}
    assert shares(missing(store, Scope(written.run_id, {0: 9}), BLUE))["mc"] == 3 / 9
    assert shares(missing(store, Scope(written.run_id, {0: 21}, starts={0: 7}), BLUE))["mc"] == 1.0
    assert shares(missing(store, Scope(written.run_id, {0: 21}, starts={0: 21}), BLUE)) == dict.fromkeys(read(BLUE))
    assert shares(missing(store, Scope(written.run_id, {0: 21}), PROFILES["v3_base9"])) == {}
