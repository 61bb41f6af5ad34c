"""How often the judge of differences is wrong: soaks are simulated with signals that stay, and looked at daily.

python -m tests.bench.judge writes the table of docs/design/judge.md anew. The seed is fixed, so it comes out the same.
"""

import math
import statistics as plain
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from journal.blue.statistics import Interval, Verdict, bounded_mean, judge, proportion, unbounded_mean

PAGE = Path(__file__).parents[2] / "docs" / "design" / "judge.md"
HEAD = "<!-- Below: written by python -m tests.bench.judge -->"
SEED, SOAKS, ALPHA = 20, 2000, 0.05
RUN = 14.5  # decisions that a signal stays for, in the mean
DAILY = 480  # decisions a day
BOUND = math.log(18.0)  # of a log-ratio of two leverages within 0.5..9


@dataclass(frozen=True)
class Soak:
    """Episodes in the order of time: how many decisions each has, and what it is worth. days: it lasts."""

    lengths: np.ndarray
    worth: np.ndarray
    days: int

    def looks(self):
        """Each evening: the worth of each decision so far, of each episode that is over, and of each day."""
        per_decision = np.repeat(self.worth, self.lengths)
        ends = np.cumsum(self.lengths)
        sums = np.add.reduceat(per_decision[: self.days * DAILY], np.arange(0, self.days * DAILY, DAILY)) / DAILY
        for day in range(1, self.days + 1):
            over = int(np.searchsorted(ends, day * DAILY, side="right"))
            yield day, per_decision[: day * DAILY], self.worth[:over], sums[:day]


def soak(rng, days, draw):
    """draw(n): what n episodes are worth."""
    n = int(days * DAILY / RUN * 1.5) + 100
    return Soak(rng.geometric(1.0 / RUN, n), draw(n), days)


def naive(units):
    """The interval of 95 % for one look at independent units, from 5 of them on."""
    if len(units) < 5:
        return None
    mean = float(np.mean(units))
    half = 1.96 * float(np.std(units, ddof=1)) / math.sqrt(len(units))
    return Interval(len(units), mean, mean - half, mean + half, "z")


def by_share(units):
    return proportion(int(np.sum(units)), len(units), ALPHA)


def by_betting(units):
    return bounded_mean(units, -BOUND, BOUND, ALPHA)


def by_limit(units):
    return unbounded_mean(units, ALPHA)


Way = tuple[str, int, Callable]
RATE: tuple[Way, ...] = (("z, per decision", 1, naive), ("beta-binomial, per decision", 1, by_share),
                         ("beta-binomial, per episode", 2, by_share))  # fmt: skip
RATIO: tuple[Way, ...] = (("z, per decision", 1, naive), ("betting, per episode", 2, by_betting))
MONEY: tuple[Way, ...] = (("z, per day", 3, naive), ("asymptotic, per day", 3, by_limit))


def first_verdicts(one, way, margin):
    """The first day on which a way of judging has each verdict."""
    _, unit, interval = way
    found = {}
    for look in one.looks():
        found.setdefault(judge(interval(look[unit]), margin), look[0])
    return found


def cases(rng):
    """(what, truth, margin, days, ways, draw): the truth on the margin, where either verdict is wrong; then off it."""
    for p, margin in ((0.1, 0.1), (0.01, 0.05), (0.1, 0.05)):
        yield f"share of mismatches {p:g}", p, margin, 30, RATE, lambda n, p=p: (rng.random(n) < p).astype(float)
    for mean, margin in ((0.1, 0.1), (0.0, 0.1), (0.2, 0.1)):
        yield (f"mean log-ratio {mean:g}", mean, margin, 30, RATIO,
               lambda n, mean=mean: np.clip(rng.normal(mean, 0.3, n), -BOUND, BOUND))  # fmt: skip
    for mean, margin in ((100.0, 100.0), (0.0, 100.0), (200.0, 100.0)):
        yield (f"mean difference of pnl, {mean:g} USD a day", mean, margin, 90, MONEY,
               lambda n, mean=mean: mean + 400.0 * rng.standard_t(5, n))  # fmt: skip


def judged(soaks, seed=SEED):
    """A row of figures for each case and way of judging."""
    rng = np.random.default_rng(seed)
    for what, truth, margin, days, ways, draw in cases(rng):
        simulated = [soak(rng, days, draw) for _ in range(soaks)]
        right = None if truth == margin else Verdict.EQUIVALENT if truth < margin else Verdict.DIFFERENT
        for way in ways:
            found = [first_verdicts(one, way, margin) for one in simulated]
            wrong = sum(any(v not in (right, Verdict.GO_ON) for v in one) for one in found) / soaks
            when = sorted(one.get(right, math.inf) for one in found)
            yield {"what": what, "margin": margin, "days": days, "way": way[0], "wrong": wrong,
                   "median": plain.median_low(when) if right else None,
                   "late": when[int(0.9 * soaks)] if right else None}  # fmt: skip


def main():
    def day(value, days):
        return "-" if value is None else f"{value:.0f}" if value <= days else f"over {days}"

    lines = ["| truth | margin | judged by | wrong at some look | right after, days: half of the soaks | nine of ten |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for row in judged(SOAKS):
        median, late = (day(row[name], row["days"]) for name in ("median", "late"))
        lines.append(f"| {row['what']} | {row['margin']:g} | {row['way']} | {row['wrong']:.1%} | {median} | {late} |")
        print(lines[-1], flush=True)
    kept = PAGE.read_text("utf-8").partition(HEAD)[0]
    PAGE.write_text(kept + HEAD + "\n" + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
