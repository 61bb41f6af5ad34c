"""The screen: what a record says to a terminal is spelled out, in every form that is printed."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from reactor.cli.screen import Screen

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc\x7f[/i][bold]"


def table(text):
    made = Table()
    made.add_column(text)
    made.add_row(Text(text))
    return made


@pytest.mark.parametrize("made", [str, Text, table], ids=["str", "Text", "Table"])
def test_nothing_that_is_printed_speaks_to_the_terminal(made):
    into = io.StringIO()
    screen = Screen(file=into, width=400, markup=False, emoji=False, highlight=False, force_terminal=False)
    screen.print(made(HOSTILE))
    found = into.getvalue()
    assert not [c for c in found if not c.isprintable() and c != "\n"]
    assert "owned" in found
    assert made is table or "[/i][bold]" in found
