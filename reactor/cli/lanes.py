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
from reactor.cli.common import data_option, has_journal, journal, json_list_option, out, run_argument, show

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
        show([asdict(entry) for entry in REGISTER], as_json, title)
        return
    params, said = PROFILES["blue_8b"].model_dump(), {}
    title = "lanes of profile blue_8b"
    kernels: dict[str, str] = {}
    segment: runs.Segment | None = None
    standins = {entry.key.partition(".")[0] for entry in REGISTER}
    if has_journal(data):
        with journal(data) as store:
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
            "params": own if as_json else " ".join(f"{k}={v}" for k, v in own.items()),
        }
        figures = {name: heard.get(name) for name in _SHOWN}
        rows.append(row | (figures if as_json else {name: _short(value) for name, value in figures.items()}))
    show(rows, as_json, title)
    if not as_json:
        out.print("`violet lanes --drift` lists the defaults that the sources leave open.", style="dim")


def _short(value: float | None) -> float | str | None:
    return f"{value:.6g}" if isinstance(value, float) else value
