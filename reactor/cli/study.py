"""`violet blue study`: questions about sizes and earnings, each answered by a view."""

from itertools import groupby
from operator import itemgetter
from pathlib import Path

import click

from journal.blue import intake, study
from journal.blue.study import STUDIES
from journal.ledger import run as runs
from reactor.cli.common import data_option, journal, json_option, out, print_json, print_rows, run_argument

_IN_TITLE = ("run_id", "label", "population", "filter", "caveat")


@click.command("study")
@click.argument("name", type=click.Choice(list(STUDIES)))
@run_argument
@click.option(
    "--label", type=click.Choice(intake.LABELS), help="Whose trades to study.  [default: REAL where there are any]"
)
@data_option
@json_option
def answer(name: str, run_id: str | None, label: str | None, data: Path, as_json: bool) -> None:
    """Study sizes and earnings, of a run and of BLUE's trades. Without RUN: the latest run.

    Each row names its population and its filter: figures of two populations make no ratio.

    \b
    violet blue study margin --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with journal(data, reads=True) as store:
        found = study.rows(store, name, runs.pick(store, run_id).run_id, label)
    if as_json:
        print_json(found)
        return
    out.print(STUDIES[name].question, style="bold")
    for of, group in groupby(found, key=itemgetter("label", "population", "filter")):
        label, population, counted = of
        shown = [{key: value for key, value in row.items() if key not in _IN_TITLE} for row in group]
        print_rows(shown, f"\n{population}{f' ({label})' if label else ''}: {counted}")
    if not found:
        out.print("(no rows: neither decisions nor trades)")
    out.print(STUDIES[name].caveat)
