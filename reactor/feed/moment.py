"""Moment: a time of a foreign row, in any unit or as ISO 8601 text, becomes UTC milliseconds; pure.

A number's size tells its unit: no time of 2009 to 2099 in one unit is one in another. So a column may hold several,
and the mapping says which. See docs/design/feeds.md.
"""

import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from journal.refusal import Refusal
from lanes.code import END_MS, FIRST_MS
from reactor.feed.convert import BadRow, Read, Row, show, to_decimal

PER_MS: Final = {"s": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001"), "ns": Decimal("0.000001")}
UNIT_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
UNITS: Final = (*PER_MS, "iso")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_time(spec: Row, here: str) -> Read:
    """Milliseconds of a time, rounded down, so that finer times keep their order."""
    units, zone = _units(spec.get("unit", "ms"), here), spec.get("zone")
    if zone is not None and "iso" not in units:
        raise Refusal(f'{here}: a zone goes with ISO text alone; fix: unit = "iso", or no zone')
    rule = None if zone is None else _zone(zone, here)

    def read(value: Any) -> int:
        if type(value) is int and "ms" in units and FIRST_MS <= value < END_MS:
            return value
        number = to_decimal(value)
        if number is not None:
            return _of_number(value, number, units)
        if "iso" in units:
            return _iso(value, rule)
        if isinstance(value, str) and _stamp(value):
            raise BadRow(f"{show(value)} looks like ISO text; fix: {_also('iso', units)}")
        raise BadRow(f"{show(value)} is no number; fix: mend it, or give the path of a time")

    return read


def _units(given: Any, here: str) -> tuple[str, ...]:
    units = UNITS if given == "auto" else tuple(given) if isinstance(given, list) and given else (given,)
    if wrong := [unit for unit in units if unit not in UNITS]:
        raise Refusal(
            f"{here}: unit of a time must be one of {', '.join(UNITS)}, a list of them, or auto, was {wrong[0]!r}; "
            "fix: name one"
        )
    return units


def _of_number(value: Any, number: Decimal, units: tuple[str, ...]) -> int:
    found = {unit: math.floor(number * per_ms) for unit, per_ms in PER_MS.items()}
    fits = next((unit for unit, ms in found.items() if FIRST_MS <= ms < END_MS), None)
    if fits in units:
        return found[fits]
    if units == ("iso",):
        said = f"{show(value)} is no ISO 8601 time"
    else:
        said = f"{show(value)} {' or '.join(u for u in units if u != 'iso')} is not a time of 2009 to 2099"
    if fits:
        raise BadRow(f"{said}; looks like {UNIT_NAMES[fits]}; fix: {_also(fits, units)}")
    if digits := in_digits(str(value)):
        raise BadRow(f"{said}; {digits}")
    none = f"; `no_value = [{json.dumps(str(value))}]` where it stands for none" if abs(number) <= 1 else ""
    raise BadRow(f"{said}; fix: give the path of the event time, and its unit{none}")


def in_digits(text: str) -> str:
    """Why a date and time of digits alone is no time here, or nothing.

    >>> in_digits("20250510153000")
    "looks like a date in digits; fix: write it as ISO 8601, such as '2025-05-10T15:30:00Z'"
    """
    if (match := _DIGITS.fullmatch(text.strip())) is None:
        return ""
    year, month, day, *rest = (part or "00" for part in match.groups())
    return f"looks like a date in digits; fix: write it as ISO 8601, such as '{year}-{month}-{day}T{':'.join(rest)}Z'"


_DIGITS: Final = re.compile(
    r"(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?:([01]\d|2[0-3])([0-5]\d)(?:([0-5]\d)(?:\d{3})?)?)?", re.ASCII
)


def _also(unit: str, units: tuple[str, ...]) -> str:
    """The unit to write, and what to write where the column holds both: one row cannot tell."""
    return f'unit = "{unit}", or {json.dumps([*units, unit])} where the file holds both'


def _iso(value: Any, zone: tzinfo | None) -> int:
    stamp = _stamp(value) if isinstance(value, str) else None
    if stamp is None:
        raise BadRow(f"{show(value)} is no ISO 8601 time; fix: mend it, or give the path of one")
    if stamp.tzinfo is None:
        if zone is None:
            raise BadRow(f'{show(value)} has no time zone; fix: zone = "UTC", or the zone that the feed writes in')
        stamp = stamp.replace(tzinfo=zone)
        if stamp.utcoffset() != stamp.replace(fold=1).utcoffset():
            raise BadRow(
                f"{show(value)} is there twice or never in {zone}, where clocks change; fix: times with an offset"
            )
    ms = (stamp - _EPOCH) // timedelta(milliseconds=1)
    if not FIRST_MS <= ms < END_MS:
        raise BadRow(f"{show(value)} is not a time of 2009 to 2099; fix: give the path of the event time")
    return ms


def _stamp(text: str) -> datetime | None:
    text = re.sub(r"\s*(?:UTC|GMT)$", "+00:00", text.strip())
    try:
        return datetime.fromisoformat(text) if not text.isdigit() else None
    except ValueError:
        return None


def _zone(zone: Any, here: str) -> tzinfo:
    if isinstance(zone, str) and (match := re.fullmatch(r"([+-])(\d\d):(\d\d)", zone)):
        ahead = timedelta(hours=int(match[2]), minutes=int(match[3]))
        if ahead < timedelta(days=1):
            return timezone(ahead if match[1] == "+" else -ahead)
    try:
        return UTC if zone == "UTC" else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise Refusal(f'{here}: no time zone {zone!r} is known here; fix: "UTC", or an offset like "+02:00"') from None
