"""Settings of a soak: one definition for the flags, the TOML file and the environment (this module alone reads it).

Flags win over the file, the file over the environment (VIOLET_DATA, VIOLET_BATCH_SIZE, ..., VIOLET_JOURNAL_PASSWORD and
VIOLET_KAFKA_PASSWORD), that over the defaults. An unknown key is refused by its full dotted name.
See docs/design/running.md.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from journal.engine.address import Address, checked
from journal.refusal import Refusal
from lanes.profile import TABLES, Profile, override, profile
from lanes.registry import LANES, READ
from reactor.log.connection import PASSWORD, Connection
from reactor.run import config_file

M = TypeVar("M", bound=BaseModel)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
LONGEST_S: Final = 36_500 * 86_400.0  # a century back from now is still a time that ClickHouse has
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class SoakSettings(BaseModel):
    """Every long flag of `violet soak`; the same names, `-` as `_`, stand in the `[reactor]` table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(default=Path("violet-data"), description="Data directory.")
    name: str = Field(default="violet", description="Name of the soak and of its runs.")
    profile: str = Field(default="blue_8b", description="Profile: blue_8b or v3_base9.")
    scans: Path | None = Field(default=None, description="Archive to soak (JSON lines, plain or packed).")
    bootstrap_servers: str | None = Field(default=None, description="Broker of --topic, HOST:PORT.")
    topic: str | None = Field(default=None, description="Topic to follow.")
    from_: str = Field(
        default="earliest", alias="from",
        description="Where a new run starts: earliest, latest, @OFFSET, or an event time.",
    )  # fmt: skip
    until: str | None = Field(
        default=None, description="Where it ends: end (the log's end at the start), @OFFSET, or an event time."
    )
    for_: str | None = Field(default=None, alias="for", description="End the run this long after its start, e.g. 14d.")
    speed: str = Field(default="max", description="Pace of the archive in event time: max, or a factor such as 60x.")
    batch_size: int = Field(default=131_072, ge=1, le=1_000_000, description="Records of a batch at most.")
    flush_ms: int = Field(default=1_000, ge=1, le=60_000, description="Age of a batch at most, in ms.")
    keep_inputs: str | None = Field(
        default=None, description="Drop stored planes and bytes of rejects that were journaled longer ago, e.g. 30d."
    )
    taps: str | None = Field(default=None, description="Lanes whose readings go to topics: all, or acb,ob.")
    topology: Literal["fused", "faust"] = Field(
        default="fused", description="fused: all lanes in this process; faust: each lane a worker of its own."
    )
    lane_workers: int = Field(
        default=1, ge=0, le=len(LANES),
        description="Worker processes under faust; 0: you start them with `violet lane run`.",
    )  # fmt: skip
    metrics_port: int = Field(default=0, ge=0, le=65_535, description="Port of /metrics for Prometheus; 0: none.")
    sketches: bool = Field(default=False, description="Live quantiles of lanes (wants the extra tdigest).")
    log_format: Literal["text", "json"] = Field(
        default="text", description="Messages as text, or one JSON object a line."
    )
    web: bool = Field(default=False, description="Show it in a browser; prints the address.")
    new: bool = Field(default=False, description="Start another run instead of resuming.")
    new_segment: bool = Field(default=False, description="Go on with other code, params or kernels.")
    accept_gap: bool = Field(default=False, description="Go on although the log lost offsets.")
    resume_halted: str | None = Field(default=None, description="Resume a HALTED run; the text is the reason.")

    @field_validator("from_", "until")
    @classmethod
    def _offset(cls, value: str | None) -> str | None:
        """@5678, as other commands have an offset, as the bare number that a manifest holds."""
        return value[1:] if value is not None and value[:1] == "@" and value[1:].isdecimal() else value

    @field_validator("name", "speed", "from_", "until", "for_", "keep_inputs", "taps")
    @classmethod
    def _fits(cls, value: str | None, info: ValidationInfo) -> str | None:
        words, check = _CHECKS[str(info.field_name)]
        if value is not None and value not in words:
            check(value)
        return value

    @property
    def tapped(self) -> tuple[str, ...]:
        """Lanes whose readings are written to topics."""
        return tapped(self.taps) if self.taps is not None else ()

    @property
    def decides(self) -> bool:
        """Whether the soak's own params and kernels decide, and not those of workers that somebody else starts."""
        return self.topology == "fused" or self.lane_workers > 0


