"""violet serve: the journal of a data directory over ClickHouse's HTTP protocol, until Ctrl-C."""

import json
import signal
import threading
from pathlib import Path
from typing import Final

import click

from journal import directory
from journal.engine import owner
from journal.engine.address import READER, read
from journal.lock import engine_lock, held
from journal.refusal import Refusal
from reactor.run import settings

CHECK_S: Final = 0.5
WAIT_S: Final = 10.0


@click.command("serve", short_help="Serve the journal over ClickHouse's HTTP protocol on loopback.")
@click.option("--data", type=click.Path(path_type=Path), help="Data directory.  [default: violet-data]")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file with the data directory.")
@click.option("--json", "as_json", is_flag=True, help="Print the address as one JSON object.")
def command(*, data: Path | None, config: Path | None, as_json: bool) -> int:
    """Serve the journal on loopback until Ctrl-C, for any client of ClickHouse's HTTP protocol.

    The login that is printed here, and kept in DIR/sql.json, may only read. While a soak of the directory runs, its
    engine is that server already: use the address in DIR/sql.json.

    \b
    violet serve --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    folder = settings.load({"data": data} if data else {}, config).soak.data
    directory.require_journal(folder)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    left_s = WAIT_S
    while (holder := held(engine_lock(folder))) and left_s > 0 and not stop.wait(CHECK_S):
        left_s -= CHECK_S
    if holder and not stop.is_set():
        there = read(folder, READER)
        where = there.url if there else "its own address"
        raise Refusal(f"the engine of pid {holder.pid} already serves {folder} at {where}; fix: query it there")
    engine = owner.start(folder)
    try:
        reader = read(folder, READER)
        if reader is None:
            raise Refusal(f"{folder / 'sql.json'} cannot be read; fix: make it readable for this user")
        keys = folder.resolve() / "sql.json"
        if as_json:
            click.echo(json.dumps({"url": reader.url, "user": reader.user, "token": reader.token, "pid": engine.pid}))
        else:
            click.echo(
                f"serving {folder} at {reader.url}, user {reader.user}, token in {keys}, until Ctrl-C\n"
                f"  curl {reader.url} --user {reader.user}:{reader.token} "
                "--data-binary 'SELECT count() FROM decisions FORMAT PrettyCompact'\n"
                f'  violet sql "SELECT count() FROM decisions" --data {folder}'
            )
        while engine.alive() and not stop.wait(CHECK_S):
            pass
        if not stop.is_set():
            raise Refusal(f"the engine of {folder} ended; fix: see {folder / 'engine.log'}")
    finally:
        engine.close()
    return 0
