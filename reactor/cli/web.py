"""`violet web`: the live page of a journal, on loopback, until Ctrl-C."""

from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import click

from journal.ledger import run as runs
from journal.store import JournalAway
from reactor.cli import value
from reactor.cli.common import data_option, json_option, out, print_json, require_journal, server
from reactor.web.host import Page, end_on_signal
from reactor.web.poller import Poller, reader


@click.command("web")
@data_option
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="Port; 0 for any free one.")
@click.option("--run", "run_id", shell_complete=value.runs, help="Run to open.  [default: the latest run]")
@json_option
def command(data: Path, port: int, run_id: str | None, as_json: bool) -> None:
    """Show a soak in a browser, while it runs and after.

    Prints an address with a token that is good once, for one browser; start the command again for another browser. It
    listens on loopback and can only read. Where no engine of the journal runs, it starts one for as long as it runs.

    \b
    violet web --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    require_journal(data)
    with closing(Poller(data, partial(reader, data, server()))) as poller:
        if run_id is not None:
            run_id = poller.ask(partial(runs.pick, wanted=run_id)).run_id
        else:
            with suppress(JournalAway):  # what is away may come; what cannot be opened is said now
                poller.ask(bool)
        page = Page(poller, port)
        url = page.url(f"/run/{run_id}" if run_id else "/")
        words = f"the page of {data}, for one browser, until Ctrl-C:\n  {url}"
        print_json({"url": url, "port": page.port}) if as_json else out.print(words)
        end_on_signal()
        page.serve()
