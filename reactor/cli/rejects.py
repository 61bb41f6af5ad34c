"""`violet rejects`: records that had no other outcome, by code, with their bytes."""

from pathlib import Path

import click

from journal.judge.reject import by_code, of_code
from journal.ledger import run as runs
from journal.refusal import Refusal
from lanes.code import Reject
from reactor.cli.common import data_option, journal, json_list_option, run_argument, show


@click.command("rejects")
@run_argument
@data_option
@click.option("--code", help="List the records of this code, with what is wrong and their first bytes.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="List at most so many records."
)
@json_list_option
def command(run_id: str | None, data: Path, code: str | None, limit: int, as_json: bool) -> None:
    """Count a run's rejects by code; with --code show them. Without RUN: the latest run.

    \b
    violet rejects --data my-soak
    violet rejects --code MALFORMED --limit 5
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if code is not None and code.upper() not in Reject.__members__:
        raise Refusal(f"--code must be one of {', '.join(Reject.__members__)}, was {code!r}")
    with journal(data) as store:
        run = runs.pick(store, run_id)
        rows = by_code(store, run.run_id) if code is None else of_code(store, run.run_id, code.upper(), limit)
    show(rows, as_json, f"rejects of run {run.run_id}")
