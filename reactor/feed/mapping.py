"""Mapping: a TOML file that says how the rows of foreign sources become ours; pure.

SOURCE_KEYS and FIELD_KEYS say what may stand in a mapping; docs/reference.md is made of them.
What it compiles to, and how that treats a row, is in mapped.py. See docs/design/feeds.md.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from journal.refusal import Refusal
from lanes import registry
from lanes.lane import Kind
from reactor.evaluate.record import STREAM_PATTERN
from reactor.feed.convert import (
    NO_VALUE,
    BadRow,
    Read,
    Row,
    has,
    is_empty,
    steps,
    text,
    to_any,
    to_integer,
    to_number,
    to_words,
    walk,
    words_for_none,
)
from reactor.feed.mapped import Getter, MappedSource, near
from reactor.feed.moment import to_time
from reactor.feed.symbol import NUMBERS, fixed, to_map, to_symbol
from reactor.feed.table import FORMATS, Layout

CONVERT: Final[Mapping[str, Callable[[Row, str], Read]]] = {
    "time": to_time, "number": to_number, "integer": to_integer, "text": to_words, "symbol": to_symbol, "any": to_any,
}  # fmt: skip
"""Kind of a field -> maker of its conversion, from the field's table and where it stands. Maps: symbol.to_map."""


