"""SQLite: the rows of one table of a database file, which is opened to be read alone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final
from urllib.parse import quote

from journal.refusal import Refusal
from reactor.feed.convert import encode
from reactor.feed.table import Row
from reactor.log.container import Opened, Packing

_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"
)


def rows(found: Opened, names: tuple[str, ...]) -> Iterator[Row]:
    """The rows of a table, in the order in which the database gives them.

    Args:
        found: the open file.
        names: tables, of which the first that is there is read; without one, the only table.

    Raises:
        Refusal: the database cannot be read, or has no such table.
    """
    try:
        with closing(_connect(found)) as database:
            tables = [name for (name,) in database.execute(_TABLES)]
            table = _table(found, tables, names)
            cursor = database.execute('SELECT * FROM "' + table.replace('"', '""') + '"')
            columns = [column[0] for column in cursor.description]
            for number, cells in enumerate(cursor, 1):
                yield _row(number, dict(zip(columns, cells, strict=True)))
    except sqlite3.Error as error:
        raise Refusal(f"{found.path} must be a whole SQLite database ({error}); fix: copy it again") from None


def _connect(found: Opened) -> sqlite3.Connection:
    if found.packing is Packing.PLAIN and found.path.is_file():
        return sqlite3.connect(f"file:{quote(str(found.path.absolute()))}?mode=ro", uri=True)
    database = sqlite3.connect(":memory:")
    content = bytearray(found.stream.read())
    content[18:20] = b"\x01\x01"  # a database in memory has no write-ahead log
    database.deserialize(bytes(content))
    return database


def _table(found: Opened, tables: list[str], names: tuple[str, ...]) -> str:
    wanted = next((name for name in names if name in tables), None) or (tables[0] if len(tables) == 1 else None)
    if wanted is None:
        said = f"no table {names[0]!r}" if names else f"{len(tables)} tables"
        fix = f'rows = "{tables[0]}" in the [[source]], or another of them' if tables else "name another file"
        raise Refusal(f"{found.path} has {said}; it has {', '.join(tables) or 'none'}; fix: {fix}")
    return wanted


def _row(number: int, cells: dict[str, Any]) -> Row:
    found = {
        name: value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
        for name, value in cells.items()
    }
    try:
        return Row(number, found, "", encode(found), "row")
    except UnicodeEncodeError:
        return Row(number, found, "", repr(cells).encode(errors="replace"), "row")