class JournalSettings(BaseModel):
    """The `[journal]` table: a ClickHouse server instead of the embedded engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(
        default=None, description="HTTP or HTTPS address of a ClickHouse server; without it the engine is embedded."
    )
    user: str = Field(default="default", description="Its user.")
    password: SecretStr = Field(
        default=SecretStr(""), description="The user's password; better as the variable VIOLET_JOURNAL_PASSWORD."
    )

    ca: Path | None = Field(
        default=None, description="PEM file of the CA that signed its certificate; else the system's CAs."
    )
    certificate: Path | None = Field(default=None, description="PEM file of the client's certificate, under https.")
    key: Path | None = Field(default=None, description="PEM file of the client's private key.")
    allow_plaintext: bool = Field(default=False, description="Let the password go over http to another machine.")

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        return None if value is None else checked(value)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = [name for name in ("ca", "certificate", "key") if getattr(self, name) is not None]
        if given and not (self.url or "").startswith("https:"):
            raise ValueError(f'{given[0]} has no effect without https; fix: url = "https://HOST:8443"')
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together; fix: give both")
        if self.address is not None and self.address.in_clear() and not self.allow_plaintext:
            raise ValueError(
                f"url would send the password in clear to {self.address.host}; fix: https, or allow_plaintext = true "
                "where the network is trusted"
            )
        return self

    @property
    def address(self) -> Address | None:
        """The server and the login to it; None for the engine of the directory."""
        if self.url is None:
            return None
        files = [None if path is None else str(path) for path in (self.ca, self.certificate, self.key)]
        return Address(self.url, self.user, self.password.get_secret_value(), *files)


class PlanesSettings(BaseModel):
    """The `[planes]` table: what is known of BLUE's planes. It changes no outcome, only what the gate asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    absent: tuple[str, ...] = Field(
        default=(), description="Planes that BLUE has none of: the gate does not ask that scans saw them."
    )

    @field_validator("absent")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if strange := [name for name in value if name not in READ]:
            raise ValueError(f"must be names of planes out of {', '.join(READ)}; no plane is {strange[0]!r}")
        return tuple(name for name in READ if name in value)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a soak is told, each part validated where it is read."""

    soak: SoakSettings
    journal: JournalSettings
    profile: Profile
    planes: PlanesSettings = field(default_factory=PlanesSettings)
    kafka: Connection = field(default_factory=Connection)  # to the broker that flags or file name, if any


_TYPED: Final[dict[str, type[BaseModel]]] = {
    "reactor": SoakSettings, "journal": JournalSettings, "kafka": Connection, "planes": PlanesSettings,
}  # fmt: skip


def load(flags: Mapping[str, Any], config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from flags over file over environment.

    Args:
        flags: the long flags of `violet soak` that are given, without dashes and with `_` for `-`.
        config: TOML file of the soak.
        environ: variables that are looked at; by default those of this process.

    Raises:
        Refusal: a key is unknown or its value is not allowed; it names the key and the fix.
    """
    tables = config_file.read(config)
    environ = os.environ if environ is None else environ
    keys = config_file.keys(SoakSettings)
    config_file.check(tables, _TYPED, config)
    env = {key: environ[f"VIOLET_{key.upper()}"] for key in keys if f"VIOLET_{key.upper()}" in environ}
    secret = {"password": environ["VIOLET_JOURNAL_PASSWORD"]} if "VIOLET_JOURNAL_PASSWORD" in environ else {}
    soak = config_file.valid(SoakSettings, {**env, **tables.get("reactor", {}), **flags}, "reactor")
    kafka = _broker(config, tables, environ).at(soak.bootstrap_servers)
    if soak.scans is not None and (soak.bootstrap_servers is not None or soak.topic is not None):
        raise Refusal("--scans fills the embedded broker, --bootstrap-servers follows another; fix: give one of them")
    if (soak.topic is None and soak.bootstrap_servers) or (soak.topic is not None and not kafka.bootstrap_servers):
        raise Refusal("--bootstrap-servers and --topic go together; fix: give both")
    if soak.topology == "faust" and soak.taps is not None:
        raise Refusal("--taps: under --topology faust the lanes' workers write every reading; fix: leave --taps away")
    if soak.topology == "faust" and not soak.lane_workers and soak.topic is None:
        raise Refusal(
            "--lane-workers 0: no worker of yours reaches the embedded broker; fix: let the soak start them, "
            "or --bootstrap-servers and --topic"
        )
    journal = config_file.valid(JournalSettings, {**secret, **tables.get("journal", {})}, "journal")
    planes = config_file.valid(PlanesSettings, tables.get("planes", {}), "planes")
    try:
        chosen = profile(soak.profile, {t: tables[t] for t in TABLES if t in tables})
    except ValueError as error:
        raise Refusal(f"{config or '--profile'}: {error}") from None
    return Settings(soak, journal, chosen, planes, kafka)


