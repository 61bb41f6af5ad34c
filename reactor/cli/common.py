"""What the commands share: options, output, and the journal of a directory."""

import math
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from journal import directory
from journal.engine.owner import Address
from journal.keep.opened import hold as holding
from journal.keep.opened import opened
from journal.ledger import claim as claims
from journal.lock import Lock
from journal.shown import as_json as json_text
from journal.shown import plain, shown
from journal.store import Store
from reactor.cli import table, value
from reactor.cli.screen import Screen

if TYPE_CHECKING:
    from reactor.log.connection import Connection
    from reactor.run.settings import JournalSettings

PIPE_COLUMNS: Final = 200  # a table on a pipe is read by something that does not wrap


_IS_PIPE: Final = not shutil.get_terminal_size((0, 0)).columns  # nor does COLUMNS say how wide it is
# Text stands as it is: brackets and colons in a path or a name are no markup and no emoji.
out: Final = Screen(
    soft_wrap=True, width=PIPE_COLUMNS if _IS_PIPE else None, highlight=False, markup=False, emoji=False
)
err: Final = Screen(stderr=True, highlight=False, markup=False, emoji=False)
PATH: Final = click.Path(path_type=Path)
Command = Callable[..., Any]


def _read_config(context: click.Context, _: click.Parameter, config: Path | None) -> None:
    if config is not None:
        from reactor.run.settings import load

        context.obj = load({}, config)


def _place(context: click.Context, parameter: click.Parameter, data: Path) -> Path:
    given = context.get_parameter_source(parameter.name or "") not in (None, ParameterSource.DEFAULT)
    return data if given or context.obj is None else Path(context.obj.soak.data)


def config_option(command: Command) -> Command:
    """--config: what a soak's file says of its directory, its ClickHouse server and its broker."""
    return click.option(
        "--config", type=PATH, expose_value=False, is_eager=True, callback=_read_config,
        help="TOML file of the soak; names its directory, its ClickHouse server and its broker.",
    )(command)  # fmt: skip


def data_option(command: Command) -> Command:
    """--data, or the directory and the journal's address out of a soak's --config."""
    command = click.option(
        "--data", type=PATH, default=Path("violet-data"), envvar="VIOLET_DATA", show_default=True,
        callback=_place, help="Data directory of the soak.",
    )(command)  # fmt: skip
    return config_option(command)


def json_flag(what: str) -> Callable[[Command], Command]:
    """--json; what: the form of what it prints."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} instead of text.")


json_option = json_flag("one JSON object")
json_list_option = json_flag("a JSON list of objects")
# A run by its id, a prefix, its name, or `latest`.
run_argument = click.argument("run_id", metavar="[RUN]", required=False, shell_complete=value.runs)


@contextmanager
def journal(data: Path, *, current: bool = True, reads: bool = False) -> Iterator[Store]:
    """The journal: the server of --config, or the directory's, through its running engine or one started for the time.

    Never made here. current: refuses where its tables are not those of this version. reads: nothing of what the command
    writes has to last, so a copy answers where the directory cannot be written.
    """
    with opened(data, server(), warn, current=current, reads=reads) as store:
        yield store


def warn(words: str) -> None:
    """A line on standard error."""
    err.print(f"violet: {words}", style="yellow", soft_wrap=True)


def server() -> Address | None:
    """The server of --config; None for the engine of the directory."""
    return None if (known := click.get_current_context().obj) is None else known.journal.address


def server_settings() -> "JournalSettings":
    """The `[journal]` table of --config; that of the embedded engine without one."""
    from reactor.run.settings import JournalSettings

    return JournalSettings() if (known := click.get_current_context().obj) is None else known.journal


def broker(bootstrap: str | None) -> "Connection":
    """The connection of --config, to another broker where one is given; it names none where neither does."""
    from reactor.run import settings

    known = click.get_current_context().obj
    return known.kafka.at(bootstrap) if known is not None else settings.broker(None, bootstrap)


def require_journal(data: Path) -> None:
    """Refuse where there is no journal to ask."""
    if server() is None:
        directory.require_journal(data)


def lock(path: Path, data: Path) -> Lock:
    """A lock of a data directory, which may be a new one where the journal is a server's."""
    directory.claim(data)
    return Lock.acquire(path)


def hold(store: Store, data: Path, name: str, path: Path, stack: ExitStack) -> claims.Claim:
    """Claim a name of the journal until the stack is closed."""
    return holding(store, data, server(), name, path, stack, err.print)


def has_journal(data: Path) -> bool:
    """Whether there is a journal to ask: a server's, or the directory's."""
    return server() is not None or directory.has_journal(data)


def program() -> str:
    """This command as it can be typed here: `violet`, or its path where the shell would not find it."""
    called = sys.argv[0]
    found = shutil.which("violet")
    is_found = found is not None and Path(found).resolve() == Path(called).resolve()
    return "violet" if is_found or Path(called).name != "violet" else shlex.quote(called)


def write(path: Path, raw: bytes) -> None:
    """A file, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(raw)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json_text(plain(value)) + "\n")
    sys.stdout.flush()


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, title: str = "") -> None:
    """Rows as JSON or as a table."""
    print_json(rows) if as_json else print_rows(rows, title)


def print_rows(rows: Sequence[Mapping[str, Any]], title: str = "", *, piped: int = PIPE_COLUMNS) -> None:
    """Rows as a table for people: numbers are rounded, and the last columns are left out where there is no room.

    piped: columns of what goes to no terminal.
    """
    if not rows:
        out.print("(no rows)")
        return
    columns = [
        table.Column(name, [_cell(row[name]) for row in rows], all(_is_number(row[name]) for row in rows))
        for name in rows[0]
    ]
    width = piped if _IS_PIPE else out.width
    if left_out := table.print_table(out, columns, width, title):
        said, fix = "without ", "; --json has all"
        out.print(said + table.listed(left_out, width - len(said + fix)) + fix, style="dim")


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    """A value as people read it; one that cannot be formed is no number."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, float):
        return table.rounded(value)
    return shown(str(plain(value)))
