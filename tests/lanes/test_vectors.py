"""Every line of the reference vectors, bit for bit, and random points against their generator."""

import json
import math
import random

import pytest

from lanes.acb import acb
from lanes.base import base
from lanes.code import Bound, PlaneForm
from lanes.esof import esof
from lanes.fanin import compose, notional, sc_post
from lanes.ob import ob
from lanes.profile import PROFILES
from lanes.registry import FIVE
from tests.lanes import vectors
from tests.lanes.bits import identical

BLUE, V3 = PROFILES["blue_8b"], PROFILES["v3_base9"]
LINES = {"base": 18, "compose": 24, "order": 2, "notional": 4, "sc": 11, "esof": 19, "acb": 20, "ob": 10}
INPUTS = int(PlaneForm.INPUTS)


def cases(section):
    golden = json.loads(vectors.GOLDEN.read_text("utf-8"))[section]
    words = 2 if section == "compose" else 0  # name and posture
    return [[*case[:words], *map(float.fromhex, case[words:])] for case in golden]


def exactly(*pairs):
    for got, expected in pairs:
        assert identical(got, expected), f"{got!r} is not {expected!r}"


def cubic(vel_div, p):
    b = p.base
    return base(vel_div, b.thr, b.extreme, b.min_lev, b.base_max, b.convexity)


def fan_in(b8, dc, regime, ob_, esof_, posture):
    b, f = BLUE.base, BLUE.fanin
    inside = tuple(lane.inside_cap for lane in FIVE)
    limits = (b.base_max, f.abs_max, f.stalker_cap, b.min_lev)
    return compose((b8, dc, regime, ob_, esof_), inside, posture == "STALKER", *limits)


def regime(signals, beta, strength, mc):
    # A line through 0 and -1 and a convexity of 1 make strength ** convexity the given number.
    p = BLUE.acb
    assert beta in {p.beta_low, p.beta_high}
    w750 = 1.0 if beta == p.beta_high else -1.0
    return acb(
        INPUTS, signals, False, math.nan, True, mc, -strength, w750,
        p.signals_gain, p.signals_from, p.beta_low, p.beta_high, p.w750_thr, 0.0, -1.0, 1.0,
    )  # fmt: skip


def consensus(eff, agree):
    p = BLUE.ob
    limits = (p.imb_from, p.imb_full, p.agree_above, p.up, p.down, p.min_assets)
    return ob(INPUTS, math.nan, -eff, agree, p.min_assets, *limits)


def haircut(score, age_ms=0):
    p = BLUE.esof
    return esof(INPUTS, score, age_ms, p.splits, p.plateaus, p.edge, p.stale, p.max_age_ms)


def bound(raw, cap, posture):
    """What fixed the leverage, of the reference's raw and cap alone: docs/design/lanes.md, the order of the bounds."""
    if min(raw, cap) < BLUE.base.min_lev:
        return Bound.FLOOR
    if raw <= cap:
        return Bound.PRODUCT
    stalker = [(BLUE.fanin.stalker_cap, Bound.STALKER)] if posture == "STALKER" else []
    terms = [*stalker, (BLUE.fanin.abs_max, Bound.ABS)]
    return next((name for value, name in terms if value == cap), Bound.CAP)


def test_the_kept_vectors_are_the_reference_file():
    file = vectors.SHARED / "vectors.txt"
    if not file.exists():
        pytest.skip("no reference vectors beside the checkout; the kept ones were read from them")
    parsed = vectors.parse(file.read_text("utf-8"))
    assert parsed == json.loads(vectors.GOLDEN.read_text("utf-8"))


@pytest.mark.parametrize("section", LINES)
def test_no_line_was_passed_over(section):
    assert len(cases(section)) == LINES[section]


@pytest.mark.parametrize("case", cases("base"))
def test_base(case):
    vel_div, strength, cubed, eight, nine, fraction = case
    assert identical(strength**3.0, cubed)
    exactly(*zip(cubic(vel_div, BLUE), (strength, eight), strict=True))
    exactly(*zip(cubic(vel_div, V3), (strength, nine), strict=True))
    exactly((notional(1.0, V3.fanin.fraction, nine), fraction))


