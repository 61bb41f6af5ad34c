"""A checkpoint: what a lane's worker writes beside every so many of its readings, as a header of the record.

It has the lane's params, the log, and the state as of that scan. So a worker that starts again has exactly the state
that it would have had, and the journal's process learns what decided. Pure.

A lane may be changed while the soak runs, in what it alone reads. What others read too is for the soak to set: the
signal's threshold and the fan-in's bounds, and where the haircut applies. The soak takes no readings of a worker that
differs there. See docs/design/stages.md.
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
# Header of every reading whose checkpoint has a `since` above 0: workers may change between two checkpoints.
SINCE: Final = "violet-since"


class Checkpoint(Struct):
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


class LaneRecord(NamedTuple):
    """A record of a lane's topic: its offset there, its bytes, its checkpoint, since when its worker knows all."""

    at: int
    value: bytes
    checkpoint: bytes | None
    since: int = 0


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Checkpoint).decode


def decode(raw: bytes | None) -> Checkpoint | None:
    """The checkpoint of a header; None where there is none, or somebody else's: others may write into the topic."""
    try:
        return _decode(raw) if raw else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def params_of(profile: Profile, lane: str) -> dict[str, Any]:
    """Everything of a profile that a lane reads."""
    borrowed = {name.removeprefix("base."): profile.param(name) for name in BY_NAME[lane].borrowed}
    return {"own": profile.of(lane).model_dump(mode="json"), "base": borrowed}


def hash_of(params: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 over what a lane reads."""
    return hashlib.sha256(msgspec.json.encode(params, order="sorted")).hexdigest()[:16]


def accepted(profile: Profile, lane: str, params: Mapping[str, Any]) -> LaneParams | None:
    """A lane's table as its worker has it; None where it differs in what the soak sets, or is no such table."""
    try:
        table: LaneParams = type(profile.of(lane)).model_validate_json(msgspec.json.encode(params["own"]))
        return table if of_soak(params, lane) == of_soak(params_of(profile, lane), lane) else None
    except (KeyError, ValueError):  # of another version
        return None


def of_soak(params: Mapping[str, Any], lane: str) -> dict[str, Any]:
    """What a lane reads that only the soak may set."""
    own = params["own"]
    return {"base": params["base"], "own": {name: own[name] for name in BY_NAME[lane].shared}}


def names_of_soak(lane: str) -> str:
    """The names of what only the soak may set of a lane."""
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
    """The source offset of a reading; -1 where it is none."""
    try:
        return _decode_at(reading).offset
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return -1
