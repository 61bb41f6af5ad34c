"""Seeded market: bars, funding and a feed with faults, made from one number; soaks and tests need no data.

    return = volatility * (sqrt(rho) * common + sqrt(1 - rho) * own); volatility and rho by regime, rare jumps

The bars go through the same stand-in scanner as recorded ones. The feed then does what feeds do: postures
change, planes fall silent or come in their other form, scans repeat or come late, some lines are broken. Bits
depend on the seed alone: of numpy's generator only `random` on PCG64 is used, whose stream is fixed.
See docs/design/feeds.md.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np

from reactor.feed.archive_writer import encode, writing
from reactor.standin import scanner, window
from reactor.standin.bars import MINUTE_MS, Floats, Funding, Minute

SEED: Final = 4
SCANS: Final = 20_160  # two weeks of minutes
START_MS: Final = 1_736_121_600_000  # Monday 2025-01-06
DAY: Final = 1_440  # minutes
DAY_MS: Final = DAY * MINUTE_MS
STREAM: Final = "seeded"

# symbol -> (first price, decimals of its tick, usual volume in a minute); ascending
MARKET: Final = {
    "ADAUSDT": (0.98, 4, 400_000.0),
    "AVAXUSDT": (38.5, 3, 20_000.0),
    "BCHUSDT": (445.0, 2, 400.0),
    "BNBUSDT": (705.0, 2, 900.0),
    "BTCUSDT": (98_300.0, 1, 90.0),
    "ETCUSDT": (27.1, 3, 9_000.0),
    "ETHUSDT": (3_640.0, 2, 1_800.0),
    "FDUSDUSDT": (1.0, 4, 90_000.0),
    "LINKUSDT": (23.2, 3, 15_000.0),
    "LTCUSDT": (111.0, 2, 3_000.0),
    "SOLUSDT": (214.0, 2, 12_000.0),
    "SUIUSDT": (4.9, 4, 160_000.0),
    "USDCUSDT": (1.0, 4, 300_000.0),
    "XLMUSDT": (0.44, 5, 700_000.0),
    "XMRUSDT": (198.0, 2, 500.0),
    "XRPUSDT": (2.4, 4, 600_000.0),
}
LATE: Final = "SUIUSDT"  # listed on the third day
HALTED: Final = "XLMUSDT"  # without bars for three hours of the sixth day
OUTAGE: Final = slice(300, 320)  # minutes of the ninth day without any bar
# (volatility of a minute, share of it that is common): calm, usual, stressed
REGIMES: Final = ((0.0004, 0.25), (0.0007, 0.55), (0.0018, 0.85))
SWITCH: Final = 1 / 150  # a minute
JUMP: Final = 1 / 350  # a minute; leaving the short window, it is what makes vel_div spike

# plane -> silence in minutes, shortest and longest: beyond EsoF's 900 s, or beyond a slow plane's own period
SILENCES: Final = {
    "esof": (25, 90), "ob": (5, 40), "acb": (70, 150), "mc": (70, 150),
    "posture": (1_600, 2_400), "capital": (1_600, 2_400),
}  # fmt: skip
HELD_BACK: Final = 8  # scans at the start that come before any plane


def minutes(seed: int = SEED, days: int | None = None) -> Iterator[Minute]:
    """Bars of MARKET from START_MS on, for `days` days or without end."""
    rng = _generator(seed, 0)
    names = np.array(list(MARKET), dtype=object)
    first, decimals, volume = (np.array(column) for column in zip(*MARKET.values(), strict=True))
    pegged = np.array([name in window.PEGGED for name in MARKET])
    price, regime = first.copy(), 1
    for day in count() if days is None else range(days):
        regimes, regime = _regimes(rng, regime)
        volatility, rho = (np.array(column)[regimes][:, None] for column in zip(*REGIMES, strict=True))
        common = _bell(rng, (DAY, 1)) * np.where(rng.random((DAY, 1)) < JUMP, 14.0, 1.0)
        moves = volatility * (np.sqrt(rho) * common + np.sqrt(1.0 - rho) * _bell(rng, (DAY, len(names))))
        moves -= (price / first - 1.0) / (10 * DAY)  # a slow pull, so that no price runs away
        moves = np.where(pegged, 0.0, np.clip(moves, -0.2, 0.2))
        path = price * np.cumprod(1.0 + moves, axis=0)
        price = path[-1]
        path += pegged * 0.0003 * _bell(rng, path.shape)
        ticks = 10**decimals
        close = np.maximum(np.rint(path * ticks), 1.0) / ticks
        reach = volatility * rng.random(path.shape) * close * ~pegged
        traded = (volume * (0.4 + rng.random(path.shape)) * (1.0 + np.abs(moves) / volatility)).round(3)
        there = _presence(rng, day, names)
        for minute in np.flatnonzero(there.any(axis=1)).tolist():
            on = there[minute]
            yield Minute(
                START_MS + day * DAY_MS + minute * MINUTE_MS, tuple(names[on]), close[minute, on],
                (close + reach)[minute, on], (close - reach)[minute, on], traded[minute, on],
            )  # fmt: skip


def funding(seed: int = SEED) -> Iterator[Funding]:
    """A rate a symbol every eight hours, now and then an extreme one; without end."""
    rng = _generator(seed, 1)
    for ts_ms in count(START_MS, DAY_MS // 3):
        lean, wild = 0.0002 * (rng.random() - 0.4), rng.random() < 0.25
        for symbol in MARKET:
            rate = lean + 0.0001 * (rng.random() - 0.5)
            yield Funding(ts_ms, symbol, rate * 8.0 if wild and rng.random() < 0.4 else rate)


def lines(seed: int = SEED, scans: int = SCANS) -> Iterator[bytes]:
    """The archive's lines: `scans` scans with their planes, some of them twice, and a few broken lines."""
    records = scanner.scans(minutes(seed), funding(seed), scanner.ScannerParams(stream=STREAM))
    return _Feed(_generator(seed, 2), scans).lines(records)


