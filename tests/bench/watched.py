"""One soak of an archive, watched by one observer or none: its CPU with the engine's, without broker and feeder."""

import contextlib
import io
import json
import resource
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from journal.engine.owner import start
from reactor.cli import soak
from reactor.settings import load
from tests.bench.stream import cpu_s

SCRAPE_S = 1.0
EVERY: dict[str, dict[str, Any]] = {
    "nothing": {},
    "metrics": {"metrics_port": 0},
    "sketches": {"sketches": True},
    "logs": {"log_format": "json"},
    "all": {"metrics_port": 0, "sketches": True, "log_format": "json"},
}


def one(archive: str, data: Path, name: str, speed: str, flags: dict[str, Any]) -> dict[str, Any]:
    """The summary of a soak."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        settings = load({"scans": archive, "data": data, "name": name, "speed": speed, **flags}, None, {})
        soak.run(settings, as_json=True)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def scrape(port: int, over: threading.Event) -> None:
    """What a Prometheus does to a soak; its own CPU is counted as the soak's, so the share is an upper bound."""
    while not over.wait(SCRAPE_S):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            answer.read()


def main(contender: str, archive: str, speed: str, data: str, port: str) -> None:
    engine = start(Path(data))
    flags, over = dict(EVERY[contender]), threading.Event()
    if "metrics_port" in flags:
        flags["metrics_port"] = int(port)
    try:
        one(archive, Path(data), "warm", "max", {**flags, "until": "10000"})
        before = time.process_time(), cpu_s(engine.pid), time.monotonic()
        if "metrics_port" in flags:
            threading.Thread(target=scrape, args=(int(port), over), daemon=True).start()
        found = one(archive, Path(data), "measured", speed, flags)
        over.set()
        mine, theirs = time.process_time() - before[0], cpu_s(engine.pid) - before[1]
        print(json.dumps({
            "records": found["records"], "hash": found["content_hash"], "wall_s": time.monotonic() - before[2],
            "own_cpu_s": mine, "cpu_s": mine + theirs, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }))  # fmt: skip
    finally:
        engine.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
