"""`violet state`: a run's state as one document, and a run that goes on from such a document elsewhere."""

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from journal.keep.origin import Origin
from journal.ledger import run as runs
from journal.ledger.incident import Note, note
from journal.ledger.ledger import positions
from journal.lock import soak_lock
from journal.refusal import Refusal
from lanes.code import Incident, Severity
from reactor.cli.common import (
    PATH,
    data_option,
    err,
    hold,
    journal,
    json_option,
    out,
    print_json,
    run_argument,
    server_settings,
    write,
)
from reactor.run.attend import Journal
from reactor.run.carry import bring, export, load


@click.group("state")
def command() -> None:
    """Carry a run to another journal: planes, identities, cadence and positions, as one document.

    \b
    violet state export --data my-soak --out state.json
    violet state import state.json --data another
    """  # noqa: D301 - click's mark for lines that are not to be filled


@command.command("export")
@run_argument
@data_option
@click.option("--out", "to", type=PATH, help="File of the document.  [default: standard output]")
def export_(run_id: str | None, data: Path, to: Path | None) -> None:
    """Write the state of a run as of its last batch. Without RUN: the latest run. It may be running.

    \b
    violet state export --data my-soak --out state.json
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with journal(data, reads=True) as store:
        run = runs.pick(store, run_id)
        known = {str(p): at.last + 1 for p, at in positions(store, run.run_id).items()}
        raw = export(store, run, Origin.of(data, runs.now(), {run.run_id: known}))
    if to is None:
        sys.stdout.buffer.write(raw)
        return
    write(to, raw)
    err.print(f"{to}: run {run.run_id}, {len(raw)} bytes")


@command.command("import")
@click.argument("file", type=PATH)
@data_option
@json_option
def import_(file: Path, data: Path, as_json: bool) -> None:
    """Begin a run in this journal where FILE says that it stood. The command that began it then resumes it here.

    It reads on from there: the rest of the same log is all that it needs. Other params, code or kernels than those of
    the document are refused at the resume, as in place.

    \b
    violet state import state.json --data elsewhere
    violet soak --data elsewhere --bootstrap-servers HOST:9092 --topic scans
    """  # noqa: D301 - click's mark for lines that are not to be filled
    try:
        document = load(file.read_bytes())
    except FileNotFoundError:
        raise Refusal(f"{file} is not there; fix: a file of `violet state export`") from None
    name, origin = document.run.name, document.origin
    with ExitStack() as stack:
        stack.enter_context(origin.hold(name))
        at = Journal(data, server_settings(), stack, err.print)
        at.migrate()
        claim = hold(at.store, data, name, soak_lock(data, name), stack)
        run = bring(at.store, document, claim.epoch)
        note(
            at.store,
            Note(run.run_id, runs.now(), Severity.INFO, Incident.RESUMED, f"state imported from {origin.data}"),
        )
        origin.write(data, run.run_id)
    if as_json:
        print_json({"run_id": run.run_id, "name": name, "state": run.state, "positions": run.start})
        return
    where = ", ".join(f"partition {p} from offset {offset}" for p, offset in run.start.items())
    out.print(f"run {run.run_id} of {name!r} is {run.state} here and goes on with {where}")
