"""`violet verify`: recompute every outcome and compare it with what was journaled; or the forms of the arithmetic."""

import os
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from journal.judge.gate import EXIT
from journal.ledger import run as runs
from journal.refusal import Refusal
from reactor.cli.common import (
    PATH,
    broker,
    data_option,
    err,
    journal,
    json_option,
    out,
    print_json,
    print_rows,
    run_argument,
    write,
)
from reactor.cli.grouped import Grouped
from reactor.cli.stream import foreign_code
from reactor.run.verify import verify

_OF_UNIVERSE = ("points", "seed", "workers", "against", "to")


@click.command("verify", cls=Grouped, groups={
    "Of a run": ("bootstrap_servers",), "Of the arithmetic": ("universe", "points", "seed", "workers", "against", "to"),
})  # fmt: skip
@run_argument
@data_option
@click.option("--bootstrap-servers", help="Broker that holds the run's topic; else archive or stored inputs are used.")
@click.option("--universe", is_flag=True, help="Compare the forms of the arithmetic instead, on points of all inputs.")
@click.option("--points", type=click.IntRange(1, 1 << 40), help="Points drawn, with --universe.  [default: 1000000]")
@click.option(
    "--seed", type=click.IntRange(0, 1 << 40), help="Seed of the first point; each has the next.  [default: 1]"
)
@click.option("--workers", type=click.IntRange(1, 2), help="Processes that look at the draws.  [default: 1]")
@click.option("--against", metavar="MODULE:FACTORY", help="A foreign kernel of the whole chain, compared too.")
@click.option("-o", "--out", "to", type=PATH, help="File of the certificate; it must not exist yet.")
@json_option
def command(
    run_id: str | None, data: Path, bootstrap_servers: str | None, universe: bool, as_json: bool, **asked: Any
) -> None:
    """Compute every outcome of a run again and compare it with the journal. Without RUN: the latest run.

    The records come from the run's archive, from its topic (--bootstrap-servers), or from the inputs that the journal
    stored; the answer says from which. Exit code: 0 identical and whole, 1 not.

    With --universe it asks no journal: plain Python, compiled code, columns and SQL compute the same points, and every
    bit is compared. Exit code: 0 no bit differs, 1 one does.

    \b
    violet verify --data my-soak
    violet verify --bootstrap-servers 127.0.0.1:9092
    violet verify --universe --points 1000000 -o certificate.json
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if universe and (run_id or bootstrap_servers):
        raise click.UsageError("--universe takes no RUN and no --bootstrap-servers")
    if not universe and (given := [name for name in _OF_UNIVERSE if asked[name] is not None]):
        raise click.UsageError(f"{'-o' if given[0] == 'to' else '--' + given[0]} goes with --universe")
    if universe:
        raise SystemExit(_certify(as_json, **asked))
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


def _certify(
    as_json: bool, points: int | None, seed: int | None, workers: int | None, against: str | None, to: Path | None
) -> int:
    """Compare the surfaces, keep and print the certificate, return the exit code."""
    from reactor.run.certificate import Universe, canonical, certify

    if to is not None and os.path.lexists(to):
        raise Refusal(f"{to} must not exist yet; fix: name another file for the certificate")
    asked = Universe(
        points=points or 1_000_000, seed=1 if seed is None else seed, workers=workers or 1, against=against or ""
    )
    with foreign_code(), Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("0 differ", total=None)
        found = certify(asked, lambda n, bad: bar.update(task, completed=n, description=f"{bad} differ, {n} points"))
    if to is not None:
        write(to, canonical(found))
    print_json(found) if as_json else _show(found)
    return EXIT[found["verdict"]]


def _show(found: dict[str, Any]) -> None:
    compared = [
        {"surface": name, "points": n, "differ": found["differing"][name]}
        for name, n in found["compared_with_columns"].items()
    ]
    print_rows(compared, "Compared with the loops over columns")
    for each in found["first_differing"]:
        said = f"{each['surface']} {each['column']}: {each['surface_gave']}, columns {each['columns_gave']}"
        out.print(f"  {each['place']}: {said}")
    points = ", ".join(f"{n} of {part}" for part, n in found["points"].items())
    out.print(f"{found['verdict']} on points: {points}")
    out.print(f"BLUE: {found['blue']['verdict']}, {found['blue']['why']}")
    out.print(f"certificate {found['hash']}")
