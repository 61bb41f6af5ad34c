"""Table: the rows of a foreign file as they come, each with its line; JSONL, CSV (both also .zst) and Parquet.

Parquet goes through ClickHouse's engine, which hands every row over as JSON, in the file's order; a time stored without
a zone comes as ISO text without one, so that the mapping has to say which. Memory is bounded by a row, or a block.
A file that cannot be right is refused; a row that cannot be read is handed on with its fault, and never left out.
See docs/design/feeds.md.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from journal.refusal import Refusal
from reactor.log import archive

MAGIC: Final = b"PAR1"  # at both ends of a Parquet file that was written to its end
Block = dict[str, Any]
Blocks = Callable[[str], Iterator[Block]]
"""Runs a SELECT and yields its blocks: column name -> array or list."""

_decode: Final = msgspec.json.Decoder().decode
_READ: Final = (
    "max_threads = 1, input_format_parquet_preserve_order = 1, output_format_json_quote_64bit_integers = 0, "
    "output_format_json_quote_decimals = 0, date_time_output_format = 'iso'"
)


class Row(NamedTuple):
    """One row: its line (of Parquet its number), from 1; its fields, or why there are none; its text."""

    line: int
    fields: dict[str, Any]
    fault: str
    raw: bytes


def rows(path: Path, kind: str, blocks: Blocks | None = None) -> Iterator[Row]:
    """The rows of a file.

    Args:
        path: the file.
        kind: jsonl, csv or parquet.
        blocks: runs a SELECT in the engine; needed for Parquet.

    Raises:
        Refusal: the file is not there, is empty, or is not of this kind.
    """
    if kind == "parquet":
        if blocks is None:
            raise ValueError("must have the engine's blocks to read Parquet, was None")
        found = _parquet(path, blocks)
    else:
        if not path.is_file():
            raise Refusal(f"{path} must be a file, was not found; fix: check the path")
        found = _jsonl(path) if kind == "jsonl" else _csv(path)
    count = 0
    for count, row in enumerate(found, 1):  # noqa: B007 - the count is read after the loop
        yield row
    if not count:
        raise Refusal(f"{path} must hold at least one row, was empty; fix: give a file with data")


def source(path: Path) -> str:
    """The engine's table function for a whole Parquet file, or a CSV file with a header."""
    if not path.is_file():
        raise Refusal(f"{path} must be a file, was not found; fix: check the path")
    if set(str(path)) & set("*?{}"):  # the engine would take them for a pattern over several files
        raise Refusal(f"{path} must not contain any of * ? {{ }}; fix: rename the file")
    quoted = str(path.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    if path.suffix == ".csv":
        if not path.stat().st_size:
            raise Refusal(f"{path} must hold a header and rows, was empty; fix: give a file with data")
        return f"file('{quoted}', CSVWithNames)"
    with path.open("rb") as file:
        head = file.read(len(MAGIC))
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        tail = file.read()
    if head != MAGIC or tail != MAGIC:
        what = "empty, not Parquet" if not head else "cut off or half written" if head == MAGIC else "not Parquet"
        raise Refusal(f"{path} must be a whole Parquet file or end in .csv, was {what}; fix: fetch it again")
    return f"file('{quoted}', Parquet)"


def read(path: Path, blocks: Blocks, sql: str) -> Iterator[Block]:
    """Blocks that hold rows; whatever the engine says against the file is a refusal."""
    try:
        yield from (block for block in blocks(sql) if any(map(len, block.values())))
    except Exception as error:
        said = str(error).partition("\n")[0][:300]
        raise Refusal(f"{path} must be readable, the engine said: {said}; fix: give a whole file") from error


def _jsonl(path: Path) -> Iterator[Row]:
    for line, raw in enumerate(archive.lines(path), 1):
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
    reader = csv.reader(_texts(path), strict=True)
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
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not cells:
                continue
            raw = ",".join(cells).encode()
            if len(cells) != len(header):
                yield Row(line, {}, f"the row has {len(cells)} cells, the header {len(header)}", raw)
            else:
                yield Row(line, dict(zip(header, cells, strict=True)), "", raw)
    except (csv.Error, UnicodeDecodeError) as error:
        raise Refusal(f"{path} line {reader.line_num} must be CSV in UTF-8: {error}; fix: repair the file") from None


def _texts(path: Path) -> Iterable[str]:
    for raw in archive.lines(path):
        if isinstance(raw, archive.Cut):
            raise Refusal(f"{path} must be CSV, has a line of {raw.length} bytes; fix: give a CSV file")
        yield raw.decode() + "\n"


def _parquet(path: Path, blocks: Blocks) -> Iterator[Row]:
    place = source(path)
    described = f"DESCRIBE {place} SETTINGS input_format_parquet_local_time_as_utc = 0"
    columns = [pair for b in read(path, blocks, described) for pair in zip(b["name"], b["type"], strict=True)]
    naive = [name.replace("`", "\\`") for name, kind in columns if "DateTime64" in kind and "'" not in kind]
    # At the top level only: a zoneless time inside a struct reads as UTC.
    replaced = ", ".join(f"toString(`{name}`) AS `{name}`" for name in naive)
    inner = f"SELECT * REPLACE ({replaced}) FROM {place}" if naive else f"SELECT * FROM {place}"
    line = 0
    for block in read(
        path, blocks, f"SELECT formatRowNoNewline('JSONEachRow', *) AS r FROM ({inner}) SETTINGS {_READ}"
    ):
        for text in block["r"]:
            line += 1
            yield object_row(line, text.encode())
