"""Classes: why a pair differs, as one word and the lane, plane or input that it lies in.

A pair that differs was evaluated again with what BLUE recorded, see reactor/blue/again.py. Then:

STATE_INITIALISATION  equal bits; what moved it is a state of the engine, or a plane that one side never saw
MARKET_DATA           equal bits; what moved it is a plane or a field of the scan
NUMERIC_POLICY        one ulp in a lane, or a few where BLUE's math fingerprint is another
LOGIC                 anything else: the lanes that differ, or what composes them (`fanin`, `notional`)
EXCHANGE_EFFECT       BLUE marked it, and every lane is equal
UNATTRIBUTABLE        BLUE did not record what would tell
UNCLASSIFIED          it could not be evaluated again: a comparison with one of these fails

NUMERIC_POLICY is of the group REDUCTION_ORDER; states, data and logic are STATE_MACHINE.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from journal.blue.contract import Allowed
from journal.blue.pairing import Pair
from lanes.code import DcStatus
from lanes.lane import Lane
from lanes.registry import LANES

NOTIONAL_ULPS: Final = 4  # a size that was written as price and quantity is rounded twice; and once more as a product
FANIN_ULPS: Final = 8  # what one ulp in each lane comes to in the leverage
OTHER_MATH_ULPS: Final = 4  # in a lane, where the two machines have other bits
STATES: Final = ("posture", "capital", "cadence")  # planes that are states of the engine, not data of the market


class Kind(StrEnum):
    """Why a pair differs."""

    STATE_INITIALISATION = "STATE_INITIALISATION"
    MARKET_DATA = "MARKET_DATA"
    NUMERIC_POLICY = "NUMERIC_POLICY"
    LOGIC = "LOGIC"
    EXCHANGE_EFFECT = "EXCHANGE_EFFECT"
    UNATTRIBUTABLE = "UNATTRIBUTABLE"
    UNCLASSIFIED = "UNCLASSIFIED"


STATE_MACHINE: Final = frozenset({Kind.STATE_INITIALISATION, Kind.MARKET_DATA, Kind.LOGIC})
REDUCTION_ORDER: Final = frozenset({Kind.NUMERIC_POLICY})


@dataclass(frozen=True, slots=True)
class Class:
    """A class and where it lies: names of lanes, planes or inputs, sorted."""

    kind: Kind
    where: tuple[str, ...]

    @property
    def group(self) -> str:
        """STATE_MACHINE, REDUCTION_ORDER or nothing."""
        return (
            "STATE_MACHINE" if self.kind in STATE_MACHINE else "REDUCTION_ORDER" if self.kind in REDUCTION_ORDER else ""
        )


def differs(pair: Pair) -> tuple[str, ...]:
    """What of a pair is not equal in bits, of what BLUE recorded; a notional within NOTIONAL_ULPS is equal."""
    trade, ours = pair.trade, pair.decision
    found = [name for name, value in trade["lanes"].items() if name in ours and _ulps(value, ours[name])]
    found += ["leverage"] if trade["leverage"] is not None and _ulps(trade["leverage"], ours["leverage"]) else []
    if trade["vel_div"] is not None and _ulps(trade["vel_div"], ours["vel_div"]):
        found.append("vel_div")
    found += ["dc_status"] if trade["dc_status"] and _known(trade["dc_status"]) != ours["dc_status"] else []
    found += ["posture"] if trade["posture"] not in ("", ours["posture"]) else []
    if trade["capital_before"] is not None and _ulps(trade["capital_before"], ours["capital_usd"]):
        found.append("capital")
    found += ["notional"] if _notional_off(trade, ours) else []
    return tuple(found)


def classify(pair: Pair, evaluated: Mapping[str, Any] | None, fingerprint: str) -> Class | None:
    """Why a pair differs; None where it does not.

    Args:
        pair: a trade beside a decision.
        evaluated: the decision with what BLUE recorded, under the names of `decisions`; None: it was rejected.
        fingerprint: of the arithmetic that decided.
    """
    if not (found := differs(pair)):
        return None if pair.trade["leverage"] is not None else Class(Kind.UNATTRIBUTABLE, ("leverage",))
    trade = pair.trade
    if evaluated is None:
        return Class(Kind.UNCLASSIFIED, _sorted(found))
    off = {name: _ulps(value, evaluated[name]) for name, value in trade["lanes"].items() if name in evaluated}
    off = {name: ulps for name, ulps in off.items() if ulps}
    leverage_off = 0 if trade["leverage"] is None else _ulps(trade["leverage"], evaluated["leverage"])
    notional_off = _notional_off(trade, evaluated)
    if not off and not leverage_off and not notional_off:
        return _moved(pair, evaluated)
    if not off and trade["marks"]:
        return Class(Kind.EXCHANGE_EFFECT, tuple(trade["marks"]))
    if not off and not leverage_off:
        return Class(Kind.LOGIC, ("notional",))
    if not trade["planes"]:  # it may be the planes, which nobody knows
        return Class(Kind.UNATTRIBUTABLE, _sorted(off or ("leverage",)))
    is_other_math = trade["math_fingerprint"] not in ("", fingerprint)
    far = {name for name, ulps in off.items() if ulps > (OTHER_MATH_ULPS if is_other_math else _allowed_ulps(name))}
    if far:
        return Class(Kind.LOGIC, _sorted(far))
    if leverage_off > (FANIN_ULPS if off or is_other_math else 1):
        return Class(Kind.LOGIC, ("fanin",))
    return Class(Kind.NUMERIC_POLICY, _sorted(off or ("fanin",)))


def of_unpaired(trade: Mapping[str, Any]) -> Class:
    """Why a trade has no decision, of a row of `Pairing.unpaired`."""
    why = trade["why"]
    other_data = trade["scan_vel_div"] is not None and trade["vel_div"] not in (None, trade["scan_vel_div"])
    if other_data or why == "NO_SCAN":
        return Class(Kind.MARKET_DATA, ("vel_div",) if other_data else ("scan",))
    return _WHY.get(why, Class(Kind.UNATTRIBUTABLE, (why,)))


def excuse(found: Class, asset: str, known: Iterable[Allowed], day: str) -> Allowed | None:
    """The entry of the contract that knows a class on an asset, on a day (YYYY-MM-DD) before it expires."""
    return next(
        (
            entry
            for entry in known
            if entry.kind == found.kind and entry.asset in ("", asset) and day < entry.expires
            and (not entry.lane or found.where == (entry.lane,))
        ),
        None,
    )  # fmt: skip


_WHY: Final = {
    "LONG": Class(Kind.LOGIC, ("side",)), "ASSET_NEVER_DECIDED": Class(Kind.LOGIC, ("asset",)),
    "OTHER_ASSET": Class(Kind.LOGIC, ("asset",)), "NO_ELIGIBLE_ASSET": Class(Kind.LOGIC, ("asset",)),
    "NO_SIGNAL": Class(Kind.LOGIC, ("base",)), "CADENCE": Class(Kind.STATE_INITIALISATION, ("cadence",)),
    "DUP_SCAN": Class(Kind.STATE_INITIALISATION, ("identity",)), "TAKEN": Class(Kind.LOGIC, ("slot",)),
}  # fmt: skip


def _known(dc_status: str) -> str:
    """A status as rows have it: what is none of the known ones is UNKNOWN."""
    return dc_status if dc_status in DcStatus.__members__ else DcStatus.UNKNOWN.name


def _moved(pair: Pair, evaluated: Mapping[str, Any]) -> Class:
    """Equal bits with what BLUE recorded: which of it moved the decision."""
    trade, ours = pair.trade, pair.decision
    scan = {name for name in differs(pair) if name in ("vel_div", "dc_status")}
    planes: set[str] = set()
    for lane in LANES:
        moved = [name for name in lane.stored if name in evaluated and _ulps(evaluated[name], ours[name])]
        if not scan & {*lane.scanned}:
            planes |= {plane for name in moved for plane in _planes_of(lane, name)}
    planes |= {"posture"} if evaluated["posture"] != ours["posture"] else set()
    planes |= {"capital"} if _ulps(evaluated["capital_usd"], ours["capital_usd"]) else set()
    if not scan | planes:
        return Class(Kind.UNCLASSIFIED, _sorted(differs(pair)))
    seen = json.loads(trade["planes"]) if trade["planes"] else None
    states = {
        name
        for name in planes
        if name in STATES
        or (seen is not None and (name in seen) == (f"PLANE_MISSING_{name.upper()}" in ours["reasons"]))
    }
    kind = Kind.MARKET_DATA if scan | planes - states else Kind.STATE_INITIALISATION
    return Class(kind, _sorted(scan | planes))


def _planes_of(lane: Lane, column: str) -> Sequence[str]:
    """The planes that a column of a lane is made of: the one that it is named after, else all of the lane."""
    named = [name for name in lane.plane_names if column.startswith(name)]
    return named or lane.plane_names or lane.scanned


def _allowed_ulps(name: str) -> int:
    """One ulp in a lane; in one that is a product, one ulp of a factor may come to two."""
    return next((2 if lane.factors else 1 for lane in LANES if lane.name == name), 1)


def _notional_off(trade: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return trade["notional_usd"] is not None and _ulps(trade["notional_usd"], row["notional_usd"]) > NOTIONAL_ULPS


def _ulps(one: float, two: float) -> int:
    """How many floats lie between two, 0 for equal bits; -0.0 and 0.0 are one apart."""
    return abs(_place(one) - _place(two))


def _place(value: float) -> int:
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return int(bits) if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF) - 1


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
