"""Bindings: the sets of params of a sweep, by number, and any stretch of them as columns.

Binding 0 is the run's own. Then come those of the grid (every combination, the last axis fastest), of the list, and the
random ones. A random number is a function of (seed, binding, param) alone, so any stretch can be made anywhere.
"""

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from journal.refusal import Refusal
from lanes.kernel import Floats
from lanes.profile import Profile, override
from reactor.run.sweep.fused import Graph, number

MOST: Final = 100_000_000
_CORNERS: Final = 4_096  # sets of params that are checked one by one
_FORM: Final = "[grid], [[list]] and [random]"


@dataclass(frozen=True)
class Bindings:
    """What is swept. Params are TABLE.KEY; ranges: least and greatest value of each random param."""

    profile: Profile
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    listed: Sequence[Mapping[str, Any]] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    random: int = 0
    seed: int = 0

    def __len__(self) -> int:
        return 1 + self._gridded + len(self.listed) + self.random

    @property
    def names(self) -> tuple[str, ...]:
        """Params that differ from the run's own in some binding."""
        return tuple(dict.fromkeys([*self.grid, *(name for each in self.listed for name in each), *self.ranges]))

    @property
    def _gridded(self) -> int:
        count = 1
        for values in self.grid.values():
            count *= len(values)
        return count if self.grid else 0

    def text(self) -> str:
        """All of it as canonical JSON."""
        return json.dumps(
            {"grid": self.grid, "list": self.listed, "ranges": self.ranges, "random": self.random, "seed": self.seed},
            separators=(",", ":"),
        )

    def values(self, first: int, last: int) -> Floats:
        """The bindings from `first` to before `last`: one row a param of `names`, one column a binding."""
        at = np.arange(first, last, dtype=np.int64)
        found = np.repeat([[number(self.profile.param(name))] for name in self.names], len(at), axis=1)
        row = {name: i for i, name in enumerate(self.names)}
        start, step = 1, self._gridded
        mine, each = (at >= start) & (at < start + step), at - start
        for name, given in self.grid.items():
            step //= len(given)
            found[row[name], mine] = np.array([number(value) for value in given])[each[mine] // step % len(given)]
        start += self._gridded
        for place in np.flatnonzero((at >= start) & (at < start + len(self.listed))).tolist():
            for name, value in self.listed[int(at[place]) - start].items():
                found[row[name], place] = number(value)
        mine = at >= start + len(self.listed)
        for axis, (name, (low, high)) in enumerate(self.ranges.items()):
            found[row[name], mine] = low + _uniform(self.seed, at[mine], axis) * (high - low)
        return found

    def check(self, graph: Graph) -> None:
        """Raise Refusal where some binding is no profile, or a param is none that a sweep may change.

        The rules of a profile are orders of two params and domains of one, so what holds at the corners of a grid and
        of the random ranges holds inside.
        """
        if self.profile.esof.application != "fan_in":
            raise Refusal("a sweep rounds no size, as esof.application sc_post does; fix: violet replay RUN --set ...")
        for name in self.names:
            if name not in graph.params:
                raise Refusal(f"{name} cannot be swept; fix: one of {', '.join(graph.params)}, or violet replay")
        given = [(name, value) for name, values in self.grid.items() for value in values]
        for name, value in [*given, *(pair for each in self.listed for pair in each.items())]:
            if not _is_value(value):
                raise Refusal(
                    f"{name} must be a finite number, true, false or none, was {str(value)[:40]!r}; fix: such as 8.5"
                )
        for name in self.ranges:
            if isinstance(self.profile.param(name), bool | int | None):
                raise Refusal(f"{name} is no real number and cannot be random; fix: give it values in a grid")
        if not 1 < len(self) <= MOST:
            raise Refusal(f"a sweep must have 1 to {MOST - 1} bindings, had {len(self) - 1}; fix: {_FORM}, or --set")
        corners = [dict(zip(self.grid, each, strict=True)) for each in _product([_ends(v) for v in self.grid.values()])]
        some = [dict(zip(self.ranges, each, strict=True)) for each in _product(list(self.ranges.values()))]
        for binding in [*corners, *self.listed, *(some if self.random else [])]:
            bound(self.profile, binding)


def bound(profile: Profile, binding: Mapping[str, Any]) -> Profile:
    """A profile with a binding's params. Raises Refusal naming the one that does not fit."""
    tables: dict[str, dict[str, Any]] = {}
    for name, value in binding.items():
        table, _, key = name.partition(".")
        tables.setdefault(table, {})[key] = value
    try:
        return override(profile, tables)
    except ValueError as error:
        raise Refusal(f"binding {json.dumps(binding)}: {error}") from None


def read(profile: Profile, path: Path | None, axes: Mapping[str, Sequence[Any]], *, each_off: bool = False) -> Bindings:
    """Bindings of a grid file and of flags.

    Args:
        profile: the run's params.
        path: TOML with [grid] (TABLE.KEY = [values]), [[list]] (TABLE.KEY = value) and [random] (count, seed, TABLE.KEY
            = [least, greatest]).
        axes: more of the grid.
        each_off: every lane that is on is off in turn, in the list.
    """
    tables = {} if path is None else _file(path)
    if strange := tables.keys() - {"grid", "list", "random"}:
        raise Refusal(f"{path}: unknown table {', '.join(sorted(strange))}; fix: {_FORM}")
    random = dict(tables.get("random", {}))
    count, seed = random.pop("count", 0), random.pop("seed", 0)
    if not (isinstance(count, int) and isinstance(seed, int) and count >= 0 and seed >= 0):
        raise Refusal(f"{path}: [random] count and seed must be whole numbers from 0, were {count!r} and {seed!r}")
    ranges = _flat(random)
    for name, ends in ranges.items():
        if not (
            isinstance(ends, list)
            and len(ends) == 2
            and all(_is_value(x) and x is not None for x in ends)
            and ends[0] <= ends[1]
        ):
            raise Refusal(f"{path}: [random] {name} must be [least, greatest], was {ends!r}")
    if bool(count) != bool(ranges):
        raise Refusal(f"{path}: [random] must have both count and params with [least, greatest]")
    grid = _flat(tables.get("grid", {}))
    if twice := sorted(grid.keys() & axes.keys()):
        raise Refusal(f"{twice[0]} is in [grid] and in --set; fix: all its values in one of them")
    grid |= axes
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise Refusal(f"{path}: [grid] {name} must be a list of values, was {values!r}")
    if not isinstance(rows := tables.get("list", []), list):
        raise Refusal(f"{path}: [[list]] must be tables, was {rows!r}; fix: {_FORM}")
    off = [lane.name for lane in profile.lanes if each_off and profile.of(lane.name).enabled]
    listed = [_flat(each) for each in rows] + [{f"{lane}.enabled": False} for lane in off]
    return Bindings(
        profile, grid, listed, {n: (float(low), float(high)) for n, (low, high) in ranges.items()}, count, seed
    )


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Refusal(f"{path}: {error}; fix: a TOML file with {_FORM}") from None


def _flat(tables: Any) -> dict[str, Any]:
    """TABLE.KEY -> value. None is written as the text "none": TOML has no word for it."""
    if not isinstance(tables, Mapping) or not all(isinstance(each, Mapping) for each in tables.values()):
        raise Refusal(f"params must be TABLE.KEY = value, were {tables!r}")
    flat = {f"{table}.{key}": value for table, keys in tables.items() for key, value in keys.items()}
    return {
        name: [_none(v) for v in value] if isinstance(value, list) else _none(value) for name, value in flat.items()
    }


def _none(value: Any) -> Any:
    return None if value == "none" else value


def _is_value(value: Any) -> bool:
    """Whether a param can be it: a finite number, a switch, or none."""
    return value is None or (isinstance(value, bool | int | float) and abs(value) <= sys.float_info.max)


def _ends(values: Sequence[Any]) -> list[Any]:
    """Values of an axis between which all others lie."""
    return list(dict.fromkeys([min(values, key=number), max(values, key=number)]))


def _product(axes: list[Any]) -> list[Any]:
    if 2 ** len(axes) > _CORNERS:
        raise Refusal(f"a grid or random ranges must have at most 12 params, had {len(axes)}; fix: sweep fewer at once")
    return list(product(*axes)) if axes else []


def _uniform(seed: int, at: NDArray[np.int64], axis: int) -> Floats:
    """Numbers in [0, 1), one a binding: SplitMix64 of where each stands."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed % 2**64) * np.uint64(0xD1342543DE82EF95) + at.astype(np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z += np.uint64(axis + 1) * np.uint64(0xBF58476D1CE4E5B9)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        z ^= z >> np.uint64(31)
    uniform: Floats = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform
