"""Base lane: the cubic of how far vel_div lies below the threshold.

strength = clip((thr - vel_div) / (thr - extreme)), clip to [0, 1], NaN stays NaN
base     = min_lev + strength ** convexity * (base_max - min_lev)

`**` is libm's pow of two floats; s * s * s differs in the last bit on a quarter of all inputs. The convexity
is an argument, never a literal that a compiler could unroll.
Source: findings 2 and 8b; default base (docs/design/sources.md).
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

from typing import Self

from pydantic import model_validator

from lanes.kernel import kernel
from lanes.lane import Lane
from lanes.params import LaneParams, NotNegative, Positive


class BaseParams(LaneParams):
    """The cubic. thr and extreme are vel_div; the signal is vel_div < thr, strictly."""

    thr: float
    extreme: float
    min_lev: NotNegative
    base_max: Positive
    convexity: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.thr > self.extreme:
            raise ValueError(f"thr must be above extreme {self.extreme!r}, was {self.thr!r}")
        if not self.base_max >= self.min_lev:
            raise ValueError(f"base_max must be at least min_lev {self.min_lev!r}, was {self.base_max!r}")
        return self


@kernel
def base(
    vel_div: float, thr: float, extreme: float, min_lev: float, base_max: float, convexity: float
) -> tuple[float, float]:
    """Strength in [0, 1] and base in [min_lev, base_max]; both NaN where vel_div is. Needs thr > extreme."""
    x = (thr - vel_div) / (thr - extreme)
    strength = 0.0 if x < 0.0 else 1.0 if x > 1.0 else x
    return strength, min_lev + strength**convexity * (base_max - min_lev)


LANE = Lane(
    name="base",
    title="base cubic",
    formula="min_lev + strength ** convexity * (base_max - min_lev)",
    source="findings 2 and 8b",
    params=BaseParams,
    kernel=base,
    inputs=("vel_div",),
    constants=("thr", "extreme", "min_lev", "base_max", "convexity"),
    components=("strength",),
    shows={"vel_div": "vel_div"},
    inside_cap=False,  # base_max stands in its place there
    shared=("thr", "extreme", "min_lev", "base_max", "convexity"),
)
