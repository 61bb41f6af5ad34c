"""`violet gate`: the verdict of a run on demand, from SQL alone."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from journal.blue import trust
from journal.judge.gate import EXIT, Clause, basis, judge, worst
from journal.ledger import run as runs
from journal.ledger.pruned import Pruned
from journal.refusal import Refusal
from reactor.cli.common import data_option, journal, json_option, out, print_json, print_rows, run_argument
from reactor.cli.table import rounded
from reactor.run.settings import instant

COLUMNS: Final = 80  # of a table on a pipe: formulas are folded


@click.command("gate")
@run_argument
@data_option
@click.option("--since", help="Judge scans from this event time on, e.g. 2025-05-04T15:33Z.")
@json_option
def command(run_id: str | None, data: Path, since: str | None, as_json: bool) -> None:
    """Judge a run: each condition (clause) with its formula, figure and bound, by segment. Without RUN: the latest run.

    Exit code: 0 PASS, 1 FAIL, 2 HOLD (not sure).

    \b
    violet gate --data my-soak
    violet gate --since 2025-05-04T15:33Z --json
    """  # noqa: D301 - click's mark for lines that are not to be filled
    try:
        since_ms = int(instant(since).timestamp() * 1e3) if since else None
    except ValueError:
        raise Refusal(f"--since must be a time such as 2025-05-04T15:33Z, was {since!r}") from None
    with journal(data, reads=True) as store:
        run = runs.pick(store, run_id)
        judged, trusted = judge(store, run, since_ms), trust.in_words(store, run)
    verdict = worst([j.verdict for j in judged])
    if as_json:
        print_json({"run_id": run.run_id, "verdict": verdict, "verdict_basis": basis(run), "trust": trusted,
                    "segments": [asdict(j) for j in judged]})  # fmt: skip
    else:
        for segment in judged:
            rows = [
                {"verdict": c.verdict, "clause": c.name, "figure": _figure(c), "bound": c.bound,
                 "formula": f"{c.formula} (by construction)" if c.by_construction else c.formula}
                for c in segment.clauses
            ]  # fmt: skip
            for each in segment.figures["pruned"]:
                out.print(f"dropped by age: {Pruned(**each)}", style="dim")
            print_rows(rows, f"run {run.run_id} segment {segment.segment}: {segment.verdict}", piped=COLUMNS)
        out.print(f"{verdict} ({basis(run)}); trust {trusted}", style="bold")
    raise SystemExit(EXIT[verdict])


def _figure(clause: Clause) -> Any:
    """The figure; with every digit where it would else look like its bound."""
    text = rounded(clause.figure) if isinstance(clause.figure, float) else ""
    is_close = text and text in clause.bound.split() and float(text) != clause.figure
    return repr(clause.figure) if is_close else clause.figure
