"""Table: the rows of a foreign file as they come, each with its place; what the file is, its first bytes tell.

JSON lines, JSON documents, CSV, Parquet, Feather and SQLite, plain or packed. Memory is bounded by a row, of Parquet by
some thousand; a JSON document is read whole.
A file that cannot be right is refused; a row that cannot be read is handed on with its fault, and never left out.
See docs/design/feeds.md.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from journal.refusal import Refusal
from reactor.evaluate.record import MAX_BYTES
from reactor.feed.convert import Unclear, decode, encode, to_decimal
from reactor.log import archive
from reactor.log.container import Kind, Opened, opened

csv.field_size_limit(MAX_BYTES)  # as for any record; a long cell that nothing reads must not stop a file


class Row(NamedTuple):
    """One row: its number from 1, its fields, or why there are none, its text, and what the number counts."""

    line: int
    fields: dict[str, Any]
    fault: str
    raw: bytes
    unit: str = "line"

    @property
    def place(self) -> str:
        """Where it is in its file."""
        return f"{self.unit} {self.line}"


class Layout(NamedTuple):
    """How the rows of a file lie.

    format: empty where the file's name tells it, else its content; rows: paths under which they are, of which the first
    that is there counts; skip: lines above the header; member: of a zip of several files.
    """

    format: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    skip: int = 0
    member: str = ""


PLAIN: Final = Layout()
HEAD_LINES: Final = 10  # of a CSV file: among them its first row must be


def rows(path: Path, layout: Layout = PLAIN) -> Iterator[Row]:
    """The rows of a file.

    Args:
        path: the file, or a pipe.
        layout: what is known of it.

    Raises:
        Refusal: the file is not there, is empty, or is not of this kind.
    """
    if not path.exists() or path.is_dir():
        what = "a folder" if path.is_dir() else "not found"
        raise Refusal(f"{path} must be a file, was {what}; fix: check the path")
    count = 0
    with opened(path, layout.member) as found:
        for count, row in enumerate(_rows(found, layout), 1):  # noqa: B007 - the count is read after the loop
            yield row
    if not count:
        raise Refusal(f"{path} must hold at least one row, was empty; fix: give a file with data")


def object_row(line: int, raw: bytes, unit: str = "line") -> Row:
    """One JSON object as a row; of a list the numbers of its places are the names."""
    try:
        found = decode(raw)
    except (ValueError, RecursionError) as error:
        cut = raw.strip() in (b"{", b"[", b"[{")
        why = "one object goes over several lines, `jq -c .` writes it in one" if cut else str(error)
        return Row(line, {}, f"the {unit} is not JSON: {why}", raw, unit)
    return value_row(line, found, raw, unit)


def value_row(line: int, found: Any, raw: bytes, unit: str = "line") -> Row:
    """A value of JSON as a row."""
    if type(found) is list:
        found = {str(at): value for at, value in enumerate(found)}
    if type(found) is not dict:
        return Row(line, {}, f"the {unit} must be a JSON object, was {type(found).__name__}", raw, unit)
    return Row(line, found, "", raw, unit)


FORMATS: Final = ("jsonl", "csv", "parquet")
_PACKED: Final = (".zst", ".gz", ".bz2", ".xz", ".zip")
_NO_TABLE: Final = {
    Kind.UTF16: "write it in UTF-8",
    Kind.CR: "write it with LF at the ends of lines",
    Kind.STREAM: "write it as a Feather file",
    Kind.PACKED: "unpack it once",
    Kind.MARKUP: "fetch or export it again",
    Kind.BINARY: "export its rows as CSV",
}


def _rows(found: Opened, layout: Layout) -> Iterator[Row]:
    kind, format_ = found.kind, layout.format or _told(found)
    if kind in _NO_TABLE:
        raise Refusal(f"{found.path} must hold rows, is {kind.value}; fix: {_NO_TABLE[kind]}")
    if kind in (Kind.PARQUET, Kind.FEATHER):
        return _columnar(found)
    if kind is Kind.SQLITE:
        from reactor.feed import sqlite  # most feeds hold none

        return sqlite.rows(found, tuple(".".join(path) for path in layout.rows))
    if format_ == "parquet" and kind is not Kind.EMPTY:
        raise Refusal(
            f'{found.path} must be Parquet, is {kind.value}; fix: fetch it again, or format = "csv" or "jsonl"'
        )
    if kind in (Kind.ARRAY, Kind.OBJECT) or (layout.rows and format_ != "csv" and kind is Kind.LINES):
        from reactor.feed import document  # it reads rows with the functions of this module

        return document.rows(found, layout.rows)
    return _csv(found, layout.skip) if (format_ or kind.name.lower()) == "csv" else _jsonl(found)


def _told(found: Opened) -> str:
    """The format that a file's content tells, else its name, or nothing."""
    name = Path(found.path.name.lower())
    suffix = (name.with_suffix("") if name.suffix in _PACKED else name).suffix[1:]
    named = {"json": "jsonl", "ndjson": "jsonl"}.get(suffix, suffix if suffix in FORMATS else "")
    if named == "parquet" or found.kind not in (Kind.CSV, Kind.LINES):
        return named
    is_json = found.kind is Kind.LINES and found.stream.peek(1).lstrip()[:1] in (b"{", b"[")  # type: ignore[attr-defined]
    return "csv" if found.kind is Kind.CSV else "jsonl" if is_json else named


