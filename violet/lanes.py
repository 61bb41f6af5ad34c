"""Lanes: the five factors and the fan-in as functions of scalars and arrays, with the bits of a soak.

Each takes what its lane reads, by name, and params of its own table by name over those of a profile. What is None was
never seen, as at the begin of a soak. A factor comes as a float where all that it read was scalar, else as an array;
a lane that the profile has off gives 1.0. NaN in gives NaN out.

>>> import violet
>>> violet.lanes.base(vel_div=-0.0337, profile="v3_base9")
1.3095000185185186
>>> violet.lanes.base(vel_div=[-0.0337, -0.05], base_max=9.0).tolist()
[1.3095000185185186, 9.0]
>>> violet.lanes.fanin(8.0, acb=2.0).bound
'ABS'

See docs/python.md.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from journal.refusal import Refusal
from lanes import columns
from lanes.code import Bound, DcStatus, PlaneForm
from lanes.columns import LaneColumns
from lanes.kernel import Floats
from lanes.profile import PROFILES, Profile, override
from lanes.registry import BY_NAME

__all__ = ["Sized", "acb", "base", "dc", "esof", "fanin", "ob", "profile", "reading"]
Number: TypeAlias = Any  # a number, or an array or list of numbers
Value: TypeAlias = Any  # a float, or a numpy.ndarray of them
_NAMES: Final = np.array([bound.name for bound in sorted(Bound)])
_CODES: Final = {status.name: int(status) for status in DcStatus}


class Sized(NamedTuple):
    """What the fan-in gives: floats and a name, or arrays of them. NaN and "" where it is not finite: soaks reject it.

    raw: product of the factors. cap: its bound. bound: name of what fixed the leverage. leverage_fanin: before, and
    leverage: after the haircut of `sc_post`. notional_usd: the size.
    """

    raw: Value
    cap: Value
    bound: Any
    leverage_fanin: Value
    leverage: Value
    notional_usd: Value


def profile(name: str = "blue_8b", **tables: Mapping[str, object]) -> Profile:
    """A profile with params over its own, for the argument `profile` of the functions.

    >>> profile("blue_8b", fanin={"abs_max": 8.5}).fanin.abs_max
    8.5

    Raises:
        Refusal: there is no such profile, or no such param.
    """
    if name not in PROFILES:
        raise Refusal(f"no profile {name!r}; fix: name one of {', '.join(PROFILES)}")
    try:
        return override(PROFILES[name], tables)
    except ValueError as error:
        raise Refusal(str(error)) from None


def base(vel_div: Number, *, profile: str | Profile = "blue_8b", **params: object) -> Value:
    """The base lane: the cubic of how far vel_div lies below the threshold.

    Args:
        vel_div: of the scan.
        profile: name of a profile, or one of `profile()`.
        params: of the table [base]: thr, extreme, min_lev, base_max, convexity.
    """
    return reading("base", {"vel_div": vel_div}, profile=profile, **params)


def dc(dc_status: Any = "NEUTRAL", *, profile: str | Profile = "blue_8b", **params: object) -> Value:
    """The DC lane: the boost where the direction confirms.

    Args:
        dc_status: of the scan: CONFIRM, CONTRADICT, NEUTRAL, or an array of them; another text is not confirmed.
        profile: as of `base`.
        params: of the table [dc]: boost.
    """
    names = np.asarray(dc_status)
    codes = np.array([_CODES.get(str(name), _CODES["NEUTRAL"]) for name in names.ravel()], np.int8).reshape(names.shape)
    return reading("dc", {"dc_status": codes}, profile=profile, **params)


def acb(
    *, boost: Number | None = None, signals: Number | None = None, meta: Number | None = None,
    mc: Number | None = None, vel_div: Number = 0.0, w750: Number = np.nan,
    profile: str | Profile = "blue_8b", **params: object,
) -> Value:  # fmt: skip
    """The ACB lane: regime boost times meta boost times Monte Carlo scale.

    Args:
        boost: of the plane acb; or
        signals: of it: then meta is computed from vel_div and w750 where the plane meta was never seen.
        meta: boost of the plane meta.
        mc: scale of the plane mc.
        vel_div: of the scan.
        w750: of the scan; NaN where it has none.
        profile: as of `base`.
        params: of the table [acb].
    """
    read = _plane("acb", (boost,), (signals,)) | _seen("meta", meta) | _seen("mc", mc)
    return reading("acb", {**read, "vel_div": vel_div, "w750": w750}, profile=profile, **params)


def ob(
    *, mult: Number | None = None, eff_imb: Number | None = None, agree: Number | None = None,
    n_assets: Number | None = None, profile: str | Profile = "blue_8b", **params: object,
) -> Value:  # fmt: skip
    """The OB lane: consensus of the order books.

    Args:
        mult: of the plane ob; or all of
        eff_imb: effective imbalance,
        agree: share of assets that agree, and
        n_assets: their number.
        profile: as of `base`.
        params: of the table [ob].
    """
    return reading("ob", _plane("ob", (mult,), (eff_imb, agree, n_assets)), profile=profile, **params)


def esof(
    *, mult: Number | None = None, score: Number | None = None, age_ms: Number = 0,
    profile: str | Profile = "blue_8b", **params: object,
) -> Value:  # fmt: skip
    """The EsoF lane: the haircut. Never seen, or older than max_age_ms, it is `stale` of its params.

    Args:
        mult: of the plane esof; or
        score: of it.
        age_ms: of the plane at the scan, event time.
        profile: as of `base`.
        params: of the table [esof].
    """
    return reading("esof", {**_plane("esof", (mult,), (score,)), "esof.age_ms": age_ms}, profile=profile, **params)


def reading(lane: str, inputs: Mapping[str, Any], *, profile: str | Profile = "blue_8b", **params: object) -> Value:
    """Any lane, one of a package of yours too, by the names of its inputs as `Lane.inputs` has them.

    >>> reading("dc", {"dc_status": 0})
    1.0

    Raises:
        Refusal: there is no such lane, an input is missing or strange, or a param is.
    """
    if lane not in BY_NAME:
        raise Refusal(f"no lane {lane!r}; fix: name one of {', '.join(BY_NAME)}")
    of = BY_NAME[lane]
    if strange := {*inputs} ^ {*of.inputs}:
        raise Refusal(f"lane {lane}: inputs must be {', '.join(of.inputs)}; fix: {', '.join(sorted(strange))}")
    chosen = _chosen(profile, {lane: params} if params else {})
    read, shape = _columns({name: (inputs[name], _kind(name)) for name in of.inputs})
    length = {"vel_div": np.zeros(int(np.prod(shape)))} | read  # by it the loop knows how many rows there are
    return _as(columns.evaluate_lane(of, length, chosen, None).value, shape)


def fanin(
    base: Number, dc: Number = 1.0, acb: Number = 1.0, ob: Number = 1.0, esof: Number = 1.0, *,
    stalker: Any = False, capital_usd: Number | None = None, profile: str | Profile = "blue_8b", **params: object,
) -> Sized:  # fmt: skip
    """The fan-in: multiply the five factors left to right and bound the product.

    Args:
        base: and `dc`, `acb`, `ob`, `esof`: what the lanes gave.
        dc: see base.
        acb: see base.
        ob: see base.
        esof: see base.
        stalker: whether the posture is STALKER.
        capital_usd: of the plane capital; None: the paper capital of the profile.
        profile: as of `base`. It has to have no lane beyond the five.
        params: of the table [fanin].
    """
    chosen = _chosen(profile, {"fanin": params} if params else {})
    capital = chosen.fanin.paper_capital_usd if capital_usd is None else capital_usd
    factors = {"base": base, "dc": dc, "acb": acb, "ob": ob, "esof": esof}
    if others := [lane.name for lane in chosen.lanes if lane.name not in factors]:
        raise Refusal(f"profile {chosen.name} has lanes beyond the five ({', '.join(others)}); fix: turn them off")
    read, shape = _columns(
        {name: (value, np.float64) for name, value in (*factors.items(), ("capital_usd", capital))}
        | {"stalker": (stalker, np.bool_)}
    )
    ones = np.ones(len(read["base"]))
    of_lanes = {lane.name: LaneColumns(read[lane.name], tuple(ones for _ in lane.components)) for lane in chosen.lanes}
    with np.errstate(over="ignore", invalid="ignore"):
        found = columns.compose(chosen, of_lanes, read["stalker"], read["capital_usd"])
    sound = found.non_finite == 0
    numbers = {name: np.where(sound, found.columns[name], np.nan) for name in _FLOATS} | {"raw": found.raw}
    bound = np.where(sound, _NAMES[found.columns["bound"]], "")
    named = {name: _as(value, shape) for name, value in numbers.items()}
    return Sized(bound=bound.reshape(shape) if shape else str(bound[0]), **named)


_FLOATS: Final = ("cap", "leverage_fanin", "leverage", "notional_usd")


def _chosen(of: str | Profile, tables: Mapping[str, Mapping[str, object]]) -> Profile:
    if isinstance(of, str):
        return profile(of, **tables)
    try:
        return override(of, tables)
    except ValueError as error:
        raise Refusal(str(error)) from None


def _plane(name: str, *forms: tuple[Number | None, ...]) -> dict[str, Any]:
    """The columns of a plane that is given in its first form, its second, or in none: then it was never seen."""
    first, second = (all(value is not None for value in form) for form in forms)
    given = [value for form in forms for value in form if value is not None]
    if len(given) != len(forms[0]) * first + len(forms[1]) * second or (first and second):
        raise Refusal(f"plane {name}: must be given in one of its forms, whole; fix: see the arguments of {name}()")
    form = PlaneForm.MULTIPLIER if first else PlaneForm.INPUTS if second else PlaneForm.NEVER_SEEN
    slots = dict(zip("xyz", given, strict=False))
    wanted = [each for each in BY_NAME[name].inputs if each.startswith(f"{name}.") and each[-2:] in (".x", ".y", ".z")]
    return {f"{name}.form": int(form)} | {each: slots.get(each[-1], 0.0) for each in wanted}


def _seen(name: str, value: Number | None) -> dict[str, Any]:
    return {f"{name}.seen": value is not None, f"{name}.x": 0.0 if value is None else value}


def _kind(name: str) -> Any:
    if name == "dc_status" or name.endswith(".form"):
        return np.int8
    return np.bool_ if name.endswith(".seen") else np.int64 if name.endswith(".age_ms") else np.float64


def _columns(given: Mapping[str, tuple[Any, Any]]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Columns of one length, and the shape that they had together."""
    try:
        whole = np.broadcast_arrays(*(np.asarray(value, dtype=kind) for value, kind in given.values()))
    except (ValueError, TypeError) as error:
        raise Refusal(f"inputs must be numbers, of one shape: {error}; fix: scalars, or arrays that fit") from None
    return {n: np.ascontiguousarray(each).ravel() for n, each in zip(given, whole, strict=True)}, whole[0].shape


def _as(column: Floats, shape: tuple[int, ...]) -> Value:
    return column.reshape(shape) if shape else float(column[0])
