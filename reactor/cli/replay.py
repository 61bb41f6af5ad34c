"""`violet replay`: a run's records once more, under other params or the same, as a sibling run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.progress import Progress

from journal.judge.gate import EXIT, FAIL, HOLD
from journal.ledger import run as runs
from reactor.cli import value
from reactor.cli.common import broker, data_option, err, json_option, out, print_json, require_journal
from reactor.cli.common import journal as stored
from reactor.cli.grouped import Grouped
from reactor.cli.stream import foreign_code
from reactor.cli.terminal import Terminal, print_summary
from reactor.run.rerun import rerun
from reactor.run.settings import JournalSettings, SoakSettings
from reactor.run.stop import Stop
from reactor.run.verify import verify
from reactor.watch.events import Events
from reactor.watch.observe import Observers


@click.command("replay", cls=Grouped, groups={
    "Under which params": ("profile", "assignments"), "From which records": ("bootstrap_servers",),
    "The replay": ("name", "new", "batch_size", "assert_identical"),
    "No replay": ("prefix",),
})  # fmt: skip
@click.argument("run_id", metavar="RUN", shell_complete=value.runs)
@data_option
@click.option(
    "--profile",
    metavar="P",
    shell_complete=value.profiles,
    help="Profile to evaluate under; the run's own params where none is given.",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="Change a param, e.g. acb.enabled=false; may be repeated.",
)  # fmt: skip
@click.option("--name", help="Name of the replay.  [default: the run's name and -replay]")
@click.option("--bootstrap-servers", help="Broker that holds the run's topic; else archive or stored inputs are used.")
@click.option(
    "--assert-identical", is_flag=True, help="Exit 0 only where every row and the content hash are the run's."
)
@click.option(
    "--batch-size", type=int, default=SoakSettings.model_fields["batch_size"].default, show_default=True,
    help="Records journaled together at most.",
)  # fmt: skip
@click.option("--prefix", is_flag=True, help="Write no replay: show instead that no lane looked ahead.")
@click.option("--new", is_flag=True, help="Start another replay instead of resuming one that did not end.")
@json_option
def command(run_id: str, data: Path, as_json: bool, prefix: bool, **asked: Any) -> None:
    """Evaluate a run's records once more, as another run: this soak without ACB, or with a largest leverage of 8.5.

    The records are those that the run journaled, from its archive, its topic (--bootstrap-servers) or the journal's
    stored inputs. Nothing is published. The view `replays` lays the rows side by side. Exit code: 0 done, or identical;
    1 not identical, or halted; 2 stopped, and the same command goes on.

    With --prefix each record is evaluated where the log ends with it, and compared with what the run journaled. What
    differs looked at a later record. Exit code: 0 nothing differs and the run is whole, 1 not, 2 nothing was compared.

    \b
    violet replay RUN --set acb.enabled=false
    violet replay RUN --set fanin.abs_max=8.5 --name cap-8.5
    violet replay RUN --assert-identical
    violet replay RUN --prefix
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if prefix:
        _refuse_beside_prefix()
        raise SystemExit(_prefix(run_id, data, asked["bootstrap_servers"], as_json))
    remote = getattr(click.get_current_context().obj, "journal", None) or JournalSettings()
    raise SystemExit(run(run_id, data, remote, asked, as_json))


def _refuse_beside_prefix() -> None:
    context = click.get_current_context()
    for name in ("profile", "assignments", "name", "assert_identical", "batch_size", "new"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            flag = "--set" if name == "assignments" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{flag} makes a replay, and --prefix makes none")


def _prefix(run_id: str, data: Path, bootstrap: str | None, as_json: bool) -> int:
    """Evaluate each record where the log ends with it, print what differs, return the exit code."""
    with foreign_code(), stored(data, reads=True) as store, Progress(console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("prefixes", total=None)
        found = verify(
            store, runs.pick(store, run_id), broker(bootstrap), lambda n: bar.update(task, completed=n), prefix=True
        )
    del found["content_hash_sql"]
    if as_json:
        print_json(found)
        return EXIT[found["verdict"]]
    out.print(f"{found['verdict']}: {found['recomputed']} prefixes from {found['recomputed_from']}")
    out.print(f"{found['differing']} records come out otherwise where the log ends with them")
    for line in found["first_differing"]:
        out.print(f"  {line}")
    if found["lanes_ahead"]:
        out.print(f"lanes that looked ahead: {', '.join(found['lanes_ahead'])}", style="red")
    return EXIT[found["verdict"]]


def run(run_id: str, data: Path, remote: JournalSettings, asked: Mapping[str, Any], as_json: bool) -> int:
    """Replay, print the summary and what differs, return the exit code."""
    require_journal(data)
    told = {name: asked[name] for name in ("profile", "assignments", "name", "batch_size", "new", "assert_identical")}
    with foreign_code():
        result = rerun(
            data, remote, run_id, **told, broker=broker(asked["bootstrap_servers"]), say=err.print,
            watch=lambda settings: Terminal(settings.soak.name, Observers(settings.soak, Events(None, ""))),
            stop=lambda: Stop(lambda words: err.print(words, style="yellow")),
        )  # fmt: skip
    code = {"STOPPED": EXIT[HOLD], "HALTED": EXIT[FAIL]}.get(result["state"], 0)
    if not result.get("identical", True):
        code = EXIT[FAIL]
    print_json(result) if as_json else _print(result)
    return code


def _print(result: Mapping[str, Any]) -> None:
    print_summary(dict(result))
    differing = result.get("differing_columns", {})
    said = ", ".join(f"{name} in {n} rows" for name, n in differing.items()) or "no column"
    out.print(f"replay of {result['replay_of']} from {result['read_from']}; differs in {said}")
    for line in result.get("first_differing", ()):
        out.print(f"  {line}")
    if "identical" in result:
        same, rows = result["identical"], f"{result['differing']} rows differ"
        out.print("identical" if same else f"not identical: {rows}", style="green" if same else "red")
