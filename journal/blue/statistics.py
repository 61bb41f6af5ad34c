"""Statistics: intervals that stay right when people look every day, and the verdict that follows from one.

The unit of every figure here is an episode, a pair or a day, never a decision: a signal stays for many scans, so
decisions depend on each other and an interval over them is far too narrow. Units must be in the order of time.

An interval of level `alpha` holds the true value at all looks together with probability 1 - alpha (a confidence
sequence): whoever looks every day and stops when he likes is wrong no more often than that.
How often this judge is wrong on simulated soaks: docs/design/judge.md.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

MIN_SAMPLES: Final = 30  # below it the limit that `unbounded_mean` rests on says nothing
TUNED_FOR: Final = 30  # units at which the interval of `unbounded_mean` is narrowest; fixed, never chosen from data
AT_MOST: Final = 100_000  # units, beyond which `still_needed` gives no number
_HALVINGS: Final = 50  # to the last digits of 1, and no further: beyond 1 - 2^-53 there is only 1
_BET: Final = 0.5  # share of the stake that one unit may lose; c in the paper

Floats = NDArray[np.float64]
Name = TypeVar("Name")


class Verdict(Enum):
    """What an interval says about a margin."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    GO_ON = "go on"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate from n units, with the bounds between which the true value lies. method: how they were found."""

    n: int
    estimate: float
    low: float
    high: float
    method: str


def proportion(successes: int, n: int, alpha: float) -> Interval:
    """The share of units that are a success.

    A value p is excluded once B(1 + S, 1 + F) / (p^S (1 - p)^F) >= 1 / alpha, S successes and F failures: the
    beta-binomial mixture with a flat prior.
    Source: Robbins, Statistical methods related to the law of the iterated logarithm (Ann. Math. Stat. 41, 1970);
    Howard, Ramdas, McAuliffe, Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences (Ann. Stat. 49,
    2021), proposition 7.

    Raises:
        ValueError: successes are not within 0..n, or alpha not within (0, 1).
    """
    _check(alpha)
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be within 0..{n}, was {successes}")
    if not n:
        return Interval(0, math.nan, 0.0, 1.0, "beta-binomial")
    share = successes / n

    def excluded(p: float) -> bool:
        return log_e_proportion(successes, n, p) >= -math.log(alpha)

    low = 0.0 if not successes else _edge(excluded, 0.0, share)
    high = 1.0 if successes == n else _edge(excluded, 1.0, share)
    return Interval(n, share, low, high, "beta-binomial")


def log_e_proportion(successes: int, n: int, p: float) -> float:
    """Log of the e-value against the share p: of at least 1 / alpha it excludes p. The formula is `proportion`'s."""
    failures = n - successes
    mixture = math.lgamma(successes + 1) + math.lgamma(failures + 1) - math.lgamma(n + 2)
    return mixture - _times_log(successes, p) - _times_log(failures, 1.0 - p)


def bounded_mean(units: Sequence[float] | Floats, low: float, high: float, alpha: float) -> Interval:
    """The mean of units that lie within low..high: bounds known before the data, or nothing of this holds.

    Scaled to 0..1, K+(m) = prod(1 + min(l_i, c/m) (x_i - m)) and K-(m) = prod(1 - min(l_i, c/(1 - m)) (x_i - m)) are
    the capitals of who bets that the mean is above m, and below. m is excluded where half of either is 1 / alpha.
    l_i = sqrt(2 ln(2 / alpha) / (v_(i-1) i ln(1 + i))), v the running variance; c = 1/2.
    Source: Waudby-Smith, Ramdas, Estimating means of bounded random variables by betting (J. R. Stat. Soc. B 86, 2024),
    theorem 3 (hedged capital), equation 26 (the bets).

    Raises:
        ValueError: a unit lies outside low..high, or alpha is not within (0, 1).
    """
    scaled, bets = _staked(units, low, high, alpha)
    if not scaled.size:
        return Interval(0, math.nan, low, high, "betting")
    bar = math.log(2.0 / alpha)
    at_least = _edge(lambda m: _log_above(scaled, bets, m) >= bar, 0.0, 1.0)
    at_most = _edge(lambda m: _log_below(scaled, bets, m) >= bar, 1.0, 0.0)
    at_least, at_most = min(at_least, at_most), max(at_least, at_most)  # of no common mean: all that lies between
    width = high - low
    return Interval(
        scaled.size, float(np.mean(np.asarray(units))), low + width * at_least, low + width * at_most, "betting"
    )


def log_e_mean(
    units: Sequence[float] | Floats, low: float, high: float, within: tuple[float, float], alpha: float
) -> float:
    """Log of the e-value against a mean that lies in `within`, by the capitals of `bounded_mean`; alpha tunes them."""
    scaled, bets = _staked(units, low, high, alpha)
    least, most = ((bound - low) / (high - low) for bound in within)
    above = _log_above(scaled, bets, most) if most < 1.0 else -math.inf
    below = _log_below(scaled, bets, least) if least > 0.0 else -math.inf
    return float(np.logaddexp(above, below)) - math.log(2.0)


