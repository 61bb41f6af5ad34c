"""`violet end`: end a stopped run for good."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from journal.judge.gate import ENDED_EARLY
from journal.ledger import run as runs
from journal.ledger.incident import Note, note
from journal.lock import soak_lock
from journal.refusal import Refusal
from lanes.code import Incident, Severity
from reactor.cli.common import data_option, hold, journal, json_option, out, print_json
from reactor.run.settings import named


@click.command("end")
@data_option
@click.option("--name", default="violet", show_default=True, help="Name of the soak.")
@json_option
def command(data: Path, name: str, as_json: bool) -> None:
    """End the latest run of a soak for good. The next `violet soak` starts a new run.

    \b
    violet end --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    named(name)
    with journal(data) as store, ExitStack() as stack:
        epoch = hold(store, data, name, soak_lock(data, name), stack).epoch
        run = runs.find(store, name=name)  # under the lock: a soak that just ended wrote another revision of it
        if run is None:
            raise Refusal(f"--name {name}: no run of that name in {data}; fix: `violet status` lists them")
        if run.state == "ENDED":
            raise Refusal(f"run {run.run_id} is Ended already; fix: nothing to do")
        runs.save(store, replace(run, state="ENDED", reason=ENDED_EARLY), epoch)
        note(store, Note(run.run_id, runs.now(), Severity.INFO, Incident.ENDED, "by violet end"))
    print_json({"run_id": run.run_id, "state": "ENDED"}) if as_json else out.print(f"run {run.run_id} is Ended")
