"""`violet trust`: where trust in what VIOLET decides stands, from a ledger that is verified at each look."""

from dataclasses import asdict
from pathlib import Path

import click

from journal.blue.trust import EXIT, HOLD, Standing, ledger, lines, standing
from journal.ledger import run as runs
from journal.refusal import Refusal
from journal.store import Store
from reactor.cli.common import PATH, data_option, journal, json_list_option, out, print_json, write
from reactor.feed.archive_writer import check_target


@click.command("trust")
@data_option
@click.option("--name", help="Only the soak of this name.")
@click.option("--export", type=PATH, help="Write the ledger to this file too, .jsonl.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@json_list_option
def command(data: Path, name: str | None, export: Path | None, force: bool, as_json: bool) -> None:
    """Show where trust stands: three consecutive passing comparisons with BLUE over windows apart grant it.

    STAND-IN trades, stand-in lanes and invalid comparisons never count. How healthy a soak is has no part in it.

    Exit code: 0 granted, 2 HOLD, 3 the ledger is broken. It is that of the newest soak.

    \b
    violet trust --data my-soak
    violet trust --export trust.jsonl
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if export is not None:
        check_target(export, force=force, suffixes=(".jsonl",))
    with journal(data, reads=True) as store:
        entries = ledger(store)
        found = _standings(store, name)
    if export is not None:
        write(export, lines(entries))
    if as_json:
        print_json([asdict(each) | {"words": each.words} for each in found])
    for each in () if as_json else found:
        out.print(f"{each.name}: {each.words}", style="bold green" if each.status != HOLD else "bold yellow")
        for event in each.events:
            out.print(f"  {event}")
    raise SystemExit(EXIT[found[0].status])


def _standings(store: Store, name: str | None) -> list[Standing]:
    chosen = [run for run in runs.newest(store) if name in (None, run.name)]
    if not chosen:
        raise Refusal(f"no soak{f' of name {name}' if name else ''} in this journal; fix: `violet runs` lists them")
    return [standing(store, run.name, run.standins) for run in chosen]
