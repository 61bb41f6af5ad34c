"""`violet rejects`: records that had no other outcome, by code, with their bytes."""

from pathlib import Path

import click

from journal.ledger import run as runs
from journal.refusal import Refusal
from lanes.code import Reject
from reactor.cli.common import data_option, journal, json_option, run_argument, show


@click.command("rejects")
@run_argument
@data_option
@click.option("--code", help="Only this code: list the records with what is wrong and their first bytes.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Records at most.")
@json_option
def command(run_id: str | None, data: Path, code: str | None, limit: int, as_json: bool) -> None:
    """Count a run's rejects by code; with --code show them."""
    if code is not None and code.upper() not in Reject.__members__:
        raise Refusal(f"--code must be one of {', '.join(Reject.__members__)}, was {code!r}")
    with journal(data) as store:
        run = runs.pick(store, run_id)
        if code is None:
            rows = store.rows(
                "SELECT code, lane, count() AS n, min(log_offset) AS first_offset, any(detail) AS detail FROM rejects "
                "WHERE run_id = {run:String} GROUP BY code, lane ORDER BY n DESC",
                {"run": run.run_id},
            )
        else:
            rows = store.rows(
                "SELECT topic, partition, log_offset, lane, kind, stream, scan_id, bytes, digest, detail, "
                "substring(toValidUTF8(raw), 1, 200) AS raw FROM rejects WHERE run_id = {run:String} "
                "AND code = {code:String} ORDER BY topic, partition, log_offset LIMIT {n:UInt32}",
                {"run": run.run_id, "code": code.upper(), "n": limit},
            )
    show(rows, as_json, f"rejects of run {run.run_id}")
