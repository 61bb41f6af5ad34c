"""Contract: what a comparison with BLUE holds fixed, as one immutable document that is named by its hash.

Its form is RFC 8785 but for numbers: keys sorted, no spaces, UTF-8, and a number in the shortest text that reads back
to the same bits, so that a float stays one (1.0, not 1). The SHA-256 of its bytes names it, and only what a journal
knows by that name counts there. Nothing in it is chosen after the data was looked at: what is not there yet, as the
offsets and imports of a window that did not open, is null. See docs/design/blue.md.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from journal.refusal import Refusal
from lanes.code import END_MS, FIRST_MS

Text = Annotated[str, Meta(min_length=1)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Time = Annotated[int, Meta(ge=FIRST_MS, lt=END_MS)]
Count = Annotated[int, Meta(ge=0)]
# What differs from window to window while the terms stay the same: such contracts are of one lineage.
MOVING: Final = ("run_id", "window", "log", "blue.imports", "lineage")
_SAID: Final = "blue.said"


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the document. A key that it does not know is refused."""


class Code(_Part, frozen=True, kw_only=True):
    """What decided and what judges. wheel: over every file of the installed product."""

    version: str
    code_hash: Text
    wheel: Text


class Range(_Part, frozen=True, kw_only=True):
    """Offsets of a partition, both included."""

    partition: Count
    first: Count
    last: Count


class Log(_Part, frozen=True, kw_only=True):
    """The log of the run. chain: over the completed batches of the ranges."""

    identity: dict[str, str | int]
    partitions: Count
    ranges: tuple[Range, ...] | None
    chain: str | None


class Import(_Part, frozen=True, kw_only=True):
    """An import of BLUE's trades: of its rows in the window, how many and the hash of what they hold."""

    import_id: Text
    rows: Count
    content_hash: Text


class Said(_Part, frozen=True, kw_only=True):
    """What BLUE says of itself beside its trades; empty where it did not record it."""

    version: str
    code_hash: str
    config_hash: str
    math_fingerprint: str


class Blue(_Part, frozen=True, kw_only=True):
    """BLUE's side. Both are null where no trade of the window was there."""

    label: Literal["REAL", "STAND-IN"]
    imports: tuple[Import, ...] | None
    said: Said | None


class Window(_Part, frozen=True, kw_only=True):
    """Event times, UTC milliseconds: from the first, up to and without the second."""

    from_ms: Time
    to_ms: Time


class Params(_Part, frozen=True, kw_only=True):
    """The profile that sizes. values: every constant of it."""

    profile: str
    hash: Text
    values: dict[str, Any]


class Runtime(_Part, frozen=True, kw_only=True):
    """Settings beside the params that can change an outcome."""

    warm: str
    absent: tuple[str, ...]
    standins: tuple[str, ...]
    versions: dict[str, str]


class Pairing(_Part, frozen=True, kw_only=True):
    """By the recorded scan id, else the nearest decision on the asset. clock_ms: how far BLUE's clock may be off."""

    tolerance_ms: Annotated[int, Meta(ge=0, le=3_600_000)]
    clock_ms: Annotated[int, Meta(ge=0, le=3_600_000)]


class Margins(_Part, frozen=True, kw_only=True):
    """Largest mean absolute difference that is no difference. notional: as a share of the capital; null: not asked."""

    leverage: Annotated[float, Meta(gt=0.0)]
    notional: Annotated[float, Meta(gt=0.0)] | None


class Floors(_Part, frozen=True, kw_only=True):
    """Least pairs, share of BLUE's trades that pair in every group, share of scans that are there."""

    pairs: Annotated[int, Meta(ge=1)]
    pair_rate: Share
    scans: Share


class Allowed(_Part, frozen=True, kw_only=True):
    """A difference that is known. asset, lane: empty for every one. expires: a day, which it does not hold on."""

    kind: Literal["STATE_INITIALISATION", "MARKET_DATA", "NUMERIC_POLICY", "LOGIC", "EXCHANGE_EFFECT"]
    asset: str = ""
    lane: str = ""
    reason: Text
    expires: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Lineage(_Part, frozen=True, kw_only=True):
    """The contract that this one goes on from, by its hash, and every field that is another, by its dotted name."""

    follows: str | None
    changed: tuple[str, ...]


