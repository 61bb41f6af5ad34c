"""Universe: every joint input of the lanes and the fan-in as points, each a function of its seed alone.

Point s has coordinates in [0, 1), the mixed bits of (s, k), and a coordinate becomes an input: an edge of a branch or
one of its two neighbours, a plausible draw, or something wild (NaN, an infinity, either zero, a subnormal, any
magnitude). Most points are tame in most inputs, so that they reach the last line of the fan-in. The profile is a
function of the seed too. So points may be computed in any order, by any number of workers.
See docs/design/universe.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lanes.columns import Inputs
from lanes.kernel import Floats
from lanes.profile import PROFILES, Profile, override

Seeds = NDArray[np.uint64]
Coordinate = Callable[[int], Floats]

BLOCK: Final = 1 << 14  # consecutive seeds of one profile, and what is evaluated at once: it stays in the cache
WILD: Final = (
    np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, 2.2250738585072014e-308,
    1e308, -1e308, 1.0, -1.0,
)  # fmt: skip
_WILDNESS: Final = ((0.7, 0.0), (0.9, 0.1), (1.0, 0.5))  # share of points up to here: how many of their inputs are wild
_EDGES: Final = 0.4  # share of the tame values that are an edge or its neighbour
_GAMMA: Final = 0x9E3779B97F4A7C15  # of splitmix64, Steele, Lea and Flood, OOPSLA 2014


class Axis(NamedTuple):
    """One input: its values that are named, and the range of the drawn ones; only the named ones where lo is hi."""

    named: NDArray[Any]
    lo: float = 0.0
    hi: float = 0.0

    @property
    def values(self) -> NDArray[Any]:
        """Every value that is named, the wild ones too."""
        return np.concatenate([self.named, WILD]) if self.named.dtype == np.float64 else self.named


def profiles() -> dict[str, Profile]:
    """Every profile by a name, and beside it the same one with the haircut after the fan-in where it has one."""
    after = {
        f"{name}, sc_post": override(each, {"esof": {"application": "sc_post"}})
        for name, each in PROFILES.items()
        if each.esof.enabled
    }
    return {**PROFILES, **after}


def turns() -> list[tuple[str, Profile]]:
    """The profiles in the order in which blocks of seeds have them. Python rounds row by row: that one seldom."""
    known = list(profiles().items())
    plain, after = known[: len(PROFILES)], known[len(PROFILES) :]
    return [*plain * 3, plain[0], *after]


def spans(first: int, n: int, of: int) -> Iterator[tuple[int, range]]:
    """The seeds first .. first + n in ranges of one profile, each with whose turn it is, of `of`."""
    at, end = first, first + n
    while at < end:
        stop = min(end, (at // BLOCK + 1) * BLOCK)
        yield at // BLOCK % of, range(at, stop)
        at = stop


def drawn(seeds: range | Seeds) -> Coordinate:
    """The coordinates of points: k -> a column in [0, 1)."""
    mixed = _mix(np.asarray(seeds, dtype=np.uint64) * np.uint64(_GAMMA))

    def coordinate(k: int) -> Floats:
        return (_mix(mixed + np.uint64((k + 1) * _GAMMA % 2**64)) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    return coordinate


def points(coordinate: Coordinate, profile: Profile) -> Inputs:
    """Columns of inputs at some coordinates. There are `dimensions` of them."""
    wildness = np.select([coordinate(0) < upto for upto, _ in _WILDNESS], [share for _, share in _WILDNESS])
    found = {}
    for number, (name, axis) in enumerate(axes(profile).items()):
        which, where = coordinate(2 * number + 1), coordinate(2 * number + 2)
        found[name] = _at(axis, which, where, wildness)
    return found


def dimensions(profile: Profile) -> int:
    """How many coordinates a point has."""
    return 2 * len(axes(profile)) + 1


def edges(profile: Profile, first: int) -> Inputs:
    """Every pair of named values of any two inputs, the wild ones too; the others are tame draws from `first` on."""
    of = axes(profile)
    pairs = [(a, b, len(of[a].values) * len(of[b].values)) for a, b in combinations(of, 2)]
    coordinate = drawn(np.arange(first, first + sum(n for _, _, n in pairs), dtype=np.uint64))
    found = points(lambda k: coordinate(k) if k else np.zeros_like(coordinate(0)), profile)
    at = 0
    for a, b, n in pairs:
        found[a][at : at + n] = np.repeat(of[a].values, len(of[b].values))
        found[b][at : at + n] = np.tile(of[b].values, len(of[a].values))
        at += n
    return found


def axes(profile: Profile) -> Mapping[str, Axis]:
    """The inputs of a profile's lanes and of the fan-in, by name."""
    base, acb, ob, esof = profile.base, profile.acb, profile.ob, profile.esof
    multipliers = _around(0.0, 0.3, ob.down, 1.0, 1.125, ob.up, 1.6)
    splits = [s + d for s in esof.splits for d in (-esof.edge, 0.0, esof.edge)]
    imbalances = (ob.imb_from, -ob.imb_from, ob.imb_full, -ob.imb_full)
    ages = (-1, 0, 0, 0, esof.max_age_ms - 1, esof.max_age_ms, esof.max_age_ms + 1, 2**62)
    known = {
        "vel_div": Axis(_around(base.thr, base.extreme, -0.0337, 0.0), -0.06, -0.01),
        "w750": Axis(_around(acb.w750_thr), -0.01, 0.01),
        "acb.x": Axis(_around(0.0, acb.signals_from, 2.0), 0.0, 3.0),
        "meta.x": Axis(multipliers, 0.5, 1.5),
        "mc.x": Axis(multipliers, 0.0, 1.0),
        "ob.x": Axis(np.concatenate([_around(*imbalances), multipliers]), -0.4, 1.2),
        "ob.y": Axis(_around(ob.agree_above), 0.6, 1.0),
        "ob.z": Axis(_around(*range(ob.min_assets - 2, ob.min_assets + 3)), 0.0, 8.0),
        "esof.x": Axis(_around(*splits, 0.0, 1.0), -0.4, 1.2),
        "capital_usd": Axis(_around(profile.fanin.paper_capital_usd), 1.0, 100_000.0),
    }
    by_kind = {
        "dc_status": Axis(np.arange(4, dtype=np.int8)),
        "form": Axis(np.arange(3, dtype=np.int8)),
        "seen": Axis(np.array([False, True])),
        "stalker": Axis(np.array([False, True])),
        "age_ms": Axis(np.array(ages, dtype=np.int64)),
    }
    inputs = dict.fromkeys(name for lane in profile.lanes for name in lane.inputs)
    other = Axis(multipliers, -0.1, 1.5)
    return {
        name: known.get(name) or by_kind.get(name.partition(".")[2] or name, other)
        for name in (*inputs, "stalker", "capital_usd")
    }


