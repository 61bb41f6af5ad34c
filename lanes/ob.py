"""OB lane: lean with the order books where enough of them agree.

eff = -eff_imb, the imbalance as a SHORT sees it
ob  = the plane's multiplier, else of its inputs
      1.0 where n_assets < min_assets or not agree > agree_above
      1.0 + (up - 1.0) * min(1.0, (eff - imb_from) / (imb_full - imb_from))     where eff > imb_from
      1.0 - (1.0 - down) * min(1.0, (-eff - imb_from) / (imb_full - imb_from))  where eff < -imb_from
      1.0 otherwise, and before the first plane

Source: findings 8b; default ob (docs/design/sources.md).
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

from typing import Final, Self

from pydantic import model_validator

from lanes.code import PlaneForm, Reason
from lanes.kernel import kernel
from lanes.lane import Field, Kind, Lane, Plane
from lanes.params import Boost, Count, LaneParams, NotNegative, Positive, Share, SpanMs

_MULTIPLIER: Final = int(PlaneForm.MULTIPLIER)
_NEVER_SEEN: Final = int(PlaneForm.NEVER_SEEN)


class ObParams(LaneParams):
    """Order-book consensus. The multiplier starts at |imb_from| and is whole at |imb_full|."""

    imb_from: NotNegative
    imb_full: Positive
    agree_above: float
    up: Boost
    down: Share
    min_assets: Count
    alert_age_ms: SpanMs

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.imb_full > self.imb_from:
            raise ValueError(f"imb_full must be above imb_from {self.imb_from!r}, was {self.imb_full!r}")
        return self


@kernel
def ob(
    form: int, mult: float, eff_imb: float, agree: float, n_assets: float,
    imb_from: float, imb_full: float, agree_above: float, up: float, down: float, min_assets: int,
) -> float:  # fmt: skip
    """Multiplier of one scan: as it came, or in [down, up]. form: PlaneForm code. A NaN input gives 1.0."""
    if form == _MULTIPLIER:
        return mult
    if form == _NEVER_SEEN or n_assets < min_assets or not agree > agree_above:
        return 1.0
    eff = -eff_imb
    if eff > imb_from:
        weight = (eff - imb_from) / (imb_full - imb_from)
        return 1.0 + (up - 1.0) * (weight if weight < 1.0 else 1.0)
    if eff < -imb_from:
        weight = (-eff - imb_from) / (imb_full - imb_from)
        return 1.0 - (1.0 - down) * (weight if weight < 1.0 else 1.0)
    return 1.0


OB = Plane(
    name="ob",
    forms=(
        (Field("mult", Kind.MULTIPLIER),),
        (Field("eff_imb", Kind.NUMBER), Field("agree", Kind.NUMBER), Field("n_assets", Kind.COUNT)),
    ),
    alert="ob.alert_age_ms",
    missing=Reason.PLANE_MISSING_OB,
    stale=Reason.PLANE_STALE_OB,
)
LANE = Lane(
    name="ob",
    title="OB consensus",
    formula="1.0 + (up - 1.0) * min(1.0, (eff - imb_from) / (imb_full - imb_from)); mirrored to down",
    source="findings 8b; curve: default ob",
    params=ObParams,
    kernel=ob,
    inputs=("ob.form", "ob.x", "ob.x", "ob.y", "ob.z"),
    constants=("imb_from", "imb_full", "agree_above", "up", "down", "min_assets"),
    planes=(OB,),
    shows={"mult": "ob"},
    doubts=lambda inputs, value, params: {Reason.OB_OUT_OF_RANGE: (value < params.down) | (value > params.up)},
)
