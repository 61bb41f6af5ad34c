"""Columns of a bar file become numbers, times and symbols, exact to the last digit; pure.

A column is an array (out of Parquet or Feather) or a list of what text or JSON held. What cannot be right is a BadCell,
which names the row by its place in the column and the value as it stands in the file. See docs/design/feeds.md.
"""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lanes.code import END_MS, FIRST_MS
from reactor.feed.bar_shape import joined
from reactor.feed.convert import BadRow, show, to_decimal
from reactor.feed.moment import PER_MS, UNIT_NAMES, in_digits, to_time

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NO_TIME: Final = -(1 << 62)
_MS: Final = {"s": 1_000, "ms": 1, "us": 1, "ns": 1}  # milliseconds of a tick, of which
_TICKS: Final = {"s": 1, "ms": 1, "us": 1_000, "ns": 1_000_000}  # so many make one
_BOUNDS: Final = {unit: tuple(math.ceil(at * _TICKS[unit] / _MS[unit]) for at in (FIRST_MS, END_MS)) for unit in _TICKS}


class BadCell(ValueError):
    """A value that cannot be right. at: its place in the column."""

    def __init__(self, at: int, said: str) -> None:
        super().__init__(said)
        self.at = at


def numbers(column: Any) -> Floats:
    """Doubles; of a decimal the nearest one. An empty cell is refused, NaN and infinity are handed on.

    >>> numbers(["1.5", 2, "1e3"]).tolist()
    [1.5, 2.0, 1000.0]
    """
    if isinstance(column, np.ndarray):
        return column.astype(np.float64)
    try:
        return np.array([_number(value) for value in column], np.float64)
    except (ValueError, OverflowError):
        at = next(n for n, value in enumerate(column) if not _is_number(value))
        fix = "; fix: write numbers as 1500.25, or drop that row"
        raise BadCell(at, f"is no number{fix}" if _there(column[at]) else "is empty") from None


def _number(value: Any) -> float:
    if type(value) is str:
        if "_" in value or not value.isascii():  # Python reads 1_5 as 15
            raise ValueError
        return float(value)
    if type(value) is float or type(value) is int:
        return float(value)
    raise ValueError


def _is_number(value: Any) -> bool:
    try:
        _number(value)
    except (ValueError, OverflowError):
        return False
    return True


def _there(value: Any) -> bool:
    return value is not None and value != ""


def symbols(column: Any, match: str | None) -> list[str]:
    """Symbols as text; with a pattern, its groups put together."""
    values = column.tolist() if isinstance(column, np.ndarray) else column
    if match is None:
        return [value if type(value) is str else str(value) if _there(value) else "" for value in values]
    known: dict[Any, str] = {}
    for at, value in enumerate(values):
        if value not in known:
            found = re.fullmatch(match, value) if isinstance(value, str) else None
            if found is None:
                raise BadCell(at, "is no symbol of this shape; fix: another preset, or --map bars.toml")
            known[value] = joined(found)
    return [known[value] for value in values]


class Clock:
    """Reads the times of one file: numbers in one of some units, text in ISO 8601, or times that bear their unit.

    Units differ by a thousand, so a time of 2009 to 2099 has one unit only. Without `mixed` the first one holds for
    the whole file.
    """

    def __init__(self, units: Sequence[str], zone: str | None, *, mixed: bool) -> None:
        """Raises Refusal where the zone is not known."""
        self._units, self._mixed, self._seen, self._began = tuple(units), mixed, "", False
        self._iso = to_time({"unit": "iso"} | ({"zone": zone} if zone else {}), "the zone")

    def __call__(self, column: Any) -> Ints:
        """Milliseconds, UTC. A part of a millisecond is refused."""
        found = self._read(column)
        self._began = self._began or len(found) > 0
        return found

    def _read(self, column: Any) -> Ints:
        if isinstance(column, np.ndarray) and column.dtype.kind == "M":
            return self._bearing(column)
        if isinstance(column, np.ndarray) and column.dtype.kind == "i":
            return self._whole(column)
        if isinstance(column, np.ndarray):
            column = column.tolist()
        if all(type(v) is int or (type(v) is str and v.isdigit() and v.isascii()) for v in column):
            whole = [int(v) for v in column]
            if max(whole, default=0) < 1 << 62:
                return self._whole(np.array(whole, np.int64))
        return np.array([self._one(at, value) for at, value in enumerate(column)], np.int64)

    def _bearing(self, column: NDArray[Any]) -> Ints:
        unit = np.datetime_data(column.dtype)[0]
        found, rest = np.divmod(column.astype(np.int64) * _MS[unit], _TICKS[unit])
        if (bad := (rest != 0) | (found < FIRST_MS) | (found >= END_MS)).any():
            raise BadCell(int(bad.argmax()), "is no time of 2009 to 2099 in whole milliseconds")
        return np.asarray(found)

    def _whole(self, column: Ints) -> Ints:
        if len(column):
            self._look(int(column[0]))
        out = np.full(len(column), _NO_TIME)
        for unit in self._allowed():
            low, end = _BOUNDS[unit]
            fits = (column >= low) & (column < end) & (column % _TICKS[unit] == 0)
            out[fits] = column[fits] * _MS[unit] // _TICKS[unit]
        if (bad := out == _NO_TIME).any():
            at = int(bad.argmax())
            raise BadCell(at, self._why(at, Decimal(int(column[at]))))
        return out

    def _one(self, at: int, value: Any) -> int:
        number = to_decimal(value)
        if number is None:
            if not isinstance(value, str) or not value.strip():
                raise BadCell(at, "is no time" if _there(value) else "is empty")
            try:
                return int(self._iso(value))
            except BadRow as error:
                said, _, fix = str(error).removeprefix(f"{show(value)} ").partition("; fix: ")
                iso = "repair or drop that row, or write times in ISO 8601, such as 2025-05-10T00:00:00Z"
                zone = "--zone UTC, or the zone that the file has"
                raise BadCell(at, f"{said}; fix: {zone if fix.startswith('zone') else iso}") from None
        self._look(number)
        for unit in self._allowed():
            ms = number * PER_MS[unit]
            if FIRST_MS <= ms < END_MS and ms == ms.to_integral_value():
                return int(ms)
        raise BadCell(at, self._why(at, number))

    def _allowed(self) -> tuple[str, ...]:
        return (self._seen,) if self._seen else self._units

    def _look(self, first: int | Decimal) -> None:
        """Let the first time of the file choose the unit of all."""
        if not self._mixed and not self._seen:
            self._seen = next((unit for unit in self._units if FIRST_MS <= first * PER_MS[unit] < END_MS), "")

    def _why(self, at: int, number: Decimal) -> str:
        like = next((unit for unit, per_ms in PER_MS.items() if FIRST_MS <= number * per_ms < END_MS), None)
        allowed = self._allowed()
        must = " or ".join(UNIT_NAMES[unit] for unit in allowed)
        if like is None and (digits := in_digits(str(number))):
            return digits
        if like is None or like in allowed:
            return f"is no time of 2009 to 2099 in {must}, or finer than a millisecond"
        if self._began or at:  # one unit alone would refuse the times before
            both = ",".join((*allowed, like))
            return f"looks like {UNIT_NAMES[like]}, the times before it like {must}; fix: --unit {both}"
        return f"looks like {UNIT_NAMES[like]}, must be {must}; fix: --unit {like}"
