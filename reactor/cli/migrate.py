"""`violet migrate`: bring the journal's tables and views up to this version, a backup first."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from journal.keep import backup
from journal.keep.migrate import changes, migrate, name, pending
from reactor.cli.common import data_option, journal, json_option, lock, out, print_json, server


@click.command("migrate")
@data_option
@click.option("--dry-run", is_flag=True, help="Print the statements and the backup's name; apply nothing.")
@click.option("--without-backup", is_flag=True, help="Make no backup first: you have one.")
@json_option
def command(data: Path, dry_run: bool, without_backup: bool, as_json: bool) -> None:
    """Bring a journal's tables, views and comments up to this version. A soak does so too when it starts.

    Before a migration changes existing tables it makes a backup: a copy of DIR/engine in DIR/backups, where the last
    three are kept; on a server by the server's own BACKUP.

    \b
    violet migrate --data my-soak --dry-run
    violet migrate --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    made: list[str] = []

    def keep(title: str) -> None:
        if own := server() is None:
            backup.alone(data)
        if not without_backup:
            made.append(title)
            backup.link(data, title) if own else backup.remote(store, title)

    with journal(data, current=False) as store, _alone(data, dry_run=dry_run):
        due = pending(store) if dry_run else migrate(store, keep)
        if dry_run and not without_backup and changes(store, due):
            made.append(name(due))
    if as_json:
        scripts = [{"name": s.name, "checksum": s.checksum} for s in due]
        print_json({"dry_run": dry_run, "backup": made[0] if made else None, "scripts": scripts})
        return
    for title in made:
        out.print(f"{'would keep' if dry_run else 'kept'} the journal as it was: backup {title}")
    for script in due:
        out.print(f"{'would apply' if dry_run else 'applied'} {script.name} ({script.checksum})")
        if dry_run:
            out.print(script.text)
    if not due:
        out.print("nothing to do: the journal is up to date")


def _alone(data: Path, *, dry_run: bool) -> AbstractContextManager[object]:
    """The lock of whoever changes the tables; none where nothing is changed."""
    return nullcontext() if dry_run else lock(data / "locks" / "migrate.lock", data)