class Contract(_Part, frozen=True, kw_only=True):
    """The whole document."""

    format: Literal["violet-contract/1"]
    run_id: Text
    code: Code
    math_fingerprint: str
    log: Log
    blue: Blue
    window: Window
    universe: tuple[Text, ...]
    params: Params
    kernels: dict[str, str]
    runtime: Runtime
    pairing: Pairing
    margins: Margins
    alpha: Annotated[float, Meta(ge=1e-12, lt=1.0)]  # measures and groups share it; it must stay a number
    floors: Floors
    allowed: tuple[Allowed, ...]
    lineage: Lineage

    @property
    def text(self) -> bytes:
        """The document in its canonical form."""
        return canonical(msgspec.to_builtins(self))

    @property
    def hash(self) -> str:
        """SHA-256 of the document, which names it."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def is_open(self) -> bool:
        """Whether it was made before its log or BLUE's trades were there."""
        return self.log.ranges is None or self.blue.imports is None


_DECODER: Final = msgspec.json.Decoder(Contract)


def canonical(value: Any) -> bytes:
    """JSON of builtin values in the one form that is hashed.

    >>> canonical({"b": 1.0, "a": [True, None, 0.1]})
    b'{"a":[true,null,0.1],"b":1.0}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def read(data: bytes, where: str) -> Contract:
    """The contract that a file holds. Raises Refusal that names the rule and the fix."""
    fix = "fix: take the file as `violet contract new` wrote it"
    try:
        contract = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refusal(f"{where}: a contract must have the fields of violet-contract/1: {error}; {fix}") from None
    if contract.window.from_ms >= contract.window.to_ms:
        raise Refusal(f"{where}: window.from_ms must be before window.to_ms; {fix}")
    if contract.text != data:
        raise Refusal(
            f"{where}: a contract must be canonical JSON (sorted keys, no spaces, no key twice, no newline); {fix}"
        )
    return contract


def checked(contract: Contract, flags: Mapping[str, str]) -> Contract:
    """The contract, as one that can be read back.

    Args:
        contract: as it was made.
        flags: what sets a field, by its dotted name.

    Raises:
        Refusal: a value is out of its bounds; it names what sets it.
    """
    values = dict(_flat(msgspec.to_builtins(contract)))
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise Refusal(f"{flags[name]} must be finite, was {value}; fix: give another number")
    try:
        return _DECODER.decode(contract.text)
    except msgspec.ValidationError as error:
        rule, _, place = str(error).removeprefix("Expected ").partition(" - at `$.")
        name = place.rstrip("`")
        raise Refusal(f"{flags[name]} must be {rule}, was {values[name]}; fix: give a value within it") from None


def differences(one: Contract, other: Contract) -> tuple[str, ...]:
    """Dotted names of the fields in which two contracts differ, the lineage left out."""
    mine, theirs = (dict(_flat(msgspec.to_builtins(each))) for each in (one, other))
    names = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    return tuple(name for name in names if not name.startswith("lineage"))


def terms(changed: Sequence[str]) -> tuple[str, ...]:
    """Those of some dotted names that are terms of the comparison, and no part of the data of one window.

    What BLUE says of itself is no change where one of both was made before BLUE said anything.
    """
    left = (*MOVING, _SAID) if _SAID in changed else MOVING
    return tuple(each for each in changed if not each.startswith(left))


def following(contract: Contract, before: Contract | None) -> Contract:
    """The contract with its lineage: what it goes on from, and what is another in it; `before` where nothing is.

    What BLUE said of itself before is expected of a window that has no trade yet.
    """
    if before is None:
        return contract
    if contract.blue.said is None:
        blue = msgspec.structs.replace(contract.blue, said=before.blue.said)
        contract = msgspec.structs.replace(contract, blue=blue)
    if not (changed := differences(contract, before)):
        return before
    return msgspec.structs.replace(contract, lineage=Lineage(follows=before.hash, changed=changed))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a document by their dotted names; a list is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _flat(each, f"{name}.{key}" if name else key)
    else:
        yield name, value
