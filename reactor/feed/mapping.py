"""Mapping: a TOML file that says how the rows of foreign sources become ours; pure.

SOURCE_KEYS and FIELD_KEYS say what may stand in a mapping; docs/reference.md is made of them.
A row that does not fit is a BadRow that says what was found and the fix. Absent, null, empty and, in an optional
field, NaN are the same: no value. See docs/design/feeds.md.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from journal.refusal import Refusal
from lanes import registry
from lanes.lane import Kind
from reactor.evaluate.record import STREAM_PATTERN
from reactor.feed.convert import CONVERT, BadRow, Read, Row, is_empty, steps, text, to_number, to_symbol, walk

FORMATS: Final = ("jsonl", "csv", "parquet")


class Field(NamedTuple):
    """A field of ours: its kind (see CONVERT); required: it must be mapped; always: where mapped, each row has it."""

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


class Getter(NamedTuple):
    """One mapped field: ours, the steps to theirs (none: a constant), how it is read."""

    name: str
    paths: tuple[tuple[str, ...], ...]
    required: bool
    read: Read


@dataclass(slots=True, kw_only=True)
class MappedSource:
    """One foreign source, compiled. `found` counts, for each mapped field, the rows that had it."""

    name: str
    rank: int
    feeds: str
    file: str | None
    topic: str | None
    format: str
    where: tuple[tuple[tuple[str, ...], frozenset[str]], ...]
    skip_without: tuple[tuple[str, ...], ...]
    group: bool
    getters: tuple[Getter, ...]
    found: dict[str, int] = field(default_factory=dict)

    def takes(self, row: Row) -> bool:
        """Whether `where` and `skip_without` let the row through."""
        wanted = all(text(walk(row, path)) in values for path, values in self.where)
        return wanted and not any(is_empty(walk(row, path)) for path in self.skip_without)

    def __call__(self, row: Row) -> Row:
        """Ours -> value, for the fields that the row has.

        Raises:
            BadRow: a required field is absent, or a value does not fit.
        """
        out: Row = {}
        for name, paths, required, read in self.getters:
            try:
                value = read(row)
            except BadRow as bad:
                raise BadRow(f"{name}: {bad}") from None
            if value is not None:
                out[name] = value
                self.found[name] = self.found.get(name, 0) + 1
            elif required:
                raise BadRow(f"{name}: {_lacks(row, paths)}")
        return out

    def unmapped(self, row: Row) -> list[str]:
        """Their fields that nothing of ours reads, as dotted paths."""
        used = {path for getter in self.getters for path in getter.paths}
        used |= {path for path, _ in self.where} | set(self.skip_without)
        return [".".join(path) for path in _leaves(row, (), used)]

    def never_found(self) -> list[str]:
        """Mapped fields that no row so far had."""
        return [g.name for g in self.getters if g.paths and not self.found.get(g.name)]


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
    "format": "`jsonl`, `csv` or `parquet`; without it by the file's name.",
    "feeds": "What the rows become: `scan`, a plane by its name, or for BLUE `trade` or `leg`.",
    "stream": "Stream of the records; without it the mapping's.",
    "where": 'Only rows that have one of these values at a path: `{ "a.b" = "x" }`; others are passed over.',
    "skip_without": "Paths; rows without a value at one of them are passed over.",
    "group": "`true`: the rows of one time become one scan.",
    "fields": "Our fields, each with the path of theirs.",
}
FIELD_KEYS: Final[Mapping[str, str]] = {
    "path": 'Path of their field: `"a.b.c"`, a list of steps where a key holds a dot. JSON inside a text is read.',
    "const": "A value instead of a path.",
    "unit": "Of a time: `ms` (default), `s`, `us`, `ns`, `iso`. Of a symbol: `pair` (BTC/USDT:USDT becomes BTCUSDT).",
    "zone": 'Of ISO text that has none: `"UTC"`, `"+02:00"`, `"Europe/Vienna"`.',
    "scale": "Factor of a number.",
    "values": "Of a text: theirs = ours.",
    "key": "Of a map with one entry a row (`group`): the path of its symbol.",
    "value": "Of prices: where in an entry, or with `key` in the row, the price lies.",
    "score": "Of irp: where the score lies.",
    "alignment": "Of irp: where the alignment lies.",
}
_TOML: Final = {str: "text", dict: "a table", list: "a list", bool: "true or false"}
_TYPES: Final = {"file": str, "topic": str, "where": dict, "skip_without": list, "group": bool, "fields": dict}
_SPEC_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("unit", "zone"), "number": ("scale",), "integer": (), "text": ("values",), "symbol": ("unit",), "any": (),
    "prices": ("unit", "scale", "key", "value"), "ranks": ("unit", "scale", "key", "score", "alignment"),
}  # fmt: skip


def _source(table: Row, rank: int, stream: Any, targets: Mapping[str, Target], placed: bool) -> MappedSource:
    name = str(table.get("name") or table.get("feeds") or f"source{rank + 1}")
    here = f"source {name!r}: "
    _known(table, tuple(SOURCE_KEYS), here)
    feeds = table.get("feeds")
    if not isinstance(feeds, str) or feeds not in targets:
        raise Refusal(f"{here}feeds must be one of {', '.join(targets)}, was {feeds!r}{_near(feeds, targets)}")
    if placed and ("file" in table) == ("topic" in table):
        raise Refusal(f"{here}must have either a file or a topic; fix: give one of them")
    for key, must in _TYPES.items():
        if key in table and not isinstance(table[key], must):
            raise Refusal(f"{here}{key} must be {_TOML[must]}, was {table[key]!r}; fix: write it as one")
    kind = _format(table, here)
    target, fields = targets[feeds], dict(table.get("fields", {}))
    if "file" in table and not table.get("group") and any(isinstance(f, dict) and "key" in f for f in fields.values()):
        raise Refusal(
            f"{here}a map with a `key` has one entry a row; fix: group = true makes one scan of a time's rows"
        )
    stream = table.get("stream", stream)
    if "stream" in target.fields and "stream" not in fields:
        if not isinstance(stream, str) or not re.fullmatch(STREAM_PATTERN, stream):
            raise Refusal(f'{here}stream must match {STREAM_PATTERN}, was {stream!r}; fix: stream = "ng7"')
        fields["stream"] = {"const": stream}
    for ours in fields:
        if ours not in target.fields and not (target.free and ours.startswith(target.free)):
            raise Refusal(
                f"{here}fields.{ours} is not a field of {feeds}; fix: use one of {', '.join(target.fields)}"
                + (f" or {target.free}NAME" if target.free else "")
                + _near(ours, target.fields)
            )
    required = {n for n, f in target.fields.items() if f.required}
    form = next((f for f in target.forms if set(f) <= fields.keys()), None)
    if target.forms and form is None:
        forms = " or ".join("{" + ", ".join(f) + "}" for f in target.forms)
        raise Refusal(f"{here}fields must map {forms}; fix: add the path of each")
    others = {n for each in target.forms for n in each}.difference(form or ())
    if extra := sorted(others & fields.keys()):
        raise Refusal(
            f"{here}fields.{extra[0]} is of another form than {', '.join(form or ())}; fix: map one form alone"
        )
    if missing := sorted((required | set(form or ())) - fields.keys()):
        raise Refusal(f'{here}fields must map {", ".join(missing)}; fix: add `{missing[0]} = "their.path"`')
    getters = tuple(
        _getter(f"{here}fields.{ours}", ours, spec, target.fields.get(ours, Field("any")), form or ())
        for ours, spec in fields.items()
    )
    return MappedSource(
        name=name, rank=rank, feeds=feeds, file=table.get("file"), topic=table.get("topic"),
        format=kind, group=bool(table.get("group", False)), getters=getters,
        where=tuple((steps(p), frozenset(map(text, w if isinstance(w, list) else [w])))
                    for p, w in table.get("where", {}).items()),
        skip_without=tuple(steps(p) for p in table.get("skip_without", ())),
    )  # fmt: skip


def _format(table: Row, here: str) -> str:
    stem = str(table.get("file", "x.jsonl")).removesuffix(".zst")
    found = table.get("format", {"ndjson": "jsonl", "json": "jsonl"}.get(ext := stem.rpartition(".")[2], ext))
    if found not in FORMATS:
        raise Refusal(f'{here}format must be one of {", ".join(FORMATS)}, was {found!r}; fix: format = "jsonl"')
    return str(found)


def _getter(here: str, ours: str, spec: Any, kind: Field, form: tuple[str, ...]) -> Getter:
    spec = {"path": spec} if isinstance(spec, str | list) else spec
    if not isinstance(spec, dict):
        raise Refusal(f"{here} must be a path or a table, was {spec!r}; fix: {{ const = {spec!r} }} for a constant")
    _known(spec, ("path", "const", *_SPEC_KEYS[kind.kind]), f"{here}: ")
    required = kind.required or kind.always or ours in form
    if "const" in spec:
        value = spec["const"]
        try:
            fixed = CONVERT[kind.kind](spec, here)(value)
        except BadRow as bad:
            raise Refusal(f"{here}: {bad}") from None
        return Getter(ours, (), required, lambda row: fixed)
    if kind.kind in ("prices", "ranks") and "key" in spec:
        return Getter(ours, *_one_entry(spec, kind.kind, here, required=required))
    if "path" not in spec:
        raise Refusal(f'{here} must have a path; fix: {ours} = "their.path"')
    path, convert = steps(spec["path"]), CONVERT[kind.kind](spec, here)

    def read(row: Row) -> Any:
        value = walk(row, path)
        return None if value is None or value == "" or (not required and is_empty(value)) else convert(value)

    return Getter(ours, (path,), required, read)


def _one_entry(spec: Row, kind: str, here: str, *, required: bool) -> tuple[tuple[tuple[str, ...], ...], bool, Read]:
    """A map of which each row holds one entry: the row's symbol and its numbers."""
    names = ("value",) if kind == "prices" else ("score", "alignment")
    if missing := [name for name in names if name not in spec]:
        raise Refusal(f'{here} with a key must have {missing[0]}; fix: {missing[0]} = "their.path"')
    paths = (steps(spec["key"]), *(steps(spec[name]) for name in names))
    symbol, number = to_symbol(spec, here), to_number(spec, here)

    def read(row: Row) -> Any:
        key, *values = (walk(row, path) for path in paths)
        if any(is_empty(v) for v in (key, *values)):
            return None
        numbers = [number(v) for v in values]
        return {symbol(key): numbers[0] if kind == "prices" else dict(zip(names, numbers, strict=True))}

    return paths, required, read


