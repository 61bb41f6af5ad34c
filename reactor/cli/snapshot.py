"""`violet snapshot`: the journal as of now, in a data directory of its own."""

from pathlib import Path

import click
import msgspec

from journal.keep.snapshot import make
from journal.refusal import Refusal
from reactor.cli.common import PATH, data_option, journal, json_option, out, print_json, require_journal, server


@click.command("snapshot")
@click.argument("target", type=PATH)
@data_option
@json_option
def command(target: Path, data: Path, as_json: bool) -> None:
    """Copy the journal into TARGET as it is at one instant, also while a soak runs. TARGET is absent or empty.

    The copy is a data directory: `violet sql`, gate and verify read it, and a soak resumes its runs, while none of the
    original's writes the same name. Its files are hard links where TARGET is on the same file system: it costs no space
    at first, and guards against no lost disk. Every part of it is read and every run is audited before it is there.

    \b
    violet snapshot backup-monday --data my-soak
    violet gate --data backup-monday
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if server() is not None:
        raise Refusal("the journal is a server's; fix: its own BACKUP DATABASE")
    require_journal(data)
    with journal(data) as store:
        made = make(store, data, target)
    if as_json:
        print_json(msgspec.to_builtins(made))
        return
    how = "hard links" if made.linked else "copies"
    out.print(f"{made.path}: {made.parts} parts, {made.rows} rows, as {how}; verified; made at {made.origin.at}")
    for run_id, at in made.origin.runs.items():
        where = ", ".join(f"partition {p} at {offset}" for p, offset in at.items())
        out.print(f"  run {run_id}: {where or 'nothing yet'}")
