"""Attribution: which lane a difference of leverage comes from, as terms of ln(ours / theirs) that add up to it.

nominal    one term a lane, ln(ours_i / theirs_i), and `clamp`: what floor, caps and rounding did between the product
           and the leverage, ours less theirs. An identity; the view blue_attribution is the same in SQL.
effective  Shapley's value of each lane, through the real fan-in: its mean effect over all orders in which theirs can
           be replaced by ours. A lane that moved nothing because a bound held gets 0. `posture` is a player too;
           `fanin` is what theirs makes of its own lanes beyond what our fan-in makes of them.
Source: Ang, Liu, Handling zero values in the logarithmic mean Divisia index decomposition approach (Energy Policy 35,
2007) for limits at zero; Shapley, A value for n-person games (1953).

Zeros. Nothing small is ever added. A lane that is 0 on both sides is no difference: 0, its limit. A lane that is 0 on
one side puts the product under the floor, wherever it is exactly: in the limit its -inf and the clamp's +inf of that
side leave a finite sum, which is its term (of several such lanes in equal parts); that side adds nothing to `clamp`.
A leverage of 0 (after a haircut of 0 behind the fan-in) on both sides is no difference, so every term is 0; on one side
there is no ratio: ZERO, and no terms.

Closure. The largest term takes the rounding, that of the leverages included, so that the exact sum of the terms is the
whole; what is still missing is `closure_ulp`, in units in the last place of the largest number among them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from journal.blue.pairing import Pair
from lanes import fanin
from lanes.profile import Profile

CLAMP: Final = "clamp"
POSTURE: Final = "posture"
FANIN: Final = "fanin"
STALKER: Final = "STALKER"
ATTRIBUTED: Final = "ATTRIBUTED"
UNATTRIBUTABLE: Final = "UNATTRIBUTABLE"
ZERO: Final = "ZERO"

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a difference is made of.

    names: of the terms; values: a row a pair; total: ln(ours / theirs); closure_ulp: what the terms miss of it;
    status: ATTRIBUTED, else all numbers of the pair are NaN.
    """

    names: tuple[str, ...]
    values: Floats
    total: Floats
    closure_ulp: Floats
    status: Sequence[str]


@dataclass(frozen=True, slots=True)
class Attribution:
    """Of one pair: its status, both kinds of terms by name, and what they miss at most; without terms none of these."""

    status: str
    nominal: Mapping[str, float]
    effective: Mapping[str, float]
    closure_ulp: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds a leverage. stalker_cap: infinite where there is none; near_one: of a haircut after the fan-in."""

    base_max: float
    abs_max: float
    stalker_cap: float
    min_lev: float
    near_one: float | None = None
    lanes: tuple[str, ...]
    inside_cap: tuple[bool, ...]

    @classmethod
    def of(cls, profile: Profile) -> "Limits":
        """Those of a run's params."""
        f, is_after = profile.fanin, profile.esof.application == "sc_post"
        return cls(
            base_max=profile.base.base_max, abs_max=f.abs_max, min_lev=profile.base.min_lev,
            stalker_cap=math.inf if f.stalker_cap is None else f.stalker_cap,
            near_one=profile.esof.near_one if is_after else None,
            lanes=tuple(lane.name for lane in profile.lanes),
            inside_cap=tuple(lane.inside_cap for lane in profile.lanes),
        )  # fmt: skip


