"""Columns of what a walk gathered: each scan's inputs are those of the planes that it saw."""

import numpy as np

from lanes.profile import PROFILES
from reactor.evaluate.chunk import Chunk
from reactor.evaluate.inputs import Gathered
from reactor.evaluate.record import Decoder
from reactor.evaluate.state import State
from reactor.evaluate.walk import Rules, Walk
from tests.strategies import START_MS, encode, plane, scan


def gathered(*records):
    walk = Walk(State(), Rules(PROFILES["blue_8b"]), Decoder())
    walk.take(Chunk(0, list(range(len(records))), [encode(record) for record in records]))
    return Gathered(walk)


def test_a_plane_that_was_never_seen_has_no_age():
    g = gathered(scan(), plane("esof", {"score": 0.1}, ts_ms=START_MS - 5), scan(scan_id=2))
    assert g.planes.missing("esof").tolist() == [True, False]
    assert g.planes.read("esof.seen").tolist() == [False, True]
    assert g.planes.read("esof.age_ms").tolist() == [0, 5]
    assert g.planes.older("esof", 4).tolist() == [False, True]
    assert g.planes.older("esof", 5).tolist() == [False, False]


def test_capital_is_that_of_the_plane_else_the_configured_one():
    g = gathered(scan(), plane("capital", {"capital_usd": 7.5}), scan(scan_id=2))
    assert g.inputs["capital_usd"].tolist() == [PROFILES["blue_8b"].fanin.paper_capital_usd, 7.5]


def test_no_scans_are_empty_columns():
    g = gathered(plane("ob", {"mult": 0.9}))
    assert {len(column) for column in g.inputs.values()} == {0}
    assert g.at.dtype == np.int64
