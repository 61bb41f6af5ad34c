"""`violet drill`: inject faults into soaks in a scratch directory, and see what holds."""

import secrets
from dataclasses import asdict
from pathlib import Path

import click

from journal.refusal import Refusal
from reactor.cli.common import PATH, err, json_option, out, print_json, show

SEEDS = 1 << 31


@click.command("drill")
@click.argument("names", metavar="[SCENARIO]...", nargs=-1)
@click.option("--list", "is_list", is_flag=True, help="List the scenarios, and run none.")
@click.option("--quick", is_flag=True, help="Only those of the quick set: about three minutes on two cores.")
@click.option("--seed", type=click.IntRange(0, SEEDS - 1), help="Seed of all that is random; a new one if not given.")
@click.option(
    "--kafka", type=PATH, envvar=["VIOLET_DRILL_KAFKA", "KAFKA_HOME"],
    help="Folder of an Apache Kafka download, for what befalls a broker; it runs on the java of PATH.",
)  # fmt: skip
@click.option("--keep", type=PATH, help="Work in this new folder and leave it; else in a temporary one.")
@json_option
def command(
    names: tuple[str, ...], is_list: bool, quick: bool, seed: int | None, kafka: Path | None, keep: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Inject faults into soaks, and see what holds.

    Each scenario really injects a fault, sees that it happened, and compares what comes out with a run that nothing
    befell. All of it is done in a scratch directory, with an engine and brokers of its own. No journal of yours is
    touched. Exit code: 0 all held, 1 one did not, 2 some could not be run, 3 error.

    \b
    violet drill --list
    violet drill --quick
    violet drill kill-after-intent clock-ahead
    """  # noqa: D301 - click's mark for lines that are not to be filled
    from reactor.drill.catalogue import SCENARIOS

    known = {each.name: each for each in SCENARIOS}
    if strange := [name for name in names if name not in known]:
        raise Refusal(f"there is no scenario {strange[0]!r}; fix: `violet drill --list` has them")
    chosen = [known[name] for name in dict.fromkeys(names)] or [*SCENARIOS]
    chosen = [each for each in chosen if each.quick or not quick]
    if is_list:
        show([{"name": e.name, "fault": e.fault, "must": e.must, "quick": e.quick} for e in chosen], as_json)
        return
    from reactor.drill.drill import EXIT, drill, verdict

    seed = secrets.randbelow(SEEDS) if seed is None else seed
    err.print(f"seed {seed}: {len(chosen)} scenarios")
    findings = drill(
        chosen, seed, jars=kafka, keep=keep, begin=lambda scenario: err.print(f"{scenario.name} ...", soft_wrap=True)
    )
    said = verdict(findings)
    if as_json:
        print_json({"verdict": said, "seed": seed, "faults": [asdict(each) for each in findings]})
    else:
        rows = [
            {
                "fault": each.name, "injected": "yes" if each.injected else "no",
                "held": {True: "yes", False: "NO", None: "not run"}[each.held],
                "checked": each.not_run or "; ".join(each.broken or each.checked), "s": round(each.seconds, 1),
            }
            for each in findings
        ]  # fmt: skip
        show(rows, as_json=False)
        out.print(f"seed {seed}: {said}", style="bold")
    raise SystemExit(EXIT[said])
