"""Scanner: REFERENCE STAND-IN for the upstream scanner; bars in, the ordered log of planes and scans out.

It is not BLUE's scanner: no source states that one. What it computes has the shape, the units and the tails
that the lanes expect. Every scan says so (`context.scanner`); whoever runs on it must say so too.

    share_w    = largest eigenvalue of the return correlation matrix over the last w bars / its size
    velocity_w = SCALE * (share_w now - share_w one bar ago)
    vel_div    = velocity_50 - velocity_750        w750 = velocity_750, once 750 returns exist

Causal: the scan of a minute uses the bars up to it and bears its close time. A window that is not yet full
uses the bars there are. Returns are counted in whole units of 1e-8, so the rolling sums are exact.
Source: default dc (dc_status), default asset (irp).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lanes.kernel import kernel
from reactor.evaluate.record import STREAM_PATTERN
from reactor.standin.bars import MINUTE_MS, Floats, Funding, Minute
from reactor.standin.window import RANK_BARS, Ints, Record, Window, chosen

WINDOWS: Final = (50, 150, 300, 750)  # bars; the first is the short one, the last the long one
RING: Final = WINDOWS[-1]
FIRST_BAR: Final = WINDOWS[0] + 1  # 50 returns need 51 bars
SCALE: Final = 3.2  # not BLUE's: on a month of real bars one scan in eight triggers, with a median near -0.0337
UNIT: Final = 1e-8  # of a return; 750 squared returns of 100 % still fit in 63 bits
SLOW_MS: Final = 5 * MINUTE_MS  # how often acb, mc and esof are looked at
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
FUNDING_EXTREME: Final = 0.0005  # 5 bp in one interval: five times the usual 1 bp
# Liquidity of the hour, UTC, on the EsoF score's range: low after New York, high while London overlaps it.
HOUR_SCORE: Final = (
    -0.10, -0.05, 0.00, 0.00, -0.05, -0.10, 0.00, 0.15, 0.25, 0.25, 0.20, 0.20,
    0.30, 0.50, 0.60, 0.60, 0.50, 0.35, 0.20, 0.10, 0.00, -0.15, -0.30, -0.25,
)  # fmt: skip
WEEKEND_SCORE: Final = -0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerParams:
    """What the bars cannot tell: the day's posture and the capital. step_ms: from a bar's open to its close."""

    stream: str = "ng7"
    posture: str = "APEX"
    capital_usd: float = 25_000.0
    step_ms: int = MINUTE_MS

    def __post_init__(self) -> None:
        if not re.fullmatch(STREAM_PATTERN, self.stream):
            raise ValueError(f"stream must match {STREAM_PATTERN}, was {self.stream!r}")
        if not 1 <= len(self.posture) <= 64:
            raise ValueError(f"posture must have 1 to 64 characters, was {self.posture!r}")
        if not 0.0 < self.capital_usd < math.inf:
            raise ValueError(f"capital_usd must be above 0 and finite, was {self.capital_usd}")


def scans(
    minutes: Iterable[Minute], funding: Iterable[Funding] = (), params: ScannerParams = ScannerParams()
) -> Iterator[Record]:
    """The ordered log: each minute from bar 51 on gives its planes, then its scan. Memory: RING bars."""
    panel, desk = Panel(), _Desk(params, iter(funding))
    scan_id = 0
    for minute in minutes:
        panel.push(minute)
        if panel.bars < FIRST_BAR:
            continue
        scan_id += 1
        ts_ms = minute.ts_ms + params.step_ms
        yield from desk.planes(ts_ms, panel)
        irp = panel.window.irp()
        velocity = panel.velocity
        scan: Record = {"v": 1, "kind": "scan", "stream": params.stream, "scan_id": scan_id, "ts_ms": ts_ms}
        scan["vel_div"] = velocity[0] - velocity[-1]
        if panel.bars > RING:
            scan["w750"] = velocity[-1]
        scan["prices"] = dict(zip(minute.symbols, minute.close.tolist(), strict=True))
        scan["irp"] = irp
        scan["dc_status"] = panel.window.dc_status(chosen(irp, scan["prices"]))
        scan["context"] = {"composite_hash": desk.regime(ts_ms, panel), "scanner": "stand-in"}
        yield scan


class Panel:
    """The last RING bars of every symbol ever seen, as exact rolling sums.

    A bar is a minute with any symbol in it. A symbol that misses a bar holds its price there; it enters the
    windows at its RANK_BARS-th price, zero returns before its first, and leaves one with its last return.
    """

    def __init__(self) -> None:
        self.bars = 0
        self.velocity = [0.0] * len(WINDOWS)
        self.shares: Floats = np.ones(len(WINDOWS))
        self.pressure = (0.0, 0.0, 0)
        self.window = Window()
        self._returns: Ints = np.zeros((RING, 0), np.int64)
        self._sums: Ints = np.zeros((len(WINDOWS), 0), np.int64)
        self._products: Ints = np.zeros((len(WINDOWS), 0, 0), np.int64)
        self._ranges: Floats = np.zeros(RING)

    def push(self, minute: Minute) -> None:
        """Take the next bar."""
        window = self.window
        known = len(window.seen)
        prices, last = window.push(minute.symbols, minute.close)
        if len(window.seen) > known:
            self._seat(len(window.seen) - known)
        had = last > 0.0
        moves = np.divide(prices, last, out=np.ones_like(prices), where=had) - 1.0
        if self.bars:  # the first bar has no return
            units = np.rint(np.clip(moves, -1.0, 1.0) / UNIT).astype(np.int64)
            _roll(self._returns, self._sums, self._products, self.bars - 1, units)
        self._ranges[self.bars % RING] = np.mean((minute.high - minute.low) / minute.close)
        self.pressure = _pressure(moves[window.at], minute.volume * minute.close, had[window.at])
        self.bars += 1
        shares = _shares(self._sums, self._products, np.minimum(_LENGTHS, self.bars - 1), window.seen >= RANK_BARS)
        self.velocity = (SCALE * (shares - self.shares)).tolist()
        self.shares = shares

    def stress(self) -> float:
        """Mean bar range of the short window over that of the long one; 1.0 is usual."""
        used = self._ranges[: min(self.bars, RING)]
        ends = np.arange(self.bars - WINDOWS[0], self.bars) % RING
        usual = float(np.mean(used))
        return float(np.mean(self._ranges[ends])) / usual if usual > 0.0 else 1.0

    def _seat(self, more: int) -> None:
        """Make room for new symbols at the end."""
        self._returns = np.pad(self._returns, ((0, 0), (0, more)))
        self._sums = np.pad(self._sums, ((0, 0), (0, more)))
        self._products = np.pad(self._products, ((0, 0), (0, more), (0, more)))


@dataclass(slots=True)
class _Desk:
    """The planes: what is due at a minute, each name with its own sequence."""

    params: ScannerParams
    funding: Iterator[Funding]
    rates: dict[str, float] = field(default_factory=dict)
    ahead: Funding | None = None
    sent: dict[str, tuple[Any, int]] = field(default_factory=dict)  # name -> last value, time
    seqs: Counter[str] = field(default_factory=Counter)
    slow: int = -1
    level: int = 0

    def planes(self, ts_ms: int, panel: Panel) -> Iterator[Record]:
        """The planes of one minute, before its scan."""
        if ts_ms // SLOW_MS != self.slow:
            self.slow = ts_ms // SLOW_MS
            stress = panel.stress()
            self.level = sum(stress > limit for limit in (1.5, 2.5))
            yield from self._when_due("posture", {"posture": self.params.posture}, ts_ms, DAY_MS)
            yield from self._when_due("capital", {"capital_usd": self.params.capital_usd}, ts_ms, DAY_MS)
            yield from self._when_due("acb", {"signals": self._signals(ts_ms)}, ts_ms, HOUR_MS)
            yield from self._when_due("mc", {"scale": (1.0, 0.75, 0.5)[self.level]}, ts_ms, HOUR_MS)
            yield self._plane("esof", {"score": esof_score(ts_ms)}, ts_ms)
        imbalance, agree, assets = panel.pressure
        yield self._plane("ob", {"eff_imb": imbalance, "agree": agree, "n_assets": assets}, ts_ms)

    def regime(self, ts_ms: int, panel: Panel) -> str:
        """Hash of the regime: shares in steps of 0.05, the level of volatility, the hour."""
        shares = (panel.shares * 20.0).astype(np.int64).tolist()
        return blake2b(repr((shares, self.level, ts_ms // HOUR_MS % 24)).encode(), digest_size=4).hexdigest()

    def _signals(self, ts_ms: int) -> float:
        """0 to 3: a crowd pays extreme funding, most rates are negative, volatility is high."""
        while (rate := self.ahead or next(self.funding, None)) is not None and rate.ts_ms <= ts_ms:
            self.rates[rate.symbol], self.ahead = rate.rate, None
        self.ahead = rate
        rates = self.rates.values()
        extreme = sum(abs(rate) >= FUNDING_EXTREME for rate in rates)
        negative = sum(rate < 0.0 for rate in rates)
        return float((extreme >= 2) + (2 * negative > len(rates)) + (self.level > 0))

    def _when_due(self, name: str, value: Record, ts_ms: int, every_ms: int) -> Iterator[Record]:
        last, at = self.sent.get(name, (None, 0))
        if value != last or ts_ms - at + SLOW_MS > every_ms:  # the next look would be too late
            self.sent[name] = value, ts_ms
            yield self._plane(name, value, ts_ms)

    def _plane(self, name: str, value: Record, ts_ms: int) -> Record:
        self.seqs[name] += 1
        return plane(self.params.stream, name, self.seqs[name], ts_ms, value)


def plane(stream: str, name: str, seq: int, ts_ms: int, value: Record) -> Record:
    """A plane record."""
    head = {"v": 1, "kind": "plane", "stream": stream, "name": name}
    return head | {"seq": seq, "ts_ms": ts_ms, "value": value}


def esof_score(ts_ms: int) -> float:
    """Liquidity of the calendar in [-1, 1]: between the hours in a straight line, lower at the weekend."""
    hour, into = divmod(ts_ms, HOUR_MS)
    here, after = HOUR_SCORE[hour % 24], HOUR_SCORE[(hour + 1) % 24]
    weekend = (ts_ms // DAY_MS + 3) % 7 >= 5  # day 0 of the epoch was a Thursday
    return here + (after - here) * (into / HOUR_MS) + (WEEKEND_SCORE if weekend else 0.0)


_LENGTHS: Final[Ints] = np.array(WINDOWS, np.int64)


@kernel
def _roll(ring: Ints, sums: Ints, products: Ints, count: int, new: Ints) -> None:
    """Move every window on by one row of returns. `count`: rows before this one."""
    n, size = new.shape[0], ring.shape[0]
    for w in range(_LENGTHS.shape[0]):
        full = count >= _LENGTHS[w]
        old = ring[(count - _LENGTHS[w]) % size]
        for i in range(n):
            gone = old[i] if full else 0
            sums[w, i] += new[i] - gone
            for j in range(i + 1):
                products[w, i, j] += new[i] * new[j] - (gone * old[j] if full else 0)
    ring[count % size] = new


@kernel
def _shares(sums: Ints, products: Ints, rows: Ints, seated: NDArray[np.bool_]) -> Floats:
    """Leading-eigenvalue share of each window by power iteration; 1.0 with no symbol that moves."""
    n = sums.shape[1]
    out = np.empty(sums.shape[0])
    matrix, vector, image, deviation = np.empty((n, n)), np.empty(n), np.empty(n), np.empty(n)
    for w in range(sums.shape[0]):
        m = 0
        for i in range(n):
            variance = float(products[w, i, i]) - float(sums[w, i]) * float(sums[w, i]) / max(rows[w], 1)
            if not seated[i] or variance <= 0.0:
                continue
            deviation[m] = math.sqrt(variance)
            k = 0
            for j in range(i):
                spread = float(products[w, j, j]) - float(sums[w, j]) * float(sums[w, j]) / max(rows[w], 1)
                if seated[j] and spread > 0.0:
                    cross = float(products[w, i, j]) - float(sums[w, i]) * float(sums[w, j]) / max(rows[w], 1)
                    matrix[m, k] = matrix[k, m] = cross / (deviation[m] * deviation[k])
                    k += 1
            matrix[m, m] = 1.0
            vector[m] = 1.0 + 0.01 * m  # not quite even, so that no symmetry hides the leading vector
            m += 1
        value, before = 1.0, 0.0
        for _ in range(500):
            if abs(value - before) <= 1e-13 * value:
                break
            before, norm, value = value, 0.0, 0.0
            for i in range(m):
                image[i] = 0.0
                for j in range(m):
                    image[i] += matrix[i, j] * vector[j]
                norm += vector[i] * vector[i]
                value += image[i] * vector[i]
            value = value / norm if norm > 0.0 else 1.0
            length = 0.0
            for i in range(m):
                length += image[i] * image[i]
            if length <= 0.0:
                break
            for i in range(m):
                vector[i] = image[i] / math.sqrt(length)
        out[w] = max(value, 1.0) / m if m > 0 else 1.0  # the trace is m, so the largest is 1 or more
    return out


@kernel
def _pressure(moves: Floats, turnover: Floats, had: NDArray[np.bool_]) -> tuple[float, float, int]:
    """Signed share of turnover across assets, share of assets on the larger side, assets with a return."""
    total = signed = 0.0
    up = down = assets = 0
    for i in range(moves.shape[0]):
        if had[i]:
            assets += 1
            up += moves[i] > 0.0
            down += moves[i] < 0.0
            total += turnover[i]
            signed += turnover[i] * (1.0 if moves[i] > 0.0 else -1.0 if moves[i] < 0.0 else 0.0)
    if assets == 0 or total <= 0.0:
        return 0.0, 0.0, assets
    return signed / total, max(up, down) / assets, assets
