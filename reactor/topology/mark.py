"""A mark: what a lane's worker writes beside every so many of its readings, as a header of the record.

It says with which params the lane speaks, of which log, and the state as of that scan, so that a worker that starts
again has exactly the state it would have had, and the journal's process learns what decided. Pure.

A lane may be hot-swapped in what it alone reads. What others read too (the signal's threshold and the fan-in's bounds
are the base lane's; where the haircut applies is the fan-in's) is the soak's: a worker that differs there is not heard.
See docs/design/stages.md.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct

from lanes.params import LaneParams
from lanes.profile import Profile
from lanes.registry import BY_NAME

HEADER: Final = "violet-mark"
SINCE: Final = (
    "violet-since"  # header of every reading whose mark has a since above 0: who speaks may change between marks
)


class Mark(Struct):
    """One lane at one scan of one log.

    log: cluster and topic id. params: all that the lane reads. state: of all streams of the partition, before offset
    `next`, from where a worker goes on. fresh: no reading of a scan from `next` on was written before this one, so
    whoever reads the lane's topic on from here misses none. since: the offset from which on the state has every record;
    0 also where it is the soak's own.
    """

    v: Literal[1]
    log: str
    params: dict[str, Any]
    state: Raw
    next: int
    fresh: bool
    since: int = 0


class Marked(NamedTuple):
    """A record of a lane's topic: its own offset there, its bytes, its mark where it has one, what its voice knows."""

    at: int
    value: bytes
    mark: bytes | None
    since: int = 0


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Mark).decode


def params_of(profile: Profile, lane: str) -> dict[str, Any]:
    """Everything of a profile that a lane reads."""
    borrowed = {name.removeprefix("base."): profile.param(name) for name in BY_NAME[lane].borrowed}
    return {"own": profile.of(lane).model_dump(mode="json"), "base": borrowed}


def hash_of(params: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 over what a lane reads."""
    return hashlib.sha256(msgspec.json.encode(params, order="sorted")).hexdigest()[:16]


def accepted(profile: Profile, lane: str, params: Mapping[str, Any]) -> LaneParams | None:
    """A lane's table as its worker has it; None where it differs in what is the soak's to say, or is no such table."""
    try:
        table: LaneParams = type(profile.of(lane)).model_validate_json(msgspec.json.encode(params["own"]))
        return table if of_soak(params, lane) == of_soak(params_of(profile, lane), lane) else None
    except (KeyError, ValueError):  # of another version
        return None


def of_soak(params: Mapping[str, Any], lane: str) -> dict[str, Any]:
    """What a lane reads that is the soak's to say."""
    own = params["own"]
    return {"base": params["base"], "own": {name: own[name] for name in BY_NAME[lane].shared}}


def words_of_soak(lane: str) -> str:
    """The names of that."""
    return ", ".join([*BY_NAME[lane].borrowed, *(f"{lane}.{name}" for name in BY_NAME[lane].shared)])


def overlaid(profile: Profile, other: Profile) -> Profile:
    """A profile with all that workers may choose taken from another."""
    tables = {}
    for lane in (each.name for each in profile.lanes):
        mine, theirs = profile.of(lane), other.of(lane)
        tables[lane] = theirs.model_copy(update={name: getattr(mine, name) for name in BY_NAME[lane].shared})
    return profile.model_copy(update=tables)


class _At(Struct):
    offset: int


_decode_at = msgspec.json.Decoder(_At).decode


def offset_of(reading: bytes) -> int:
    """The source offset of a reading."""
    return _decode_at(reading).offset