def of_pairs(pairs: Sequence[Pair], limits: Limits) -> list[Attribution]:
    """Both attributions of each pair. A posture that BLUE did not record is taken as ours."""
    if not pairs:
        return []
    ours = np.array([[pair.decision[lane] for lane in limits.lanes] for pair in pairs], float)
    theirs = np.array([[pair.trade["lanes"].get(lane, math.nan) for lane in limits.lanes] for pair in pairs], float)
    made = np.array([pair.decision["leverage"] for pair in pairs], float)
    recorded = np.array([pair.trade["leverage"] for pair in pairs], float)  # None is NaN
    postures = [(pair.decision["posture"], pair.trade["posture"] or pair.decision["posture"]) for pair in pairs]
    held, they_held = (np.array([both[side] == STALKER for both in postures]) for side in (0, 1))
    plain = nominal(ours, theirs, (made, recorded), limits.lanes)
    real = effective(ours, theirs, (made, recorded), (held, they_held), limits)
    found = []
    for at in range(len(pairs)):
        status = max(plain.status[at], real.status[at], key=(ATTRIBUTED, ZERO, UNATTRIBUTABLE).index)
        if status != ATTRIBUTED:
            found.append(Attribution(status, {}, {}, None))
            continue
        maps = [dict(zip(terms.names, terms.values[at].tolist(), strict=True)) for terms in (plain, real)]
        closure_ulp = max(float(terms.closure_ulp[at]) for terms in (plain, real))
        found.append(Attribution(status, maps[0], maps[1], closure_ulp))
    return found


def nominal(ours: Floats, theirs: Floats, leverages: tuple[Floats, Floats], lanes: Sequence[str]) -> Terms:
    """One term a lane and one for the clamp.

    Args:
        ours: lane values, a row a pair and a column a lane.
        theirs: the same of BLUE; NaN where it did not record one.
        leverages: the final leverage of each pair, ours and BLUE's.
        lanes: names of the columns, in the order in which the fan-in multiplies.
    """
    made, recorded = leverages
    sides = ((ours, theirs, made), (theirs, ours, recorded))
    with np.errstate(all="ignore"):
        terms = _log_ratio(ours, theirs)
        clamp = np.zeros(len(ours))
        for sign, (mine, other, leverage) in zip((1.0, -1.0), sides, strict=True):
            gone = (mine == 0.0) & (other != 0.0)
            zeros = gone.sum(axis=1)
            product = _product(np.where(mine == 0.0, 1.0, mine))
            held = _log_ratio(leverage, product)
            part = (held / zeros)[:, None] - np.log(other)
            terms = np.where(gone, sign * part, terms)
            clamp += np.where(zeros > 0, 0.0, sign * held)
    values, status = np.column_stack((terms, clamp)), _status(ours, theirs, leverages)
    return _closed((*lanes, CLAMP), values, leverages, status)


def effective(
    ours: Floats, theirs: Floats, leverages: tuple[Floats, Floats], stalker: tuple[Flags, Flags], limits: Limits
) -> Terms:
    """Shapley's value of each lane and of the posture, and what differs in the fan-in itself.

    Args:
        ours: as of `nominal`.
        theirs: as of `nominal`.
        leverages: as of `nominal`.
        stalker: of each pair whether the posture was STALKER, ours and BLUE's (ours where it recorded none).
        limits: ours; BLUE's own show as `fanin`.
    """
    made, recorded = leverages
    players = ours.shape[1] + 1
    gains = np.empty((1 << players, len(ours)))
    with np.errstate(all="ignore"):
        none = _leverage(theirs, stalker[1], limits)
        for chosen in range(1 << players):
            has = [bool(chosen >> player & 1) for player in range(players)]
            posture = stalker[0] if has[-1] else stalker[1]
            gains[chosen] = _log_ratio(_leverage(np.where(has[:-1], ours, theirs), posture, limits), none)
        values = [_shapley(gains, player, players) for player in range(players)]
        own = _log_ratio(made, none) - gains[-1] - _log_ratio(recorded, none)
    names = (*limits.lanes, POSTURE, FANIN)
    return _closed(names, np.column_stack((*values, own)), leverages, _status(ours, theirs, leverages))


def log_mean(a: Floats, b: Floats) -> Floats:
    """The logarithmic mean, which turns terms of ln(a / b) into terms of a - b. Of equal values it is the value."""
    with np.errstate(all="ignore"):
        return np.where(a == b, a, np.where((a == 0.0) | (b == 0.0), 0.0, (a - b) / _log_ratio(a, b)))


