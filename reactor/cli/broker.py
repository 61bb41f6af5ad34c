"""`violet broker`: the embedded broker alone, to try topics with, until Ctrl-C."""

import signal
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from journal.refusal import Refusal
from reactor.cli.common import json_option, out, print_json, program
from reactor.log.tansu import Tansu

CHECK_S: Final = 0.5


@click.command("broker")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=9092, show_default=True, help="Port of loopback; 0 for any."
)
@json_option
def command(port: int, as_json: bool) -> None:
    """Run a broker on this machine to try topics with, until Ctrl-C.

    It is Tansu, which comes with the package. It keeps its topics in MEMORY: they grow with what is published, and all
    of them are gone when it ends. Use Apache Kafka for anything that has to last.

    \b
    violet broker
    violet broker --port 0 --json
    """  # noqa: D301 - click's mark for lines that are not to be filled
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with TemporaryDirectory(prefix="violet-broker-") as folder, Tansu(Path(folder) / "broker.log", port) as broker:
        if as_json:
            print_json({"bootstrap_servers": broker.bootstrap, "storage": "memory"})
        else:
            at = f"--bootstrap-servers {broker.bootstrap} --topic scans"
            out.print(
                f"a broker at {broker.bootstrap}, until Ctrl-C; its topics are in memory alone and end with it\n"
                f"  {program()} publish --scans scans.jsonl.zst {at}\n"
                f"  {program()} soak {at} --data my-soak"
            )
        while broker.alive() and not stop.wait(CHECK_S):
            pass
        if not stop.is_set():
            raise Refusal(f"the broker ended ({broker.words()}); fix: start it again, its topics are gone")