def write_market(
    path: Path, seed: int = SEED, scans: int = SCANS, progress: Callable[[], object] = lambda: None
) -> int:
    """Write the archive whole or not at all; its number of lines. `progress` is told of each line."""
    with writing(path) as put:
        total = 0
        for total, line in enumerate(lines(seed, scans), 1):  # noqa: B007 - the count is what is asked for
            put(line)
            progress()
    return total


@dataclass(slots=True)
class _Feed:
    """What happens between a scanner and a log."""

    rng: np.random.Generator
    scans: int
    seqs: Counter[str] = field(default_factory=Counter)
    silent: dict[str, int] = field(default_factory=dict)  # plane -> event time at which it speaks again
    restore: dict[int, list[Any]] = field(default_factory=dict)  # scan number -> planes sent before it
    late: dict[int, Any] = field(default_factory=dict)  # scan number -> scan sent after it
    broken: int = 0

    def lines(self, records: Iterable[Any]) -> Iterator[bytes]:
        """Lines up to the given number of scans."""
        seen, waiting = 0, []
        for record in records:
            if record["kind"] == "plane":
                if seen < HELD_BACK:
                    waiting.append(record)
                elif self._speaks(record, record["name"]):
                    yield self._plane(record, record["name"], record["value"])
                continue
            if seen == HELD_BACK:
                yield from (self._plane(plane, plane["name"], plane["value"]) for plane in waiting)
            seen += 1
            yield from self._before(seen, record)
            yield from self._scan(seen, record)
            if seen == self.scans:
                break
        yield from (encode(scan) for scan in self.late.values())

    def _before(self, n: int, scan: Any) -> Iterator[bytes]:
        """Planes that change by themselves, and the silences."""
        for name, value in self.restore.pop(n, ()):
            yield self._plane(scan, name, value)
        if n % 240 == 0:
            self._silence(("esof", "ob", "acb", "mc")[self._pick(4)], scan["ts_ms"])
        if n % 4_000 == 0:
            self._silence(("posture", "capital")[n // 4_000 % 2], scan["ts_ms"])
        if n % 360 == 0 and self._speaks(scan, "posture"):
            posture = ("APEX", "STALKER", "APEX", "APEX", "STALKER", "APEX", "NIGHT_WATCH")[self._pick(7)]
            yield self._plane(scan, "posture", {"posture": posture})
        if n % 720 == 0 and self._speaks(scan, "capital"):
            yield self._plane(scan, "capital", {"capital_usd": round(20_000.0 + 10_000.0 * self.rng.random(), 2)})
        if n == self.scans - 150:  # from here on meta is published, and not derived from w750
            yield self._plane(scan, "meta", {"boost": 1.1})
        if n % 150 == 0:
            yield from self._episode(n, scan)

    def _episode(self, n: int, scan: Any) -> Iterator[bytes]:
        """One plane in its other form or out of its usual range for some minutes."""
        name, value, after = (
            ("mc", {"scale": 0.0}, {"scale": 1.0}),
            ("ob", {"mult": 1.3}, None),
            ("acb", {"boost": 4.5}, {"signals": 1.0}),
            ("esof", {"mult": 1.2}, {"mult": 1.0}),
            ("cadence", {"decide": 3}, {"decide": 1}),
        )[n // 150 % 5]
        yield self._plane(scan, name, value)
        if after:
            self.restore.setdefault(n + 10 + self._pick(30), []).append((name, after))

    def _scan(self, n: int, scan: Any) -> Iterator[bytes]:
        """The scan, most often as it is; and what was late."""
        fate = self._pick(4_000)
        if fate < 8:
            self.late[n + 1 + self._pick(2)] = scan
        else:
            yield encode(self._bent(fate, scan))
        if 8 <= fate < 16:
            yield encode(scan)
        if 16 <= fate < 22:
            yield _BROKEN[self.broken % len(_BROKEN)](scan)
            self.broken += 1
        if n in self.late:
            yield encode(self.late.pop(n))

    def _bent(self, fate: int, scan: Any) -> Any:
        """The scan with one of the oddities that the contract accepts."""
        if 22 <= fate < 32:
            symbol = list(scan["prices"])[self._pick(len(scan["prices"]))]
            return scan | {"prices": scan["prices"] | {symbol: -1.0 * self._pick(2)}}
        if 32 <= fate < 40:
            return scan | {"dc_status": "PERHAPS"}
        if 40 <= fate < 60:
            return {name: value for name, value in scan.items() if name not in ("irp", "dc_status")}
        if 60 <= fate < 64:
            return scan | {"vel_div": -605.0}
        return scan | {"note": "unknown field"} if 64 <= fate < 66 else scan

    def _silence(self, name: str, ts_ms: int) -> None:
        shortest, longest = SILENCES[name]
        self.silent[name] = ts_ms + (shortest + self._pick(longest - shortest)) * MINUTE_MS

    def _speaks(self, at: Any, name: str) -> bool:
        return bool(at["ts_ms"] >= self.silent.get(name, 0))

    def _plane(self, at: Any, name: str, value: Any) -> bytes:
        self.seqs[name] += 1
        return encode(scanner.plane(STREAM, name, self.seqs[name], at["ts_ms"], value))

    def _pick(self, n: int) -> int:
        return int(self.rng.random() * n)


# Broken lines, each a copy of a scan or a plane that its sender or its way has spoilt.
_BROKEN: Final[tuple[Callable[[Any], bytes], ...]] = (
    lambda scan: encode(scan)[:97],
    lambda scan: encode(scan).replace(b'"vel_div":', b'"vel_div":NaN,"was":'),
    lambda scan: encode(scan | {"v": 2}),
    lambda _: b"",
    lambda scan: encode({name: value for name, value in scan.items() if name != "prices"}),
    lambda scan: encode(scan | {"ts_ms": scan["ts_ms"] / 1000.0}),
    lambda scan: encode(scan | {"stream": "not a stream"}),
    lambda scan: encode(scan | {"kind": "trade"}),
    lambda scan: encode(scan | {"prices": {"btc/usdt": 1.0}}),
    lambda scan: b"\xff" + encode(scan),
    lambda scan: encode(scan | {"kind": "plane", "name": "moon", "seq": 1, "value": {"phase": 0.5}}),
    lambda scan: encode(scan | {"kind": "plane", "name": "mc", "seq": 1, "value": {"scale": -1.0}}),
)


def _generator(seed: int, part: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, part]))


def _bell(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Mean 0, variance 1, from four uniform draws."""
    draws: Floats = rng.random((4, *shape))
    return np.asarray((draws.sum(axis=0) - 2.0) * np.sqrt(3.0))


def _regimes(rng: np.random.Generator, regime: int) -> tuple[Any, int]:
    """Regime of each minute of a day, and the one in which it ends."""
    out = np.empty(DAY, np.int64)
    for minute, (switch, choice) in enumerate(rng.random((DAY, 2)).tolist()):
        if switch < SWITCH:
            regime = int(choice * len(REGIMES))
        out[minute] = regime
    return out, regime


def _presence(rng: np.random.Generator, day: int, names: Any) -> Any:
    """Which symbol has a bar in which minute of the day."""
    there = rng.random((DAY, len(names))) >= 1 / 5_000
    there[rng.random(DAY) < 1 / 2_000] = False
    if day < 2:
        there[:, names == LATE] = False
    if day == 5:
        there[600:780, names == HALTED] = False
    if day == 8:
        there[OUTAGE] = False
    return there
