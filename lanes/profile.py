"""Profiles: every constant of the arithmetic, explicit, frozen and hashed. No table of the five has a default.

A profile is a value: equal hashes mean equal params. The hash is over canonical JSON (sorted keys, shortest
float text) of everything but the name, and of lanes beyond the five only those that are on.
Source: findings 8b and 9; the defaults of our own for what they leave open (docs/design/sources.md).
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import SerializerFunctionWrapHandler, ValidationError, create_model, model_serializer

from lanes.acb import AcbParams
from lanes.base import BaseParams
from lanes.dc import DcParams
from lanes.esof import EsofParams
from lanes.fanin import FaninParams
from lanes.lane import Lane
from lanes.ob import ObParams
from lanes.params import LaneParams, Params, Symbols
from lanes.registry import FIVE, LANES, MORE
from lanes.unfit import Unfit


class SelectParams(Params):
    """Which assets and postures are known."""

    excluded: Symbols
    min_alignment: float
    postures: tuple[str, ...]


class _Profile(Params):
    """All params of a run under a name."""

    name: str
    base: BaseParams
    dc: DcParams
    acb: AcbParams
    ob: ObParams
    esof: EsofParams
    fanin: FaninParams
    select: SelectParams

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 over everything but the name."""
        text = json.dumps(self.model_dump(exclude={"name"}), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes that a run has columns of: the five, on or off, and of those beyond the ones that are on."""
        return (*FIVE, *(lane for lane in MORE if self.of(lane.name).enabled))

    def of(self, lane: str) -> LaneParams:
        """A lane's table."""
        return cast("LaneParams", getattr(self, lane))

    def constants(self, lane: Lane) -> tuple[Any, ...]:
        """The params that a lane's kernel takes, in its order."""
        return tuple(self.param(name if "." in name else f"{lane.name}.{name}") for name in lane.constants)

    def param(self, dotted: str) -> Any:
        """One param, TABLE.KEY."""
        table, _, key = dotted.partition(".")
        return getattr(getattr(self, table), key)

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        whole: dict[str, Any] = handler(self)
        return {name: table for name, table in whole.items() if name not in _MORE or table["enabled"]}


_MORE: Final = {lane.name for lane in MORE}
if _taken := _MORE & {*_Profile.model_fields, "reactor", "journal", "planes"}:
    raise Unfit(f"lane {', '.join(sorted(_taken))}: must have a name that no table of a config has")
if TYPE_CHECKING:
    Profile = _Profile
else:  # with a table for each lane beyond the five, off where it is not given
    Profile = create_model("Profile", __base__=_Profile, **{lane.name: (lane.params, lane.off) for lane in MORE})
TABLES: Final = (*(lane.name for lane in LANES), "fanin", "select")  # of a config

_PEGGED: Final = (
    "USDCUSDT", "BUSDUSDT", "FDUSDUSDT", "TUSDUSDT", "USDPUSDT",
    "DAIUSDT", "USDDUSDT", "PYUSDUSDT", "USTCUSDT", "EURUSDT",
)  # fmt: skip

# BLUE as findings 8b have it. Where they are silent, see drift.py.
_BLUE_8B: Final = Profile(
    name="blue_8b",
    base=BaseParams(
        enabled=True, kernel=None, thr=-0.02, extreme=-0.05, min_lev=0.5, base_max=8.0, convexity=3.0,
    ),
    dc=DcParams(enabled=True, kernel=None, boost=1.10),
    acb=AcbParams(
        enabled=True, kernel=None, signals_gain=0.5, signals_from=1.0, beta_low=0.2, beta_high=0.8,
        w750_thr=0.0, alert_age_ms=3_600_000,
    ),
    ob=ObParams(
        enabled=True, kernel=None, imb_from=0.08, imb_full=0.28, agree_above=0.70, up=1.20, down=0.85,
        min_assets=3, alert_age_ms=10_000,
    ),
    esof=EsofParams(
        enabled=True, kernel=None, splits=(-0.25, -0.05, 0.05, 0.25), plateaus=(0.3, 0.65, 0.8, 0.9, 1.0),
        edge=0.02, stale=0.4, max_age_ms=900_000, application="fan_in", near_one=1e-9,
    ),
    fanin=FaninParams(
        abs_max=9.0, stalker_cap=2.0, fraction=0.20, paper_capital_usd=25_000.0, alert_age_ms=86_400_000,
    ),
    select=SelectParams(
        excluded=_PEGGED, min_alignment=0.0, postures=("APEX", "STALKER", "TURTLE", "HIBERNATE"),
    ),
)  # fmt: skip

# The recorded soak of findings 9: the cubic to 9 and nothing else. Written out, nothing inherited.
_V3_BASE9: Final = Profile(
    name="v3_base9",
    base=BaseParams(
        enabled=True, kernel=None, thr=-0.02, extreme=-0.05, min_lev=0.5, base_max=9.0, convexity=3.0,
    ),
    dc=DcParams(enabled=True, kernel=None, boost=1.0),
    acb=AcbParams(
        enabled=False, kernel=None, signals_gain=0.5, signals_from=1.0, beta_low=0.2, beta_high=0.8,
        w750_thr=0.0, alert_age_ms=3_600_000,
    ),
    ob=ObParams(
        enabled=False, kernel=None, imb_from=0.08, imb_full=0.28, agree_above=0.70, up=1.20, down=0.85,
        min_assets=3, alert_age_ms=10_000,
    ),
    esof=EsofParams(
        enabled=False, kernel=None, splits=(-0.25, -0.05, 0.05, 0.25), plateaus=(0.3, 0.65, 0.8, 0.9, 1.0),
        edge=0.02, stale=0.4, max_age_ms=900_000, application="fan_in", near_one=1e-9,
    ),
    fanin=FaninParams(
        abs_max=9.0, stalker_cap=None, fraction=0.20, paper_capital_usd=25_000.0, alert_age_ms=86_400_000,
    ),
    select=SelectParams(
        excluded=_PEGGED, min_alignment=0.0, postures=("APEX", "STALKER", "TURTLE", "HIBERNATE"),
    ),
)  # fmt: skip

PROFILES: Final[Mapping[str, Profile]] = {each.name: each for each in (_BLUE_8B, _V3_BASE9)}


def profile(name: str, overrides: Mapping[str, Mapping[str, object]]) -> Profile:
    """The named profile with tables overridden. Raises ValueError with the dotted key that it refuses."""
    if name not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, was {name!r}")
    return override(PROFILES[name], overrides)


def override(base: Profile, overrides: Mapping[str, Mapping[str, object]]) -> Profile:
    """A profile with tables overridden, under the same name. Raises ValueError likewise."""
    tables = {table: value for table, value in base if isinstance(value, Params)}
    for table, values in overrides.items():
        if table not in tables:
            raise ValueError(_unknown(table, list(tables)))
        tables[table] = _override(tables[table], table, values)
    return Profile.model_validate({"name": base.name, **tables})


def _override(params: Params, table: str, values: object) -> Params:
    if not isinstance(values, Mapping):
        raise ValueError(f"{table} must be a table, was {values!r}")  # noqa: TRY004 every refusal is a ValueError
    known = type(params).model_fields
    for key in values:
        if key not in known:
            raise ValueError(_unknown(f"{table}.{key}", [f"{table}.{each}" for each in known]))
    # TOML has arrays where the models have tuples.
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return type(params).model_validate({**params.model_dump(), **plain})
    except ValidationError as error:
        raise ValueError(_fault(error, table)) from None


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    return f"unknown key {key}; " + (f"did you mean {near[0]}? " if near else "") + f"known are {', '.join(known)}"


def _fault(error: ValidationError, table: str) -> str:
    """The first fault with its dotted name: `dc.boost must be at least 1, was 0.9`."""
    first = error.errors()[0]
    dotted = ".".join((table, *(str(part) for part in first["loc"])))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] != "value_error":  # a rule of pydantic's own: "Input should be a valid number"
        _, should, rule = message.partition(" should")
        return f"{dotted}{' must' + rule if should else ': ' + message}, was {first['input']!r}"
    return f"{dotted} {message}" if first["loc"] else f"{dotted}.{message}"
