"""`violet rejects`: records that had no other outcome, by code, with their bytes; `retry` evaluates them again."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from journal.judge.reject import by_code, of_code
from journal.ledger import run as runs
from journal.lock import soak_lock
from journal.refusal import Refusal
from lanes.code import Reject
from reactor.cli import value
from reactor.cli.common import (
    broker,
    data_option,
    hold,
    journal,
    json_list_option,
    json_option,
    out,
    print_json,
    run_argument,
    show,
)


def _known(code: str) -> Reject:
    if code.upper() not in Reject.__members__:
        raise Refusal(f"--code must be one of {', '.join(Reject.__members__)}, was {code!r}")
    return Reject[code.upper()]


class _Rejects(click.Group):
    """A group whose own arguments may stand where the name of its command would."""

    allow_interspersed_args = True

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        if args[:1] and args[0] in self.commands:
            return self.commands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], *more, **extra)
        return super().make_context(info_name, args, *more, **extra)


@click.group("rejects", cls=_Rejects, invoke_without_command=True)
@run_argument
@data_option
@click.option("--code", help="List the records of this code, with what is wrong and their first bytes.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="List at most so many records."
)
@json_list_option
def command(run_id: str | None, data: Path, code: str | None, limit: int, as_json: bool) -> None:
    """Count a run's rejects by code; with --code show them. Without RUN: the latest run.

    `violet rejects retry` evaluates them again, after what made them rejects was mended.

    \b
    violet rejects --data my-soak
    violet rejects --code MALFORMED --limit 5
    """  # noqa: D301 - click's mark for lines that are not to be filled
    known = None if code is None else _known(code)
    with journal(data, reads=True) as store:
        run = runs.pick(store, run_id)
        rows = by_code(store, run.run_id) if known is None else of_code(store, run.run_id, known.name, limit)
    show(rows, as_json, f"rejects of run {run.run_id}")


@command.command("retry")
@click.option("--code", required=True, help="Evaluate the rejects of this code.")
@click.option("--run", "run_id", shell_complete=value.runs, metavar="RUN", help="Of this run.  [default: the latest]")
@data_option
@click.option("--bootstrap-servers", help="Broker that holds the topic of a run that followed one.")
@json_option
def retry_(code: str, run_id: str | None, data: Path, bootstrap_servers: str | None, as_json: bool) -> None:
    """Evaluate a run's rejects of a code again, with this version, these lanes and these kernels.

    What passes now becomes a run of its own, NAME.retry, with topic, partition and offset as they were. The run itself
    stays as it is: its rejects, its counts, its content hash and its verdict. What is a reject again is written
    nowhere, so it can be tried again. The records come from the archive or the log where it is there, else
    from the journal, which keeps a reject's first 64 KiB.

    \b
    violet rejects retry --code MALFORMED --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    from reactor.run.retry import name_of, retry

    known = _known(code)
    with ExitStack() as stack:
        store = stack.enter_context(journal(data))
        run = runs.pick(store, run_id)
        claim = hold(store, data, name_of(run), soak_lock(data, name_of(run)), stack)
        found = retry(store, run, known, broker(bootstrap_servers), claim)
    if as_json:
        print_json(asdict(found))
        return
    out.print(f"run {found.run_id}: {found.tried} rejects {found.code} evaluated again, from the {found.source}")
    for words, counts in (("passed", found.passed), ("a reject again", found.still)):
        for name, n in counts.items():
            if n:
                out.print(f"  {words}: {n} {name}")
    for words, n in (("passed before", found.before), ("not there any more, not evaluated", found.gone)):
        if n:
            out.print(f"  {words}: {n}")
    if found.runs:
        out.print(f"what passed is in {', '.join(found.runs)}; the run itself is as it was")
