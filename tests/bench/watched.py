"""One soak of an archive, watched by one observer or none: its CPU with the engine's, without broker and feeder.

The page is a process of its own, and a Chromium that has it open is another; both are counted apart from the soak's.
"""

import contextlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from journal.engine.owner import start
from reactor.cli import soak
from reactor.run.settings import load
from tests.bench.stream import cpu_s
from tests.webpage import CHROMIUM

SCRAPE_S = 1.0
EVERY: dict[str, dict[str, Any]] = {
    "nothing": {},
    "metrics": {"metrics_port": 0},
    "sketches": {"sketches": True},
    "logs": {"log_format": "json"},
    "taps": {"taps": "all"},
    "page": {"web": True},
    "all": {"metrics_port": 0, "sketches": True, "taps": "all", "web": True},  # with logs nobody is told of the page
}


def one(archive: str, data: Path, name: str, speed: str, flags: dict[str, Any], words: io.StringIO) -> dict[str, Any]:
    """The summary of a soak. words: takes what it tells people."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(words):
        settings = load({"scans": archive, "data": data, "name": name, "speed": speed, **flags}, None, {})
        soak.run(settings, as_json=True)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def scrape(port: int, over: threading.Event) -> None:
    """What a Prometheus does to a soak; its own CPU is counted as the soak's, so the share is an upper bound."""
    while not over.wait(SCRAPE_S):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            answer.read()


class Browser(threading.Thread):
    """Opens the soak's page when its address is told, and samples the CPU of both until it is over."""

    def __init__(self, words: io.StringIO, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self._words, self._over = words, over
        self.page_cpu_s = self.browser_cpu_s = 0.0

    def run(self) -> None:
        while "http://" not in self._words.getvalue():
            if self._over.wait(0.2):
                return
        address = "http://" + self._words.getvalue().partition("http://")[2].split()[0]
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            options = ["--headless=new", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
            chromium = subprocess.Popen(
                [str(CHROMIUM), *options, "--window-size=1440,900", address],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            while not self._over.wait(0.5):
                self.page_cpu_s = max(
                    self.page_cpu_s, sum(_cpu(lambda s, c: s[1] == os.getpid() and "web.beside" in c))
                )
                self.browser_cpu_s = max(self.browser_cpu_s, sum(_cpu(lambda s, c: s[2] == chromium.pid)))
            os.killpg(chromium.pid, signal.SIGKILL)
            chromium.wait()


def _cpu(wanted: Any) -> list[float]:
    """CPU seconds of processes chosen by (state, parent, group) and command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if wanted((state, int(parent), int(group)), (entry / "cmdline").read_text()):
                    found.append(cpu_s(int(entry.name)))
    return found


def main(contender: str, archive: str, speed: str, data: str, port: str) -> None:
    if "web" in EVERY[contender] and CHROMIUM is None:
        raise SystemExit("no Chromium on this machine; fix: install Debian's chromium, as .ci/run does")
    engine = start(Path(data))
    flags, over, words = dict(EVERY[contender]), threading.Event(), io.StringIO()
    if "metrics_port" in flags:
        flags["metrics_port"] = int(port)
    try:
        one(archive, Path(data), "warm", "max", {**flags, "web": False, "until": "10000"}, io.StringIO())
        before = time.process_time(), cpu_s(engine.pid), time.monotonic()
        browser = Browser(words, over)
        if "metrics_port" in flags:
            threading.Thread(target=scrape, args=(int(port), over), daemon=True).start()
        if "web" in flags:
            browser.start()
        found = one(archive, Path(data), "measured", speed, flags, words)
        mine, theirs = time.process_time() - before[0], cpu_s(engine.pid) - before[1]
        wall_s = time.monotonic() - before[2]
        over.set()
        if "web" in flags:
            browser.join()
        print(json.dumps({
            "records": found["records"], "hash": found["content_hash"], "wall_s": wall_s, "own_cpu_s": mine,
            "cpu_s": mine + theirs, "page_cpu_s": browser.page_cpu_s, "browser_cpu_s": browser.browser_cpu_s,
            "dropped": sum(tap["dropped"] for tap in found.get("taps", {}).values()),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }))  # fmt: skip
    finally:
        engine.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