def _lacks(row: Row, paths: tuple[tuple[str, ...], ...]) -> str:
    path = next((p for p in paths if is_empty(walk(row, p))), paths[0] if paths else ())
    if walk(row, path) is not None:
        return f"{'.'.join(path)!r} is empty; fix: repair the row, or `skip_without` passes such rows over"
    there = [".".join(p) for p in _leaves(row, (), set())]
    return (
        f"the row has no {'.'.join(path)!r}; it has {', '.join(there[:12])}{_near('.'.join(path), there)}; "
        "fix: correct the path, or `skip_without` passes such rows over"
    )


def _leaves(node: Row, at: tuple[str, ...], used: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    for name, value in node.items():
        path = (*at, name)
        if path in used:
            continue
        if isinstance(value, dict) and value and any(u[: len(path)] == path for u in used):
            yield from _leaves(value, path, used)
        elif not any(u[: len(path)] == path for u in used):
            yield path
            if isinstance(value, dict) and not used:
                yield from _leaves(value, path, used)


def _known(table: Row, names: tuple[str, ...], here: str) -> None:
    for name in table:
        if name not in names:
            raise Refusal(f"{here}unknown key {name!r}; fix: use one of {', '.join(names)}{_near(name, names)}")


def _near(name: Any, names: Any) -> str:
    near = difflib.get_close_matches(str(name), list(names), 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
