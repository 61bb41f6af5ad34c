"""Stand-in BLUE: the composition of findings 8b once more, in plain Python, with one slot. It is not BLUE.

raw      = base * dc * acb * ob * esof                 base 0.5 + strength ** 3.0 * (8.0 - 0.5)
cap      = min(8.0 * acb * ob * esof, 9.0)             STALKER: at most 2.0
leverage = max(0.5, min(raw, cap))                     notional = capital * 0.20 * leverage

Written from the documents alone and shares no code with the lanes or the reactor, so that two readings of the same text
are compared, not one with itself. It trades on paper: at most one open trade, out again after some bars. Every trade id
begins with STAND-IN. Beside each trade it records what BLUE would: scan, lane values, planes, what it says of itself.
Source: findings 2, 4, 7 and 8b; the defaults of our own for what they leave open (docs/design/sources.md).
"""

import hashlib
import json
import math
import random
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

MARK: Final = "STAND-IN"
VERSION: Final = "stand-in 1"
REMEMBERED: Final = 4_096  # scans of a stream among which a scan is a repeat, as for the reactor
HOLD_BARS: Final = (1, 20)  # not BLUE's: short, so that a month of minutes holds the 2,193 trades of the record
PARTIAL_SHARE: Final = 0.25  # of trades held over two bars or more: half goes out one bar after the entry
_FORMS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "acb": (("boost",), ("signals",)), "meta": (("boost",),), "mc": (("scale",),),
    "ob": (("mult",), ("eff_imb", "agree", "n_assets")), "esof": (("mult",), ("score",)),
    "capital": (("capital_usd",),), "cadence": (("decide",),),
}  # fmt: skip
_LEAST: Final = {"boost": 0.0, "scale": 0.0, "mult": 0.0, "n_assets": 0, "decide": 1, "capital_usd": 5e-324}
PEGGED: Final = frozenset(
    f"{coin}USDT" for coin in ("USDC", "BUSD", "FDUSD", "TUSD", "USDP", "DAI", "USDD", "PYUSD", "USTC", "EUR")
)


