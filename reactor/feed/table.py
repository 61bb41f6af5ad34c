"""Table: the rows of a foreign file as they come, each with its line; JSONL, CSV (both also .zst) and Parquet.

Memory is bounded by a row, of Parquet by some thousand.
A file that cannot be right is refused; a row that cannot be read is handed on with its fault, and never left out.
See docs/design/feeds.md.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from journal.refusal import Refusal
from reactor.log import archive
from reactor.log.container import opened

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """One row: its line (of Parquet its number), from 1; its fields, or why there are none; its text."""

    line: int
    fields: dict[str, Any]
    fault: str
    raw: bytes


def rows(path: Path, kind: str) -> Iterator[Row]:
    """The rows of a file.

    Args:
        path: the file.
        kind: jsonl, csv or parquet.

    Raises:
        Refusal: the file is not there, is empty, or is not of this kind.
    """
    if not path.is_file():
        raise Refusal(f"{path} must be a file, was not found; fix: check the path")
    found = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[kind](path)
    count = 0
    for count, row in enumerate(found, 1):  # noqa: B007 - the count is read after the loop
        yield row
    if not count:
        raise Refusal(f"{path} must hold at least one row, was empty; fix: give a file with data")


def _jsonl(path: Path) -> Iterator[Row]:
    for line, raw in enumerate(_lines(path), 1):
        if isinstance(raw, archive.Cut):
            yield Row(line, {}, f"the line has {raw.length} bytes, more than a record may have", raw.head)
        elif raw.strip():
            yield object_row(line, raw)


def object_row(line: int, raw: bytes) -> Row:
    """One JSON object as a row."""
    try:
        found = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Row(line, {}, f"the line is not JSON: {error}", raw)
    if type(found) is not dict:
        return Row(line, {}, f"the line must be a JSON object, was {type(found).__name__}", raw)
    return Row(line, found, "", raw)


def _csv(path: Path) -> Iterator[Row]:
    taken: list[bytes] = []  # the lines of the row that is read
    reader = csv.reader(_texts(path, taken), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        header[0] = header[0].removeprefix("\ufeff")
        if len(header) == 1 and (other := set(header[0]) & set(";\t|")):
            raise Refusal(
                f"{path} must have commas between its columns, has {other.pop()!r}; fix: write it with commas"
            )
        if len(set(header)) != len(header) or not all(header):
            raise Refusal(
                f"{path} must have a header with a name of its own for each column, was {','.join(header)[:200]}; "
                "fix: name the columns"
            )
        before = reader.line_num
        taken.clear()
        for cells in reader:
            line, before = before + 1, reader.line_num
            raw = b"\n".join(taken).removesuffix(b"\r")
            taken.clear()
            if not cells:
                continue
            if len(cells) != len(header):
                yield Row(line, {}, f"the row has {len(cells)} cells, the header {len(header)}", raw)
            else:
                yield Row(line, dict(zip(header, cells, strict=True)), "", raw)
    except (csv.Error, UnicodeDecodeError) as error:
        raise Refusal(f"{path} line {reader.line_num} must be CSV in UTF-8: {error}; fix: repair the file") from None


def _texts(path: Path, taken: list[bytes]) -> Iterable[str]:
    for raw in _lines(path):
        if isinstance(raw, archive.Cut):
            raise Refusal(f"{path} must be CSV, has a line of {raw.length} bytes; fix: give a CSV file")
        taken.append(raw)
        yield raw.decode() + "\n"


def _lines(path: Path) -> Iterator[bytes | archive.Cut]:
    with opened(path) as found:
        yield from archive.split(found.stream)


def _parquet(path: Path) -> Iterator[Row]:
    from reactor.feed import parquet  # pyarrow: 30 MB, for this format alone

    for number, found in enumerate(parquet.rows(path), 1):
        if isinstance(found, str):
            yield Row(number, {}, f"the row cannot be read: {found}", b"")
        else:
            yield Row(number, found, "", _encode(found))
