"""`violet migrate`: bring the journal's tables and views up to this version."""

from pathlib import Path

import click

from journal.lock import Lock
from journal.migrate import migrate, pending
from reactor.cli.common import data_option, journal, json_option, out, print_json


@click.command("migrate")
@data_option
@click.option("--dry-run", is_flag=True, help="Print the statements; apply nothing.")
@json_option
def command(data: Path, dry_run: bool, as_json: bool) -> None:
    """Apply the migrations that a journal lacks, in order, each checked against its checksum."""
    with journal(data) as store, Lock.acquire(data / "locks" / "migrate.lock"):
        due = pending(store) if dry_run else migrate(store)
    if as_json:
        print_json({"dry_run": dry_run, "scripts": [{"name": s.name, "checksum": s.checksum} for s in due]})
        return
    for script in due:
        out.print(f"{'would apply' if dry_run else 'applied'} {script.name} ({script.checksum})")
        if dry_run:
            out.print(script.text)
    if not due:
        out.print("nothing to do: the journal is up to date")