def libm_cube(share: float) -> float:
    """The cube as the machine's libm has it."""
    return math.pow(share, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What may differ from the shadow's params, and the dice of the exits."""

    thr: float = -0.02
    base_max: float = 8.0
    dc_boost: float = 1.10
    capped: bool = True
    esof_stale: bool = False  # the EsoF plane never arrives: 0.4 throughout
    cube: Callable[[float], float] = libm_cube
    records: bool = True  # False: as a BLUE that keeps nothing beside a trade
    seed: int = 20260614
    stream: str | None = None  # None: the stream of the first scan


@dataclass(slots=True)
class Leg:
    """One exit of a part of a trade."""

    leg: int
    exit_ts_ms: int
    exit_price: float
    quantity: float
    pnl: float
    exit_reason: str


@dataclass(slots=True)
class Trade:
    """One paper trade, SHORT. Prices in quote currency, pnl in USD."""

    trade_id: str
    asset: str
    entry_ts_ms: int
    entry_price: float
    quantity: float
    capital_before: float
    leverage: float
    vel_div: float
    bars_held: int = 0
    exit_ts_ms: int = 0
    exit_price: float = 0.0
    exit_reason: str = ""
    pnl: float = 0.0
    side: str = "SHORT"
    scan_id: int | None = None
    base: float | None = None
    dc: float | None = None
    acb: float | None = None
    ob: float | None = None
    esof: float | None = None
    planes: str = ""
    posture: str = ""
    dc_status: str = ""
    version: str = ""
    code_hash: str = ""
    config_hash: str = ""
    math_fingerprint: str = ""
    legs: list[Leg] = field(default_factory=list)


def trades(lines: Iterable[bytes], engine: Engine) -> Iterator[Trade]:
    """The trades that one slot makes of an archive's lines, in order of entry. What is not a record is passed over."""
    dice = random.Random(engine.seed)  # noqa: S311 - paper exits, the same for a seed
    planes: dict[str, tuple[Mapping[str, Any], int]] = {}
    seen: dict[tuple[int, int], int] = {}  # of the last scans which was which, the oldest first
    stream, decide, met, scans, count = engine.stream, 1, 0, 0, 0
    slot: _Slot | None = None
    itself = of_itself(engine) if engine.records else {}
    for line in lines:
        record = _record(line)
        if record is None:
            continue
        if stream is None and record["kind"] == "scan":
            stream = record["stream"]
        if stream is not None and record["stream"] != stream:
            continue
        if record["kind"] == "plane":
            if record["name"] == "esof" and engine.esof_stale:
                continue
            planes[record["name"]] = record["value"], record["ts_ms"]
            if record["name"] == "cadence":
                decide, scans = record["value"]["decide"], 0
            continue
        met += 1
        again = met - seen.pop((record["scan_id"], record["ts_ms"]), -REMEMBERED) <= REMEMBERED
        seen[record["scan_id"], record["ts_ms"]] = met
        if met - seen[oldest := next(iter(seen))] > REMEMBERED:
            del seen[oldest]
        if again:
            continue
        scans += 1
        if slot is not None:
            if slot.bar(record):
                yield slot.trade
                slot = None
            continue
        asset = best_asset(record)
        if not float(record["vel_div"]) < engine.thr or scans % decide or asset is None:
            continue
        count += 1
        leverage, capital, lanes = size(record, planes, engine)
        price = float(record["prices"][asset])
        trade = Trade(
            f"{MARK}-{count:05d}", asset, record["ts_ms"], price, capital * 0.20 * leverage / price, capital, leverage,
            float(record["vel_div"]), **({**lanes, **beside(record, planes), **itself} if engine.records else {}),
        )  # fmt: skip
        hold = dice.randint(*HOLD_BARS)
        slot = _Slot(trade, hold, hold >= 2 and dice.random() < PARTIAL_SHARE)


def best_asset(scan: Mapping[str, Any]) -> str | None:
    """The best rank of what is not pegged, is priced and not against the signal; the smaller symbol of equals."""
    able = [
        (-rank["score"], symbol)
        for symbol, rank in (scan.get("irp") or {}).items()
        if symbol not in PEGGED and rank["alignment"] >= 0.0 and scan["prices"].get(symbol, 0.0) > 0.0
    ]
    return min(able)[1] if able else None


def size(
    scan: Mapping[str, Any], planes: Mapping[str, tuple[Mapping[str, Any], int]], engine: Engine
) -> tuple[float, float, dict[str, float]]:
    """Leverage, capital and lane values of a scan under the planes as they are."""
    share = (engine.thr - scan["vel_div"]) / (engine.thr - -0.05)
    cubed = engine.cube(max(0.0, min(1.0, share)))
    base = 0.5 + cubed * (engine.base_max - 0.5)
    dc_lev_mult = engine.dc_boost if scan.get("dc_status") == "CONFIRM" else 1.0
    regime = _regime(scan, planes, cubed)
    market_ob_mult = _consensus(planes["ob"][0]) if "ob" in planes else 1.0
    esof = 0.4
    if "esof" in planes and scan["ts_ms"] - planes["esof"][1] <= 900_000:
        esof = _haircut(planes["esof"][0])
    raw = base * dc_lev_mult * regime * market_ob_mult * esof
    limit = min(engine.base_max * regime * market_ob_mult * esof, 9.0) if engine.capped else math.inf
    if "posture" in planes and planes["posture"][0]["posture"] == "STALKER":
        limit = min(limit, 2.0)
    capital = float(planes["capital"][0]["capital_usd"]) if "capital" in planes else 25_000.0
    lanes = {"base": base, "dc": dc_lev_mult, "acb": regime, "ob": market_ob_mult, "esof": esof}
    return max(0.5, min(raw, limit)), capital, lanes


def beside(scan: Mapping[str, Any], planes: Mapping[str, tuple[Mapping[str, Any], int]]) -> dict[str, Any]:
    """What is recorded of a scan and of the planes as they are."""
    seen = {name: {"value": value, "ts_ms": ts_ms} for name, (value, ts_ms) in planes.items()}
    return {
        "scan_id": scan["scan_id"], "planes": json.dumps(seen, sort_keys=True, separators=(",", ":")),
        "posture": planes["posture"][0]["posture"] if "posture" in planes else "",
        "dc_status": scan.get("dc_status") or "NEUTRAL",
    }  # fmt: skip


def of_itself(engine: Engine) -> dict[str, str]:
    """What the engine says of itself. Its config is that of the documents: it hides what is planted."""
    told = {
        name: value for name, value in asdict(Engine()).items() if name not in {"cube", "records", "seed", "stream"}
    }
    return {
        "version": VERSION,
        "code_hash": hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16],
        "config_hash": hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16],
        "math_fingerprint": fingerprint(engine.cube),
    }


