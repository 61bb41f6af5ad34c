"""Conversions: a value of a foreign row becomes one of ours, or a BadRow that names it and the fix; pure.

Each maker takes the field's table of the mapping and where it stands, and gives the conversion; a table that cannot be
right is a Refusal. See docs/design/feeds.md.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from journal.refusal import Refusal
from lanes.code import END_MS, FIRST_MS

Row = dict[str, Any]
Read = Callable[[Any], Any]

PER_MS: Final = {"s": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001"), "ns": Decimal("0.000001")}
UNIT_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
DIGITS_MAX: Final = 40  # of a time or a whole number; 1e999999999 must not be written out
SHOWN: Final = 60  # characters of a foreign value in a message


class BadRow(ValueError):
    """A row that the mapping does not fit: the field, the value and the fix."""


def walk(row: Any, path: tuple[str, ...]) -> Any:
    """What lies at a path, or None. JSON in a text on the way is parsed, in place.

    >>> walk({"value": '{"boost": 1.2}'}, ("value", "boost"))
    1.2
    """
    node = row
    for at, step in enumerate(path):
        if isinstance(node, str):
            node = parsed(node)
            if node is not None and at:
                _put(row, path[:at], node)
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and step.isdigit() and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    return node


def steps(path: Any) -> tuple[str, ...]:
    """The steps of a path as a mapping writes it.

    >>> steps("windows.750.velocity")
    ('windows', '750', 'velocity')

    Raises:
        Refusal: it is neither text nor a list of steps.
    """
    found = path.split(".") if isinstance(path, str) else path
    if not isinstance(found, list) or not found or not all(isinstance(s, str) and s for s in found):
        raise Refusal(f'a path must be text like "a.b" or a list of steps, was {path!r}; fix: name their field')
    return tuple(found)


def _time(spec: Row, here: str) -> Read:
    unit, zone = spec.get("unit", "ms"), spec.get("zone")
    if unit not in (*PER_MS, "iso"):
        raise Refusal(f"{here}: unit of a time must be one of {', '.join(PER_MS)}, iso, was {unit!r}; fix: name one")
    if zone is not None and unit != "iso":
        raise Refusal(f'{here}: a zone goes with ISO text alone; fix: unit = "iso", or no zone')
    if unit == "iso":
        rule = None if zone is None else _zone(zone, here)
        return lambda value: _iso(value, rule)
    per_ms = PER_MS[unit]

    def read(value: Any) -> int:
        if type(value) is int and unit == "ms" and FIRST_MS <= value < END_MS:
            return value
        number = _decimal(value)
        if number is None:
            fix = '"iso"' if isinstance(value, str) and _stamp(value) else "the path of a time"
            what = "looks like ISO text; fix: unit = " if fix == '"iso"' else "is no number; fix: give "
            raise BadRow(f"{_show(value)} {what}{fix}")
        ms = _ms(number, per_ms)
        if FIRST_MS <= ms < END_MS:
            return ms
        raise BadRow(f"{_show(value)} {unit} is not a time of 2009 to 2099; {_guess(number)}")

    return read


def _ms(number: Decimal, per_ms: Decimal) -> int:
    """Milliseconds, rounded down, so that finer times keep their order."""
    return math.floor(number * per_ms)


def _guess(number: Decimal) -> str:
    for unit, per_ms in PER_MS.items():
        if FIRST_MS <= _ms(number, per_ms) < END_MS:
            return f'looks like {UNIT_NAMES[unit]}; fix: unit = "{unit}"'
    return "fix: give the path of the event time, and its unit"


def _iso(value: Any, zone: tzinfo | None) -> int:
    stamp = _stamp(value) if isinstance(value, str) else None
    if stamp is None:
        number = _decimal(value)
        raise BadRow(f"{_show(value)} is no ISO 8601 time; " + ("fix: give one" if number is None else _guess(number)))
    if stamp.tzinfo is None:
        if zone is None:
            raise BadRow(f'{_show(value)} has no time zone; fix: zone = "UTC", or the zone that the feed writes in')
        stamp = stamp.replace(tzinfo=zone)
        if stamp.utcoffset() != stamp.replace(fold=1).utcoffset():
            raise BadRow(
                f"{_show(value)} is there twice or never in {zone}, where clocks change; fix: times with an offset"
            )
    ms = (stamp - _EPOCH) // timedelta(milliseconds=1)
    if not FIRST_MS <= ms < END_MS:
        raise BadRow(f"{_show(value)} is not a time of 2009 to 2099; fix: give the path of the event time")
    return ms


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _stamp(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip()) if not text.strip().isdigit() else None
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


def to_number(spec: Row, here: str) -> Read:
    """A finite number, times the scale."""
    scale = spec.get("scale")
    if scale is not None and (type(scale) not in (int, float) or not math.isfinite(scale) or not scale):
        raise Refusal(f"{here}: scale must be a finite number other than 0, was {scale!r}; fix: give one")

    def read(value: Any) -> float:
        if type(value) is float and scale is None and math.isfinite(value):
            return value
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise BadRow(f"{_show(value)} is no number; fix: give the path of one") from None
        if type(value) not in (int, float):
            raise BadRow(f"{_show(value)} is no number; fix: give the path of one")
        try:
            number = float(value) if scale is None else float(value) * scale
            finite = math.isfinite(number)
        except OverflowError:
            finite = False
        if not finite:
            raise BadRow(f"{_show(value)} is not finite; fix: `skip_without` passes such rows over")
        return number

    return read


def _integer(_: Row, _here: str) -> Read:
    def read(value: Any) -> int:
        number = _decimal(value)
        if number is None or number != number.to_integral_value():
            raise BadRow(f"{_show(value)} is no whole number; fix: give the path of one")
        return int(number)

    return read


def _words(spec: Row, here: str) -> Read:
    values = spec.get("values")
    if values is not None and not isinstance(values, dict):
        raise Refusal(f'{here}: values must be a table of theirs = ours, was {values!r}; fix: {{ theirs = "OURS" }}')

    def read(value: Any) -> str:
        if isinstance(value, dict | list):
            raise BadRow(f"{_show(value)} is no text; fix: give the path of one")
        theirs = text(value)
        if values is None:
            return theirs
        if theirs not in values:
            raise BadRow(f'{_show(value)} is not among `values`; fix: add {_show(theirs)} = "OURS"')
        return str(values[theirs])

    return read


def to_symbol(spec: Row, here: str) -> Read:
    """A symbol as it is, or out of a pair."""
    unit = spec.get("unit")
    if unit not in (None, "pair"):
        raise Refusal(f'{here}: unit of a symbol must be "pair" or none, was {unit!r}; fix: unit = "pair"')
    return (lambda value: _pair(text(value))) if unit else text


def _pair(text: str) -> str:
    """BTC/USDT and BTC/USDT:USDT are BTCUSDT."""
    return text.partition(":")[0].replace("/", "").upper()


def _prices(spec: Row, here: str) -> Read:
    number = to_number(spec, here)
    inner = steps(spec["value"]) if "value" in spec else None
    return _map(spec, here, number if inner is None else lambda entry: number(walk(entry, inner)))


def _ranks(spec: Row, here: str) -> Read:
    number = to_number(spec, here)
    paths = {name: steps(spec.get(name, name)) for name in ("score", "alignment")}
    return _map(spec, here, lambda entry: {name: number(walk(entry, path)) for name, path in paths.items()})


def _map(spec: Row, here: str, entry: Read) -> Read:
    """A map by symbol, each entry read by `entry`."""
    symbol = to_symbol(spec, here)

    def read(value: Any) -> Row:
        entries = parsed(value) if isinstance(value, str) else value
        if not isinstance(entries, dict):
            raise BadRow(f"{_show(value)} is no map of symbols; fix: give the path of one, or `key` and `value`")
        out = {symbol(k): entry(v) for k, v in entries.items()}
        if len(out) != len(entries):
            raise BadRow("two keys become one symbol; fix: map one of them away upstream")
        return out

    return read


def _any(_: Row, _here: str) -> Read:
    return lambda value: value


CONVERT: Final[Mapping[str, Callable[[Row, str], Read]]] = {
    "time": _time, "number": to_number, "integer": _integer, "text": _words, "symbol": to_symbol,
    "prices": _prices, "ranks": _ranks, "any": _any,
}  # fmt: skip
"""Kind of a field -> maker of its conversion, from the field's table and where it stands."""


def parsed(text: str) -> Any:
    """JSON that a text holds, or None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _decimal(value: Any) -> Decimal | None:
    if type(value) not in (int, float, str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < DIGITS_MAX else None


def is_empty(value: Any) -> bool:
    """Whether it is no value: absent, null, empty, NaN."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and value.lower() in ("", "nan"))


def text(value: Any) -> str:
    """A scalar as text: true, 17 for 17.0."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _show(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"


def _put(row: Any, path: tuple[str, ...], node: Any) -> None:
    """Keep JSON that was read out of a text, so that it is read once a row."""
    for step in path[:-1]:
        row = row[int(step)] if isinstance(row, list) else row[step]
    row[int(path[-1]) if isinstance(row, list) else path[-1]] = node
