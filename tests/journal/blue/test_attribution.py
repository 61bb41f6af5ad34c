"""Attribution: terms that add up to the difference, at zeros and at equal values too, and a Shapley written apart."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.blue.attribution import ATTRIBUTED, UNATTRIBUTABLE, ZERO, Limits, effective, log_mean, of_pairs
from journal.blue.attribution import nominal as of_lanes
from journal.blue.pairing import Pair
from lanes.profile import PROFILES

BLUE = Limits.of(PROFILES["blue_8b"])
AFTER = Limits.of(
    PROFILES["blue_8b"].model_copy(
        update={"esof": PROFILES["blue_8b"].esof.model_copy(update={"application": "sc_post"})}
    )
)
SEED = 4


def fanned(side, stalker, limits):
    """The leverage of one row, as findings 8b has it."""
    base, dc, acb, ob, esof = side
    inside = esof if limits.near_one is None else 1.0
    raw = base * dc * acb * ob * inside
    cap = min(limits.base_max * acb * ob * inside, limits.abs_max)
    if stalker:
        cap = min(cap, limits.stalker_cap)
    leverage = max(limits.min_lev, min(raw, cap))
    if limits.near_one is None or abs(min(1.0, esof) - 1.0) < limits.near_one:
        return leverage
    return round(leverage * min(1.0, esof), 6)


def by_all_orders(ours, theirs, stalker, limits):
    """Shapley's values as their definition says: the mean effect of each lane over all orders of them."""
    gains = [[] for _ in range(6)]
    for order in itertools.permutations(range(6)):
        now, posture = list(theirs), stalker[1]
        before = math.log(fanned(now, posture, limits))
        for player in order:
            if player == 5:
                posture = stalker[0]
            else:
                now[player] = ours[player]
            after = math.log(fanned(now, posture, limits))
            gains[player].append(after - before)
            before = after
    return [math.fsum(each) / len(each) for each in gains]


def some(rng, n):
    """Lane values of n rows: near the plateaus of the lanes, zeros among them."""
    return np.column_stack((
        0.5 + 7.5 * rng.random(n) ** 3, rng.choice([1.0, 1.1, 1.15], n), rng.choice([0.0, 1.0, 1.2, 1.35, 1.7], n),
        rng.uniform(0.85, 1.2, n), rng.choice([0.0, 0.3, 0.4, 0.65, 0.8, 0.9, 1.0], n),
    ))  # fmt: skip


def pairs(n, limits, seed=SEED):
    """Random pairs, two lanes of five alike in the mean, with the leverages that the fan-in makes of them."""
    rng = np.random.default_rng(seed)
    ours = some(rng, n)
    theirs = np.where(rng.random((n, 5)) < 0.4, ours, some(rng, n))
    stalker = rng.random(n) < 0.2, rng.random(n) < 0.2
    made = tuple(
        np.array([fanned(row, posture, limits) for row, posture in zip(side.tolist(), postures, strict=True)])
        for side, postures in zip((ours, theirs), stalker, strict=True)
    )
    return ours, theirs, made, stalker


def nominal(ours, theirs, made):
    return of_lanes(ours, theirs, made, BLUE.lanes)


def rows(*values):
    return np.array(values, dtype=float)


def exact_miss(values, totals):
    """How far the exact sum of each pair's terms is from its total, in ulp of the largest number."""
    for row, total in zip(values.tolist(), totals.tolist(), strict=False):
        miss = abs(sum(map(Fraction, row)) - Fraction(total))
        yield float(miss) / math.ulp(max(abs(total), *map(abs, row)))


def test_the_documented_example():
    ours, theirs = rows([8.0, 1.15, 1.2, 1.0, 1.0]), rows([8.0, 1.0, 1.0, 1.0, 1.0])
    made, calm = (rows(9.0), rows(8.0)), (np.array([False]), np.array([False]))
    plain = nominal(ours, theirs, made)
    shown = dict(zip(plain.names, np.round(plain.values[0], 4).tolist(), strict=True))
    assert shown == {"base": 0, "dc": 0.1398, "acb": 0.1823, "ob": 0, "esof": 0, "clamp": -0.2043}
    real = effective(ours, theirs, made, calm, BLUE)
    shown = dict(zip(real.names, np.round(real.values[0], 4).tolist(), strict=True))
    assert shown == {"base": 0, "dc": 0, "acb": 0.1178, "ob": 0, "esof": 0, "posture": 0, "fanin": 0}
    assert plain.total.tolist() == real.total.tolist() == [pytest.approx(math.log(9 / 8))]


