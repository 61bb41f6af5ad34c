"""A sixth lane in one file: a haircut where funding is dear, with a plane of its own.

funding = the plane's multiplier; or of its rate
          1.0 where rate <= dear_from, else max(least, 1.0 - gain * (rate - dear_from)); 1.0 before the first plane
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

from lanes.code import PlaneForm
from lanes.kernel import kernel
from lanes.lane import Field, Kind, Lane, Plane
from lanes.params import LaneParams, NotNegative, Share, SpanMs

_MULTIPLIER = int(PlaneForm.MULTIPLIER)
_NEVER_SEEN = int(PlaneForm.NEVER_SEEN)


class FundingParams(LaneParams):
    """Where funding is dear, how much each unit of it cuts, and the least that is left."""

    dear_from: float
    gain: NotNegative
    least: Share
    alert_age_ms: SpanMs


@kernel
def funding(form: int, x: float, dear_from: float, gain: float, least: float) -> tuple[float, float]:
    """How dear the rate is above dear_from, and the multiplier of one scan."""
    if form == _MULTIPLIER:
        return 0.0, x
    if form == _NEVER_SEEN or not x > dear_from:
        return 0.0, 1.0
    dear = x - dear_from
    value = 1.0 - gain * dear
    return dear, value if value > least else least


FUNDING = Plane(
    name="funding",
    forms=((Field("mult", Kind.MULTIPLIER),), (Field("rate", Kind.NUMBER),)),
    alert="funding.alert_age_ms",
    missing=40,
    stale=41,
)
LANE = Lane(
    name="funding",
    title="funding haircut",
    formula="1.0 where rate <= dear_from, else max(least, 1.0 - gain * (rate - dear_from))",
    source="a lane of the tests",
    params=FundingParams,
    off=FundingParams(enabled=False, kernel=None, dear_from=1e-4, gain=400.0, least=0.25, alert_age_ms=28_800_000),
    kernel=funding,
    inputs=("funding.form", "funding.x"),
    constants=("dear_from", "gain", "least"),
    planes=(FUNDING,),
    components=("funding_dear",),
)
