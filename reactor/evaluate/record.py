"""Records: any bytes become a typed scan or plane, or one fault with a stable code.

The structs are the one definition of the wire format: they decode it, and `schema()` yields its JSON Schema.
A well-formed record takes one typed decode; whatever fails there is looked at again, slowly, to name its fault.
Of a duplicate key the last wins; a JSON null in an optional field counts as absent.
See docs/design/records.md.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, MsgspecError, Struct, UnsetType, ValidationError

from lanes.code import END_MS, FIRST_MS, PlaneForm, Reject
from lanes.lane import Kind
from lanes.registry import PLANES

MAX_BYTES: Final = 900_000  # a broker's default message limit, 1 MB, less room for headers
CUT_BYTES: Final = 16_384  # what a publisher leaves of a longer line
LENGTH_HEADER: Final = "violet-length"
DIGEST_HEADER: Final = "violet-sha256"
NAMES_MAX: Final = 100_000  # well-formed names remembered; a feed of ever new names must not fill memory
DEPTH_MAX: Final = 128  # our own bound: the decoder's depends on the caller's stack, and a code must not
UNKNOWN_MAX: Final = 64  # unknown fields counted by name in a batch; further ones count as "*"

STREAM_PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$"
SYMBOL_PATTERN: Final = r"^[A-Z0-9._-]{1,32}$"

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
TsMs = Annotated[int, Meta(ge=FIRST_MS, lt=END_MS)]
Multiplier = Annotated[float, Meta(ge=0.0)]
Stream = Annotated[str, Meta(extra_json_schema={"pattern": STREAM_PATTERN})]
Symbol = Annotated[str, Meta(extra_json_schema={"pattern": SYMBOL_PATTERN})]


class Irp(Struct, gc=False, forbid_unknown_fields=True):
    """Rank of one asset: `score` (higher is better) and `alignment`, both dimensionless."""

    score: float
    alignment: float


class Scan(Struct, tag_field="kind", tag="scan", gc=False, forbid_unknown_fields=True):
    """One scan of the market. `ts_ms` is event time, UTC milliseconds; prices in quote currency."""

    v: Literal[1]
    stream: Stream
    scan_id: Id
    ts_ms: TsMs
    vel_div: float
    prices: Annotated[dict[Symbol, float], Meta(min_length=1)]
    w750: float | None = None
    irp: dict[Symbol, Irp] | None = None
    dc_status: str | None = None
    context: dict[str, Any] | None = None


class Clean(Scan, tag="scan", gc=False, forbid_unknown_fields=True):
    """A scan as nearly all are: every price above 0, a context that nests nothing. The decoder sees to both."""

    prices: Annotated[dict[Symbol, Annotated[float, Meta(gt=0.0)]], Meta(min_length=1)]
    context: dict[str, str | int | float | bool | None] | None = None


_OF_KIND: Final[dict[Kind, Any]] = {
    Kind.MULTIPLIER: Multiplier,
    Kind.NUMBER: float,
    Kind.POSITIVE: Annotated[float, Meta(gt=0.0)],
    Kind.COUNT: Annotated[int, Meta(ge=0, lt=2**31)],
    Kind.ORDINAL: Annotated[int, Meta(ge=1, lt=2**31)],
    Kind.TEXT: Annotated[str, Meta(min_length=1, max_length=64)],
}
_KINDS: Final = {field.name: field.kind for plane in PLANES.values() for form in plane.forms for field in form}
if TYPE_CHECKING:
    Value = Struct
else:
    # A plane's value: exactly the fields of one of its forms.
    Value = msgspec.defstruct(
        "Value",
        [(name, _OF_KIND[kind] | UnsetType, UNSET) for name, kind in _KINDS.items()],
        gc=False,
        forbid_unknown_fields=True,
    )


class Plane(Struct, tag_field="kind", tag="plane", gc=False, forbid_unknown_fields=True):
    """One value of a slow plane; it acts on the scans of its own stream that follow it."""

    v: Literal[1]
    stream: Stream
    name: str
    seq: Id
    ts_ms: TsMs
    value: Value


# Names of the fields of each form, the multiplier first: where a value holds both, BLUE's own multiplier is used.
FORMS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {name: plane.names for name, plane in PLANES.items()}


class Fault(Struct):
    """A record that cannot be used. `kind`, `stream`, `scan_id`, `ts_ms` hold what is known of it."""

    code: Reject
    detail: str
    kind: str = ""
    stream: str = ""
    scan_id: int = -1
    ts_ms: int = -1
    lane: str = ""


Record = Scan | Plane | Fault

decode_clean: Callable[[bytes], Clean | Plane] = msgspec.json.Decoder(Clean | Plane).decode
_decode_typed: Callable[[bytes], Scan | Plane] = msgspec.json.Decoder(Scan | Plane).decode
_decode_any: Callable[[bytes], Any] = msgspec.json.Decoder().decode
_astuple: Callable[[Value], tuple[Any, ...]] = msgspec.structs.astuple
# What a record alone can bring a parser to raise. All else, such as memory that is short, is no fault of the record.
UNREADABLE: Final = (MsgspecError, UnicodeError, RecursionError)
_stream_ok = re.compile(STREAM_PATTERN).fullmatch
_symbol_ok = re.compile(SYMBOL_PATTERN).fullmatch
# The last string may be open: a match that fails at its end would be tried again from every quote in it.
_strings = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"{}[]"))


# A value in its form: PlaneForm, then its numbers in the order of FORMS (NaN: none), and its text.
Formed = tuple[int, float, float, float, str]

_NAN: Final = float("nan")


def form_of(plane: Plane) -> Formed | None:
    """The value's form and numbers; None where it is not exactly one form of its plane."""
    value = plane.value
    given = _FIELDS - _astuple(value).count(UNSET)
    for form, names in _BY_SIZE.get((plane.name, given), ()):
        numbers = [getattr(value, name) for name in names]
        if UNSET not in numbers:
            if _KINDS[names[0]] is Kind.TEXT:
                return form, _NAN, _NAN, _NAN, numbers[0]
            x, y, z = (*map(float, numbers), _NAN, _NAN)[:3]
            return form, x, y, z, ""
    return None


