"""The lanes and the fan-in over the columns of a batch.

One compiled loop a lane (`evaluate_lane`), then the fan-in's (`compose`): in one process, or each lane in a process of
its own. A foreign kernel's column takes the place of its lane's default; a lane that is off is 1.0 and still has its
columns. Nothing is judged here: a row that is not finite bears the number of the lane that made it so, and the caller
rejects it. See docs/design/lanes.md.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from lanes import fanin
from lanes.code import PlaneForm
from lanes.kernel import Codes, Flags, Floats, Kernel, column
from lanes.lane import Lane
from lanes.profile import Profile

LaneDone = Callable[[str], None]
# What the lanes read, one row a scan, by the names of Lane.inputs; of the fan-in `stalker` (flags) and `capital_usd`,
# paper capital where none was seen. A plane's numbers count only where its form or flag says so.
Inputs = Mapping[str, Any]
# Columns that the fan-in adds to the lanes'.
FANIN: Final = ("esof_fanin", "cap", "bound", "leverage_fanin", "sc_mult", "leverage", "notional_usd")


@dataclass(frozen=True, slots=True)
class LaneColumns:
    """What one lane gives for every row: its value, and its components in the order of Lane.components."""

    value: Floats
    components: tuple[Floats, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneValues:
    """Columns by lane; and by row, where a foreign kernel failed, the lane and its error."""

    columns: dict[str, LaneColumns]
    faults: dict[int, tuple[str, str]]


@dataclass(slots=True, kw_only=True)
class Readings:
    """What the lanes and the fan-in give for every row.

    Args:
        columns: By name: values and components of the lanes, and those of FANIN. Floats; `bound` holds codes of Bound.
        raw: The product of the factors, before the cap.
        floor_lifted: Where the floor lifted a zero.
        non_finite: 0 where all is finite; else the number, from 1, of the first lane of the profile that is not; one
            more than there are lanes: the fan-in.
    """

    columns: dict[str, Any]
    raw: Floats
    floor_lifted: Flags
    non_finite: Codes


def evaluate(
    inputs: Inputs, profile: Profile, foreign: Mapping[str, Floats], lane_done: LaneDone = lambda lane: None
) -> Readings:
    """Evaluate every row.

    Args:
        inputs: Columns of one length, by name.
        profile: The params.
        foreign: Values of foreign kernels, by lane.
        lane_done: Called with each lane when its loop is over.

    >>> from lanes.profile import PROFILES
    >>> import numpy as np
    >>> one = np.ones(1)
    >>> planes = {f"{p}.{c}": one for p in ("acb", "meta", "mc", "ob", "esof") for c in ("x", "y", "z")}
    >>> forms = {f"{p}.form": np.ones(1, np.int8) for p in ("acb", "ob", "esof")}
    >>> seen = {f"{p}.seen": np.ones(1, np.bool_) for p in ("meta", "mc")}
    >>> scan = {"vel_div": np.array([-0.0337]), "w750": one, "dc_status": np.zeros(1, np.int8)}
    >>> rest = {"esof.age_ms": np.zeros(1, np.int64), "stalker": np.zeros(1, np.bool_), "capital_usd": one * 25_000}
    >>> readings = evaluate(planes | forms | seen | scan | rest, PROFILES["v3_base9"], {})
    >>> readings.columns["leverage"].tolist(), readings.columns["notional_usd"].tolist()
    ([1.3095000185185186], [6547.500092592593])
    """
    columns_of = {}
    lane_done("")
    for lane in profile.lanes:
        columns_of[lane.name] = evaluate_lane(lane, inputs, profile, foreign.get(lane.name))
        lane_done(lane.name)
    readings = compose(profile, columns_of, inputs["stalker"], inputs["capital_usd"])
    lane_done("fanin")
    return readings


def evaluate_lane(lane: Lane, inputs: Inputs, profile: Profile, foreign: Floats | None) -> LaneColumns:
    """One lane alone over every row. foreign: values of a kernel in its place."""
    enabled, ones = profile.of(lane.name).enabled, np.ones(len(inputs["vel_div"]))
    if foreign is not None and enabled and lane.foreign_plane:
        plane = lane.planes[0].name
        inputs = {
            **inputs,
            f"{plane}.form": np.full(len(foreign), PlaneForm.MULTIPLIER, np.int8),
            f"{plane}.x": foreign,
            f"{plane}.age_ms": np.zeros(len(foreign), np.int64),
        }
        foreign = None
    instead = None if enabled and foreign is None else foreign if enabled else ones
    if instead is not None and lane.factors:  # it stands for all of them
        return LaneColumns(instead, (instead, *(ones for _ in lane.components[1:])) if lane.components else ())
    if instead is not None and not lane.components:
        return LaneColumns(instead)
    *components, value = _loop(lane)(*(inputs[name] for name in lane.inputs), *profile.constants(lane))
    return LaneColumns(value if instead is None else instead, tuple(components))


@cache
def _loop(lane: Lane) -> Kernel[..., tuple[Floats, ...]]:
    return column(lane.kernel, len(lane.inputs), len(lane.components) + 1)


def compose(profile: Profile, columns_of: Mapping[str, LaneColumns], stalker: Flags, capital_usd: Floats) -> Readings:
    """The fan-in over the columns of the lanes, wherever they were computed. stalker: rows under that posture."""
    f, lanes = profile.fanin, profile.lanes
    haircut, ones = columns_of["esof"].value, np.ones(len(stalker))
    after = profile.esof.application == "sc_post"
    inside, sc_mult = (ones, haircut) if after else (haircut, ones)
    factors = [inside if lane.name == "esof" else columns_of[lane.name].value for lane in lanes]
    stalker_cap = math.inf if f.stalker_cap is None else f.stalker_cap
    raw, cap, product, bound, leverage_fanin, lifted, usd = fanin.column(
        np.column_stack(factors), np.array([lane.inside_cap for lane in lanes]), stalker, capital_usd,
        profile.base.base_max, f.abs_max, stalker_cap, profile.base.min_lev, f.fraction,
    )  # fmt: skip
    leverage = leverage_fanin
    if after:
        leverage, usd = fanin.sc_column(leverage_fanin, usd, sc_mult, profile.esof.near_one)
    columns: dict[str, Any] = dict(
        zip(FANIN, (inside, cap, bound, leverage_fanin, sc_mult, leverage, usd), strict=True)
    )
    for lane in lanes:
        columns |= zip(lane.components, columns_of[lane.name].components, strict=True)
        columns[lane.name] = columns_of[lane.name].value
    non_finite = np.zeros(len(ones), np.int8)
    # From the last to the first, so that the first one stays.
    for each in (raw, product, usd):
        non_finite[~np.isfinite(each)] = len(lanes) + 1
    for number, lane in reversed(tuple(enumerate(lanes, 1))):
        for name in (lane.name, *lane.components):
            non_finite[~np.isfinite(columns[name])] = number
    return Readings(columns=columns, raw=raw, floor_lifted=lifted, non_finite=non_finite)
