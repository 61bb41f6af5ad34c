"""`violet verify`: recompute every outcome and compare it with what was journaled."""

from pathlib import Path

import click
from rich.progress import Progress

from journal.judge.gate import EXIT
from journal.ledger import run as runs
from reactor.cli.common import broker, data_option, err, journal, json_option, out, print_json, run_argument
from reactor.cli.stream import foreign_code
from reactor.run.verify import verify


@click.command("verify")
@run_argument
@data_option
@click.option("--bootstrap-servers", help="Broker that holds the run's topic; else archive or stored inputs are used.")
@json_option
def command(run_id: str | None, data: Path, bootstrap_servers: str | None, as_json: bool) -> None:
    """Compute every outcome of a run again and compare it with the journal. Without RUN: the latest run.

    The records come from the run's archive, from its topic (--bootstrap-servers), or from the inputs that the journal
    stored; the answer says from which. Exit code: 0 identical and whole, 1 not.

    \b
    violet verify --data my-soak
    violet verify --bootstrap-servers 127.0.0.1:9092
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with foreign_code(), journal(data, reads=True) as store, Progress(console=err, disable=not err.is_terminal) as bar:
        run = runs.pick(store, run_id)
        task = bar.add_task("recomputing", total=None)
        report = verify(store, run, broker(bootstrap_servers), lambda n: bar.update(task, completed=n))
    if as_json:
        print_json(report)
    else:
        sql = report.pop("content_hash_sql")
        for name, value in report.items():
            out.print(f"{name:>20}  {value}", markup=False)
        out.print("\nThe content hash in SQL, for `violet sql` or any other client:\n")
        out.print(sql, markup=False, soft_wrap=True)
    raise SystemExit(EXIT[report["verdict"]])
