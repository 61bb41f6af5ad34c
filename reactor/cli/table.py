"""Table: rows as people read them, fitted to the width that there is; what does not fit is named below them."""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from journal.shown import shown
from reactor.cli.screen import Screen

GAP: Final = 2  # between two columns
SHORT: Final = 24  # a text up to this is never folded: a time, the id of a run
FOLDED: Final = 16  # what a longer text needs at least: it goes on in the next line
_DIGITS: Final = (6, 9, 12, 17)


class Column(NamedTuple):
    """A column: its name, its cells as text, and whether they are numbers, which are never folded."""

    name: str
    cells: Sequence[str]
    is_number: bool

    @property
    def width(self) -> int:
        """What it takes unfolded."""
        return max(map(cell_len, (self.name, *self.cells)))

    @property
    def least(self) -> int:
        """What it takes at least."""
        if self.is_number or self.width <= SHORT:
            return self.width
        word = max(map(cell_len, " ".join(self.cells).split()), default=0)
        return max(cell_len(self.name), min(word, SHORT), FOLDED)


Rank = Callable[[Column], tuple[int, ...]]  # the lower, the longer a column stays where there is no room for all


def rounded(value: float) -> str:
    """A number in 6 digits, in more where it would else be a whole number that it is not.

    >>> [rounded(x) for x in (0.8500000000000001, -0.033712345, 1763456.789, 1.5e-09, 8.0, 0.99999998)]
    ['0.85', '-0.0337123', '1763457', '1.5e-09', '8', '0.99999998']
    """
    if not math.isfinite(value):
        return str(value)
    if 1e6 <= abs(value) < 1e15:
        return f"{value:.0f}"
    found = (f"{value:.{digits}g}" for digits in _DIGITS)
    return next((text for text in found if value.is_integer() or not float(text).is_integer()), repr(value))


def chosen(columns: Sequence[Column], width: int, rank: Rank) -> list[Column]:
    """The columns that fit, in their order; those that `rank` puts first are taken first.

    >>> few = [Column("id", ["a" * 12], True), Column("x", ["1"], True)]
    >>> [column.name for column in chosen(few, 10, rank=lambda column: ())]
    ['x']
    """
    left, taken = width + GAP, set[int]()
    for n in sorted(range(len(columns)), key=lambda n: (rank(columns[n]), n)):
        if (need := columns[n].least + GAP) <= left:
            left -= need
            taken.add(n)
    return [column for n, column in enumerate(columns) if n in taken]


def widths(columns: Sequence[Column], width: int) -> list[int]:
    """The width of each column: what it takes at least, and an equal share of the rest, as far as it needs it.

    >>> text = Column("a", ["one two " * 9], False)
    >>> widths([text, text, Column("n", ["1"], True)], 60)
    [27, 28, 1]
    """
    found = [column.least for column in columns]
    left = width - sum(found) - GAP * (len(columns) - 1)
    need = [column.width - least for column, least in zip(columns, found, strict=True)]
    for after, n in enumerate(sorted(range(len(columns)), key=need.__getitem__)):
        given = min(need[n], left // (len(columns) - after))
        found[n] += given
        left -= given
    return found


def drawn(columns: Sequence[Column], width: int, title: str = "") -> Table:
    """The table of some columns that fit a width; text in it says nothing to the terminal."""
    table = Table(
        title=Text(shown(title)) if title else None, title_justify="left", box=SIMPLE_HEAD, show_edge=False,
        pad_edge=False, padding=(0, GAP - 1, 0, 0), header_style="bold",
    )  # fmt: skip
    for column, wide in zip(columns, widths(columns, width), strict=True):
        head = Text(shown(column.name))
        table.add_column(head, justify="right" if column.is_number else "left", overflow="fold", width=wide)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table


def print_table(
    screen: Screen, columns: Sequence[Column], width: int, title: str = "", rank: Rank = lambda _: ()
) -> list[str]:
    """Print the columns that fit a width; returns the names of those that were left out."""
    some = chosen(columns, width, rank)
    screen.print(drawn(some, width, title), soft_wrap=False)
    return [column.name for column in columns if not any(column is each for each in some)]


def listed(names: Sequence[str], width: int) -> str:
    """Names in one line, as many as have room, and how many more there are.

    >>> listed(["run_id", "segment", "topic"], 20)
    'run_id and 2 more'
    """
    for n in range(len(names), 0, -1):
        words = ", ".join(names[:n]) + (f" and {len(names) - n} more" if n < len(names) else "")
        if len(words) <= width:
            return words
    return f"{len(names)} columns"