@pytest.mark.parametrize("limits", [BLUE, AFTER], ids=["fan_in", "sc_post"])
def test_terms_add_up_to_the_difference_within_an_ulp(limits):
    ours, theirs, made, stalker = pairs(20_000 if limits is BLUE else 2_000, limits)
    for terms in (nominal(ours, theirs, made), effective(ours, theirs, made, stalker, limits)):
        has = np.array(terms.status) == ATTRIBUTED
        assert has.mean() > (0.99 if limits is BLUE else 0.7)
        assert set(terms.status) <= {ATTRIBUTED, ZERO}
        assert terms.closure_ulp[has].max() <= 1.0
        assert max(exact_miss(terms.values[has][:1000], terms.total[has])) <= 1.0
        same = (made[0] == made[1]) & has
        assert same.any()
        assert (terms.total[same] == 0.0).all()


@pytest.mark.slow
def test_terms_of_a_million_pairs_add_up():
    rng = np.random.default_rng(SEED)
    ours = some(rng, 1_000_000)
    theirs = np.where(rng.random((1_000_000, 5)) < 0.4, ours, some(rng, 1_000_000))
    made = tuple(np.exp(rng.normal(0.5, 0.8, 1_000_000)) for _ in range(2))
    calm = np.zeros(1_000_000, bool)
    for terms in (nominal(ours, theirs, made), effective(ours, theirs, made, (calm, calm), BLUE)):
        assert set(terms.status) == {ATTRIBUTED}
        assert terms.closure_ulp.max() <= 1.0


@pytest.mark.parametrize("limits", [BLUE, AFTER], ids=["fan_in", "sc_post"])
def test_effective_is_shapley_by_its_definition(limits):
    ours, theirs, made, stalker = pairs(60, limits, seed=9)
    terms = effective(ours, theirs, made, stalker, limits)
    compared = 0
    for at, status in enumerate(terms.status):
        if status == ATTRIBUTED and made[0][at]:
            wanted = by_all_orders(ours[at].tolist(), theirs[at].tolist(), (stalker[0][at], stalker[1][at]), limits)
            assert terms.values[at, :6].tolist() == pytest.approx(wanted, abs=1e-12)
            assert abs(terms.values[at, 6]) < 1e-15  # theirs is the same fan-in
            compared += 1
    assert compared > 30


def test_a_lane_that_moves_nothing_gets_nothing_and_a_fan_in_of_its_own_is_named():
    calm = np.array([False])
    theirs = rows([8.0, 1.0, 1.35, 1.0, 1.0])
    capped, uncapped = rows(9.0), rows(10.8)  # BLUE without its cap
    terms = effective(theirs, theirs, (capped, uncapped), (calm, calm), BLUE)
    assert dict(zip(terms.names, terms.values[0].tolist(), strict=True)) == {
        "base": 0, "dc": 0, "acb": 0, "ob": 0, "esof": 0, "posture": 0, "fanin": pytest.approx(math.log(9 / 10.8)),
    }  # fmt: skip
    plain = nominal(theirs, theirs, (capped, uncapped))
    assert plain.values[0].tolist() == [0, 0, 0, 0, 0, pytest.approx(math.log(9 / 10.8))]
    under = effective(theirs, theirs, (rows(2.0), capped), (np.array([True]), calm), BLUE)
    assert under.values[0].tolist() == [0, 0, 0, 0, 0, pytest.approx(math.log(2 / 9)), 0]


def test_zeros_have_their_limits():
    def terms(ours, theirs, made):
        found = nominal(rows(ours), rows(theirs), (rows(made[0]), rows(made[1])))
        assert found.status == [ATTRIBUTED]
        return dict(zip(found.names, found.values[0].tolist(), strict=True)), found.total[0]

    # On one side: the lane has all that the floor leaves, ln(0.5 / 4) less the share of dc.
    found, total = terms([4.0, 1.1, 1.0, 1.0, 0.0], [4.0, 1.0, 1.0, 1.0, 1.0], (0.5, 4.0))
    assert total == pytest.approx(math.log(0.5 / 4))
    assert found == {"base": 0, "dc": pytest.approx(math.log(1.1)), "acb": 0, "ob": 0, "clamp": 0,
                     "esof": pytest.approx(math.log(0.5 / 4.4))}  # fmt: skip
    # The same as the limit of what is very small.
    small, _ = terms([4.0, 1.1, 1.0, 1.0, 1e-12], [4.0, 1.0, 1.0, 1.0, 1.0], (0.5, 4.0))
    assert small["esof"] + small["clamp"] == pytest.approx(found["esof"])
    # The other way round every sign is the other.
    back, _ = terms([4.0, 1.0, 1.0, 1.0, 1.0], [4.0, 1.1, 1.0, 1.0, 0.0], (4.0, 0.5))
    assert back == pytest.approx({name: -value for name, value in found.items()})
    # On both sides: no difference of this lane.
    found, _ = terms([4.0, 1.0, 1.2, 1.0, 0.0], [4.0, 1.0, 1.0, 1.0, 0.0], (0.5, 0.5))
    assert found["esof"] == 0
    assert found["acb"] == pytest.approx(math.log(1.2)) == -found["clamp"]
    # Two lanes on one side: in equal parts.
    found, _ = terms([4.0, 1.0, 0.0, 1.0, 0.0], [4.0, 1.0, 1.0, 1.0, 1.0], (0.5, 4.0))
    assert found["acb"] == found["esof"] == pytest.approx(math.log(0.5 / 4) / 2)
    # One lane on each side.
    found, total = terms([4.0, 1.0, 0.0, 1.0, 1.0], [4.0, 1.0, 1.0, 1.0, 0.0], (0.5, 0.5))
    assert total == 0
    assert found["acb"] == pytest.approx(-found["esof"])


