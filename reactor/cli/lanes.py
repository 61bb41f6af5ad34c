"""`violet lanes`: the five lanes: formula, params, provenance, and what they said in a run."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import msgspec

from journal import run as runs
from lanes.drift import REGISTER
from lanes.lane import LANES
from lanes.params import PROFILES
from reactor.cli.common import data_option, has_journal, journal, json_option, out, run_argument, show


@click.command("lanes")
@run_argument
@data_option
@click.option("--drift", is_flag=True, help="Print the drift register: defaults that the sources leave open.")
@json_option
def command(run_id: str | None, data: Path, drift: bool, as_json: bool) -> None:
    """List the five lanes; with a journal there, their values in a run."""
    if drift:
        show([asdict(entry) for entry in REGISTER], as_json, "drift register")
        return
    params, said = PROFILES["blue_8b"].model_dump(), {}
    title = "lanes of profile blue_8b"
    kernels: dict[str, str] = {}
    if has_journal(data):
        with journal(data) as store:
            run = runs.pick(store, run_id)
            last = runs.segments(store, run.run_id)[-1]
            params, kernels = msgspec.json.decode(last.params), dict(last.kernels)
            title = f"lanes of run {run.run_id}, segment {last.segment}"
            said = {
                row["lane"]: row
                for row in store.rows(
                    "SELECT lane, count() AS n, argMax(value, ts) AS last, min(value) AS low, "
                    "quantileExact(0.5)(value) AS median, max(value) AS high FROM lane_readings "
                    "WHERE run_id = {run:String} GROUP BY lane",
                    {"run": run.run_id},
                )
            }
    rows: list[dict[str, Any]] = []
    for lane in LANES:
        own = {k: v for k, v in params[lane.name].items() if k not in ("enabled", "kernel")}
        provenance = f"wrapped {kernels[lane.name]}" if lane.name in kernels else "default"
        heard = said.get(lane.name, {})
        row = {
            "lane": lane.name,
            "formula": lane.formula,
            "on": params[lane.name]["enabled"],
            "provenance": provenance,
            "params": own if as_json else " ".join(f"{k}={v}" for k, v in own.items()),
        }
        rows.append(row | {name: heard.get(name) for name in ("n", "last", "low", "median", "high")})
    show(rows, as_json, title)
    if not as_json:
        out.print("`violet lanes --drift` lists the defaults that the sources leave open.", style="dim")
