"""EsoF lane: the haircut, the one lane with a fallback of its own.

esof = stale, where the plane is missing or older than max_age_ms, in either form
       the plane's multiplier clamped to [0, 1], NaN stays NaN for the finite check to see
       else of its score: the first plateau below the first split t, and so on; within `edge` E of a split
       lo + (hi - lo) * ((score - (t - E)) / (2.0 * E)), at most hi; t + E is the next plateau's

Source: findings 8; default esof (docs/design/sources.md).
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

import math
from itertools import pairwise
from typing import Final, Literal, Self

import numpy as np
from pydantic import model_validator

from lanes.code import PlaneForm, Reason
from lanes.kernel import kernel
from lanes.lane import Field, Kind, Lane, Plane
from lanes.params import LaneParams, Positive, Share, SpanMs

Splits = tuple[float, float, float, float]
Plateaus = tuple[float, float, float, float, float]

_MULTIPLIER: Final = int(PlaneForm.MULTIPLIER)
_NEVER_SEEN: Final = int(PlaneForm.NEVER_SEEN)


def _ascends(values: tuple[float, ...], by: float = 0.0) -> bool:
    return all(b - a >= by and b > a for a, b in pairwise(values))


class EsofParams(LaneParams):
    """Haircut. application: inside the fan-in, or after it with BLUE's rounding (sc_post)."""

    splits: tuple[float, float, float, float]
    plateaus: tuple[Share, Share, Share, Share, Share]
    edge: Positive
    stale: Share
    max_age_ms: SpanMs
    application: Literal["fan_in", "sc_post"]
    near_one: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not _ascends(self.splits, by=2.0 * self.edge):
            raise ValueError(f"splits must ascend by at least 2 * edge {self.edge!r}, was {self.splits!r}")
        if not _ascends(self.plateaus):
            raise ValueError(f"plateaus must ascend, was {self.plateaus!r}")
        return self


@kernel
def esof(
    form: int, x: float, age_ms: int,
    splits: Splits, plateaus: Plateaus, edge: float, stale: float, max_age_ms: int,
) -> float:  # fmt: skip
    """Haircut in [0, 1]. form: PlaneForm code. x: multiplier or score; a score not finite gives `stale`."""
    if form == _NEVER_SEEN or age_ms > max_age_ms:
        return stale
    if form == _MULTIPLIER:
        return 0.0 if x <= 0.0 else 1.0 if x > 1.0 else x
    if not math.isfinite(x):
        return stale
    for i in range(len(splits)):
        lo, hi, start = plateaus[i], plateaus[i + 1], splits[i] - edge
        if x < start:
            return lo
        if x < splits[i] + edge:
            value = lo + (hi - lo) * ((x - start) / (2.0 * edge))
            return value if value < hi else hi
    return plateaus[4]


ESOF = Plane(
    name="esof",
    forms=((Field("mult", Kind.MULTIPLIER),), (Field("score", Kind.NUMBER),)),
    alert="esof.max_age_ms",
    missing=Reason.PLANE_MISSING_ESOF,
    stale=Reason.PLANE_STALE_ESOF,
)
LANE = Lane(
    name="esof",
    title="EsoF haircut",
    formula="plateau of the score, blended within edge of a split; stale where missing or old",
    source="findings 8; curve: default esof",
    params=EsofParams,
    kernel=esof,
    inputs=("esof.form", "esof.x", "esof.age_ms"),
    constants=("splits", "plateaus", "edge", "stale", "max_age_ms"),
    planes=(ESOF,),
    shows={"esof_fanin": "esof_fanin", "sc_mult": "sc_mult"},
    foreign_plane=True,  # a haircut by whomever is clamped to [0, 1]
    shared=("application", "near_one"),
    # A multiplier is never below 0, so the lower end is the score's.
    doubts=lambda inputs, value, params: {Reason.ESOF_OUT_OF_RANGE: np.abs(inputs["esof.x"]) > 1.0},
)
