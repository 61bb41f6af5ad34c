"""`violet runs`: the runs of a journal, by which the other commands name them."""

from pathlib import Path

import click

from journal.ledger.run import listed
from journal.refusal import Refusal
from reactor.cli.common import data_option, journal, json_list_option, show


@click.command("runs")
@click.option("--name", help="Only the runs of the soak of this name.")
@data_option
@json_list_option
def command(name: str | None, data: Path, as_json: bool) -> None:
    """List the runs of a journal, the newest first.

    Other commands take a run by its id, by how its id begins, by its name (the latest run of that name), or by the word
    latest.

    \b
    violet runs --data my-soak
    violet gate latest --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with journal(data, reads=True) as store:
        rows = listed(store, name)
    if name is not None and not rows:
        raise Refusal(f"--name {name}: no run of that name in {data}; fix: `violet runs` lists them")
    show(rows, as_json, "runs, the newest first")
