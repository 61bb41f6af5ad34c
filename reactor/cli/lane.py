"""`violet lane`: one lane as a stage of its own, and a candidate version of one beside it."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import Any, Final

import click

from journal.refusal import Refusal
from lanes.profile import Profile
from lanes.registry import LANES
from reactor.cli import value
from reactor.cli.common import PATH, err, out
from reactor.log.admin import create_all
from reactor.log.connection import Connection
from reactor.log.kafka import KafkaLog
from reactor.log.outlet import KafkaWriter
from reactor.run.settings import Settings, assigned, load
from reactor.tap.reading import tap_topic
from reactor.topology import canary as canaries
from reactor.topology import checkpoint as checkpoints
from reactor.topology.canary import Order, canary_topic, orders_topic

HAND_OVER_S: Final = 30.0

_WHERE: Final = (
    click.option("--bootstrap-servers", help="The broker, HOST:PORT."),
    click.option("--topic", help="The scans' topic."),
    click.option("--name", help="Name of the soak that uses the lane.  [default: violet]"),
    click.option("--config", type=PATH, help="TOML file of the soak; flags win over it."),
)
_HOW: Final = (
    click.option("--profile", shell_complete=value.profiles, help="Profile: blue_8b or v3_base9. [default: blue_8b]"),
    click.option(
        "--set", "assignments", metavar="LANE.KEY=VALUE", multiple=True,
        help="Set a param of the lane, e.g. acb.signals_gain=0.75; may be repeated.",
    ),
)  # fmt: skip
NAMES = tuple(lane.name for lane in LANES)
_lane = click.argument("lane", type=click.Choice(NAMES))


def _options(*options: Callable[..., Any]) -> Callable[..., Any]:
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


@click.group("lane")
def command() -> None:
    """Run a lane as a worker of its own, for `violet soak --topology faust --lane-workers 0`, or a candidate.

    \b
    violet lane run ob --config soak.toml
    """  # noqa: D301 - click's mark for lines that are not to be filled


@command.command("run")
@click.argument("lanes", metavar="LANE...", nargs=-1, required=True, shell_complete=value.lanes)
@_options(*_WHERE, *_HOW)
def run(lanes: tuple[str, ...], config: Path | None, assignments: tuple[str, ...], **flags: str | None) -> None:
    """Run the worker of one lane, several, or `all`. It ends by Ctrl-C or SIGTERM.

    It reads the scans' topic and writes one reading a scan to violet.NAME.lanes.LANE. A worker that starts again, here
    or on another machine, goes on with exactly the state that it would have had.

    \b
    violet lane run acb --bootstrap-servers 127.0.0.1:9092 --topic scans
    violet lane run acb --set acb.signals_gain=0.75 --bootstrap-servers 127.0.0.1:9092 --topic scans
    """  # noqa: D301 - click's mark for lines that are not to be filled
    chosen = NAMES if lanes == ("all",) else tuple(dict.fromkeys(lanes))
    if unknown := [lane for lane in chosen if lane not in NAMES]:
        raise Refusal(f"no lane {unknown[0]!r}; fix: some of {', '.join(NAMES)}, or all alone")
    _speak("lane", chosen, flags, config, assignments)


@command.command("canary")
@_lane
@_options(*_WHERE, *_HOW)
def canary(lane: str, config: Path | None, assignments: tuple[str, ...], **flags: str | None) -> None:
    """Run a candidate beside a lane's worker. It ends by Ctrl-C or `violet lane promote`.

    A candidate is another version of the lane. It decides nothing. Its readings go to violet.NAME.lanes.LANE.canary,
    and the soak journals each beside the lane's own reading and the leverage that it would give: `violet sql --saved
    canary`. A new candidate begins where the lane stands. Ctrl-C drops it. When it is promoted it becomes the lane's
    worker.

    \b
    violet lane canary acb --set acb.signals_gain=0.75 --bootstrap-servers 127.0.0.1:9092 --topic scans
    """  # noqa: D301 - click's mark for lines that are not to be filled
    _speak("canary", (lane,), flags, config, assignments)
    named = [*flags.items(), *(("set", each) for each in assignments), ("config", str(config) if config else None)]
    given = [text for name, value in named if value is not None for text in (f"--{name.replace('_', '-')}", value)]
    interpreter = sys.orig_argv[: 1 + len(sys.orig_argv) - len(sys.argv)]
    # Another image, for Faust's threads outlive its stop.
    os.execv(sys.executable, [*interpreter, "lane", "run", lane, *given])  # noqa: S606 - this very program


@command.command("promote")
@_lane
@_options(*_WHERE)
def promote(lane: str, config: Path | None, **flags: str | None) -> None:
    """Put a candidate in its lane's place.

    The worker hands over, and the candidate goes on with exactly the state that the worker had. The journal opens a
    segment at the first offset that the candidate decides. The other lanes go on.

    \b
    violet lane promote acb --bootstrap-servers 127.0.0.1:9092 --topic scans
    """  # noqa: D301 - click's mark for lines that are not to be filled
    connection, _, settings = _where(flags, config)
    name = settings.soak.name
    topic = orders_topic(name)
    create_all(connection, [topic], 1)
    with closing(KafkaLog(connection, topic, f"{name}-promote")) as log:
        log.assign(log.ends([0]))
        writer = KafkaWriter(connection, topic, f"{name}-promote")
        writer.write(canaries.encode(Order(1, "promote", lane)), b"", 0)
        writer.flush()
        heard = _answers(log, lane)
    if "take" not in heard:
        raise Refusal(
            f"no candidate of {lane} answers within {HAND_OVER_S:.0f} s; fix: start it with `violet lane canary {lane}`"
        )
    if "refused" in heard:
        raise Refusal(
            f"the candidate's {checkpoints.names_of_soak(lane)} are not the soak's, so it would not "
            "be taken; fix: start it with the soak's --profile or --config"
        )
    if "left" not in heard:
        raise Refusal(
            f"no worker of {lane} handed over within {HAND_OVER_S:.0f} s, though one may yet; fix: where the soak runs "
            "its lanes by itself, put the params into its --config and resume it with --new-segment; where the worker "
            f"is gone, `violet lane run {lane}` with them"
        )
    out.print(
        f"{lane}: the candidate with params {heard['take'].params_hash} takes over; where it first decides a segment "
        'opens: violet sql "SELECT segment, partition, first_offset, cause FROM segments"',
        soft_wrap=True,
    )


def _speak(
    role: Any, lanes: Sequence[str], flags: Mapping[str, str | None], config: Path | None, assignments: Sequence[str]
) -> None:
    """Speak until a signal, which ends the process, or until a candidate is to take its lane's place."""
    connection, topic, settings = _where(flags, config)
    profile = assigned(settings.profile, assignments)
    _check(settings.profile, profile, lanes)
    from reactor.topology.worker import FORMAT, Place
    from reactor.topology.worker import run as work

    topics = [(tap_topic if role == "lane" else canary_topic)(settings.soak.name, lane) for lane in lanes]
    err.print(f"reads {topic} and writes {', '.join(topics)}, until Ctrl-C", style="dim", soft_wrap=True)
    logging.basicConfig(level=logging.WARNING, format=FORMAT)
    work(Place(connection, topic, settings.soak.name, role), lanes, profile)


def _where(flags: Mapping[str, str | None], config: Path | None) -> tuple[Connection, str, Settings]:
    """Broker, topic, and all else that flags and file say."""
    settings = load({name: value for name, value in flags.items() if value is not None}, config)
    soak = settings.soak
    if soak.topic is None:
        raise Refusal("--bootstrap-servers and --topic must say where the scans are; fix: give both")
    return settings.kafka, soak.topic, settings


def _check(soak: Profile, profile: Profile, lanes: Sequence[str]) -> None:
    """Refuse params that the soak would not hear the lane with."""
    for lane in lanes:
        if checkpoints.accepted(soak, lane, checkpoints.params_of(profile, lane)) is None:
            raise Refusal(
                f"--set: what others read too is the soak's, and {lane} differs in it; fix: leave "
                f"{checkpoints.names_of_soak(lane)} as the soak has them"
            )


def _answers(log: KafkaLog, lane: str) -> dict[str, Order]:
    """What was said to the order to promote a lane, by act: until a worker left or refused, or for HAND_OVER_S."""
    heard: dict[str, Order] = {}
    deadline = time.monotonic() + HAND_OVER_S
    while not heard.keys() & {"left", "refused"} and time.monotonic() < deadline:
        for chunk in log.poll(100, 0.2):
            heard |= {order.act: order for order in canaries.orders(chunk.values) if order.lane == lane}
    return heard
