"""DC lane: lever up when direction-confirm agrees with the signal.

dc = boost if status is CONFIRM else 1.0

CONTRADICT and NEUTRAL do not reduce, and an unknown status takes the else-branch, as BLUE's does.
Source: findings 8b, line 2 of the composition; default dc (docs/design/sources.md).
"""

from typing import Final

from lanes.code import DcStatus, Reason
from lanes.kernel import kernel
from lanes.lane import Lane
from lanes.params import Boost, LaneParams

_CONFIRM: Final = int(DcStatus.CONFIRM)


class DcParams(LaneParams):
    """Direction-confirm."""

    boost: Boost


@kernel
def dc(status: int, boost: float) -> float:
    """Multiplier of one scan. status: DcStatus code."""
    return boost if status == _CONFIRM else 1.0


LANE = Lane(
    name="dc",
    title="DC boost",
    formula="boost if status is CONFIRM else 1.0",
    source="findings 8b",
    params=DcParams,
    kernel=dc,
    inputs=("dc_status",),
    constants=("boost",),
    shows={"confirm": "confirm"},
    inside_cap=False,
    doubts=lambda inputs, value, params: {Reason.DC_UNKNOWN: inputs["dc_status"] == DcStatus.UNKNOWN},
)
