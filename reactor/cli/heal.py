"""`violet heal`: put back what the journal lost, from the archive or the log, and say what cannot be put back."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress, TaskID

from journal.keep import mend
from journal.ledger import run as runs
from journal.ledger.incident import Note, note
from journal.lock import soak_lock
from journal.store import Store
from lanes.code import Incident, Severity
from reactor.cli.common import broker, data_option, err, hold, journal, json_option, out, print_json
from reactor.run.heal import Healed, heal, is_whole


@click.command("heal")
@data_option
@click.option("--bootstrap-servers", help="Broker that holds the topics of runs that followed one.")
@click.option(
    "--accept-loss", metavar="REASON",
    help="Go on without what cannot be put back: an incident of level ERROR in every run keeps the reason.",
)  # fmt: skip
@json_option
def command(data: Path, bootstrap_servers: str | None, accept_loss: str | None, as_json: bool) -> None:
    """Put back what a damaged journal lost, run by run.

    The engine checks every part, and sets aside those that are not what was written. Outcomes and batches that are gone
    are computed again, at their exact offsets, from the run's archive or topic; nothing that is there is changed. Runs,
    segments, incidents and imports cannot be computed again: restore DIR/engine from a backup, or --accept-loss. No
    soak may run. Exit code: 0 the journal is whole, 1 it is not.

    \b
    violet heal --data my-soak
    violet heal --data my-soak --bootstrap-servers 127.0.0.1:9092
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with ExitStack() as stack:
        store = stack.enter_context(journal(data))
        known = runs.ids(store)
        epochs = {
            name: hold(store, data, name, soak_lock(data, name), stack).epoch
            for name in sorted({run.name for run in runs.newest(store)})
        }
        aside = mend.set_aside(store)
        healed = _heal(store, known, bootstrap_servers, epochs)
        mend.close(store, mend.mended(store, _whole(store, healed)), "healed")
        left = mend.damaged(store)
        if accept_loss is not None:
            _accept(store, known, left, accept_loss)
            left = []
    is_sound = not left and (accept_loss is not None or all(each.whole for each in healed))
    if as_json:
        runs_of = [asdict(each) for each in healed if each.why or each.rows or each.batches]
        print_json({"whole": is_sound, "set_aside": aside, "runs": runs_of, "left": [asdict(each) for each in left]})
    else:
        _print(aside, healed, left)
        words = "the loss is accepted" if accept_loss is not None else "the journal is whole"
        out.print(words if is_sound else "the journal is not whole", style="bold")
    raise SystemExit(0 if is_sound else 1)


def _heal(store: Store, known: list[str], bootstrap: str | None, epochs: Mapping[str, int]) -> list[Healed]:
    """Every run, healed where it was not whole."""
    healed = []
    with Progress(console=err, disable=not err.is_terminal) as bar:
        for run_id in known:
            run = runs.pick(store, run_id)
            if is_whole(store, run):
                healed.append(Healed(run_id))
                continue
            task = bar.add_task(run_id, total=None)
            healed.append(heal(store, run, broker(bootstrap), partial(_show, bar, task), epochs[run.name]))
    return healed


def _whole(store: Store, healed: list[Healed]) -> set[str]:
    """Partitions of the runs that are whole.

    A run that lost all of its rows has none any more. Where it did not end a resume computes all of it again, so if
    every other run is whole, no partition lacks anything.
    """
    of = {each.run_id: mend.partitions(store, each.run_id) for each in healed}
    whole = {part for each in healed if each.whole for part in of[each.run_id]}
    if all(e.whole and (of[e.run_id] or runs.pick(store, e.run_id).state != "ENDED") for e in healed) and healed:
        whole |= {each.partition for each in mend.damaged(store) if each.table in mend.OF_RUN}
    return whole


def _show(bar: Progress, task: TaskID, n: int) -> None:
    bar.update(task, completed=n)


def _accept(store: Store, known: list[str], left: list[mend.Damaged], reason: str) -> None:
    """Let go of what cannot be put back. Every run keeps it as an incident: what it lacks is known to nobody."""
    if not left:
        return
    names = ", ".join(f"{each.table}/{each.part}" for each in left)
    words = f"the loss of parts was accepted ({reason}): {names}"
    for run_id in known:
        note(store, Note(run_id, runs.now(), Severity.ERROR, Incident.INTEGRITY, words))
    mend.close(store, left, f"accepted: {reason}")


def _print(aside: list[str], healed: list[Healed], left: list[Any]) -> None:
    for part in aside:
        out.print(f"set aside: {part}, whose files are not what was written")
    for each in healed:
        rows = ", ".join(f"{n} {name}" for name, n in each.rows.items())
        made = f"; {each.batches} batches made anew" if each.batches else ""
        if rows or made:
            out.print(f"run {each.run_id}: put back {rows or 'no row'} from the {each.source}{made}")
        if each.why:
            out.print(f"run {each.run_id}: NOT healed: {each.why}", style="yellow")
    for part in left:
        out.print(f"cannot be put back: {part.table}/{part.part}", style="yellow")
