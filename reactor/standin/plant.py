"""Plants: differences that the stand-in BLUE can have, each by its name, so that a comparison can be seen to find them.

A plant changes what the engine computes, the records that reach it, or the rows that it writes. What the engine says of
itself stays as the documents have it, unless that is the plant.
"""

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reactor.standin.blue import Engine, Leg, Trade, libm_cube

HOUR_MS: Final = 3_600_000
CLOCK_OFF_MS: Final = 90_000
MISSING_SHARE: Final = 0.02
LATE: Final = "ob"
Lines = Iterable[bytes]


def _late(lines: Lines) -> Iterator[bytes]:
    """The ob plane acts one scan later than it came."""
    held: list[bytes] = []
    for line, record in _read(lines):
        if record.get("kind") == "plane" and record.get("name") == LATE:
            held.append(line)
            continue
        yield line
        if record.get("kind") == "scan":
            yield from held
            held = []


def _hour(lines: Lines) -> Iterator[bytes]:
    """No plane comes in the third hour after the first record."""
    first = None
    for line, record in _read(lines):
        at = record.get("ts_ms")
        if isinstance(at, int):
            first = at if first is None else first
            if record.get("kind") == "plane" and 2 * HOUR_MS <= at - first < 3 * HOUR_MS:
                continue
        yield line


def _missing(lines: Lines) -> Iterator[bytes]:
    """One scan in fifty never comes."""
    dice = random.Random(2)  # noqa: S311 - which scans are missing, always the same
    for line, record in _read(lines):
        if record.get("kind") != "scan" or dice.random() >= MISSING_SHARE:
            yield line


def _shifted(lines: Lines) -> Iterator[bytes]:
    """Each scan carries what the scan of one bar before said."""
    before: dict[str, Any] = {}
    for line, record in _read(lines):
        if record.get("kind") != "scan" or not isinstance(record.get("stream"), str):
            yield line
            continue
        said = {name: record.get(name) for name in ("vel_div", "w750", "irp", "dc_status")}
        last = before.get(record["stream"])
        before[record["stream"]] = said
        yield json.dumps(record | last).encode() if last else line


def _renamed(trades: Sequence[Trade]) -> list[Trade]:
    """The asset that is traded most has another name."""
    most = Counter(trade.asset for trade in trades).most_common(1)[0][0]
    return [replace(trade, asset=f"1000{most}") if trade.asset == most else trade for trade in trades]


def _clock(trades: Sequence[Trade]) -> list[Trade]:
    """The clock of the trades is ahead."""

    def late(each: Leg) -> Leg:
        return replace(each, exit_ts_ms=each.exit_ts_ms + CLOCK_OFF_MS)

    return [
        replace(
            trade, entry_ts_ms=trade.entry_ts_ms + CLOCK_OFF_MS, exit_ts_ms=trade.exit_ts_ms + CLOCK_OFF_MS,
            legs=[late(each) for each in trade.legs],
        )
        for trade in trades
    ]  # fmt: skip


def _doubled(trades: Sequence[Trade]) -> list[Trade]:
    """The middle trade stands there a second time, with another leverage."""
    at = len(trades) // 2
    return [*trades[: at + 1], replace(trades[at], leverage=trades[at].leverage / 2.0), *trades[at + 1 :]]


def _merged(trades: Sequence[Trade]) -> list[Trade]:
    """Two trades that follow each other on one asset stand there as one: its size is that of both."""
    merged: list[Trade] = []
    left = list(reversed(trades))
    while left:
        trade = left.pop()
        if left and left[-1].asset == trade.asset:
            then = left.pop()
            legs = [*trade.legs, *(replace(leg, leg=leg.leg + len(trade.legs)) for leg in then.legs)]
            trade = replace(
                trade, quantity=trade.quantity + then.quantity, bars_held=trade.bars_held + then.bars_held,
                exit_ts_ms=then.exit_ts_ms, exit_price=then.exit_price, pnl=trade.pnl + then.pnl, legs=legs,
            )  # fmt: skip
        merged.append(trade)
    return merged


def _from_the_middle(name: str) -> Callable[[Sequence[Trade]], list[Trade]]:
    """From the middle trade on another hash is recorded."""

    def change(trades: Sequence[Trade]) -> list[Trade]:
        half = len(trades) // 2
        other = [replace(trade, **{name: getattr(trade, name)[::-1]}) for trade in trades[half:]]
        return [*trades[:half], *other]

    return change


def one_ulp_more(share: float) -> float:
    """The cube of a libm whose every cube is one ulp larger; 0 and 1 are exact everywhere."""
    cubed = libm_cube(share)
    return math.nextafter(cubed, 2.0) if 0.0 < share < 1.0 else cubed


@dataclass(frozen=True, slots=True)
class Plant:
    """What a plant is, for people, and what it changes."""

    words: str
    engine: Mapping[str, Any] = field(default_factory=dict)
    lines: Callable[[Lines], Iterator[bytes]] | None = None
    rows: Callable[[Sequence[Trade]], list[Trade]] | None = None


PLANTS: Final[Mapping[str, Plant]] = {
    "dc-boost": Plant("the DC boost is 1.15", {"dc_boost": 1.15}),
    "esof-stale": Plant("no EsoF plane ever comes", {"esof_stale": True}),
    "cap-off": Plant("no cap but that of the posture", {"capped": False}),
    "base-max": Plant("base_max is 9", {"base_max": 9.0}),
    "thr": Plant("the threshold is -0.021", {"thr": -0.021}),
    "cube-ulp": Plant("every cube is one ulp larger: another libm", {"cube": one_ulp_more}),
    "unrecorded": Plant("nothing is recorded beside a trade", {"records": False}),
    "plane-late": Plant(f"the plane {LATE} acts one scan late", lines=_late),
    "planes-missing": Plant("no plane comes in the third hour", lines=_hour),
    "scans-missing": Plant("2 % of the scans never come", lines=_missing),
    "window-shifted": Plant("each scan says what the scan before it said", lines=_shifted),
    "asset-renamed": Plant("the asset traded most has another name", rows=_renamed),
    "clock-off": Plant("the clock is 90 s ahead", rows=_clock),
    "trade-doubled": Plant("one trade stands there twice, with another leverage", rows=_doubled),
    "trades-merged": Plant("two trades in a row on one asset are one", rows=_merged),
    "config-hash": Plant("from the middle on another config hash", rows=_from_the_middle("config_hash")),
    "code-hash": Plant("from the middle on another code hash", rows=_from_the_middle("code_hash")),
}


def planted(names: Iterable[str], engine: Engine, lines: Lines) -> tuple[Engine, Lines, Callable[..., list[Trade]]]:
    """The engine, the lines that reach it and the change of its rows under plants, in the order of the names."""
    chosen = [PLANTS[name] for name in names]
    for plant in chosen:
        engine = replace(engine, **plant.engine)
        lines = plant.lines(lines) if plant.lines else lines

    def rows(trades: Sequence[Trade]) -> list[Trade]:
        for plant in chosen:
            trades = plant.rows(trades) if plant.rows else trades
        return list(trades)

    return engine, lines, rows


def _read(lines: Lines) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each line and what it holds; an empty object where it holds none."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        yield line, record if isinstance(record, dict) else {}