def _jsonl(found: Opened) -> Iterator[Row]:
    from reactor.feed import document  # it reads rows with the functions of this module

    lines = _lines(found)
    first, second = next(lines, None), next(lines, None)
    if first and second is None and len(rows := document.unfolded(first.fields)) > 1:  # lists of one length
        yield from (value_row(at, row, encode(row), "row") for at, row in enumerate(rows, 1))
        return
    yield from chain(filter(None, (first, second)), lines)


def _lines(found: Opened) -> Iterator[Row]:
    for line, raw in enumerate(archive.split(found.stream), 1):
        if isinstance(raw, archive.Cut):
            yield Row(line, {}, f"the line has {raw.length} bytes, more than a record may have", raw.head)
        elif raw.strip():
            yield object_row(line, raw)


def _columnar(found: Opened) -> Iterator[Row]:
    from reactor.feed import parquet  # pyarrow: 30 MB, for these formats alone

    for number, row in enumerate(parquet.rows(found), 1):
        yield Row(number, row, "", encode(row), "row")


def _csv(found: Opened, skip: int) -> Iterator[Row]:
    taken: list[bytes] = []  # the lines of the row that is read
    raws = archive.split(found.stream)
    head = list(islice(raws, skip + HEAD_LINES))
    texts = _texts(found.path, chain(head, raws), taken)
    above = sum(1 for _ in islice(texts, skip))
    delimiter, is_spaced = _delimiter(head[skip:])
    reader = csv.reader(texts, delimiter=delimiter, skipinitialspace=is_spaced, strict=True)
    taken.clear()
    try:
        header = next(reader, None)
        if header is None:
            return
        before, is_first = reader.line_num, True
        unclear = {name: Unclear(name) for name, count in Counter(header).items() if count > 1}
        taken.clear()
        for cells in reader:
            line, before = above + before + 1, reader.line_num
            raw = b"\n".join(taken).removesuffix(b"\r")
            taken.clear()
            if not raw.strip():
                continue
            if is_first:
                _check_header(found.path, header, cells, above + 1, line)
                is_first = False
            if len(cells) != len(header):
                yield Row(line, {}, f"the row has {len(cells)} cells, the header {len(header)}", raw)
            else:
                yield Row(line, dict(zip(header, cells, strict=True)) | unclear, "", raw)
    except csv.Error as error:
        at = above + reader.line_num
        raise Refusal(f"{found.path} line {at} must be CSV: {error}; fix: repair the file") from None


def _check_header(path: Path, header: list[str], cells: list[str], at: int, line: int) -> None:
    """Refuse a first line that is no header, before the rows under it are judged by it."""
    if len(cells) > len(header):
        raise Refusal(
            f"{path} line {at} is no header: it has {len(header)} cells, line {line} has {len(cells)}; fix: skip = "
            f"{line - 1} in the [[source]] where the header is line {line}, else name every column in line {at}"
        )
    if len(header) == 1 and len(words := header[0].split()) > 1 and len(cells[0].split()) == len(words):
        raise Refusal(f"{path} must have a comma, semicolon, tab or | between its columns, has spaces; fix: write one")
    if all(to_decimal(name) is not None for name in header):
        raise Refusal(f"{path} line {at} is no header: it holds numbers alone; fix: write the columns' names above it")


def _delimiter(head: list[bytes | archive.Cut]) -> tuple[str, bool]:
    """What stands between the columns, and whether a space follows it in the header.

    A comma, unless another cuts the header and the first row into as many.
    """
    lines = [raw.decode(errors="replace") for raw in head if not isinstance(raw, archive.Cut) and raw.strip()][:2]

    def fits(delimiter: str) -> bool:
        counts = {len(next(csv.reader([line], delimiter=delimiter), [])) for line in lines}
        return len(counts) == 1 and max(counts) > 1

    found = next((each for each in ";\t|" if lines and "," not in lines[0] and fits(each)), ",")
    return found, bool(lines) and f"{found} " in lines[0]


def _texts(path: Path, raws: Iterable[bytes | archive.Cut], taken: list[bytes]) -> Iterator[str]:
    for raw in raws:
        if isinstance(raw, archive.Cut):
            raise Refusal(f"{path} must be CSV, has a line of {raw.length} bytes; fix: give a CSV file")
        taken.append(raw)
        yield raw.decode(errors="surrogateescape") + "\n"  # a column that nothing reads may be in any encoding
