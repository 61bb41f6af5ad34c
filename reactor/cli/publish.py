"""`violet publish`: fill a topic with a scan archive, or go on where it was left."""

from contextlib import closing
from pathlib import Path

import click
from rich.progress import Progress

from journal.refusal import Refusal
from reactor.cli.common import PATH, broker, config_option, err, json_option, out, print_json
from reactor.feed.alone import alone
from reactor.feed.publish import publish
from reactor.log import archive
from reactor.log.kafka import KafkaLog
from reactor.log.outlet import KafkaWriter
from reactor.run.settings import pace


@click.command("publish")
@click.option("--scans", type=PATH, required=True, help="Scan archive: JSON lines, plain or packed.")
@click.option("--bootstrap-servers", help="Broker, HOST:PORT; or that of --config.")
@click.option("--topic", required=True, help="Topic; created where it is missing.")
@click.option(
    "--partitions",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Partitions of a new topic; a stream's records stay together.",
)
@click.option("--speed", default="max", show_default=True, help="Pace in event time: max, or a factor such as 60x.")
@config_option
@json_option
def command(scans: Path, bootstrap_servers: str | None, topic: str, partitions: int, speed: str, as_json: bool) -> None:
    """Fill a topic with an archive's lines, as they are.

    Line n of a fresh topic with one partition is offset n. Where the topic holds the archive's first lines already, the
    command goes on behind them. A topic with other content is refused.

    \b
    violet publish --scans scans.jsonl.zst --bootstrap-servers 127.0.0.1:9092 --topic scans
    """  # noqa: D301 - click's mark for lines that are not to be filled
    archive.check(scans)
    try:
        factor = pace(speed)
    except ValueError as error:
        raise Refusal(f"--speed: {error}, was {speed!r}") from None
    total = archive.identity(scans).lines
    connection = broker(bootstrap_servers)
    writer = KafkaWriter(connection, topic, "violet-publisher")
    writer.create(partitions)
    with alone(connection.bootstrap_servers, topic), closing(KafkaLog(connection, topic, "violet-publisher")) as log:
        there = log.describe().partitions
        if partitions not in (there, 1):
            raise Refusal(f"topic {topic!r} has {there} partitions, not {partitions}; fix: --partitions {there}")
        with Progress(console=err, disable=not err.is_terminal) as bar:
            task = bar.add_task("publishing", total=total)
            lines, skipped = publish(
                scans, writer, log, there, pace=factor, on_line=lambda n: bar.update(task, completed=n)
            )
    found = {"topic": topic, "partitions": there, "lines": lines, "published": lines - skipped, "there": skipped}
    words = f"{topic}: {lines - skipped} lines published, {skipped} were there already"
    print_json(found) if as_json else out.print(words)
