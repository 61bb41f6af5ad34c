"""The page beside a soak: a process of its own, of low priority, that dies with the soak.

python -m reactor.web.beside < {"data": DIRECTORY, "run": RUN, "server": null or the fields of an Address}

Its address is the one line that it prints. The soak neither waits for it nor asks it anything.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final

from journal import child
from journal.engine.address import Address
from journal.ledger.run import Run

NICE: Final = 10  # a tenth of the soak's share where both want the CPU


def start(data: Path, run: Run, server: Address | None, tell: Callable[[str], None]) -> Callable[[], None]:
    """Start it, once: a soak goes on without its page. Returns what ends it.

    tell: called in a thread of its own with a sentence for people: its address, and why it ended where it did.
    """
    page = child.module("reactor.web.beside", words=data / f"web-{run.name}.log", piped=True)
    given, answers = page.pipes
    with suppress(BrokenPipeError), given:  # where it died at once, its words are told
        login = server and astuple(server)
        given.write(json.dumps({"data": str(data), "run": run.run_id, "server": login}).encode())
    is_over = False

    def listen() -> None:
        with answers:
            if address := answers.readline().decode().strip():
                tell(f"its page, for one browser: {address}")
            answers.read()  # until it ends
        if not is_over:
            tell(f"its page ended: {page.failure()}")

    listener = Thread(target=listen, daemon=True)
    listener.start()

    def end() -> None:
        nonlocal is_over
        is_over = True
        page.kill()  # it owns nothing: the engine is the soak's
        listener.join()

    return end


def main() -> None:
    """Serve until the soak ends it."""
    from reactor.web.host import Page, end_on_signal
    from reactor.web.poller import Poller, reader

    os.nice(NICE)
    given = json.load(sys.stdin)
    data = Path(given["data"])
    page = Page(Poller(data, partial(reader, data, given["server"] and Address(*given["server"]))))
    print(page.url(f"/run/{given['run']}"), flush=True)
    end_on_signal()
    page.serve()


if __name__ == "__main__":
    main()
