"""Enrich: what the scanner computes from the same prices, only where the feed has none, and marked."""

from itertools import islice

import pytest

from lanes.profile import PROFILES
from reactor.evaluate.asset import eligible
from reactor.evaluate.record import Decoder
from reactor.feed.archive_writer import encode
from reactor.standin import scanner, seeded
from reactor.standin.enrich import Enricher

BOTH = frozenset({"irp", "dc"})


@pytest.fixture(scope="module")
def scans():
    minutes = islice(seeded.minutes(), 320)
    return [record for record in scanner.scans(minutes) if record["kind"] == "scan"]


def bare(scan):
    return {name: value for name, value in scan.items() if name not in ("irp", "dc_status", "context")}


def test_stripped_scans_get_the_scanners_irp_and_dc_status_back(scans):
    enrich = Enricher(BOTH)
    found = [enrich(bare(scan)) for scan in scans]
    assert all(f["context"] == {"enriched": "stand-in"} for f in found)
    # The scanner saw 50 bars before its first scan; from the 50th scan on both have seen the same prices.
    for mine, its in zip(found[50:], scans[50:], strict=True):
        assert mine["irp"] == its["irp"]
        assert mine["dc_status"] == its["dc_status"]
    assert {f["dc_status"] for f in found} == {"CONFIRM", "NEUTRAL", "CONTRADICT"}
    assert found[48]["irp"] == {}
    assert enrich.counts == {"irp": len(scans), "dc": len(scans)}


def test_what_the_feed_has_stays(scans):
    enrich = Enricher(BOTH)
    for scan in scans[:60]:
        assert enrich(scan) == scan | {"context": scan["context"] | {"enriched": "stand-in"}}
    assert enrich.counts == {"irp": 0, "dc": 0}


def test_dc_status_is_that_of_the_asset_that_selection_chooses(scans):
    params = PROFILES["blue_8b"].select
    enrich, seen = Enricher(BOTH), []
    for scan in scans:
        found = enrich({**bare(scan), "irp": scan["irp"]})
        chosen = eligible(Decoder().decode(encode(found)), params, frozenset(params.excluded))
        seen.append(scan["prices"])
        bars = [prices[chosen] for prices in seen[-8:] if chosen in prices]
        if len(bars) < 8:
            continue
        bps = (bars[-1] - bars[0]) / bars[0] * 1e4
        assert found["dc_status"] == ("CONFIRM" if bps <= -0.75 else "CONTRADICT" if bps >= 0.75 else "NEUTRAL")
    assert len(seen) == len(scans)


def test_one_part_alone_a_repeat_and_two_streams(scans):
    assert "dc_status" not in Enricher(frozenset({"irp"}))(bare(scans[0]))
    assert "irp" not in Enricher(frozenset({"dc"}))(bare(scans[0]))
    plain, doubled, mixed = Enricher(BOTH), Enricher(BOTH), Enricher(BOTH)
    for n, scan in enumerate(scans[:120]):
        expected = plain(bare(scan))
        assert doubled(bare(scan)) == expected
        assert doubled(bare(scan)) == expected
        other = {**bare(scans[-1 - n]), "stream": "other"}
        mixed(other)
        assert mixed(bare(scan)) == expected


def test_a_price_of_zero_is_no_price(scans):
    enrich = Enricher(BOTH)
    symbol = next(iter(scans[0]["prices"]))
    for scan in scans[:60]:
        found = enrich({**bare(scan), "prices": scan["prices"] | {symbol: 0.0}})
    assert symbol not in found["irp"]
    assert len(found["irp"]) == len(scans[59]["prices"]) - 1
    assert enrich({**bare(scans[60]), "prices": {symbol: 0.0}})["irp"] == {}
