"""Document: the rows of one JSON document, an array or what lies under a key of an object.

A document is read whole. Where the file holds one object a line after all, each line is a document.
See docs/design/feeds.md.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from journal.refusal import Refusal
from reactor.feed.convert import decode, encode, spelled
from reactor.feed.table import Row, object_row, value_row
from reactor.log.container import Kind, Opened

Path_ = tuple[str, ...]
ANY: Final = "*"  # the one key that is there, whatever its name
_raw: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def rows(found: Opened, paths: tuple[Path_, ...]) -> Iterator[Row]:
    """The rows of a document.

    Args:
        found: the open file.
        paths: where in an object its rows lie, the first that is there; without one the object is a row.

    Raises:
        Refusal: it is no JSON, or holds no rows there.
    """
    text = found.stream.read()
    if found.kind is Kind.ARRAY:
        try:
            for at, raw in enumerate(_raw(text), 1):
                yield object_row(at, bytes(raw), "row")
            return
        except (msgspec.DecodeError, RecursionError):
            pass  # such as NaN, which only the lenient reading takes
    try:
        whole = decode(text)
    except (ValueError, RecursionError) as error:
        if found.kind is not Kind.LINES:
            what = "one JSON array of objects" if found.kind is Kind.ARRAY else "one JSON document"
            raise Refusal(f"{found.path} must be {what}: {error}; fix: give a whole file") from None
        yield from _lines(found.path, text, paths)
        return
    yield from _under(found.path, whole, paths)


def _lines(path: Path, text: bytes, paths: tuple[Path_, ...]) -> Iterator[Row]:
    count = 0
    for line, raw in enumerate(text.split(b"\n"), 1):
        row = object_row(line, raw)
        if row.fault and raw.strip():
            yield row
        for each in _under(path, row.fields, paths) if raw.strip() and not row.fault else ():
            count += 1
            yield each._replace(line=count)


def _under(path: Path, whole: Any, paths: tuple[Path_, ...]) -> Iterator[Row]:
    found = whole
    if isinstance(whole, dict) and paths:
        found = next((node for each in paths if (node := _node(path, whole, each)) is not None), None)
        if found is None:
            there = ", ".join(list(whole)[:12])
            raise Refusal(f"{path} has no rows in {spelled(paths[0])}; it has {there}; fix: correct `rows`")
    for at, row in enumerate(unfolded(found), 1):
        yield value_row(at, row, encode(row), "row")


def _node(path: Path, whole: Any, steps: Path_) -> Any:
    node = whole
    for step in steps:
        if step == ANY and isinstance(node, dict) and node:
            if len(node) > 1:
                names = ", ".join(map(repr, list(node)[:5]))
                raise Refusal(f"{path}: `*` of `rows` is for one key, here are {names}; fix: name one of them")
            node = next(iter(node.values()))
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return node


def unfolded(found: Any) -> list[Any]:
    """Rows of what holds them: a list of them, lists of one length as columns, or one object."""
    if isinstance(found, list):
        return found
    if isinstance(found, dict) and found:
        columns = list(found.values())
        if all(isinstance(c, list) and len(c) == len(columns[0]) for c in columns):
            return [dict(zip(found, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return [found]