def _by_size() -> dict[tuple[str, int], tuple[tuple[int, tuple[str, ...]], ...]]:
    """Forms of a plane by how many fields they have: (PlaneForm, names)."""
    found: dict[tuple[str, int], tuple[tuple[int, tuple[str, ...]], ...]] = {}
    for plane, forms in FORMS.items():
        for at, names in enumerate(forms, 1):
            key = plane, len(names)
            found[key] = (*found.get(key, ()), (PlaneForm(at).value, names))
    return found


_BY_SIZE: Final = _by_size()
_FIELDS: Final = len(_KINDS)


class Decoder:
    """Decodes records one by one. `unknown` counts the fields that the schema does not know, by dotted name.

    `streams` and `symbols` are names found well-formed, at most NAMES_MAX of each. `planes` are the names that a plane
    may have: those of lanes that are off are not among them where a walk has a profile.
    """

    def __init__(self) -> None:
        self.planes: Collection[str] = PLANES
        self.unknown: Counter[str] = Counter()
        self.streams: set[str] = set()
        self.symbols: set[str] = set()

    def decode(self, raw: bytes | None) -> Record:
        """One record of at most MAX_BYTES; raises nothing that is the record's own fault."""
        if raw is None or len(raw) > MAX_BYTES:
            return self.slow(raw)
        try:
            record = _decode_typed(raw)
            self.check(record)
            if isinstance(record, Plane):
                return record if record.name in self.planes and form_of(record) is not None else self.slow(raw)
            # The context nests one level deeper than its record does.
            return record if not record.context or _depth(record.context) < DEPTH_MAX else self.slow(raw)
        except (*UNREADABLE, BadRecord):
            return self.slow(raw)

    def check(self, record: Scan | Plane) -> None:
        """Raise BadRecord where a name is not well-formed, which the structs do not say."""
        if record.stream not in self.streams:
            self._check_stream(record.stream)
        if isinstance(record, Scan):
            if not self.symbols.issuperset(record.prices):
                self._check_symbols(record.prices.keys())
            if record.irp is not None and not self.symbols.issuperset(record.irp):
                self._check_symbols(record.irp.keys())

    def take_unknown(self) -> dict[str, int]:
        """The counts since the last call."""
        counts, self.unknown = dict(self.unknown), Counter()
        return counts

    def _check_stream(self, name: str) -> None:
        if not _stream_ok(name):
            raise BadRecord(Reject.BAD_NAME, f"stream must match {STREAM_PATTERN}")
        if len(self.streams) >= NAMES_MAX:
            self.streams.clear()
        self.streams.add(name)

    def _check_symbols(self, names: Any) -> None:
        if len(self.symbols) >= NAMES_MAX:
            self.symbols.clear()
        for name in names:
            if not _symbol_ok(name):
                raise BadRecord(Reject.BAD_NAME, f"symbol must match {SYMBOL_PATTERN}")
            self.symbols.add(name)

    def slow(self, raw: bytes | None) -> Record:
        """Decode without haste, naming what is wrong; raises nothing that is the record's own fault."""
        try:
            return self._classify(raw)
        except BadRecord as bad:
            return Fault(bad.code, bad.detail, **bad.known)

    def _classify(self, raw: bytes | None) -> Record:
        obj = _parse(raw)
        known = _known(obj)
        try:
            if type(obj.get("v")) is not int or obj["v"] != 1:
                raise BadRecord(Reject.SCHEMA_VERSION, "v must be 1")
            if obj.get("kind") not in ("scan", "plane"):
                raise BadRecord(Reject.KIND, "kind must be scan or plane")
            return self._scan(obj) if obj["kind"] == "scan" else self._plane(obj)
        except BadRecord as bad:
            raise BadRecord(bad.code, bad.detail, known) from None

    def _scan(self, obj: dict[str, Any]) -> Scan:
        context = obj.pop("context", None)
        if context is not None and type(context) is not dict:
            raise BadRecord(Reject.WRONG_TYPE, "context must be an object")
        irp = obj.get("irp")
        if type(irp) is dict:
            for entry in irp.values():
                if type(entry) is dict:
                    self._drop_unknown(entry, Irp, "irp.")
        scan: Scan = self._convert(obj, Scan)
        self._check_stream(scan.stream)
        self._check_symbols(scan.prices.keys() | (scan.irp or {}).keys())
        return scan

    def _plane(self, obj: dict[str, Any]) -> Plane:
        name, value = obj.get("name"), obj.get("value")
        if type(name) is str and name not in self.planes:
            raise BadRecord(Reject.PLANE_NAME, f"no plane {name[:64]!r}; known: {', '.join(self.planes)}")
        if type(name) is str and type(value) is dict:
            form = next((f for f in FORMS[name] if all(n in value for n in f)), None)
            if form is None:
                forms = " or ".join("{" + ", ".join(f) + "}" for f in FORMS[name])
                raise BadRecord(Reject.PLANE_VALUE, f"value of plane {name} must hold {forms}")
            for extra in value:
                if extra not in form:
                    self._count(f"value.{extra}")
            obj["value"] = {n: value[n] for n in form}
        plane: Plane = self._convert(obj, Plane)
        self._check_stream(plane.stream)
        return plane

    def _convert(self, obj: dict[str, Any], struct: type[Any]) -> Any:
        self._drop_unknown(obj, struct, "")
        try:
            return msgspec.convert(obj, struct)
        except ValidationError as error:
            raise BadRecord(_code_of(str(error)), str(error)) from None

    def _drop_unknown(self, obj: dict[str, Any], struct: type[Any], prefix: str) -> None:
        known = (*struct.__struct_fields__, struct.__struct_config__.tag_field)
        for name in [each for each in obj if each not in known]:
            self._count(prefix + name)
            del obj[name]

    def _count(self, name: str) -> None:
        name = name[:64]
        self.unknown[name if len(self.unknown) < UNKNOWN_MAX or name in self.unknown else "*"] += 1


