"""Twins: the whole chain scan by scan, as one compiled loop and in plain Python, beside the loops over columns.

`lanes.columns` lets one lane after the other run over a batch, and the fan-in after them. Here all of a scan is
computed before the next one, by the same scalar kernels: another order, other neighbours for the compiler, and in plain
Python no compiler. Equal bits of the three are what `violet verify --universe` checks. The loop is written from the
lanes' own declarations, once, and run in both ways. See docs/design/universe.md.
"""

import inspect
import math
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from types import FunctionType
from typing import Any, Final, cast

import numpy as np

from lanes import fanin
from lanes.columns import Inputs, Readings
from lanes.kernel import Kernel
from lanes.lane import Lane
from lanes.profile import Profile

_KEPT: Final = ("raw", "cap", "bound", "leverage_fanin", "floor_lifted", "notional_usd", "non_finite")
_DTYPES: Final = {"bound": np.int8, "floor_lifted": np.bool_, "non_finite": np.int8}


def whole(readings: Readings) -> dict[str, Any]:
    """All columns of readings by name, as the twins give them."""
    others = {"raw": readings.raw, "floor_lifted": readings.floor_lifted, "non_finite": readings.non_finite}
    return readings.columns | others


def scalar(inputs: Inputs, profile: Profile) -> dict[str, Any]:
    """Columns by name, scan by scan over the compiled scalar kernels."""
    lanes, n = profile.lanes, len(inputs["stalker"])
    out: dict[str, Any] = {name: np.empty(n, _DTYPES.get(name, np.float64)) for name in _names(lanes)}
    _compiled(lanes)(*(inputs[name] for name in _inputs(lanes)), *_constants(profile), *out.values())
    return _after(out, profile, fanin.sc_column)


def python(inputs: Inputs, profile: Profile) -> dict[str, Any]:
    """Columns by name, scan by scan in plain Python: its floats, its pow, its comparisons."""
    lanes, n = profile.lanes, len(inputs["stalker"])
    out: dict[str, Any] = {name: [0.0] * n for name in _names(lanes)}
    _plain(lanes)(*(inputs[name].tolist() for name in _inputs(lanes)), *_constants(profile), *out.values())

    def sc_rows(leverage: Any, usd: Any, mult: Any, near_one: float) -> Any:
        rows = zip(leverage.tolist(), usd.tolist(), mult.tolist(), strict=True)
        cut = [fanin.sc_post(*row, near_one)[:2] for row in rows]
        return tuple(np.array(column) for column in zip(*cut, strict=True))

    return _after({name: np.array(v, _DTYPES.get(name, np.float64)) for name, v in out.items()}, profile, sc_rows)


def _after(out: dict[str, Any], profile: Profile, cut: Callable[..., Any]) -> dict[str, Any]:
    """With the haircut's columns, and behind the fan-in where the profile has it there."""
    ones, haircut = np.ones(len(out["esof"])), out["esof"]
    after = profile.esof.application == "sc_post"
    out["esof_fanin"], out["sc_mult"] = (ones, haircut) if after else (haircut, ones)
    out["leverage"] = out["leverage_fanin"]
    if after:
        out["leverage"], out["notional_usd"] = cut(
            out["leverage_fanin"], out["notional_usd"], haircut, profile.esof.near_one
        )
    return out


def _inputs(lanes: tuple[Lane, ...]) -> list[str]:
    return [*dict.fromkeys(name for lane in lanes for name in lane.inputs), "stalker", "capital_usd"]


def _names(lanes: tuple[Lane, ...]) -> list[str]:
    return [*(name for lane in lanes for name in (*lane.components, lane.name)), *_KEPT]


def _constants(profile: Profile) -> list[Any]:
    """In the order of the written loop: of each lane its constants and whether it is on, then the fan-in's."""
    f, lanes = profile.fanin, profile.lanes
    stalker_cap = math.inf if f.stalker_cap is None else f.stalker_cap
    of_lanes = [each for lane in lanes for each in (*profile.constants(lane), profile.of(lane.name).enabled)]
    inside = tuple(lane.inside_cap for lane in lanes)
    is_after = profile.esof.application == "sc_post"
    return [
        *of_lanes, is_after, inside, profile.base.base_max, f.abs_max, stalker_cap, profile.base.min_lev, f.fraction,
    ]  # fmt: skip


