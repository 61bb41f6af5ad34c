"""`violet runs`: the runs of a journal, by which the other commands name them."""

from pathlib import Path
from typing import Final

import click

from journal.judge.gate import with_verdict
from journal.ledger.run import listed
from journal.refusal import Refusal
from reactor.cli.common import data_option, journal, json_list_option, out, print_json, print_rows

LAST: Final = 20


@click.command("runs")
@click.option("--name", help="Only the runs of the soak of this name.")
@click.option("--limit", type=click.IntRange(1), default=LAST, show_default=True, help="List at most so many.")
@data_option
@json_list_option
def command(name: str | None, limit: int, data: Path, as_json: bool) -> None:
    """List the runs of a journal, the newest first: state, verdict, times, records.

    Other commands take a run by its id, by how its id begins, by its name (the latest run of that name), or by the word
    latest. The verdict of a run that goes on is so far; one that cannot be judged has none.

    \b
    violet runs --data my-soak
    violet gate latest --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with journal(data, reads=True) as store:
        found = listed(store, name)
        rows = [with_verdict(store, row) for row in found[:limit]]
    if name is not None and not rows:
        raise Refusal(f"--name {name}: no run of that name in {data}; fix: `violet runs` lists them")
    if as_json:
        print_json(rows)
        return
    print_rows(rows, "runs, the newest first")
    if len(found) > limit:
        out.print(f"{len(found) - limit} older runs; --limit {len(found)} lists all", style="dim")
