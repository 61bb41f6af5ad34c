"""Tables that fit: nothing is wider than the terminal, nothing is left out without its name, no number looks whole."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from journal.shown import shown
from reactor.cli import table
from reactor.cli.screen import Screen
from reactor.cli.table import Column

CELLS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=50).map(shown)


@st.composite
def some_columns(draw):
    rows = draw(st.integers(0, 4))
    width = draw(st.integers(1, 12))
    return [
        Column(f"column_{n}", draw(st.lists(CELLS, min_size=rows, max_size=rows)), draw(st.booleans()))
        for n in range(width)
    ]


@given(some_columns(), st.sampled_from([80, 120, 200]))
def test_no_line_is_wider_than_the_screen_and_what_is_left_out_is_named(columns, width):
    screen = Screen(width=width)
    with screen.capture() as printed:
        left_out = table.print_table(screen, columns, screen.width)
    lines = printed.get().splitlines()
    assert all(cell_len(line) <= width for line in lines)
    names = printed.get().split()
    assert all((column.name in left_out) != (column.name in names) for column in columns)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_rounded_number_is_near_and_whole_only_where_it_is(value):
    said = float(table.rounded(value))
    assert abs(said - value) <= 5e-6 * abs(value)
    if abs(value) < 1e6:
        assert said.is_integer() == value.is_integer()


@given(st.lists(st.text("abc_", min_size=1, max_size=20), min_size=1, max_size=30), st.integers(12, 200))
def test_a_list_of_names_is_one_line_that_counts_all(names, width):
    words = table.listed(names, width)
    assert len(words) <= width
    told, _, more = words.partition(" and ")
    if not words.endswith("columns"):
        assert len(told.split(", ")) + int(more.split()[0] if more else 0) == len(names)


@given(some_columns())
def test_no_letter_of_a_column_that_is_shown_is_lost(columns):
    screen = Screen(width=80)
    with screen.capture() as printed:
        left_out = table.print_table(screen, columns, screen.width)
    told = Counter(printed.get().replace(" ", ""))
    for column in columns:
        if column.name not in left_out:
            told.subtract("".join(column.cells).replace(" ", ""))
    assert all(n >= 0 for letter, n in told.items() if not letter.isspace())