def fingerprint(cube: Callable[[float], float]) -> str:
    """The arithmetic as a hash, by the recipe of docs/blue.md: pow and log1p of 65,536 probes, twice."""
    x = [n * 0.618_033_988_749_894_9 % 1.0 for n in range(1, 65_537)]
    pows = [cube(each) if at % 2 == 0 else each ** (0.5, 1.7)[at // 2 % 2] for at, each in enumerate(x)]
    both = struct.pack("<65536d", *pows) + struct.pack("<65536d", *map(math.log1p, x))
    return hashlib.sha256(both + both).hexdigest()[:16]


def _regime(scan: Mapping[str, Any], planes: Mapping[str, tuple[Mapping[str, Any], int]], cubed: float) -> float:
    """ACB boost times meta boost times Monte Carlo scale; meta of w750 only where ACB came as signals."""
    boost = meta = scale = 1.0
    if "acb" in planes:
        value = planes["acb"][0]
        if "boost" in value:
            boost = float(value["boost"])
        else:
            boost = 1.0 + 0.5 * math.log1p(value["signals"]) if value["signals"] >= 1.0 else 1.0
            w750 = scan.get("w750")
            meta = 1.0 + (0.8 if w750 is not None and w750 >= 0.0 else 0.2) * cubed
    if "meta" in planes:
        meta = float(planes["meta"][0]["boost"])
    if "mc" in planes:
        scale = float(planes["mc"][0]["scale"])
    return boost * meta * scale


def _consensus(value: Mapping[str, Any]) -> float:
    if "mult" in value:
        return float(value["mult"])
    lean: float = -value["eff_imb"]
    if value["n_assets"] < 3 or not value["agree"] > 0.70:
        return 1.0
    if lean > 0.08:
        return 1.0 + (1.20 - 1.0) * min(1.0, (lean - 0.08) / (0.28 - 0.08))
    return 1.0 - (1.0 - 0.85) * min(1.0, (-lean - 0.08) / (0.28 - 0.08)) if lean < -0.08 else 1.0


def _haircut(value: Mapping[str, Any]) -> float:
    if "mult" in value:
        return max(0.0, min(1.0, float(value["mult"])))
    levels = (0.3, 0.65, 0.8, 0.9, 1.0)
    score: float = value["score"]
    for (lo, hi), split in zip(pairwise(levels), (-0.25, -0.05, 0.05, 0.25), strict=True):
        if score < split - 0.02:
            return lo
        if score < split + 0.02:
            return max(lo, min(hi, lo + (hi - lo) * ((score - (split - 0.02)) / (2.0 * 0.02))))
    return levels[-1]


class _Slot:
    """The one open trade, until its bars are over."""

    def __init__(self, trade: Trade, hold: int, partial: bool) -> None:
        self.trade, self._hold, self._partial = trade, hold, partial
        self._price = trade.entry_price  # the last that was seen: an asset may be missing from a scan

    def bar(self, scan: Mapping[str, Any]) -> bool:
        """Let one scan pass; whether the trade is over."""
        trade = self.trade
        trade.bars_held += 1
        price = scan["prices"].get(trade.asset, 0.0)
        self._price = float(price) if price > 0.0 else self._price
        left = trade.quantity - sum(leg.quantity for leg in trade.legs)
        if trade.bars_held == self._hold:
            self._leave(scan["ts_ms"], left, "MAX_HOLD")
            trade.exit_ts_ms, trade.exit_price, trade.exit_reason = scan["ts_ms"], self._price, "MAX_HOLD"
            trade.pnl = sum(leg.pnl for leg in trade.legs)
            return True
        if self._partial and trade.bars_held == 1:
            self._leave(scan["ts_ms"], left / 2.0, "PARTIAL")
        return False

    def _leave(self, ts_ms: int, quantity: float, reason: str) -> None:
        trade = self.trade
        pnl = quantity * (trade.entry_price - self._price)
        trade.legs.append(Leg(len(trade.legs) + 1, ts_ms, self._price, quantity, pnl, reason))


def _record(line: bytes) -> dict[str, Any] | None:
    """What a live engine would have been handed: a whole scan or plane, or nothing."""
    try:
        record: dict[str, Any] = json.loads(line, parse_constant=lambda _: None)
        return record if record["v"] == 1 and (_whole_scan(record) or _whole_plane(record)) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _whole_scan(record: Mapping[str, Any]) -> bool:
    if record["kind"] != "scan" or [*map(type, (record["scan_id"], record["ts_ms"]))] != [int, int]:
        return False
    numbers = [record["vel_div"], *record["prices"].values()]
    numbers += [rank[name] for rank in (record.get("irp") or {}).values() for name in ("score", "alignment")]
    known = "stream" in record and record["scan_id"] >= 0
    return known and all(type(n) in (int, float) and math.isfinite(n) for n in numbers)


def _whole_plane(record: Mapping[str, Any]) -> bool:
    if record["kind"] != "plane" or "stream" not in record or type(record["ts_ms"]) is not int:
        return False
    name, value = record["name"], record["value"]
    if name == "posture":
        return isinstance(value["posture"], str)
    forms = _FORMS[name]
    return any(all(_fits(n, value.get(n)) for n in form) for form in forms)


def _fits(name: str, value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= _LEAST.get(name, -math.inf)
