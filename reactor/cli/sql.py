"""violet sql: one read-only query of the journal, while a soak runs and after."""

import json
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import click

from journal.engine import owner
from journal.engine.address import Address, tls_fault
from journal.engine.reader import QueryError, gated
from journal.judge import damage
from journal.keep.scratch import readable
from journal.ledger.naming import KNOWN, SEVERAL, identify, over_several, scoped
from journal.refusal import Refusal
from journal.shown import as_json as json_text
from journal.shown import shown
from reactor.run import settings

FORMATS: Final = {"table": "JSONCompactStrings", "json": "JSONCompact", "csv": "JSONCompactStrings"}
NULL: Final = "\u1d3a\u1d41\u1d38\u1d38"  # how ClickHouse prints it
Answering = Callable[[str, dict[str, str], float], tuple[bytes, str]]  # to a query, its parameters, a time-out
# What ClickHouse adds of the query that ran, which holds the user's in brackets and the caps; not its hint or its name.
_SCOPE: Final = re.compile(
    r"(?:[:.,]? In|:? While (?:executing|processing)|,? in) (?:scope )?[^a-z]*(?:SELECT|WITH|DESCRIBE|EXPLAIN)\b.*?"
    r"(?=\. (?:Maybe|In)\b|\. \([A-Z_]+\)$| \([A-Z_]+\)$|$)"
)
_FIXES: Final = {
    "396": "raise --max-rows, or add a LIMIT",
    "159": "raise --timeout, or ask for less",
    "60": "`SHOW TABLES` lists what there is",
    "47": "`DESCRIBE decisions` lists that view's columns",
}
GRACE_S: Final = 10  # beyond the query's own limit, for the answer to arrive


@click.command("sql", short_help="Query the journal, while a soak runs and after; read only.")
@click.argument("query", required=False)
@click.option(
    "--saved", metavar="[NAME]", is_flag=False, flag_value="", help="Run a saved query; without NAME: list them."
)
@click.option("--data", type=click.Path(path_type=Path), help="Data directory.  [default: violet-data]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file of the soak; names its directory, or its ClickHouse server.",
)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json: a list of row objects.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="Bind {NAME:Type} in the query; may be repeated.")
@click.option("--run", help="Bind {run:String}: a run by id, prefix or name.  [default: the latest run]")
@click.option(
    "--max-rows", type=click.IntRange(1, 10_000_000), default=100_000, show_default=True, help="More is an error."
)
@click.option(
    "--timeout", type=click.IntRange(1, 3_600), default=30, show_default=True, help="Seconds; longer is an error."
)
def command(
    *, query: str | None, saved: str | None, data: Path | None, config: Path | None, form: str, as_json: bool,
    param: tuple[str, ...], run: str | None, max_rows: int, timeout: int,
) -> None:  # fmt: skip
    """Ask the journal in ClickHouse's SQL. Read only; what is too large is an error, never cut short.

    \b
    violet sql "SELECT count() FROM decisions WHERE run_id = {run:String}"
    violet sql "SELECT * FROM decisions WHERE asset = {a:String} LIMIT 5" --param a=BTCUSDT --format json
    violet sql --saved upward_tail
    """  # noqa: D301 - click reads \b, so the text is not raw
    if (query is None) == (saved is None):
        raise click.UsageError("give a query, or --saved [NAME], and not both")
    form = "json" if as_json else form
    if saved == "":
        _list(form)
        return
    text = query if query is not None else _saved(saved or "")
    known = settings.load({"data": data} if data else {}, config)
    bound = dict(_pair(text) for text in param) | ({"run": run} if run is not None else {})
    with _journal(known) as answering:
        if "run" in bound:
            bound["run"] = identify(_rows(answering, KNOWN), bound["run"])
        _warn_of_damage(answering)
        if not scoped(text):
            _warn_of_several_runs(answering, text)
        answer, given = answering(text, _asked(bound, form, max_rows, timeout), timeout + GRACE_S)
    if given != FORMATS[form]:  # a FORMAT in the query wins
        if sys.stdout.isatty():
            answer = shown(answer.decode(errors="backslashreplace"), keep="\t\n").encode()
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    elif form == "json":
        click.echo(json_text(_objects(json.loads(answer)), compact=True))
    elif form == "csv":
        _csv(json.loads(answer))
    else:
        _print(json.loads(answer))


