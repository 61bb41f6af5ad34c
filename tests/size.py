"""Lines of product Python by package, without docstrings, comments and blank lines: `make size`, or python -m tests.size [ROOT]...

Each ROOT is a checkout; of several the table has a column each, so that a version can be laid beside another.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

TOPS = ("lanes", "journal", "reactor", "deploy", "violet")
_SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER
}  # fmt: skip


def code_lines(source):
    """How many lines of a module hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def sizes(root):
    """Package -> its lines of code; below journal and reactor each package by itself."""
    found = Counter()
    for top in TOPS:
        for file in (Path(root) / top).rglob("*.py"):
            name = file.relative_to(root).parent
            depth = 2 if top in ("journal", "reactor") else 1
            found["/".join(name.parts[:depth])] += code_lines(file.read_text("utf-8"))
    return found


def main(*roots):
    """Print the table."""
    columns = [sizes(root) for root in roots or (Path(__file__).parents[1],)]
    for name in sorted(set().union(*columns)):
        print(f"{name:20}", *(f"{column[name]:7,}" for column in columns))
    print(f"{'all':20}", *(f"{column.total():7,}" for column in columns))


if __name__ == "__main__":
    main(*sys.argv[1:])
