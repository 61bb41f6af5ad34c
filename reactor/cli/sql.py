"""violet sql: one read-only query of the journal, while a soak runs and after."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from journal.keep import question
from journal.keep.question import QueryRefused
from journal.ledger.naming import KNOWN, identify
from journal.refusal import Refusal
from journal.shown import as_json as json_text
from journal.shown import shown
from reactor.cli import value
from reactor.cli.fault import ours
from reactor.cli.grouped import Grouped
from reactor.run import settings

FORMATS: Final = {"table": "JSONCompactStrings", "json": question.JSON, "csv": "JSONCompactStrings"}


@click.command(
    "sql", short_help="Query the journal, while a soak runs and after; read only.", cls=Grouped,
    groups={
        "What is asked": ("saved", "param", "run", "max_rows", "timeout"),
        "Form of the answer": ("form", "as_json", "wide", "vertical", "verbose"),
    },
)  # fmt: skip
@click.argument("query", required=False)
@click.option(
    "--saved",
    metavar="[NAME]",
    is_flag=False,
    flag_value="",
    shell_complete=value.queries,
    help="Run a saved query; without NAME: list them.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data directory.  [default: violet-data]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file of the soak; names its directory, or its ClickHouse server.",
)
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json: a list of row objects.")
@click.option("--wide", is_flag=True, help="All columns of the table, however wide it gets.")
@click.option("--vertical", is_flag=True, help="A row after the other, a line for each value, with every digit.")
@click.option("--verbose", is_flag=True, help="Also show ClickHouse's own words where it refuses the query.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="Bind {NAME:Type} in the query; may be repeated.")
@click.option(
    "--run",
    shell_complete=value.runs,
    help="Bind {run:String}: a run by id, prefix or name.  [default: the latest run]",
)
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
    wide: bool, vertical: bool, verbose: bool, param: tuple[str, ...], run: str | None, max_rows: int, timeout: int,
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
    if form != "table" and (wide or vertical):
        raise click.UsageError(f"--wide and --vertical are forms of a table, not of {form}")
    if saved == "":
        _list(form)
        return
    text = query if query is not None else _saved(saved or "")
    known = settings.load({"data": data} if data else {}, config)
    bound = dict(_pair(text) for text in param) | ({"run": run} if run is not None else {})
    with question.answering(known.soak.data, known.journal.address, _warn) as answering:
        if "run" in bound:
            bound["run"] = identify(question.rows(answering, KNOWN), bound["run"])
        for words in question.warnings(answering, text):
            _warn(words)
        asked = question.asked(bound, FORMATS[form], max_rows, timeout)
        try:
            answer, given = answering(text, asked, timeout + question.GRACE_S)
        except QueryRefused as refused:
            if verbose:
                _warn(str(refused))
            raise Refusal(ours(str(refused))) from None
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
        _print(json.loads(answer), is_wide=wide, is_vertical=vertical)


def _warn(words: str) -> None:
    click.echo(f"violet: {words}", err=True)


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


def _csv(answer: dict[str, Any]) -> None:
    """A head and the rows, as ClickHouse's CSVWithNames has them; no text of a record is a formula of a sheet."""
    from reactor.cli.answer import NULL, is_number

    names = [column["name"] for column in answer["meta"]]
    numbers = [is_number(column["type"]) for column in answer["meta"]]
    click.echo(",".join(map(_quoted, names)))
    for row in answer["data"]:
        cells = zip(row, numbers, strict=True)
        click.echo(",".join("\\N" if cell == NULL else cell if number else _quoted(cell) for cell, number in cells))


def _quoted(text: str) -> str:
    if text.startswith(("=", "+", "-", "@", "\t", "\r")):  # a sheet would compute these
        text = "'" + text
    return '"' + shown(text, keep="\n").replace('"', '""') + '"'


def _print(answer: dict[str, Any], *, is_wide: bool, is_vertical: bool) -> None:
    from reactor.cli import answer as answers  # late: it loads rich, which an answer in JSON needs not

    answers.print_vertical(answer) if is_vertical else answers.print_table(answer, is_wide=is_wide)
