"""The count of lines of code counts code."""

import pytest

from tests.size import code_lines


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", 0),
        ('"""Doc\nof two lines."""\n\nX = 1  # why\n', 1),
        ("# why\nX = (\n    1,\n\n    2,  # two\n)\n", 4),
        ('def f():\n    """Doc."""\n    return """a\nb"""\n', 3),
        ("async def f():\n    '''Doc.'''\nX: int = 1\n'''of X'''\n", 2),
    ],
)
def test_docstrings_comments_and_blank_lines_are_no_code(source, lines):
    assert code_lines(source) == lines
