"""Adversary: a cross-entropy search for points where two surfaces differ, beside the draws of the universe.

Forms of the same arithmetic may part where it decides between two values that are almost equal, and draws hardly come
there. So each search has an aim, a distance in ulp: points are drawn, those that come closest are kept, the next ones
are drawn around them, until they stand on it. The surfaces are compared on every point.
Source: Rubinstein, The cross-entropy method, Methodol. Comput. Appl. Probab. 1, 1999. See docs/design/universe.md.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lanes.columns import Inputs
from lanes.kernel import Floats
from lanes.profile import Profile
from lanes.universe import Coordinate, dimensions, drawn, points
from reactor.run.surface import Columns, Surface, Tally, looked

ROUNDS: Final = 30
DRAWN: Final = 1_024  # points a round
KEPT: Final = 32  # of them
_NARROWER: Final = 4.0  # each round than the one before: after thirty a coordinate has no more bits
_MANTISSA: Final = 53

Distance = Callable[[Inputs, Columns, Profile], Floats]


def search(profile: Profile, surfaces: Mapping[str, Surface], first: int, name: str) -> tuple[Tally, dict[str, float]]:
    """Search along every aim.

    Args:
        profile: the params.
        surfaces: those that are compared with the columns.
        first: seed of the first point; each takes the next.
        name: the profile's, for people.

    Returns:
        What was found, and by aim the least distance in ulp that was come to.
    """
    total, closest = Tally(), dict[str, float]()
    for aim, distance in AIMS.items():
        coordinate = drawn(range(first, first + DRAWN))
        for turn in range(ROUNDS):
            column = _table(coordinate, profile)
            inputs = points(column.__getitem__, profile)
            tally, ours = looked(inputs, profile, surfaces, f"search {name}, {aim}: round {turn}, point {{}}")
            total.add(tally)
            far = np.where(_inside(ours), distance(inputs, ours, profile), np.inf)
            closest[aim] = min(closest.get(aim, np.inf), float(far.min()))
            kept = np.argsort(far, kind="stable")[:KEPT]
            kept = kept[np.isfinite(far[kept])]
            first += DRAWN
            if len(kept):
                coordinate = _around(column, kept, drawn(range(first, first + DRAWN)), _NARROWER**-turn)
    return total, closest


def _table(coordinate: Coordinate, profile: Profile) -> list[Floats]:
    return [coordinate(k) for k in range(dimensions(profile))]


def _around(column: list[Floats], kept: NDArray[np.int64], uniform: Coordinate, most: float) -> Coordinate:
    """Coordinates around those of the kept points: each near one of them, so that two places as good both stay.

    most: the largest spread; that of the kept points counts where it is smaller.
    """
    spreads = [min(most, float(each[kept].std())) for each in column]

    def coordinate(k: int) -> Floats:
        start = column[k][kept][(uniform(3_000) * len(kept)).astype(np.int64)]
        return np.clip(start + spreads[k] * _bell(uniform, k), 0.0, 1.0 - 2.0**-_MANTISSA)

    return coordinate


def _bell(uniform: Coordinate, k: int) -> Floats:
    """Nearly normal: the sum of three uniform draws, about 0, of variance 1."""
    total: Floats = uniform(k) + uniform(k + 1_000) + uniform(k + 2_000)
    return (total - 1.5) * 2.0


def _inside(ours: Columns) -> NDArray[np.bool_]:
    """Where the strength is not clipped: else raw stands still while vel_div moves, often on the bound itself."""
    inside: NDArray[np.bool_] = (ours["non_finite"] == 0) & (ours["strength"] > 0.0) & (ours["strength"] < 1.0)
    return inside


def _ulps(a: Floats, b: Floats | float) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):
        gap: Floats = np.abs(a - b) / np.spacing(np.abs(b))
    return gap


def _stalker(inputs: Inputs, ours: Columns, profile: Profile) -> Floats:
    cap = profile.fanin.stalker_cap
    none = np.full(len(ours["raw"]), np.inf)
    return none if cap is None else np.where(inputs["stalker"], _ulps(ours["raw"], cap), none)


AIMS: Final[Mapping[str, Distance]] = {
    "raw at the cap": lambda inputs, ours, profile: _ulps(ours["raw"], ours["cap"]),
    "raw at abs_max": lambda inputs, ours, profile: _ulps(ours["raw"], profile.fanin.abs_max),
    "raw at stalker_cap": _stalker,
    "bounded at min_lev": lambda inputs, ours, profile: _ulps(
        np.minimum(ours["raw"], ours["cap"]), profile.base.min_lev
    ),
}


def aims(found: Mapping[str, Any]) -> dict[str, float | None]:
    """The least distances as JSON has them: null where an aim does not apply."""
    return {aim: far if np.isfinite(far) else None for aim, far in found.items()}