def _written(lanes: tuple[Lane, ...]) -> str:
    """The loop as text, with `k_LANE`, `compose` and `notional` for the kernels. Names of columns have _ for a dot."""
    column = {name: name.replace(".", "_") for name in _inputs(lanes)}
    constants = {lane.name: [f"c_{lane.name}_{k}" for k in range(len(lane.constants))] for lane in lanes}
    of_lanes = [each for lane in lanes for each in (*constants[lane.name], f"on_{lane.name}")]
    limits = ["is_after", "inside", "base_max", "abs_max", "stalker_cap", "min_lev", "fraction"]
    out = [f"out_{name}" for name in _names(lanes)]
    lines = [f"def scans({', '.join(map('in_{}'.format, column.values()))}, {', '.join([*of_lanes, *limits, *out])}):"]
    lines.append("    for i in range(len(in_stalker)):")
    for lane in lanes:
        given = ", ".join(f"v_{name}" for name in (*lane.components, lane.name))
        read = ", ".join([*(f"in_{column[name]}[i]" for name in lane.inputs), *constants[lane.name]])
        off = [lane.name, *(lane.components if lane.factors else ())]
        lines += [
            f"        {given} = k_{lane.name}({read})",
            f"        if not on_{lane.name}:",
            f"            {' = '.join(f'v_{name}' for name in off)} = 1.0",
        ]
    factors = ", ".join("1.0 if is_after else v_esof" if lane.name == "esof" else f"v_{lane.name}" for lane in lanes)
    lines += [
        f"        factors = ({factors})",
        "        v_raw, v_cap, product, v_bound, v_leverage_fanin, v_floor_lifted = compose(",
        "            factors, inside, in_stalker[i], base_max, abs_max, stalker_cap, min_lev",
        "        )",
        "        v_notional_usd = notional(in_capital_usd[i], fraction, v_leverage_fanin)",
        f"        v_non_finite = {_judged(lanes)}",
        *(f"        out_{name}[i] = v_{name}" for name in _names(lanes)),
    ]
    return "\n".join(lines)


def _judged(lanes: tuple[Lane, ...]) -> str:
    """The number of the first lane that is not finite, one more than there are lanes for the fan-in, else 0."""

    def finite(names: tuple[str, ...]) -> str:
        return " and ".join(f"isfinite({name})" for name in names)

    of_lanes = [tuple(f"v_{name}" for name in (*lane.components, lane.name)) for lane in lanes]
    parts = [*of_lanes, ("v_raw", "product", "v_notional_usd")]
    return " else ".join(f"{n} if not ({finite(names)})" for n, names in enumerate(parts, 1)) + " else 0"


@cache
def _compiled(lanes: tuple[Lane, ...]) -> Kernel[..., None]:
    """The loop, compiled. Its name has a hash of the kernels' files: numba's cache looks at this file alone."""
    kernels = _kernels(lanes)
    files = {module for each in kernels.values() if (module := inspect.getmodule(each.py_func)) is not None}
    sources = "".join(sorted(map(inspect.getsource, files)))
    name = f"scans_{sha256((_written(lanes) + sources).encode()).hexdigest()[:16]}"
    return Kernel(_made(name, lanes, kernels))


@cache
def _plain(lanes: tuple[Lane, ...]) -> Callable[..., None]:
    """The loop in plain Python."""
    return _made("scans", lanes, {name: each.py_func for name, each in _kernels(lanes).items()})


def _kernels(lanes: tuple[Lane, ...]) -> dict[str, Kernel[..., Any]]:
    of_lanes: dict[str, Kernel[..., Any]] = {f"k_{lane.name}": lane.kernel for lane in lanes}
    return of_lanes | {"compose": fanin.compose, "notional": fanin.notional}


def _made(name: str, lanes: tuple[Lane, ...], called: dict[str, Any]) -> Callable[..., None]:
    names = {"__name__": __name__, "isfinite": math.isfinite, **called}
    exec(compile(_written(lanes), __file__, "exec"), names)  # noqa: S102 - of declarations alone
    made = cast("FunctionType", names["scans"])
    made.__name__ = made.__qualname__ = name
    return made