def _warn(words: str) -> None:
    click.echo(f"violet: {words}", err=True)


def _warn_of_damage(answering: Answering) -> None:
    """Say on standard error that parts of the journal are gone, which no answer shows."""
    with suppress(Refusal):  # of a journal that was not migrated yet, or a login that may not see it
        if found := damage.in_words(_rows(answering, damage.PARTS)):
            _warn(f"the journal is damaged, so answers may lack rows: {damage.some(found)}")


def _warn_of_several_runs(answering: Answering, text: str) -> None:
    """Say on standard error that a query counts several runs together, where the journal has been migrated at all."""
    with suppress(Refusal):
        (found,) = _rows(answering, SEVERAL)
        if words := over_several(text, int(found["runs"]), found["tables"]):
            _warn(words)


def _asked(bound: dict[str, str], form: str, max_rows: int, timeout_s: int) -> dict[str, str]:
    """The settings of a query that go with it."""
    return {f"param_{name}": _escaped(value) for name, value in bound.items()} | {
        "default_format": FORMATS[form],
        "max_result_rows": str(max_rows),
        "max_execution_time": str(timeout_s),
        "date_time_output_format": "iso" if form == "json" else "simple",
    }


@contextmanager
def _journal(known: settings.Settings) -> Iterator[Answering]:
    """Who answers: the server of --config, or the directory's engine for the duration."""
    if (server := known.journal.address) is not None:
        yield partial(_of_server, server)
    else:
        with ExitStack() as held:
            yield _of_directory(known.soak.data, held)


def _reader(data: Path, held: ExitStack) -> Address:
    """The reader's address of the directory's engine, or of a copy's where the directory takes no writes."""
    return held.enter_context(owner.reading(held.enter_context(readable(data, _warn))))


def _of_directory(data: Path, held: ExitStack) -> Answering:
    """The directory's engine; another, once a question, where it goes with the soak that it belongs to."""
    address = _reader(data, held)

    def answering(query: str, params: dict[str, str], timeout_s: float) -> tuple[bytes, str]:
        nonlocal address
        try:
            return ask(address, query, params, timeout_s)
        except EngineGone:
            held.close()
            address = _reader(data, held)
            return ask(address, query, params, timeout_s)

    return answering


def _rows(answering: Answering, query: str) -> list[dict[str, Any]]:
    """What a query of our own gives. Many runs are no reason to refuse the user's query."""
    answer, _ = answering(query, _asked({}, "json", 1_000_000, GRACE_S), 2 * GRACE_S)
    return _objects(json.loads(answer))


def _saved(name: str) -> str:
    from journal.query import find  # late: it asks the lanes, and so loads numba

    return find(name).sql


class EngineGone(Refusal):
    """Nobody listens at the engine's address any more."""


def ask(address: Address, query: str, params: dict[str, str], timeout_s: float) -> tuple[bytes, str]:
    """A reader's query: the answer and its format. Raises Refusal with the engine's exact words."""
    login = b64encode(f"{address.user}:{address.token}".encode()).decode()
    connection = address.http(timeout_s)
    try:
        connection.request(
            "POST", f"{address.path}/?{urlencode(params)}", query.encode(), {"Authorization": f"Basic {login}"}
        )
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        if words := tls_fault(address, str(error)):
            raise Refusal(words) from None
        kind = EngineGone if isinstance(error, ConnectionError) else Refusal
        raise kind(f"the engine at {address.url} went away ({error}); fix: ask again") from None
    finally:
        connection.close()
    if response.status != 200:
        raise Refusal(_plain(body.decode(errors="replace")))
    return body, response.headers.get("X-ClickHouse-Format", "")


