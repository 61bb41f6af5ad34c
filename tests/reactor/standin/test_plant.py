"""Plants: each changes what it says, and nothing else."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from lanes.fingerprint import math_fingerprint
from reactor.standin.blue import Engine, fingerprint, libm_cube, trades
from reactor.standin.plant import CLOCK_OFF_MS, PLANTS, one_ulp_more, planted
from reactor.standin.seeded import lines as seeded

LANES = {"base", "dc", "acb", "ob", "esof"}
SIZE = {"leverage", "quantity", "pnl", "legs"}


@pytest.fixture(scope="module")
def market():
    return list(seeded(11, 1_500))


@pytest.fixture(scope="module")
def plain(market):
    return list(trades(market, Engine()))


def made(market, *names):
    engine, lines, rows = planted(names, Engine(), market)
    return rows(list(trades(lines, engine)))


def differing(plain, other):
    """Fields in which trades of one id differ."""
    pairs = zip(map(asdict, plain), map(asdict, other), strict=True)
    return {name for one, two in pairs for name in one if one[name] != two[name]}


def test_what_it_records_beside_a_trade_composes_to_its_leverage(plain):
    assert len(plain) > 50
    for trade in plain:
        raw = trade.base * trade.dc * trade.acb * trade.ob * trade.esof
        cap = min(8.0 * trade.acb * trade.ob * trade.esof, 2.0 if trade.posture == "STALKER" else 9.0)
        assert trade.leverage == max(0.5, min(raw, cap))
        assert trade.ob == json.loads(trade.planes).get("ob", {"value": {}})["value"].get("mult", trade.ob)
    assert {trade.math_fingerprint for trade in plain} == {math_fingerprint()}
    assert len({(trade.version, trade.code_hash, trade.config_hash) for trade in plain}) == 1


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("dc-boost", {"dc"} | SIZE), ("esof-stale", {"esof", "planes"} | SIZE), ("cap-off", SIZE), ("base-max", {"base"} | SIZE),
        ("cube-ulp", {"base", "acb", "math_fingerprint"} | SIZE),
        ("unrecorded", LANES | {"scan_id", "planes", "posture", "dc_status", "version", "code_hash", "config_hash",
                                "math_fingerprint"}),
        ("plane-late", {"ob", "planes"} | SIZE), ("asset-renamed", {"asset"}),
        ("planes-missing", {"acb", "ob", "esof", "planes", "capital_before"} | SIZE),
        ("clock-off", {"entry_ts_ms", "exit_ts_ms", "legs"}), ("config-hash", {"config_hash"}),
        ("code-hash", {"code_hash"}),
    ],
)  # fmt: skip
def test_a_plant_moves_what_it_says_and_nothing_else(market, plain, name, moved):
    found = differing(plain, made(market, name))
    assert found
    assert found <= moved


def test_plants_that_change_which_trades_there_are(market, plain):
    entries = {trade.entry_ts_ms: trade for trade in plain}
    fewer = made(market, "thr")
    assert {trade.vel_div for trade in fewer if trade.vel_div >= -0.021} == set()
    missed = made(market, "scans-missing")
    assert {trade.entry_ts_ms for trade in missed} != set(entries)
    shifted = made(market, "window-shifted")
    assert {trade.vel_div for trade in shifted} & {trade.vel_div for trade in plain}
    assert {(t.entry_ts_ms, t.vel_div) for t in shifted}.isdisjoint((t.entry_ts_ms, t.vel_div) for t in plain)
    doubled = made(market, "trade-doubled")
    assert len(doubled) == len(plain) + 1
    assert len({trade.trade_id for trade in doubled}) == len(plain)
    merged = made(market, "trades-merged")
    assert len(merged) < len(plain)
    assert sum(trade.quantity for trade in merged) == pytest.approx(sum(trade.quantity for trade in plain))
    assert all(len({leg.leg for leg in trade.legs}) == len(trade.legs) for trade in merged)


def test_the_clock_is_off_by_as_much_as_is_said(market, plain):
    gaps = {two.entry_ts_ms - one.entry_ts_ms for one, two in zip(plain, made(market, "clock-off"), strict=True)}
    assert gaps == {CLOCK_OFF_MS}


def test_plants_add_up(market):
    both = made(market, "dc-boost", "config-hash")
    assert differing(made(market, "dc-boost"), both) == {"config_hash"}


def test_another_libm_has_another_fingerprint_and_the_ends_are_exact():
    assert (one_ulp_more(0.0), one_ulp_more(1.0)) == (0.0, 1.0)
    assert one_ulp_more(0.5) > 0.125
    assert fingerprint(one_ulp_more) != fingerprint(libm_cube) == math_fingerprint()


def test_the_page_names_every_plant():
    page = (Path(__file__).parents[3] / "docs/blue.md").read_text("utf-8")
    assert (
        dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)).items()
        >= {name: plant.words for name, plant in PLANTS.items()}.items()
    )