@pytest.mark.parametrize("case", cases("compose"), ids=lambda case: case[0])
def test_compose(case):
    _, posture, vel_div, b8, dc, regime_, ob_, esof_, raw, cap, lev, fraction, usd = case
    exactly((cubic(vel_div, BLUE)[1], b8))
    got = fan_in(b8, dc, regime_, ob_, esof_, posture)
    exactly((got[0], raw), (got[1], cap), (got[4], lev))
    assert got[3] == bound(raw, cap, posture)
    exactly((notional(1.0, 0.2, got[4]), fraction), (notional(25_000.0, BLUE.fanin.fraction, got[4]), usd))


@pytest.mark.parametrize("case", cases("order"))
def test_order_matters(case):
    vel_div, *factors, product, regrouped = case
    raw = fan_in(cubic(vel_div, BLUE)[1], *factors, "APEX")[0]
    assert identical(raw, product)
    assert not identical(raw, regrouped)


@pytest.mark.parametrize("case", cases("notional"))
def test_notional(case):
    vel_div, capital, from_left, _, at_nine = case
    exactly((notional(capital, 0.2, cubic(vel_div, BLUE)[1]), from_left))
    exactly((notional(capital, 0.2, 9.0), at_nine))


def test_some_notional_tells_its_grouping():
    assert any(not identical(case[2], case[3]) for case in cases("notional"))


@pytest.mark.parametrize("case", cases("sc"))
def test_sc(case):
    leverage, usd, mult, *expected = case
    exactly(*zip(sc_post(leverage, usd, mult, BLUE.esof.near_one), expected, strict=True))


@pytest.mark.parametrize("case", cases("esof"))
def test_esof_default(case):
    exactly((haircut(case[0]), case[1]))


@pytest.mark.parametrize("case", cases("acb"))
def test_acb_default(case):
    signals, beta, boost, meta, product, mc = case
    exactly(*zip(regime(signals, beta, 0.3, mc), (boost, meta, mc, product), strict=True))


@pytest.mark.parametrize("case", cases("ob"))
def test_ob_default(case):
    eff, agree, expected = case
    exactly((consensus(eff, agree), expected))


def test_the_recorded_soak():
    strength, median = cubic(-0.0337, V3)
    exactly((median, 1.3095000185185186), (strength, 0.45666666666666667))
    exactly((V3.fanin.fraction * cubic(-605.0, V3)[1], 1.8))


def test_the_independent_generator_agrees_on_random_points():
    reference = vectors.reference()
    if reference is None:
        pytest.skip("no reference generator beside the checkout; its vectors are kept")
    draw = random.Random(604)
    uniform = draw.uniform
    for _ in range(20_000):
        vel_div = draw.choice((uniform(-0.055, -0.015), uniform(-1.0, 1.0)))
        s, _, b8 = reference.base(vel_div, 8.0)
        exactly(*zip(cubic(vel_div, BLUE), (s, b8), strict=True))
        cut = draw.choice((0.0, 1.0, draw.random()))
        factors = uniform(1.0, 1.2), uniform(0.0, 2.0), uniform(0.8, 1.25), cut
        posture = draw.choice(("APEX", "STALKER"))
        raw, cap, leverage = reference.compose(b8, *factors, posture)
        got = fan_in(b8, *factors, posture)
        exactly((got[0], raw), (got[1], cap), (got[4], leverage))
        assert got[3] == bound(raw, cap, posture)
        usd, mult = uniform(0.0, 60_000.0), uniform(-0.1, 1.1)
        exactly(*zip(sc_post(leverage, usd, mult, 1e-9), reference.sc(leverage, usd, mult), strict=True))
        signals, beta, mc = uniform(0.0, 4.0), draw.choice((0.2, 0.8)), uniform(0.0, 1.0)
        strength = draw.random()
        boost, meta, product = reference.acb(signals, beta, strength, mc)
        exactly(*zip(regime(signals, beta, strength, mc), (boost, meta, mc, product), strict=True))
        eff, agree = uniform(-0.4, 0.4), uniform(0.6, 0.8)
        exactly((consensus(eff, agree), reference.ob(eff, agree)))
        score = draw.choice((uniform(-1.0, 1.0), math.nan, math.inf, -math.inf))
        exactly((haircut(score), reference.esof(score)))
        exactly((haircut(score, 900_001), reference.esof(score, stale=True)))
