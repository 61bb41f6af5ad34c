"""Window: the last prices of every symbol, and the irp ranks and the direction-confirm that they give; a STAND-IN.

Both are computed upstream of BLUE by what no source states. The scanner computes them for bars, `violet sequence
--enrich` for scans that come without.

    score = 0.5 log1p(mfe / mae) + 0.35 alignment - 150 noise, over the last RANK_BARS prices, SHORT side
    dc    = CONFIRM where the asset fell by DC_BPS or more over its last DC_BARS prices, CONTRADICT where it rose
Source: default dc (dc_status), default asset (irp).
"""

import math
from collections.abc import Container, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lanes.kernel import kernel
from lanes.profile import PROFILES
from reactor.standin.bars import Floats

Record = dict[str, Any]
Ints = NDArray[np.int64]

RANK_BARS: Final = 50  # default asset
DC_BARS: Final = 8  # default dc
DC_BPS: Final = 0.75
PEGGED: Final = frozenset(PROFILES["blue_8b"].select.excluded)


class Window:
    """The last RANK_BARS prices of every symbol ever seen, a slot each.

    A bar is any set of prices that came together. A symbol that misses a bar holds its price there.
    """

    def __init__(self) -> None:
        self.bars = 0
        self.slots: dict[str, int] = {}
        self.now: tuple[str, ...] = ()
        self.at: Ints = np.zeros(0, np.int64)  # slot of each symbol of `now`
        self.seen: Ints = np.zeros(0, np.int64)  # prices since a symbol's first, held ones too
        self.prices: Floats = np.zeros((RANK_BARS, 0))

    def push(self, symbols: tuple[str, ...], close: Floats) -> tuple[Floats, Floats]:
        """Take the next bar, symbols ascending; returns the prices of all slots, and those before them."""
        if symbols != self.now:
            self._seat(symbols)
        prices, last = self.prices[self.bars % RANK_BARS], self.prices[(self.bars - 1) % RANK_BARS]
        prices[:] = last
        prices[self.at] = close
        self.seen += prices > 0.0
        self.bars += 1
        return prices, last

    def irp(self) -> Record:
        """Rank of each symbol of the last bar that has RANK_BARS prices."""
        ready = self.seen[self.at] >= RANK_BARS
        symbols, slots = [s for s, ok in zip(self.now, ready, strict=True) if ok], self.at[ready]
        ranks = zip(*(column.tolist() for column in _rank(self.prices, self.bars, slots)), strict=True)
        rows = zip(symbols, ranks, strict=True)
        return {symbol: {"score": score, "alignment": alignment} for symbol, (score, alignment) in rows}

    def dc_status(self, symbol: str | None) -> str:
        """Direction-confirm of a SHORT on one symbol over its last DC_BARS prices; NEUTRAL of none."""
        if symbol is None or self.seen[slot := self.slots[symbol]] < DC_BARS:
            return "NEUTRAL"
        now, then = (self.prices[(self.bars - back) % RANK_BARS, slot] for back in (1, DC_BARS))
        bps = (now - then) / then * 1e4
        return "CONFIRM" if bps <= -DC_BPS else "CONTRADICT" if bps >= DC_BPS else "NEUTRAL"

    def _seat(self, symbols: tuple[str, ...]) -> None:
        """Point at this bar's symbols; new ones get a slot at the end."""
        self.slots |= {s: len(self.slots) + n for n, s in enumerate(s for s in symbols if s not in self.slots)}
        more = len(self.slots) - len(self.seen)
        if more:
            self.seen = np.pad(self.seen, (0, more))
            self.prices = np.pad(self.prices, ((0, 0), (0, more)))
        self.now, self.at = symbols, np.array([self.slots[s] for s in symbols], np.int64)


def chosen(irp: Mapping[str, Any], prices: Container[str]) -> str | None:
    """The asset that `evaluate.asset` would choose by default; its rule, over records that are not decoded.

    Args:
        irp: score and alignment by symbol.
        prices: the symbols whose price is above 0.
    """
    found, best = None, -math.inf
    for symbol in sorted(irp):  # they ascend, so a tie keeps the smaller one
        score, alignment = irp[symbol]["score"], irp[symbol]["alignment"]
        if score > best and alignment >= 0.0 and symbol not in PEGGED and symbol in prices:
            found, best = symbol, score
    return found


@kernel
def _rank(ring: Floats, bars: int, slots: Ints) -> tuple[Floats, Floats]:
    """Score and alignment of the irp, SHORT side, over the whole ring of prices (default asset)."""
    size = ring.shape[0]
    scores, alignments = np.empty(slots.shape[0]), np.empty(slots.shape[0])
    for k in range(slots.shape[0]):
        slot = slots[k]
        entry = last = ring[bars % size, slot]
        good = bad = mean = square = 0.0
        falls = 0
        for age in range(1, size):
            price = ring[(bars + age) % size, slot]
            good, bad = max(good, (entry - price) / entry), max(bad, (price - entry) / entry)
            move = price / last - 1.0
            falls += move < 0.0
            mean += move
            square += move * move
            last = price
        moves = size - 1
        mean /= moves
        noise = max(square / moves - mean * mean, 0.0)
        alignments[k] = falls / moves
        scores[k] = 0.5 * math.log1p(good / (bad + 1e-12)) + 0.35 * alignments[k] - 0.15 * noise * 1000.0
    return scores, alignments
