"""Bar table: the columns of a file of bars or rates, some thousand rows at a time; CSV, JSON, Parquet and Feather.

Text stays text: what a cell means is said by its column, never guessed from other rows. See docs/design/feeds.md.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from glob import glob
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from journal.refusal import Refusal
from reactor.feed import bar_shape
from reactor.feed.bar_shape import Shape
from reactor.feed.convert import text
from reactor.log import archive
from reactor.log.container import Kind, Opened, opened

BLOCK_ROWS: Final = 16_384
HEADER_ROWS: Final = 10  # above which a header must stand
_TYPED: Final = (Kind.PARQUET, Kind.FEATHER)
_TEXT: Final = (Kind.CSV, Kind.LINES)
_DELIMITERS: Final = ",;\t|"


class Block(NamedTuple):
    """Some rows. word: what a row is called; lines: its number, from 1; columns: ours -> a value a row.

    passed_over: the first row that `where` passed over, and why; empty: none.
    """

    word: str
    lines: Sequence[int]
    columns: dict[str, Any]
    passed_over: str = ""


def files(places: Sequence[str], flag: str = "--klines") -> list[Path]:
    """The files of some places, each a file, a pipe, a folder, a pattern with * ? [ ], or `-` for standard input.

    Of a folder those files count whose ending is one of bars; a folder in it does not. flag: what named them.

    Raises:
        Refusal: a place holds none.
    """
    found: list[Path] = []
    for place in places:
        path = Path("/dev/stdin" if place == "-" else place)
        if path.is_dir():
            here = sorted(each for each in path.iterdir() if each.is_file() and _is_named_for_bars(each.name))
        else:
            here = [path] if path.exists() else sorted(map(Path, glob(place, recursive=True)))  # noqa: PTH207 - the pattern may be absolute
        if not here:
            what = f"holds no file that ends in {', '.join(_ENDINGS)}" if path.is_dir() else "was not found"
            raise Refusal(f"{flag} {place} {what}; fix: check the path")
        found += [each for each in here if each not in found]
    return found


_ENDINGS: Final = (".csv", ".parquet", ".feather", ".arrow", ".json", ".jsonl", ".txt")
_PACKINGS: Final = (".zst", ".gz", ".bz2", ".xz", ".zip")


def _is_named_for_bars(name: str) -> bool:
    name = name.casefold()
    return not name.startswith(".") and name.endswith((*_ENDINGS, *_PACKINGS))


def blocks(path: Path, shape: Shape) -> Iterator[Block]:
    """The blocks of a file, without rows that the shape's `where` passes over; none where it holds no row.

    Raises:
        Refusal: the file cannot be read, or is of another shape.
    """
    with opened(path) as found:
        for block in _blocks(found, shape):
            yield _where(block, shape)


def _blocks(found: Opened, shape: Shape) -> Iterator[Block]:
    if found.kind in _TYPED:
        yield from _typed(found, shape)
    elif found.kind in (Kind.ARRAY, Kind.OBJECT) or (found.kind is Kind.LINES and _begins_json(found.stream)):
        yield from _json(found, shape)
    elif found.kind in _TEXT:
        yield from _csv(found, shape)
    elif found.kind is not Kind.EMPTY:
        fixes = {
            Kind.UTF16: "write it in UTF-8",
            Kind.CR: "write it with LF at the ends of lines",
            Kind.STREAM: "write it as a Feather file",
            Kind.PACKED: "unpack it once",
            Kind.TAR: "unpack it, and name its files",
        }
        fix = fixes.get(found.kind, "export them as one of these")
        raise Refusal(f"{found.path} is {found.kind.value}; bars are CSV, JSON, Parquet or Feather; fix: {fix}")


def _where(block: Block, shape: Shape) -> Block:
    columns = dict(block.columns)
    judged = {name: list(map(text, columns.pop(f"where {name}"))) for name in shape.where}
    masks = [[value in shape.where[name] for value in values] for name, values in judged.items()]
    if not masks or all(map(all, masks)):
        return block._replace(columns=columns)
    fits = [all(row) for row in zip(*masks, strict=True)]
    kept, first = [at for at, fit in enumerate(fits) if fit], fits.index(False)
    name = next(name for name, values in judged.items() if values[first] not in shape.where[name])
    why = f"{block.word} {block.lines[first]} has {name} {judged[name][first]!r}, not {' or '.join(shape.where[name])}"
    columns = {each: [column[at] for at in kept] for each, column in columns.items()}
    return Block(block.word, [block.lines[at] for at in kept], columns, why)


def _placed(path: Path, shape: Shape, header: Sequence[str], what: str = "columns") -> dict[str, int]:
    places, missing = shape.places(header)
    if missing:
        wanted, lacking = (", ".join(map(shape.theirs, names)) for names in (shape.needed, missing))
        fits = [f"--preset {name}" for name in bar_shape.near(header) if bar_shape.PRESETS[name] is not shape]
        fix = " or ".join(fits) or "--map bars.toml says which of yours is which"
        fix = "--symbol BTCUSDT, where it is of one" if missing == ["symbol"] and not fits else fix
        fix = "name its columns so" if "funding_rate" in shape.names else fix
        if not fits and not places.keys() & {*bar_shape.VALUES}:
            fix += "; prices without high, low and volume are no bars"
        raise Refusal(
            f"{path} must hold the {what} {wanted}; missing: {lacking}; found: {', '.join(header)[:300]}; fix: {fix}"
        )
    if twice := [header[at] for at in places.values() if sum(each == header[at] for each in header) > 1]:
        raise Refusal(f"{path} must hold one column {twice[0]}, holds several; fix: rename the one that is not meant")
    return places


def _typed(found: Opened, shape: Shape) -> Iterator[Block]:
    from reactor.feed import parquet  # pyarrow: 30 MB, for these formats alone

    row = 1
    for columns in parquet.blocks(
        found, lambda names: {ours: names[at] for ours, at in _placed(found.path, shape, names).items()}
    ):
        count = len(next(iter(columns.values())))
        yield Block("row", range(row, row + count), columns)
        row += count


def _csv(found: Opened, shape: Shape) -> Iterator[Block]:
    texts = _texts(found)
    head = list(islice(texts, HEADER_ROWS * 2))
    reader = csv.reader(chain(head, texts), delimiter=shape.delimiter or _delimiter(head, shape), strict=True)
    try:
        places, first, width = _header(found.path, reader, shape)
        rows, lines = ([first], [reader.line_num]) if first else ([], [])
        for row in reader:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            if len(row) != width:
                raise Refusal(
                    f"{found.path} line {reader.line_num} has {len(row)} cells, must have {width}; fix: mend the line"
                )
            rows.append(row)
            lines.append(reader.line_num)
            if len(rows) == BLOCK_ROWS:
                yield Block("line", lines, {n: [r[at] for r in rows] for n, at in places.items()})
                rows, lines = [], []
    except csv.Error as error:
        raise Refusal(f"{found.path} line {reader.line_num} must be CSV: {error}; fix: mend the line") from None
    if rows:
        yield Block("line", lines, {n: [r[at] for r in rows] for n, at in places.items()})


def _texts(found: Opened) -> Iterator[str]:
    for number, raw in enumerate(archive.split(found.stream), 1):
        if isinstance(raw, archive.Cut):
            raise Refusal(f"{found.path} line {number} has {raw.length} bytes; fix: give a file of bars")
        try:
            yield raw.decode() + "\n"
        except UnicodeDecodeError as error:
            raise Refusal(
                f"{found.path} line {number} must be text in UTF-8: {error}; fix: write it in UTF-8"
            ) from None


def _delimiter(head: Sequence[str], shape: Shape) -> str:
    """What makes a header of a line of the head, else what stands most often in one."""

    def fits(delimiter: str) -> bool:
        rows = (line.split(delimiter) for line in head)
        return any(not shape.places(row)[1] or shape.by_place(len(row)) is not None for row in rows)

    most = {each: max((line.count(each) for line in head), default=0) for each in _DELIMITERS}
    return max(_DELIMITERS, key=lambda each: (most[each] > 0 and fits(each), most[each]))


def _header(path: Path, reader: Any, shape: Shape) -> tuple[dict[str, int], list[str], int]:
    """Places of the columns, the first row where no header stands above it, and how many cells each row has."""
    above: list[list[str]] = []
    for row in islice(filter(lambda row: any(map(str.strip, row)), reader), HEADER_ROWS):
        if not shape.places(row)[1]:
            return _placed(path, shape, row), [], len(row)
        if (names := shape.by_place(len(row))) is not None and row[_time_at(shape, names)].strip()[:1].isdigit():
            if other := next((each for each in above if len(each) == len(row)), None):
                _placed(path, shape, other)
            return _placed(path, shape, names), row, len(row)
        above.append(row)
    if not above:
        return {}, [], 0
    _placed(path, shape, max(above, key=lambda row: len(row) - len(shape.places(row)[1])))
    raise AssertionError("a row that lacks nothing was a header")


def _time_at(shape: Shape, names: Sequence[str]) -> int:
    return shape.places(names)[0][bar_shape.TIME]


def _begins_json(stream: BinaryIO) -> bool:
    return stream.peek(1).lstrip()[:1] in (b"{", b"[")  # type: ignore[attr-defined]


def _json(found: Opened, shape: Shape) -> Iterator[Block]:
    whole = found.kind is not Kind.LINES or bool(shape.rows)
    rows, word = (enumerate(_document(found, shape), 1), "entry") if whole else (_lines(found), "line")
    places, length = None, 0
    while part := list(islice(rows, BLOCK_ROWS)):
        if places is None:
            places, length = _keys(found.path, part[0][1], shape)
        for at, row in part:
            if isinstance(row, list) != (length > 0) or (isinstance(row, list) and len(row) != length):
                must = f"an array of {length}" if length else "an object"
                raise Refusal(
                    f"{found.path} {word} {at} must be {must} like the first, was {str(row)[:60]}; fix: mend it"
                )
        columns = {n: [r[k] if length else r.get(k) for _, r in part] for n, k in places.items()}
        yield Block(word, [at for at, _ in part], columns)


def _keys(path: Path, row: Any, shape: Shape) -> tuple[dict[str, Any], int]:
    """Ours -> key or place in a row, and the length of rows that are arrays."""
    if isinstance(row, dict):
        names = list(row)
        there, missing = shape.places(names)
        if missing and (under := _list_in(row, least=1) or _list_in(row, least=0)):
            raise Refusal(
                f'{path} is one JSON object; fix: --map bars.toml with rows = "{under}", the path to its bars'
            )
        if any(isinstance(row[names[at]], dict | list) for at in there.values()):
            raise Refusal(f"{path} holds its columns as lists; fix: write an object a bar, pandas: orient='records'")
        return {ours: names[at] for ours, at in _placed(path, shape, names, "keys").items()}, 0
    if not isinstance(row, list) or not row:
        raise Refusal(f"{path} must hold an object or an array a bar, was {str(row)[:60]}; fix: --map bars.toml")
    if (theirs := shape.by_place(len(row))) is None:
        fits = [f"--preset {name}" for name in bar_shape.near(list(map(str, row)))]
        raise Refusal(
            f"{path} holds arrays of {len(row)}, and nothing says what stands where; "
            f"fix: {' or '.join(fits) or 'columns = [...] in --map bars.toml'}"
        )
    return dict(_placed(path, shape, theirs)), len(row)


def _document(found: Opened, shape: Shape) -> Iterator[Any]:
    node = _decoded(found.path, found.stream.read(), "it")
    if isinstance(node, dict):
        if not shape.rows:
            return iter([node])
        for step in shape.rows:
            node = node.get(step) if isinstance(node, dict) else None
    if not isinstance(node, list):
        raise Refusal(f"{found.path} must hold an array at {'.'.join(shape.rows)!r}, has none; fix: mend `rows`")
    return iter(node)


def _list_in(node: dict[str, Any], least: int) -> str:
    """The path to the first list of at least so many rows in a document, or nothing."""
    for name, value in node.items():
        if isinstance(value, list) and len(value) >= least and all(isinstance(row, dict | list) for row in value[:1]):
            return name
        if isinstance(value, dict) and (under := _list_in(value, least)):
            return f"{name}.{under}"
    return ""


def _lines(found: Opened) -> Iterator[tuple[int, Any]]:
    """Each line with its number."""
    for number, raw in enumerate(archive.split(found.stream), 1):
        text = raw.head if isinstance(raw, archive.Cut) else raw
        if text.strip():
            yield number, _decoded(found.path, text, f"line {number}")


def _decoded(path: Path, text: bytes, what: str) -> Any:
    try:
        return json.loads(text)  # it reads NaN, which is then refused by its column and row
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path} must be JSON, {what} is not: {str(error)[:200]}; fix: give a whole file") from None
