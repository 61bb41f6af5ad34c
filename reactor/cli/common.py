"""What the commands share: options, output, and the journal of a directory."""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from journal.engine.owner import running
from journal.refusal import Refusal
from journal.store import Store, connect

PIPE_COLUMNS: Final = 200  # a table on a pipe is read by something that does not wrap
out: Final = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
err: Final = Console(stderr=True, highlight=False)

data_option = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("violet-data"), envvar="VIOLET_DATA", show_default=True,
    help="Data directory of the soak.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
run_argument = click.argument("run_id", metavar="[RUN]", required=False)


@contextmanager
def journal(data: Path) -> Iterator[Store]:
    """The journal of a directory, through its running engine or one that is started for the time. Never made here."""
    if not (data / "engine").is_dir():
        raise Refusal(f"--data {data}: no journal there; fix: name the directory of a soak, or run `violet soak` first")
    with running(data) as address:
        yield connect(address)


def plain(value: Any) -> Any:
    """The value as JSON has it: no NaN, no infinity, times in ISO 8601."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, title: str = "") -> None:
    """Rows as JSON or as a table."""
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, title)


def print_rows(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Rows as a table for people."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if v is None else str(plain(v)) for v in row.values()))
    out.print(table if rows else "(no rows)")
