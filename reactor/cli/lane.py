"""`violet lane`: one lane as a stage of its own."""

import logging
from pathlib import Path

import click

from journal.refusal import Refusal
from reactor.settings import assigned, load
from reactor.topology.join import NAMES


@click.group("lane")
def command() -> None:
    """Run the worker of one lane, for `violet soak --topology faust --lane-workers 0`."""


@command.command("run")
@click.argument("lanes", metavar="LANE...", nargs=-1, required=True)
@click.option("--bootstrap-servers", help="The broker, HOST:PORT.")
@click.option("--topic", help="The scans' topic.")
@click.option("--name", help="Name of the soak that the lanes speak for. [default: violet]")
@click.option("--profile", help="Profile: blue_8b or v3_base9. [default: blue_8b]")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file of the soak; flags win over it.")
@click.option("--set", "assignments", metavar="LANE.KEY=VALUE", multiple=True, help="A param of the lane, otherwise.")
def run(lanes: tuple[str, ...], config: Path | None, assignments: tuple[str, ...], **flags: str | None) -> None:
    """Speak for a lane, several, or `all`, until Ctrl-C or SIGTERM.

    Reads the scans' topic and writes one reading a scan to violet.NAME.lanes.LANE. A worker that starts again, here or
    elsewhere, goes on with exactly the state that it would have had.
    """
    chosen = NAMES if lanes == ("all",) else lanes
    if unknown := [lane for lane in chosen if lane not in NAMES]:
        raise Refusal(f"no lane {unknown[0]!r}; fix: one of {', '.join(NAMES)}, or all")
    settings = load({name: value for name, value in flags.items() if value is not None}, config)
    soak = settings.soak
    if soak.bootstrap_servers is None or soak.topic is None:
        raise Refusal("--bootstrap-servers and --topic must say where the scans are; fix: give both")
    from reactor.topology.worker import FORMAT, Place
    from reactor.topology.worker import run as work

    logging.basicConfig(level=logging.WARNING, format=FORMAT)
    place = Place(soak.bootstrap_servers, soak.topic, soak.name, {})
    work(place, list(dict.fromkeys(chosen)), assigned(settings.profile, assignments))