def test_a_leverage_of_zero_is_no_ratio_and_what_was_not_recorded_is_no_term():
    one, nan, calm = rows([4.0, 1.0, 1.0, 1.0, 1.0]), math.nan, np.array([False])
    gone = rows([4.0, 1.0, 1.0, 1.0, 0.0])
    for theirs, leverages, wanted in (
        (gone, (4.0, 0.0), ZERO), (gone, (0.0, 0.0), ATTRIBUTED),
        (rows([4.0, 1.0, nan, 1.0, 1.0]), (4.0, 4.0), UNATTRIBUTABLE), (one, (4.0, nan), UNATTRIBUTABLE),
        (rows([4.0, 1.0, -1.0, 1.0, 1.0]), (4.0, 4.0), UNATTRIBUTABLE),
    ):  # fmt: skip
        made = rows(leverages[0]), rows(leverages[1])
        for terms in (nominal(one, theirs, made), effective(one, theirs, made, (calm, calm), AFTER)):
            assert terms.status == [wanted]
            numbers = [*terms.values[0], terms.total[0], terms.closure_ulp[0]]
            assert all(number == 0.0 if wanted == ATTRIBUTED else math.isnan(number) for number in numbers)
    beyond = rows([1e308, 1.0, 1e308, 1.0, 1.0])  # its product is no float
    assert nominal(one, beyond, (rows(4.0), rows(9.0))).status == [UNATTRIBUTABLE]


@given(st.floats(1e-3, 9.0), st.floats(1e-3, 9.0))
def test_the_logarithmic_mean_turns_ratios_into_differences(a, b):
    mean = log_mean(rows(a), rows(b))[0]
    assert min(a, b) * (1 - 1e-12) <= mean <= max(a, b) * (1 + 1e-12)
    assert mean * math.log(a / b) == pytest.approx(a - b, abs=1e-12)
    assert log_mean(rows(a, 0.0, a), rows(a, a, 0.0)).tolist() == [a, 0.0, 0.0]
    near = np.nextafter(a, 10.0)
    assert log_mean(rows(a), rows(near))[0] == pytest.approx(a)


def test_pairs_are_attributed_by_what_each_side_recorded():
    def pair(theirs, recorded, posture=""):
        decision = dict(zip(BLUE.lanes, [8.0, 1.15, 1.2, 1.0, 1.0], strict=True)) | {"leverage": 9.0, "posture": "APEX"}
        trade = {"lanes": dict(zip(BLUE.lanes, theirs, strict=False)), "leverage": recorded, "posture": posture}
        return Pair(trade=trade, decision=decision, by="id", gap_ms=0, candidates=1)

    whole, part, none, held = of_pairs(
        [
            pair([8.0, 1.0, 1.0, 1.0, 1.0], 8.0), pair([8.0, 1.0, 1.0], 8.0), pair([8.0, 1.0, 1.0, 1.0, 1.0], None),
            pair([8.0, 1.15, 1.2, 1.0, 1.0], 2.0, "STALKER"),
        ],
        BLUE,
    )  # fmt: skip
    assert whole.status == ATTRIBUTED
    assert {name: round(term, 4) for name, term in whole.nominal.items() if term} == {
        "dc": 0.1398, "acb": 0.1823, "clamp": -0.2043,
    }  # fmt: skip
    assert {name: round(term, 4) for name, term in whole.effective.items() if term} == {"acb": 0.1178}
    assert whole.closure_ulp <= 1.0
    assert part == none
    assert (part.status, part.nominal, part.effective, part.closure_ulp) == (UNATTRIBUTABLE, {}, {}, None)
    assert [name for name, term in held.effective.items() if term] == ["posture"]
    assert of_pairs([], BLUE) == []
