"""Dirt: the defects of BLUE's recorded trade table, put on the stand-in's trades at the recorded counts.

Recorded: 3,453 rows of 2,193 trades, one trade_id 317 times; of those with several rows 98.3 % have one pnl;
HIBERNATE_HALT and bars_held = 0 leave 2,121. With more trades than that the first 2,193 are taken, with fewer every
count shrinks in proportion.
Not recorded, so chosen here: how many trades have several rows (601), how the 72 divide (48 HIBERNATE_HALT, 23
bars_held = 0, 1 both), that 22 trades lost their legs, and that rows come up to 200 places late.
Source: findings 4.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from reactor.standin.blue import Trade

TRADES: Final = 2_193
ROWS: Final = 3_453
MOST: Final = 317
SEVERAL: Final = 601
OTHER_EXIT: Final = 10  # 1.7 % of 601
HALTED: Final = 48
NO_BARS: Final = 23
BOTH: Final = 1
LEGLESS: Final = 22
LATE_ROWS: Final = 200
LOSS: Final = -0.735  # of the notional, in the one that is both: ZEC's


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirt:
    """Rows as a dirty table holds them, and how many there are of what."""

    rows: list[Trade]
    trades: int
    most_rows: int
    other_exit: int
    hibernate_halt: int
    bars_held_0: int
    legless: int

    @property
    def counts(self) -> dict[str, int]:
        """All but the rows."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "rows"}

    @property
    def kept(self) -> int:
        """Trades that cleaning must leave."""
        return self.trades - self.hibernate_halt - self.bars_held_0


def soil(trades: Sequence[Trade], seed: int) -> Dirt:
    """Dirty rows of clean trades. `bars_held_0` counts those that are not halted too."""
    dice = random.Random(seed)  # noqa: S311 - which trades are dirty, the same for a seed
    clean = list(trades[:TRADES])
    share = len(clean) / TRADES
    halted, no_bars, both, legless, several = (round(n * share) for n in (HALTED, NO_BARS, BOTH, LEGLESS, SEVERAL))
    halt, none, bare = {"exit_reason": "HIBERNATE_HALT"}, {"bars_held": 0}, dict[str, Any](legs=[])
    changes: list[dict[str, Any]] = [halt | none] * both + [halt] * halted + [none] * no_bars + [bare] * legless
    picked = dice.sample(range(len(clean)), len(changes))
    for at, change in zip(picked, changes, strict=True):
        clean[at] = replace(clean[at], **change)
    for at in picked[:both]:
        clean[at].pnl = LOSS * clean[at].entry_price * clean[at].quantity
    again = dice.sample(range(len(clean)), max(1, several))
    extra = dict.fromkeys(again, 1)
    spare = round(ROWS * share) - len(clean) - len(again)
    most = min(spare, max(0, round(MOST * share) - 2)) if again[1:] else spare
    extra[again[0]] += most
    for at in dice.choices(again[1:], k=spare - most) if again[1:] else ():
        extra[at] += 1
    others = again[1 : 1 + round(OTHER_EXIT * share)]
    rows = list(clean)
    for at, copies in extra.items():
        rows += [clean[at]] * copies
        if at in others:  # one of the copies tells an earlier exit
            trade = clean[at]
            rows[-1] = replace(trade, exit_ts_ms=trade.exit_ts_ms - 60_000, pnl=trade.pnl / 2.0, exit_reason="PARTIAL")
    places = [n + dice.randrange(LATE_ROWS) for n in range(len(rows))]
    return Dirt(
        rows=[row for _, row in sorted(zip(places, rows, strict=True), key=lambda pair: pair[0])],
        trades=len(clean), most_rows=1 + max(extra.values()), other_exit=len(others),
        hibernate_halt=halted + both, bars_held_0=no_bars, legless=legless,
    )  # fmt: skip