class Field(NamedTuple):
    """A field of ours: its kind (of CONVERT, or of NUMBERS for a map).

    required: it must be mapped; always: where it is mapped, each row has it.
    """

    kind: str
    required: bool = False
    always: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What a source may feed: its fields, the sets of which one must be mapped, the prefix of free fields."""

    fields: Mapping[str, Field]
    forms: tuple[tuple[str, ...], ...] = ()
    free: str | None = None


_HEAD: Final = {"stream": Field("text", required=True), "ts_ms": Field("time", required=True)}
SCAN: Final = Target(
    {
        **_HEAD,
        "scan_id": Field("integer", always=True),
        "vel_div": Field("number", required=True),
        "w750": Field("number"),
        "prices": Field("prices", required=True),
        "irp": Field("ranks"),
        "dc_status": Field("text"),
    },
    free="context.",
)
_KINDS: Final = {Kind.TEXT: "text", Kind.COUNT: "integer", Kind.ORDINAL: "integer"}
PLANES: Final = {
    plane.name: Target(
        {**_HEAD, "seq": Field("integer", always=True)}
        | {field.name: Field(_KINDS.get(field.kind, "number")) for form in plane.forms for field in form},
        plane.names,
    )
    for plane in registry.PLANES.values()
}
TARGETS: Final[Mapping[str, Target]] = {"scan": SCAN, **PLANES}
"""What `violet sequence` feeds. Another command gives `parse` targets of its own."""


def parse(toml: str, targets: Mapping[str, Target] = TARGETS, *, placed: bool = True) -> list[MappedSource]:
    """The sources of a mapping file, in order of rank.

    Args:
        toml: the text of the file.
        targets: what a source may feed, by name.
        placed: whether each source names its file or topic; else the caller says where the rows are.

    Raises:
        Refusal: a key is unknown or does not fit; it is named, with the fix.

    >>> (source,) = parse('''
    ... stream = "ng7"
    ... [[source]]
    ... feeds = "acb"
    ... file = "acb.csv"
    ... [source.fields]
    ... ts_ms = { path = "at", unit = "s" }
    ... boost = "boost"
    ... ''')
    >>> source({"at": 1746372700, "boost": 1.35})
    {'ts_ms': 1746372700000, 'boost': 1.35, 'stream': 'ng7'}
    """
    try:
        table = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"the mapping must be TOML: {error}; fix: repair that line") from None
    _known(table, ("source", "stream", "kafka"), "")  # [kafka]: the broker of topics, see reactor.run.settings
    rows = table.get("source")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Refusal("the mapping must hold at least one [[source]]; fix: add one for each feed")
    sources = [_source(row, rank, table.get("stream"), targets, placed) for rank, row in enumerate(rows)]
    names = [source.name for source in sources]
    if twice := {name for name in names if names.count(name) > 1}:
        raise Refusal(f"source names must differ, was {twice.pop()!r} twice; fix: give each [[source]] its own `name`")
    return sources


SOURCE_KEYS: Final[Mapping[str, str]] = {
    "name": "Name in messages and stamps; by default what the source feeds.",
    "file": "File of the rows, relative to the folder of the mapping.",
    "topic": "Topic of the rows, instead of a file.",
    "format": "`jsonl`, `csv` or `parquet`; without it by the file's name, else by its content.",
    "rows": 'Where the rows lie: in JSON a path, `"strategy.*.trades"` (`*` is the one key there); in SQLite a table. '
    "Of a list the first that is there.",
    "skip": "Of CSV: how many lines stand above the header.",
    "member": 'Of a zip of several files: the one to read, `"*[0-9].json"`.',
    "feeds": "What the rows become: `scan`, a plane by its name, or for BLUE `trade` or `leg`.",
    "stream": "Stream of the records; without it the mapping's.",
    "where": 'Only rows that have one of these values at a path: `{ "a.b" = "x" }`; others are passed over.',
    "skip_without": "Paths; rows without a (finite) value at one of them are passed over.",
    "no_value": 'More words for no value, `["-", "-999"]`. Known: an empty cell, null, None, NaN, NaT, N/A, `\\N`.',
    "group": "`true`: the rows of one time become one scan.",
    "fields": "Our fields, each with the path of theirs.",
}
FIELD_KEYS: Final[Mapping[str, str]] = {
    "path": 'Path of their field: `"a.b.c"`, a list of steps where a key holds a dot. JSON inside a text is read.',
    "const": "A value instead of a path.",
    "or": "Other paths, where the row has no field at `path`.",
    "join": "Of a text: paths of the parts that make it, where there is none at `path`.",
    "unit": "Of a time: `ms` (default), `s`, `us`, `ns`, `iso`, a list of them, or `auto` (a number's size tells). "
    "Of a symbol: `pair` (BTC/USDT, BTC-USDT, BTC_USDT:USDT become BTCUSDT; another name, one without a separator too, "
    "is refused) or `upper` (btcusdt becomes BTCUSDT).",
    "zone": 'Of ISO text that has none: `"UTC"`, `"+02:00"`, `"Europe/Vienna"`.',
    "scale": "Factor of a number.",
    "values": "Of a text: theirs = ours.",
    "key": "Of a map: where in each entry of the list at `path` its symbol lies. Without `path`, where in the row; "
    "then a row is one entry (`group`), or `key` and `value` lead to lists of one length.",
    "value": "Of prices: where in an entry, or with `key` in the row, the price lies.",
    "columns": 'Of prices: the columns of a wide table, `"*USDT"`, `"{symbol}_close"` or a list of such patterns.',
    "score": "Of irp: where the score lies.",
    "alignment": "Of irp: where the alignment lies.",
}
_TOML: Final = {str: "text", dict: "a table", list: "a list", bool: "true or false", int: "a whole number"}
_TYPES: Final = {
    "file": str, "topic": str, "where": dict, "skip_without": list, "group": bool, "fields": dict,
    "no_value": list, "skip": int, "member": str,
}  # fmt: skip
_SPEC_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("or", "unit", "zone"), "number": ("or", "scale"), "integer": ("or",), "text": ("or", "join", "values"),
    "symbol": ("or", "unit"), "any": ("or",), "prices": ("unit", "scale", "key", "value", "columns"),
    "ranks": ("unit", "scale", "key", "score", "alignment"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Of:
    """What a field takes from its source: the form of its plane, words for no value, columns that others read."""

    form: tuple[str, ...]
    words: frozenset[str]
    taken: frozenset[str]
    is_grouped: bool


def _source(table: Row, rank: int, stream: Any, targets: Mapping[str, Target], placed: bool) -> MappedSource:
    name = str(table.get("name") or table.get("feeds") or f"source{rank + 1}")
    here = f"source {name!r}: "
    _known(table, tuple(SOURCE_KEYS), here)
    feeds = table.get("feeds")
    if not isinstance(feeds, str) or feeds not in targets:
        raise Refusal(f"{here}feeds must be one of {', '.join(targets)}, was {feeds!r}{near(feeds, targets)}")
    if placed and ("file" in table) == ("topic" in table):
        raise Refusal(f"{here}must have either a file or a topic; fix: give one of them")
    for key, must in _TYPES.items():
        if key in table and (not isinstance(table[key], must) or (must is int and type(table[key]) is bool)):
            raise Refusal(f"{here}{key} must be {_TOML[must]}, was {table[key]!r}; fix: write it as one")
    if "topic" in table and (wrong := [key for key in ("rows", "skip", "member") if key in table]):
        raise Refusal(f"{here}{wrong[0]} goes with a file; fix: drop it")
    target, fields = targets[feeds], dict(table.get("fields", {}))
    stream = table.get("stream", stream)
    if "stream" in target.fields and "stream" not in fields:
        if not isinstance(stream, str) or not re.fullmatch(STREAM_PATTERN, stream):
            raise Refusal(f'{here}stream must match {STREAM_PATTERN}, was {stream!r}; fix: stream = "ng7"')
        fields["stream"] = {"const": stream}
    form = _form(feeds, target, fields, here)
    where = tuple((steps(p), frozenset(map(text, w if isinstance(w, list) else [w])))
                  for p, w in table.get("where", {}).items())  # fmt: skip
    skip_without = tuple(steps(p) for p in table.get("skip_without", ()))
    words = words_for_none(table["no_value"]) if "no_value" in table else NO_VALUE
    specs = {ours: _spec(f"{here}fields.{ours}", spec) for ours, spec in fields.items()}
    is_wide = {ours: "columns" in spec for ours, spec in specs.items()}
    getters: list[Getter] = []
    for ours in sorted(specs, key=is_wide.__getitem__):  # a wide table's columns are those that nothing else reads
        read = [path for getter in getters for path in getter.paths] + [path for path, _ in where]
        of = _Of(form, words, frozenset(path[0] for path in (*read, *skip_without)), bool(table.get("group")))
        kind = target.fields.get(ours, Field("any"))
        getters.append(_getter(f"{here}fields.{ours}", ours, specs[ours], kind, of))
    return MappedSource(
        name=name, rank=rank, feeds=feeds, file=table.get("file"), topic=table.get("topic"),
        group=bool(table.get("group", False)), where=where, skip_without=skip_without,
        getters=tuple(sorted(getters, key=lambda getter: list(fields).index(getter.name))), words=words,
        layout=Layout(_format(table, here), _rows(table, here), table.get("skip", 0), table.get("member", "")),
    )  # fmt: skip


def _form(feeds: str, target: Target, fields: Row, here: str) -> tuple[str, ...]:
    """The form of a plane that the fields map. Raises Refusal where a field is unknown, missing or of another form."""
    for ours in fields:
        if ours not in target.fields and not (target.free and ours.startswith(target.free)):
            raise Refusal(
                f"{here}fields.{ours} is not a field of {feeds}; fix: use one of {', '.join(target.fields)}"
                + (f" or {target.free}NAME" if target.free else "")
                + near(ours, target.fields)
            )
    form = next((f for f in target.forms if set(f) <= fields.keys()), None)
    if target.forms and form is None:
        forms = " or ".join("{" + ", ".join(f) + "}" for f in target.forms)
        raise Refusal(f"{here}fields must map {forms}; fix: add the path of each")
    others = {n for each in target.forms for n in each}.difference(form or ())
    if extra := sorted(others & fields.keys()):
        raise Refusal(
            f"{here}fields.{extra[0]} is of another form than {', '.join(form or ())}; fix: map one form alone"
        )
    required = {n for n, f in target.fields.items() if f.required}
    if missing := sorted((required | set(form or ())) - fields.keys()):
        raise Refusal(f'{here}fields must map {", ".join(missing)}; fix: add `{missing[0]} = "their.path"`')
    return form or ()


def _spec(here: str, spec: Any) -> Row:
    found = {"path": spec} if isinstance(spec, str | list) else spec
    if not isinstance(found, dict):
        raise Refusal(f"{here} must be a path or a table, was {spec!r}; fix: {{ const = {spec!r} }} for a constant")
    return found


def _rows(table: Row, here: str) -> tuple[tuple[str, ...], ...]:
    given = table.get("rows", [])
    if not isinstance(given, str | list):
        raise Refusal(f'{here}rows must be a path or a list of paths, was {given!r}; fix: rows = "their.path"')
    return tuple(steps(path) for path in ([given] if isinstance(given, str) else given))


def _format(table: Row, here: str) -> str:
    """The declared format; empty: the file's name or content tells."""
    found = table.get("format", "")
    if "format" in table and found not in FORMATS:
        raise Refusal(f'{here}format must be one of {", ".join(FORMATS)}, was {found!r}; fix: format = "jsonl"')
    return str(found)


