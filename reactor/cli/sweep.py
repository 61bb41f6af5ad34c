"""`violet sweep`: what a run's decisions would have been under many sets of params at once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.progress import Progress

from journal.judge import swept
from journal.ledger import run as runs
from journal.refusal import Refusal
from reactor.cli.common import broker, data_option, err, journal, json_option, out, print_json, print_rows
from reactor.cli.grouped import Grouped
from reactor.cli.stream import foreign_code
from reactor.run.replay import params
from reactor.run.sweep.bindings import read
from reactor.run.sweep.sweep import Sweep

FIGURES: Final = ("leverage_mean", "leverage_p50", "leverage_p95", "leverage_max", "notional_sum_usd", "capped")
MOST_WORKERS: Final = 64


@click.command("sweep", cls=Grouped, groups={
    "Which bindings": ("assignments", "each_off"), "From which records": ("bootstrap_servers",),
    "The sweep": ("no_histogram", "workers"), "What is shown": ("order", "top"),
})  # fmt: skip
@click.argument("what", nargs=-1, metavar="[GRID.toml] [RUN]")
@data_option
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=V,V,...",
    help="One param's values, e.g. fanin.abs_max=8,8.5; may be repeated: every combination is a binding.",
)  # fmt: skip
@click.option("--each-off", is_flag=True, help="Each lane that is on is off in turn.")
@click.option("--no-histogram", is_flag=True, help="Leave counters and quantiles of leverage out; it is faster.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=2, show_default=True, help="Threads.")
@click.option(
    "--order", type=click.Choice(FIGURES), default=FIGURES[0], show_default=True, metavar="FIGURE",
    help=f"Show those with the most of it: {', '.join(FIGURES)}.",
)  # fmt: skip
@click.option("--top", type=click.IntRange(0, 1_000), default=20, show_default=True, help="Show so many bindings.")
@click.option("--bootstrap-servers", help="Broker that holds the run's topic; else archive or stored inputs are used.")
@json_option
def command(what: tuple[str, ...], data: Path, as_json: bool, **asked: Any) -> None:
    """Size a run's decisions under other params: a few, or a million sets of them. Without RUN: the latest run.

    First the run's own params must give, bit for bit, what it journaled; else nothing is swept. What each binding gives
    is a row of `sweep_bindings`; binding 0 is the run's own. Killed, the same command goes on. Exit code: 0 done.

    \b
    violet sweep RUN --set acb.enabled=false
    violet sweep RUN --set fanin.abs_max=8.5
    violet sweep RUN --each-off
    violet sweep grid.toml RUN --no-histogram
    """  # noqa: D301 - click's mark for lines that are not to be filled
    grid, run_id = _what(what)
    axes = _axes(asked["assignments"])
    with foreign_code(), journal(data) as store, Progress(console=err, disable=not err.is_terminal) as bar:
        run = runs.pick(store, run_id)
        bindings = read(params(store, run, None, ()), grid, axes, each_off=asked["each_off"])
        scans, task = bar.add_task("reading scans", total=None), bar.add_task("bindings", total=len(bindings))
        made = Sweep(
            store, run, bindings, not asked["no_histogram"], asked["workers"],
            lambda n: bar.update(scans, completed=n), lambda n: bar.update(task, completed=n),
        ).make(broker(asked["bootstrap_servers"]))  # fmt: skip
        rows = swept.some(store, made["sweep_id"], asked["order"], asked["top"])
    made |= {"sweep_hash": f"{made['sweep_hash']:016x}"}
    if as_json:
        del made["counters"]
        print_json(made | {"asked": json.loads(made["asked"]), "top": rows})
        return
    print_rows([row | {"params": _changed(row, rows[0])} for row in rows])
    out.print(
        f"sweep {made['sweep_id']} of run {run.run_id}: {made['bindings']} bindings, the run's own among them, over "
        f"{made['decisions']} scans that may decide; hash {made['sweep_hash']}\n"
        f"all {made['scans']} scans have the journal's sizes under the run's own params, bit for bit; records from "
        f"{made['read_from']}\nviolet sql \"SELECT * FROM sweep_bindings WHERE sweep_id = '{made['sweep_id']}'\"",
        markup=False,
    )


def _what(words: Sequence[str]) -> tuple[Path | None, str | None]:
    """The grid file and the run, in any order."""
    grids = [word for word in words if word.endswith(".toml")]
    others = [word for word in words if not word.endswith(".toml")]
    if len(grids) > 1 or len(others) > 1:
        raise Refusal(f"a sweep takes one GRID.toml and one RUN at most, got {' '.join(words)}; fix: one sweep each")
    return (Path(grids[0]) if grids else None), (others[0] if others else None)


def _axes(assignments: Sequence[str]) -> dict[str, list[Any]]:
    axes: dict[str, list[Any]] = {}
    for text in assignments:
        name, equals, values = text.partition("=")
        if not (equals and "." in name and values):
            raise Refusal(f"--set {text}: must be TABLE.KEY=VALUE,VALUE; fix: such as fanin.abs_max=8,8.5")
        if name in axes:
            raise Refusal(f"--set {name} is given twice; fix: all its values in one, {name}=VALUE,VALUE")
        axes[name] = [_value(value) for value in values.split(",")]
    return axes


def _value(text: str) -> Any:
    """A value as JSON has it, `none`, or text."""
    try:
        return None if text == "none" else json.loads(text)
    except ValueError:
        return text


def _changed(row: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The params in which a binding differs from the run's own."""
    changed = {name: value for name, value in row["params"].items() if value != own["params"][name]}
    return ", ".join(f"{name} {value:g}" for name, value in changed.items()) or "the run's own"