def broker(config: Path | None, bootstrap: str | None, environ: Mapping[str, str] | None = None) -> Connection:
    """The connection that the `[kafka]` table of a file describes, to another broker where one is given.

    config: whatever else stands in it is not looked at. Raises Refusal as `load` does.
    """
    return _broker(config, config_file.read(config), os.environ if environ is None else environ).at(bootstrap)


def of_flags(
    flags: Mapping[str, Any], journal: JournalSettings, chosen: Profile, absent: tuple[str, ...] = ()
) -> Settings:
    """Settings from these flags alone, whatever the environment says. Raises Refusal likewise."""
    soak = config_file.valid(SoakSettings, flags, "reactor")
    return Settings(soak, journal, chosen, PlanesSettings(absent=absent), Connection().at(soak.bootstrap_servers))


def tapped(text: str) -> tuple[str, ...]:
    """Lanes by name, in their order, or all."""
    known = tuple(lane.name for lane in LANES)
    named = known if text == "all" else tuple(name.strip() for name in text.split(","))
    if not set(named) <= set(known):
        raise ValueError(f"must be all, or names of lanes out of {','.join(known)}")
    return tuple(name for name in known if name in named)


def assigned(chosen: Profile, assignments: Sequence[str]) -> Profile:
    """A profile with assignments TABLE.KEY=VALUE over it. Raises Refusal naming the one that does not fit."""
    tables: dict[str, dict[str, Any]] = {}
    for text in assignments:
        dotted, equals, value = text.partition("=")
        table, dot, key = dotted.partition(".")
        if not (equals and dot):
            raise Refusal(f"--set {text}: must be TABLE.KEY=VALUE, such as acb.enabled=false")
        tables.setdefault(table, {})[key] = _value(value)
    try:
        return override(chosen, tables)
    except ValueError as error:
        raise Refusal(f"--set: {error}") from None


def pace(text: str) -> float | None:
    """Seconds of event time a second, or None for as fast as it goes.

    >>> pace("60x")
    60.0

    Raises:
        ValueError: it is neither `max` nor a positive factor.
    """
    if text == "max":
        return None
    if not re.fullmatch(r"\d+(\.\d+)?x", text) or float(text[:-1]) <= 0.0:
        raise ValueError("must be max, or a positive factor such as 60x")
    return float(text[:-1])


def span_s(text: str) -> float:
    """Seconds in a span such as 90s, 12h or 14d.

    >>> span_s("1.5h")
    5400.0

    Raises:
        ValueError: it is no number with a unit, or longer than a century.
    """
    if not (match := _SPAN.fullmatch(text)):
        raise ValueError("must be a number and one of ms, s, m, h, d, w, such as 14d")
    if (seconds := float(match[1]) * _UNIT_S[match[2]]) > LONGEST_S:
        raise ValueError(f"must be at most {LONGEST_S / 86_400:.0f}d")
    return seconds


def named(name: str) -> None:
    """Refuse what is no name of a soak: locks and topics are called after it."""
    try:
        _name(name)
    except ValueError as error:
        raise Refusal(f"--name {name!r}: {error}") from None


def _name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise ValueError("must be 1 to 64 letters, digits, dots, underscores or hyphens")


def point(text: str, flag: str) -> int | datetime:
    """An OFFSET or an event TIME (ISO 8601, UTC where no zone is given) of --from or --until."""
    if text.isdecimal():
        return int(text)
    try:
        return instant(text)
    except ValueError:
        words = "earliest, latest, " if flag == "from" else "end, "
        raise Refusal(f"--{flag} must be {words}@OFFSET or a time such as 2025-05-04T15:33Z, was {text!r}") from None


def instant(text: str) -> datetime:
    """A time of a flag: ISO 8601, UTC where no zone is given. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


_Check = Callable[[str], object]
_CHECKS: Final[dict[str, tuple[tuple[str, ...], _Check]]] = {  # by field: words that fit, and what refuses others
    "name": ((), _name),
    "speed": ((), pace),
    "from_": (("earliest", "latest"), partial(point, flag="from")),
    "until": (("end",), partial(point, flag="until")),
    "for_": ((), span_s),
    "keep_inputs": ((), span_s),
    "taps": ((), tapped),
}


def _value(text: str) -> Any:
    """A value as JSON has it, `none`, or text."""
    if text == "none":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _broker(config: Path | None, tables: Mapping[str, Any], environ: Mapping[str, str]) -> Connection:
    """The `[kafka]` table, and the password out of the environment."""
    config_file.check({"kafka": tables.get("kafka", {})}, _TYPED, config)
    secret = {"sasl_password": environ[PASSWORD]} if environ.get(PASSWORD) else {}
    return config_file.valid(Connection, {**tables.get("kafka", {}), **secret}, "kafka")
