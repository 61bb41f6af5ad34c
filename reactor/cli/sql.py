"""violet sql: one read-only query of the journal, while a soak runs and after."""

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from journal.judge import damage
from journal.keep import question
from journal.keep.question import Answering
from journal.ledger.naming import KNOWN, SEVERAL, identify, over_several, scoped
from journal.refusal import Refusal
from journal.shown import as_json as json_text
from journal.shown import shown
from reactor.run import settings

FORMATS: Final = {"table": "JSONCompactStrings", "json": question.JSON, "csv": "JSONCompactStrings"}
NULL: Final = "\u1d3a\u1d41\u1d38\u1d38"  # how ClickHouse prints it


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
    "--max-rows",
    type=click.IntRange(1, 10_000_000),
    default=question.MAX_ROWS,
    show_default=True,
    help="More is an error.",
)
@click.option(
    "--timeout",
    type=click.IntRange(1, 3_600),
    default=question.TIMEOUT_S,
    show_default=True,
    help="Seconds; longer is an error.",
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
    with question.answering(known.soak.data, known.journal.address, _warn) as answering:
        if "run" in bound:
            bound["run"] = identify(question.rows(answering, KNOWN), bound["run"])
        _warn_of_damage(answering)
        if not scoped(text):
            _warn_of_several_runs(answering, text)
        answer, given = answering(
            text, question.asked(bound, FORMATS[form], max_rows, timeout), timeout + question.GRACE_S
        )
    if given != FORMATS[form]:  # a FORMAT in the query wins
        if sys.stdout.isatty():
            answer = shown(answer.decode(errors="backslashreplace"), keep="\t\n").encode()
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    elif form == "json":
        click.echo(json_text(question.objects(json.loads(answer)), compact=True))
    elif form == "csv":
        _csv(json.loads(answer))
    else:
        _print(json.loads(answer))


def _warn(words: str) -> None:
    click.echo(f"violet: {words}", err=True)


def _warn_of_damage(answering: Answering) -> None:
    """Say on standard error that parts of the journal are gone, which no answer shows."""
    with suppress(Refusal):  # of a journal that was not migrated yet, or a login that may not see it
        if found := damage.in_words(question.rows(answering, damage.PARTS)):
            _warn(f"the journal is damaged, so answers may lack rows: {damage.some(found)}")


def _warn_of_several_runs(answering: Answering, text: str) -> None:
    """Say on standard error that a query counts several runs together, where the journal has been migrated at all."""
    with suppress(Refusal):
        (found,) = question.rows(answering, SEVERAL)
        if words := over_several(text, int(found["runs"]), found["tables"]):
            _warn(words)


def _saved(name: str) -> str:
    from journal.query import find  # late: it asks the lanes, and so loads numba

    return find(name).sql


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
