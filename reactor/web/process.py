"""The page beside a soak: a process of its own, of low priority, that dies with the soak.

python -m reactor.web.process < {"data": DIRECTORY, "run": RUN, "server": null or [url, user, password]}

Its address is the one line that it prints. The soak neither waits for it nor asks it anything.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO, Final

from journal.engine.address import Address
from journal.engine.owner import environment
from journal.ledger.run import Run
from reactor.log.tansu import die_with_parent

NICE: Final = 10  # a tenth of the soak's share where both want the CPU


def start(data: Path, run: Run, server: Address | None, tell: Callable[[str], None]) -> Callable[[], None]:
    """Start it; tell: called once with its address, in a thread of its own. Returns what ends it."""
    with (data / f"web-{run.name}.log").open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "reactor.web.process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=words, env=environment(), text=True, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
    with _whole(process.stdin) as given:
        login = server and [server.url, server.user, server.token]
        json.dump({"data": str(data), "run": run.run_id, "server": login}, given)
    said = _whole(process.stdout)

    def listen() -> None:
        if address := said.readline().strip():
            tell(address)

    listener = Thread(target=listen, daemon=True)
    listener.start()

    def end() -> None:
        process.kill()  # it owns nothing: the engine is the soak's
        process.wait()
        listener.join()
        said.close()

    return end


def _whole(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise AssertionError("must be a pipe, as it was asked for")
    return pipe


def main() -> None:
    """Serve until the soak ends it."""
    from reactor.web.eye import Eye, reader
    from reactor.web.server import Page, hear_the_end

    os.nice(NICE)
    given = json.load(sys.stdin)
    data = Path(given["data"])
    page = Page(Eye(data, partial(reader, data, given["server"] and Address(*given["server"]))))
    print(page.url(f"/run/{given['run']}"), flush=True)
    hear_the_end()
    page.serve()


if __name__ == "__main__":
    main()