def _status(ours: Floats, theirs: Floats, leverages: tuple[Floats, Floats]) -> NDArray[np.str_]:
    """Of each pair whether it can be attributed, as far as its numbers say."""
    numbers = np.column_stack((ours, theirs, *leverages))
    is_known = np.isfinite(numbers).all(axis=1) & (numbers >= 0.0).all(axis=1)
    is_zero = (leverages[0] == 0.0) != (leverages[1] == 0.0)
    return np.where(is_known, np.where(is_zero, ZERO, ATTRIBUTED), UNATTRIBUTABLE)


def _log_ratio(a: Floats, b: Floats) -> Floats:
    """ln(a / b), right to the last digits where a is near b too, and 0 where they are equal."""
    near = (a >= 0.5 * b) & (0.5 * a <= b)  # then a - b is exact
    return np.where(a == b, 0.0, np.where(near, np.log1p(np.where(near, (a - b) / b, 0.0)), np.log(a) - np.log(b)))


def _product(factors: Floats) -> Floats:
    """Left to right, as the fan-in multiplies."""
    product = factors[:, 0]
    for at in range(1, factors.shape[1]):
        product = product * factors[:, at]
    return product


def _leverage(factors: Floats, stalker: Flags, limits: Limits) -> Floats:
    ones = np.ones(len(factors))
    inside = factors.copy()
    esof = limits.lanes.index("esof")
    if limits.near_one is not None:
        inside[:, esof] = 1.0
    *_, leverage, _, _ = fanin.column(
        inside, np.array(limits.inside_cap), stalker, ones,
        limits.base_max, limits.abs_max, limits.stalker_cap, limits.min_lev, 1.0,
    )  # fmt: skip
    if limits.near_one is None:
        return leverage
    return fanin.sc_column(leverage, ones, np.clip(factors[:, esof], 0.0, 1.0), limits.near_one)[0]


def _shapley(gains: Floats, player: int, players: int) -> Floats:
    """The mean over all orders of what a player adds. gains: of each set of players, as bits."""
    value = np.zeros(gains.shape[1])
    for chosen in range(len(gains)):
        if not chosen >> player & 1:
            before = chosen.bit_count()
            weight = math.factorial(before) * math.factorial(players - before - 1) / math.factorial(players)
            value += weight * (gains[chosen | 1 << player] - gains[chosen])
    return value


def _closed(
    names: tuple[str, ...], values: Floats, leverages: tuple[Floats, Floats], status: NDArray[np.str_]
) -> Terms:
    """Terms whose largest has taken the rounding; NaN where there are none."""
    made, recorded = leverages
    with np.errstate(all="ignore"):
        total = _log_ratio(made, recorded)
    is_nothing = (made == 0.0) & (recorded == 0.0)
    is_whole = np.isfinite(values).all(axis=1) | is_nothing  # not where a product is beyond what a float holds
    status = np.where((status == ATTRIBUTED) & ~is_whole, UNATTRIBUTABLE, status)
    has = status == ATTRIBUTED
    values, total = np.where((has & ~is_nothing)[:, None], values, 0.0), np.where(has, total, 0.0)
    rows, largest = np.arange(len(values)), np.argmax(np.abs(values), axis=1)
    values[rows, largest] += _missing(values, total)
    scale = np.maximum(np.abs(total), np.abs(values).max(axis=1))
    closure = np.abs(_missing(values, total)) / np.spacing(scale)
    nothing = np.where(has, 0.0, np.nan)
    return Terms(names, values + nothing[:, None], total + nothing, closure + nothing, status.tolist())


def _missing(values: Floats, total: Floats) -> Floats:
    """What the exact sum of the values misses of the total: two-sum of Knuth keeps what an addition rounds away."""
    sums, lost = -total, np.zeros(len(total))
    for at in range(values.shape[1]):
        added = sums + values[:, at]
        back = added - sums
        lost += (sums - (added - back)) + (values[:, at] - back)
        sums = added
    return -(sums + lost)