class BadRecord(Exception):
    """What is wrong with a record: its code, words, and what is known of it all the same."""

    def __init__(self, code: Reject, detail: str, known: dict[str, Any] | None = None) -> None:
        self.code, self.detail, self.known = code, detail, known or {}


def _parse(raw: bytes | None) -> dict[str, Any]:
    if raw is not None and len(raw) > MAX_BYTES:
        raise BadRecord(Reject.TOO_LARGE, f"{len(raw)} bytes; at most {MAX_BYTES}")
    if raw is None or not raw.strip():
        raise BadRecord(Reject.EMPTY, "no bytes")
    try:
        obj = _decode_any(raw)
    except UNREADABLE as error:
        detail = str(error)
        if not _deep(raw) and ("out of range" in detail or _only_non_finite(raw)):
            raise BadRecord(Reject.NON_FINITE, "NaN, an infinity, or a number that float64 cannot hold") from None
        raise BadRecord(Reject.MALFORMED, detail) from None
    if type(obj) is not dict:
        raise BadRecord(Reject.MALFORMED, f"must be a JSON object, was {type(obj).__name__}")
    if _depth(obj) > DEPTH_MAX:
        raise BadRecord(Reject.MALFORMED, f"nested deeper than {DEPTH_MAX} levels")
    return obj


