"""`violet lanes`: the five lanes: formula, params, provenance, and the figures of a run."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from journal.judge import readings
from journal.ledger import run as runs
from lanes.drift import REGISTER
from lanes.profile import PROFILES
from lanes.registry import LANES
from reactor.cli.common import (
    data_option,
    has_journal,
    journal,
    json_list_option,
    out,
    print_json,
    print_rows,
    run_argument,
)

COLUMNS: Final = 80  # of a table on a pipe: formulas are folded
RECENT_MS: Final = 300_000  # of event time, that the rate is over
_SHOWN: Final = ("n", "last", "rate_per_s", "low", "q05", "q50", "q95", "q99", "high")


@click.command("lanes")
@run_argument
@data_option
@click.option("--drift", is_flag=True, help="List the defaults of our own, where the sources give none.")
@json_list_option
def command(run_id: str | None, data: Path, drift: bool, as_json: bool) -> None:
    """List the lanes: formula, params, kernel; where there is a journal, also the figures of a run.

    The figures: number of readings, last value, rate (readings a second over the last five minutes of event time, or
    since the first scan), lowest value, exact quantiles, highest value. Without RUN: the latest run.

    \b
    violet lanes --data my-soak
    violet lanes --drift
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if drift:
        title = "drift register: what the sources leave open, and the default of our own"
        found = [asdict(entry) for entry in REGISTER]
        if as_json:
            print_json(found)
        else:
            print_rows(found, title, piped=COLUMNS)
        return
    params, said = PROFILES["blue_8b"].model_dump(), {}
    title = "lanes of profile blue_8b"
    kernels: dict[str, str] = {}
    segment: runs.Segment | None = None
    standins = {entry.key.partition(".")[0] for entry in REGISTER}
    if has_journal(data):
        with journal(data, reads=True) as store:
            run = runs.pick(store, run_id)
            segment = runs.segments(store, run.run_id)[-1]
            params, kernels = msgspec.json.decode(segment.params), dict(segment.kernels)
            title = f"run {run.run_id}: lanes of segment {segment.segment}, figures of the whole run"
            standins = set(run.standins)
            said = readings.figures(store, run.run_id, RECENT_MS)
    rows: list[dict[str, Any]] = []
    for lane in LANES:
        table = params.get(lane.name, {"enabled": False})  # of one beyond the five, while it is off
        own = {k: v for k, v in table.items() if k not in ("enabled", "kernel")}
        stands_in = "stand-in" if lane.name in standins else "default"
        provenance = f"wrapped {kernels[lane.name]}" if lane.name in kernels else stands_in
        heard = said.get(lane.name, {})
        row = {
            "lane": lane.name,
            "formula": lane.formula,
            "on": table["enabled"],
            "provenance": provenance,
            "kernel_hash": segment.kernel_hash(lane.name) if segment is not None else None,
            "params": own,
        }
        rows.append(row | {name: heard.get(name) for name in _SHOWN})
    if as_json:
        print_json(rows)
    else:
        _print(rows, title, has_figures=bool(said))


def _print(rows: list[dict[str, Any]], title: str, *, has_figures: bool) -> None:
    """What the lanes are, and under it what they gave: together they would be too wide to read."""
    lanes = [
        {"lane": row["lane"], "formula": row["formula"],
         "params": " ".join(f"{name}={value}" for name, value in row["params"].items()),
         "kernel": " ".join(filter(None, ("" if row["on"] else "off,", row["provenance"], row["kernel_hash"])))}
        for row in rows
    ]  # fmt: skip
    print_rows(lanes, title, piped=COLUMNS)
    if has_figures:
        print_rows([{"lane": row["lane"]} | {name: row[name] for name in _SHOWN} for row in rows])
    out.print("`violet lanes --drift` lists the defaults that the sources leave open.", style="dim")
