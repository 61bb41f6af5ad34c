"""`violet report`: a run, alone or beside BLUE, as one HTML file."""

from pathlib import Path

import click

from journal.blue.report import collect
from journal.ledger import run as runs
from journal.shown import as_json, plain
from reactor.cli.common import PATH, data_option, journal, out, run_argument, write
from reactor.feed.archive_writer import check_target
from reactor.web.report_page import report_page


@click.command("report")
@run_argument
@click.option("--against", type=click.Choice(["blue"]), help="Beside what: BLUE, as `violet compare` compared it last.")
@click.option("-o", "--out", "target", type=PATH, required=True, help="File to write, .html, or .json for its numbers.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@data_option
def command(run_id: str | None, against: str | None, target: Path, force: bool, data: Path) -> None:
    """Write a report of RUN: verdict, what it rests on, what was not proved, and everything else.

    Without RUN: the latest run. It is one file that asks the network for nothing, and it can be printed. Its numbers
    are those of SQL.

    \b
    violet report latest --against blue -o report.html --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    check_target(target, force=force, suffixes=(".html", ".json"))
    with journal(data, reads=True) as store:
        report = collect(store, runs.pick(store, run_id), against_blue=against is not None)
    made = report_page(report) if target.suffix == ".html" else as_json(plain(report)) + "\n"
    write(target, made.encode())
    out.print(f"{target}: report of run {report['run']['run_id']}")