def _of_server(address: Address, query: str, params: dict[str, str], timeout_s: float) -> tuple[bytes, str]:
    """The same of a ClickHouse server, which has no reader's gate: the query passes it here."""

    def answer(sql: str, bound: dict[str, str]) -> str:
        return ask(address, sql, {**bound, "default_format": "TSVRaw"}, timeout_s)[0].decode().removesuffix("\n")

    try:
        sql, asked = gated(query, params, answer)
    except QueryError as error:
        raise Refusal(error.text) from None
    return ask(address, sql, asked, timeout_s)


def _plain(text: str) -> str:
    r"""ClickHouse's error on one line, without the query that it ran for the user's; and the fix, of the common ones.

    >>> _plain("Code: 60. DB::Exception: Unknown table `x` in scope SELECT x. (UNKNOWN_TABLE)\n")
    'Code: 60. DB::Exception: Unknown table `x`. (UNKNOWN_TABLE); fix: `SHOW TABLES` lists what there is'
    """
    words = _SCOPE.sub("", " ".join(text.split()))
    code = words.removeprefix("Code: ").partition(".")[0]
    return f"{words}; fix: {_FIXES[code]}" if code in _FIXES else words


def _list(form: str) -> None:
    """The saved queries: a line each, or with their heads and texts as JSON."""
    from journal.query import saved

    found = saved().values()
    if form == "json":
        click.echo(json_text([asdict(each) for each in found], compact=True))
        return
    width = max(len(each.name) for each in found)
    for each in found:
        click.echo(f"{each.name:{width}}  {each.question}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise Refusal(f"--param must be NAME=VALUE, was {text!r}")
    return name, value


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _objects(answer: dict[str, Any]) -> list[dict[str, Any]]:
    names = [column["name"] for column in answer["meta"]]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Refusal(f"two columns are named {twice!r}; fix: name them apart with AS, or use --format csv")
    return [dict(zip(names, row, strict=True)) for row in answer["data"]]


def _is_number(kind: str) -> bool:
    return kind.removeprefix("Nullable(").startswith(("Int", "UInt", "Float", "Decimal", "BFloat"))


def _csv(answer: dict[str, Any]) -> None:
    """A head and the rows, as ClickHouse's CSVWithNames has them; no text of a record is a formula of a sheet."""
    names = [column["name"] for column in answer["meta"]]
    numbers = [_is_number(column["type"]) for column in answer["meta"]]
    click.echo(",".join(map(_quoted, names)))
    for row in answer["data"]:
        cells = zip(row, numbers, strict=True)
        click.echo(",".join("\\N" if cell == NULL else cell if number else _quoted(cell) for cell, number in cells))


def _quoted(text: str) -> str:
    if text.startswith(("=", "+", "-", "@", "\t", "\r")):  # a sheet would compute these
        text = "'" + text
    return '"' + shown(text, keep="\n").replace('"', '""') + '"'


def _print(answer: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from reactor.cli.screen import Screen

    table = Table(box=SIMPLE_HEAD, show_edge=False)
    for column in answer["meta"]:
        number = _is_number(column["type"])
        table.add_column(Text(shown(column["name"])), justify="right" if number else "left", overflow="fold")
    for row in answer["data"]:
        table.add_row(*(Text("NULL" if cell == NULL else shown(str(cell))) for cell in row))
    console = Screen()
    width = console.measure(table, options=console.options.update(width=100_000)).maximum
    if not console.is_terminal:  # a file or a pipe has no width to fit
        console = Screen(width=max(80, width))
    if width > console.width:
        _print_records(answer, console.width)
    else:
        console.print(table)
    count = len(answer["data"])
    console.print(f"{count} row{'' if count == 1 else 's'}", style="dim", highlight=False)


def _print_records(answer: dict[str, Any], width: int) -> None:
    """A row after the other, a line for each value, where a table does not fit: as ClickHouse's Vertical format."""
    names = [column["name"] for column in answer["meta"]]
    margin = max(map(len, names)) + 2
    for number, row in enumerate(answer["data"], 1):
        click.echo(f"── row {number} " + "─" * (min(width, 60) - len(f"── row {number} ")))
        for name, cell in zip(names, row, strict=True):
            click.echo(f"{shown(name):{margin}}{'NULL' if cell == NULL else shown(cell)}")