def _getter(here: str, ours: str, spec: Row, kind: Field, of: _Of) -> Getter:
    _known(spec, ("path", "const", *_SPEC_KEYS[kind.kind]), f"{here}: ")
    required = kind.required or kind.always or ours in of.form
    if "const" in spec:
        make = fixed if kind.kind in NUMBERS else _constant
        try:
            value = make(spec, kind.kind, here)
        except BadRow as bad:
            raise Refusal(f"{here}: {bad}") from None
        return Getter(ours, (), required, lambda row: value)
    if kind.kind in NUMBERS:
        form = to_map(spec, kind.kind, here, of.words, of.taken, is_grouped=of.is_grouped)
        return Getter(ours, form.paths, required, form.read, form.matches, form.is_single)
    paths = tuple(steps(path) for path in (*([spec["path"]] if "path" in spec else []), *_list(spec, "or", here)))
    joined = tuple(steps(path) for path in _list(spec, "join", here))
    if not paths and not joined:
        raise Refusal(f'{here} must have a path; fix: {ours} = "their.path"')
    convert, named = CONVERT[kind.kind](spec, here), spec.get("values", {})

    def read(row: Row) -> Any:
        value = walk(row, paths[0]) if paths else None
        if value is None and len(paths) > 1:
            value = next((walk(row, path) for path in paths if has(row, path)), None)
        if value is None and joined:
            parts = [walk(row, path) for path in joined]
            value = None if any(is_empty(part, of.words) for part in parts) else " ".join(map(text, parts))
        return None if is_empty(value, of.words) and not (named and text(value) in named) else convert(value)

    return Getter(ours, paths + joined, required, read)


def _constant(spec: Row, kind: str, here: str) -> Any:
    return CONVERT[kind](spec, here)(spec["const"])


def _list(spec: Row, key: str, here: str) -> list[Any]:
    found = spec.get(key, [])
    if not isinstance(found, list):
        raise Refusal(f'{here}: {key} must be a list of paths, was {found!r}; fix: {key} = ["their.path"]')
    return found


def _known(table: Row, names: tuple[str, ...], here: str) -> None:
    for name in table:
        if name not in names:
            raise Refusal(f"{here}unknown key {name!r}; fix: use one of {', '.join(names)}{near(name, names)}")
