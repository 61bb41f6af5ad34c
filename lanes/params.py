"""Params: every constant of the arithmetic, explicit, frozen and hashed. No model has a default.

A profile is a value: equal hashes mean equal params. The hash is over canonical JSON (sorted keys, shortest
float text) of everything but the name.
Source: SPEC section 3 (profiles); seed 004 section 8b; requirements section 9 for what the seeds leave open.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator


def _must(rule: str, holds: Callable[[Any], bool]) -> AfterValidator:
    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError(f"must be {rule}, was {value!r}")
        return value

    return AfterValidator(check)


def _ascends(values: tuple[float, ...], by: float = 0.0) -> bool:
    return all(b - a >= by and b > a for a, b in pairwise(values))


Positive = Annotated[float, _must("positive", lambda x: x > 0.0)]
NotNegative = Annotated[float, _must("zero or positive", lambda x: x >= 0.0)]
Share = Annotated[float, _must("in 0..1", lambda x: 0.0 <= x <= 1.0)]
Boost = Annotated[float, _must("at least 1", lambda x: x >= 1.0)]
Count = Annotated[int, _must("zero or positive", lambda x: x >= 0)]
SpanMs = Annotated[int, _must("zero or positive", lambda x: x >= 0)]
KernelPath = Annotated[str, _must("package.module:factory", lambda x: re.fullmatch(r"\w+(\.\w+)*:\w+", x) is not None)]
Symbols = Annotated[tuple[str, ...], _must("exactly 10 symbols", lambda x: len(x) == 10 == len(set(x)))]


class Params(BaseModel):
    """Strict, frozen, finite, and nothing unknown."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class LaneParams(Params):
    """What every lane has: a switch (off is 1.0), and a foreign kernel in its place or None."""

    enabled: bool
    kernel: KernelPath | None


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


class DcParams(LaneParams):
    """Direction-confirm."""

    boost: Boost


class AcbParams(LaneParams):
    """Regime. signals_from: below it the boost is 1.0; w750_thr parts beta_low from beta_high."""

    signals_gain: NotNegative
    signals_from: NotNegative
    beta_low: NotNegative
    beta_high: NotNegative
    w750_thr: float
    alert_age_ms: SpanMs


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


class FaninParams(Params):
    """Caps and sizes. stalker_cap: None caps nothing. alert_age_ms: of the posture and capital planes."""

    abs_max: Positive
    stalker_cap: Positive | None
    fraction: Positive
    paper_capital_usd: Positive
    alert_age_ms: SpanMs


class SelectParams(Params):
    """Which assets and postures are known."""

    excluded: Symbols
    min_alignment: float
    postures: tuple[str, ...]


class Profile(Params):
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


_PEGGED: Final = (
    "USDCUSDT", "BUSDUSDT", "FDUSDUSDT", "TUSDUSDT", "USDPUSDT",
    "DAIUSDT", "USDDUSDT", "PYUSDUSDT", "USTCUSDT", "EURUSDT",
)  # fmt: skip

# BLUE as seed 004 section 8b has it. Where the seeds are silent, see drift.py.
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

# The recorded soak of seed 004 section 9: the cubic to 9 and nothing else. Written out, nothing inherited.
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
