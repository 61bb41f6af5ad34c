"""Clock: whether trades lie on the decisions' time line, or hours beside it.

A trade matches where its asset was decided on within 5 minutes. Trades written in another time zone match hardly, and
nearly all of them once shifted by the hours (or quarters) between the zones.
Source: findings 9 (co-location).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from journal.store import Store

WINDOW_MS: Final = 300_000
STEP_MS: Final = 900_000  # zones lie whole quarters of an hour apart
REACH: Final = 56  # steps either way: 14 hours
ENOUGH: Final = 20  # trades, below which no conclusion is drawn
BELIEVED: Final = 0.5  # of the trades match: the clock is right, whatever another shift gives
BETTER: Final = 0.8  # of the trades match under another shift: the clock is wrong


@dataclass(frozen=True, slots=True)
class Shift:
    """How many of `trades` match as they are, and under the best other shift (milliseconds added to the trades)."""

    trades: int
    matched: int
    shift_ms: int
    shifted: int

    @property
    def is_off(self) -> bool:
        """Whether the trades are hours beside the decisions."""
        is_doubted, is_better = self.matched < BELIEVED * self.trades, self.shifted >= BETTER * self.trades
        return self.trades >= ENOUGH and is_doubted and is_better


def best_shift(trades: Sequence[tuple[str, int]], decided: Mapping[str, Sequence[int]]) -> Shift:
    """The shift under which most trades (asset, entry_ts_ms) match; `decided`: sorted times by asset.

    Only trades inside the decisions' window as they are count, or all where none is.
    """
    times = [t for at in decided.values() for t in (at[0], at[-1])]
    inside = [(a, t) for a, t in trades if min(times) <= t <= max(times)] if times else []
    known = inside if len(inside) >= ENOUGH else list(trades)
    counts = {step: sum(_near(decided.get(a, ()), t + step * STEP_MS) for a, t in known) for step in _STEPS}
    best = max((step for step in _STEPS if step), key=lambda step: (counts[step], -abs(step)))
    return Shift(len(known), counts[0], best * STEP_MS, counts[best])


def decided(store: Store, run_id: str = "", settings: str = "") -> dict[str, list[int]]:
    """When each asset was decided on, in a run or over all runs of the journal."""
    rows = store.rows(
        "SELECT asset, arraySort(groupUniqArray(ts_ms)) AS at FROM violet_decisions "
        "WHERE {run:String} IN ('', run_id) GROUP BY asset" + settings,
        {"run": run_id},
    )
    return {row["asset"]: list(row["at"]) for row in rows}


_STEPS: Final = range(-REACH, REACH + 1)


def _near(at: Sequence[int], ts_ms: int) -> bool:
    n = bisect_left(at, ts_ms - WINDOW_MS)
    return n < len(at) and at[n] <= ts_ms + WINDOW_MS
