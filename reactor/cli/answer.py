"""Answer: the rows of a query for people: a table that fits the terminal, or a row after the other."""

import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from journal.shown import shown
from reactor.cli import table
from reactor.cli.screen import Screen

NULL: Final = "\u1d3a\u1d41\u1d38\u1d38"  # how ClickHouse prints it
# What people look for first in the row of a scan; the rest comes in the order of the query.
FIRST: Final = ("ts", "scan_id", "asset", "leverage", "notional_usd", "bound", "vel_div", "reasons")
FEWEST: Final = 3  # columns of a table; where fewer fit, a row after the other says more
_MACHINE: Final = ("_hash", "_bits", "_ms")  # ends of names of what machines compare, or what stands beside as a time
_LONG: Final = 60  # a column of longer texts comes late: its cells would fill the screen
_WHOLE: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.0+")


def is_number(kind: str) -> bool:
    """Whether a ClickHouse type is a number's."""
    return kind.removeprefix("Nullable(").startswith(("Int", "UInt", "Float", "Decimal", "BFloat"))


def print_table(answer: Mapping[str, Any], *, is_wide: bool) -> None:
    """A table whose numbers are rounded. What does not fit is left out and named, or lines stand for the rows.

    is_wide: all columns, however wide it gets; so is what goes to a file or a pipe, unless COLUMNS says how wide.
    """
    screen = Screen()
    columns = [_column(meta, [row[n] for row in answer["data"]]) for n, meta in enumerate(answer["meta"])]
    if is_wide or not shutil.get_terminal_size((0, 0)).columns:
        needed = sum(column.width + table.GAP for column in columns)
        screen = Screen(width=max(screen.width, needed))
    fitting = table.chosen(columns, screen.width, _rank)
    if len(fitting) < len(columns) and (len(fitting) < FEWEST or len(answer["data"]) == 1):
        print_vertical(answer)
        return
    left_out = table.print_table(screen, columns, screen.width, rank=_rank)
    count = len(answer["data"])
    words, fix = f"{count} row{'' if count == 1 else 's'}", "; --wide or --vertical shows all"
    if left_out:
        words += ", without "
        words += table.listed(left_out, screen.width - len(words + fix)) + fix
    screen.print(words, style="dim", highlight=False)
    if any(_is_rounded(column, [row[n] for row in answer["data"]]) for n, column in enumerate(columns)):
        words = "numbers are rounded; --vertical, --json and --format csv have every digit"
        screen.print(words, style="dim", highlight=False)


def print_vertical(answer: Mapping[str, Any]) -> None:
    """A row after the other, a line for each value, as ClickHouse's Vertical format; no number is rounded."""
    names = [shown(meta["name"]) for meta in answer["meta"]]
    margin = max(map(len, names)) + 2
    for number, row in enumerate(answer["data"], 1):
        click.echo(f"── row {number} ".ljust(min(Screen().width, 60), "─"))
        for name, cell in zip(names, row, strict=True):
            click.echo(f"{name:{margin}}{'NULL' if cell == NULL else shown(cell)}")


def _column(meta: Mapping[str, str], cells: Sequence[str]) -> table.Column:
    """A column as people read it."""
    kind = meta["type"]
    form: Callable[[str], str] = shown
    if is_number(kind) and "Float" in kind:
        form = _rounded
    elif "DateTime64" in kind and all(cell == NULL or _WHOLE.fullmatch(cell) for cell in cells):
        form = _whole
    texts = ["NULL" if cell == NULL else form(cell) for cell in cells]
    return table.Column(shown(meta["name"]), texts, is_number(kind))


def _rounded(cell: str) -> str:
    return table.rounded(float(cell))


def _whole(cell: str) -> str:
    """A time without a fraction of a second that is 0."""
    return _WHOLE.sub(r"\1", cell)


def _is_rounded(column: table.Column, cells: Sequence[str]) -> bool:
    return column.is_number and any(
        text != cell and math.isfinite(float(cell)) and float(text) != float(cell)
        for text, cell in zip(column.cells, cells, strict=True)
        if cell != NULL
    )


def _rank(column: table.Column) -> tuple[int, ...]:
    """What rows are looked at for; what tells them apart; the same in all; what machines read; nothing at all."""
    if not any(column.cells):
        return (4,)
    if column.name in FIRST:
        return (0, FIRST.index(column.name))
    if column.name.endswith(_MACHINE) or column.width > _LONG:
        return (3,)
    return (2,) if len(set(column.cells)) == 1 else (1,)