def unbounded_mean(units: Sequence[float] | Floats, alpha: float) -> Interval | None:
    """The mean of units without bounds, such as pnl a day: asymptotic, so right in the limit and not before.

    mean +- s sqrt(2 (n r^2 + 1) / (n^2 r^2) ln(sqrt(n r^2 + 1) / alpha)), s the standard deviation,
    r^2 = (-2 ln alpha + ln(-2 ln alpha + 1)) / TUNED_FOR.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Time-uniform central limit theory and asymptotic confidence
    sequences (Ann. Stat. 52, 2024), theorem 2.2 and section B.2.

    Returns:
        None of fewer than MIN_SAMPLES units, and of units that are all equal: their spread is not known yet.
    """
    _check(alpha)
    x = np.asarray(units, dtype=np.float64)
    n = x.size
    if n < MIN_SAMPLES or not (spread := float(np.std(x, ddof=1))):
        return None
    mean = float(np.mean(x))
    rate = (-2.0 * math.log(alpha) + math.log(-2.0 * math.log(alpha) + 1.0)) / TUNED_FOR
    grown = n * rate + 1.0
    radius = spread * math.sqrt(2.0 * grown / (n * n * rate) * math.log(math.sqrt(grown) / alpha))
    return Interval(n, mean, mean - radius, mean + radius, "asymptotic")


def e_bh(log_e: Mapping[Name, float], alpha: float) -> set[Name]:
    """Of many questions at once, those that are answered "different": of these at most a share alpha is wrong.

    The k largest e-values are taken, k the largest number for which the k-th is at least questions / (alpha k). It
    holds however the questions depend on each other.
    Source: Wang, Ramdas, False discovery rate control with e-values (J. R. Stat. Soc. B 84, 2022).

    Args:
        log_e: of each question the log of its e-value.
        alpha: within (0, 1).

    >>> sorted(e_bh({"acb": 5.0, "dc": 4.0, "ob": 0.3}, 0.05))
    ['acb', 'dc']
    """
    _check(alpha)
    ranked = sorted(log_e, key=lambda name: -log_e[name])
    bars = (math.log(len(ranked) / (alpha * k)) for k in range(1, len(ranked) + 1))
    taken = [k for k, (name, bar) in enumerate(zip(ranked, bars, strict=True), 1) if log_e[name] >= bar]
    return set(ranked[: max(taken, default=0)])


def judge(interval: Interval | None, margin: float) -> Verdict:
    """The verdict about a difference, or a share of differences, that may be at most `margin` either way.

    >>> judge(proportion(0, 990, 0.05), 0.0101)
    <Verdict.EQUIVALENT: 'equivalent'>
    """
    if interval is None or not interval.n:
        return Verdict.GO_ON
    if -margin <= interval.low and interval.high <= margin:
        return Verdict.EQUIVALENT
    return Verdict.DIFFERENT if interval.low > margin or interval.high < -margin else Verdict.GO_ON


def still_needed(
    units: Sequence[float] | Floats, measure: Callable[[Floats], Interval | None], margin: float
) -> int | None:
    """How many units more until there is a verdict, if those to come are like those that were seen.

    Args:
        units: what was seen.
        measure: the interval of units, such as `partial(bounded_mean, low=-1.0, high=1.0, alpha=0.05)`.
        margin: that `judge` is given.

    Returns:
        0 where there is a verdict; None where there is nothing to go by, or none within AT_MOST units.
    """
    seen = np.asarray(units, dtype=np.float64)

    def is_decided(n: int) -> bool:
        return judge(measure(np.resize(seen, n)), margin) is not Verdict.GO_ON

    if not seen.size:
        return None
    few, many = seen.size, seen.size
    while not is_decided(many):
        if many >= AT_MOST:
            return None
        few, many = many, min(2 * many, AT_MOST)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if is_decided(middle) else (middle, many)
    return many - seen.size


def share(units: Floats, alpha: float) -> Interval:
    """`proportion` of units that are 0 or 1, for `still_needed`."""
    return proportion(int(np.sum(units)), len(units), alpha)


def _check(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be within (0, 1), was {alpha!r}")


def _times_log(count: int, p: float) -> float:
    return 0.0 if not count else count * math.log(p) if p > 0.0 else -math.inf


def _edge(is_excluded: Callable[[float], bool], outside: float, inside: float) -> float:
    """The last value on the way from `outside` to `inside` that is excluded; `outside` where none is."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (outside + inside)
        outside, inside = (middle, inside) if is_excluded(middle) else (outside, middle)
    return outside


def _staked(units: Sequence[float] | Floats, low: float, high: float, alpha: float) -> tuple[Floats, Floats]:
    """Units scaled to 0..1, and the bet before each, which only units before it have shaped."""
    _check(alpha)
    x = np.asarray(units, dtype=np.float64)
    if not (np.all(x >= low) and np.all(x <= high)):  # a NaN is outside too
        raise ValueError(f"units must lie within {low}..{high}; the bounds are fixed before the data")
    scaled = np.clip((x - low) / (high - low), 0.0, 1.0)
    at = np.arange(1, scaled.size + 1)
    means = (0.5 + np.cumsum(scaled)) / (at + 1)
    variances = (0.25 + np.cumsum((scaled - means) ** 2)) / (at + 1)
    before = np.concatenate(([0.25], variances[:-1]))
    return scaled, np.sqrt(2.0 * math.log(2.0 / alpha) / (before * at * np.log1p(at)))


def _log_above(scaled: Floats, bets: Floats, m: float) -> float:
    """Log capital of who bets that the mean is above m > 0. It falls with m."""
    return float(np.sum(np.log1p(np.minimum(bets, _BET / m) * (scaled - m))))


def _log_below(scaled: Floats, bets: Floats, m: float) -> float:
    return _log_above(1.0 - scaled, bets, 1.0 - m)