def _only_non_finite(raw: bytes) -> bool:
    """Whether the text would be JSON but for NaN and Infinity, which Python's reader takes."""
    constants: list[str] = []
    try:
        json.loads(raw.decode(), parse_constant=constants.append)
    except (ValueError, RecursionError):
        return False
    return bool(constants)


def _deep(raw: bytes) -> bool:
    """Whether text that did not parse nests over DEPTH_MAX; where a parser gives up hangs on the stack."""
    depth = 0
    for bracket in _strings.sub(b"", raw).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"{[" else -1
        if depth > DEPTH_MAX:
            return True
    return False


def _depth(obj: dict[str, Any]) -> int:
    """Levels of objects and arrays, counted without recursion."""
    depth = 0
    level: list[Any] = [obj]
    while level:
        depth += 1
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
    return depth


def _known(obj: dict[str, Any]) -> dict[str, Any]:
    """What can be trusted of a faulty object: its kind, stream, scan id and time, each where it is valid."""
    known: dict[str, Any] = {}
    if obj.get("kind") in ("scan", "plane"):
        known["kind"] = obj["kind"]
    if type(obj.get("stream")) is str and _stream_ok(obj["stream"]):
        known["stream"] = obj["stream"]
    for name in ("scan_id", "ts_ms"):
        value = obj.get(name)
        if type(value) is int and 0 <= value < 2**63:
            known[name] = value
    return known


def _code_of(message: str) -> Reject:
    """The code for one of msgspec's validation messages."""
    if "missing required field" in message:
        return Reject.MISSING_FIELD
    if "out of range" in message:
        return Reject.NON_FINITE
    return Reject.WRONG_TYPE if ", got " in message else Reject.OUT_OF_RANGE


def schema() -> dict[str, Any]:
    """JSON Schema of a record, drawn from the structs, with the forms of each plane."""
    out = msgspec.json.schema(Scan | Plane)
    out["$defs"]["Plane"]["allOf"] = [
        {
            "if": {"properties": {"name": {"const": name}}},
            "then": {"properties": {"value": {"anyOf": [{"required": list(f)} for f in forms]}}},
        }
        for name, forms in FORMS.items()
    ]
    out["$defs"]["Plane"]["properties"]["name"]["enum"] = list(FORMS)
    out["$defs"]["Scan"]["properties"]["context"] = {"type": ["object", "null"]}
    for name in ("Scan", "Plane", "Irp", "Value"):  # readers ignore and count what they do not know
        out["$defs"][name].pop("additionalProperties", None)
    return out