def _around(*values: float) -> Floats:
    """Each value and its two neighbours."""
    at = np.array(values, dtype=np.float64)
    return np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)])


def _at(axis: Axis, which: Floats, where: Floats, wildness: Floats) -> NDArray[Any]:
    if axis.lo == axis.hi:
        return _pick(axis.named, which)
    tame = (which - wildness) / (1.0 - wildness)
    value = np.where(tame < _EDGES, _pick(axis.named, tame / _EDGES), axis.lo + where * (axis.hi - axis.lo))
    rows = np.flatnonzero(which < wildness)
    value[rows] = _wild(where[rows])
    return value


def _wild(where: Floats) -> Floats:
    """Half of them are named, the others of any sign and magnitude."""
    rest = where * 4.0 % 1.0
    any_size = np.ldexp(1.0 + rest * 1024.0 % 1.0, (rest * 2098.0).astype(np.int64) - 1074)
    return np.where(where < 0.5, _pick(np.array(WILD), where * 2.0), np.where(where < 0.75, any_size, -any_size))


def _pick(values: Sequence[Any] | NDArray[Any], share: Floats) -> NDArray[Any]:
    """The value at a share of the list; the ends where it is beyond."""
    picked: NDArray[Any] = np.asarray(values)[np.clip((share * len(values)).astype(np.int64), 0, len(values) - 1)]
    return picked


def _mix(x: Seeds) -> Seeds:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Seeds = x ^ (x >> np.uint64(31))
    return mixed
