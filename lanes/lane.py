"""What a lane is: a name shared by module, kernel, column, metric, panel and topic; what it reads and shows.

A lane is one pure function of (inputs, params). LANES is the order in which the fan-in multiplies them;
listings, panels and the conformance tests go over it, so a lane joins them all by joining it.
Source: SPEC sections 1 to 3; seed 004 section 8c (five lanes).
"""

from dataclasses import dataclass
from typing import Final

from lanes.params import AcbParams, BaseParams, DcParams, EsofParams, LaneParams, ObParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One of the five concerns that size a trade."""

    name: str
    formula: str
    planes: tuple[str, ...]  # slow values that it reads besides the scan
    components: tuple[str, ...]  # columns that explain its own
    source: str
    params: type[LaneParams]


LANES: Final = (
    Lane(
        name="base",
        formula="min_lev + strength ** convexity * (base_max - min_lev)",
        planes=(),
        components=("strength",),
        source="seed 004 sections 2 and 8b",
        params=BaseParams,
    ),
    Lane(
        name="dc",
        formula="boost if status is CONFIRM else 1.0",
        planes=(),
        components=(),
        source="seed 004 section 8b (V-081)",
        params=DcParams,
    ),
    Lane(
        name="acb",
        formula="acb_boost * meta_boost * mc_scale",
        planes=("acb", "meta", "mc"),
        components=("acb_boost", "meta_boost", "mc_scale"),
        source="seed 004 section 8b (V-082); factors by requirements 9.2",
        params=AcbParams,
    ),
    Lane(
        name="ob",
        formula="1.0 + (up - 1.0) * min(1.0, (eff - imb_from) / (imb_full - imb_from)); mirrored to down",
        planes=("ob",),
        components=(),
        source="seed 004 section 8b (V-083); curve by requirements 9.3",
        params=ObParams,
    ),
    Lane(
        name="esof",
        formula="plateau of the score, blended within edge of a split; stale where missing or old",
        planes=("esof",),
        components=(),
        source="seed 004 section 8 (V-070..076); curve by requirements 9.1",
        params=EsofParams,
    ),
)
