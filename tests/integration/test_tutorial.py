"""docs/tutorial.md, docs/kernel.md and docs/freqtrade.md: their commands, run by a shell as they stand there, in order."""

import json
import os
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import feather

from reactor.log.tansu import free_port
from reactor.standin.seeded import minutes, write_market
from tests.integration.soaking import ROOT, free_of, until
from tests.test_pages import blocks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]  # some twenty commands, each a process of its own
HERE = "<!-- run by tests/integration/test_tutorial.py -->"
ANSWERS = {"demo", "gate", "soak", "status"}  # they exit with a verdict: 0 or 2


class Shell:
    """A folder in which a page's lines are run by sh, with `violet` on its path."""

    def __init__(self, home):
        self.home = home
        (home / "bin").mkdir()
        violet = home / "bin/violet"
        violet.write_text(
            f'#!/bin/sh\nPYTHONPATH="{ROOT}:$PYTHONPATH" exec {sys.executable} -P -c '
            '"from reactor.cli.main import main; main()" "$@"\n'
        )
        violet.chmod(0o755)
        self.env = {**os.environ, "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "COLUMNS": "120"}

    def run(self, line):
        """What a line prints; it must succeed."""
        done = subprocess.run(
            ["sh", "-c", line], cwd=self.home, env=self.env, check=False, capture_output=True, text=True, timeout=100
        )
        command = shlex.split(line)[shlex.split(line).index("violet") + 1]
        assert done.returncode == 0 or (command in ANSWERS and done.returncode == 2), (line, done.stdout, done.stderr)
        return done.stdout

    def begin(self, line):
        """A line that goes on."""
        return subprocess.Popen(
            ["sh", "-c", f"exec {line}"], cwd=self.home, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


def told(name, home):
    """The lines of each block that is run of a page; its files are written."""
    page, found = ROOT / name, []
    for above, _, body in blocks(page):
        if above.startswith("<!-- file: "):
            (home / above.split()[2]).write_text(body + "\n")
        elif above == HERE:
            found.append(body.splitlines())
    return found


def ended(process, code=(0,)):
    """End a line that goes on, by Ctrl-C."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        out, _ = process.communicate(timeout=30)
        assert process.returncode in code, out
    finally:
        process.kill()
        process.wait()


def test_the_tutorial_works_line_by_line(shell):
    (demo,), ask, why, judge, what_if, (broker,), topic = told("docs/tutorial.md", shell.home)
    running = shell.begin(demo.replace("--minutes 10", "--minutes 0.5"))
    try:
        count = "violet sql --data violet-demo --json 'SELECT count() AS n FROM decisions'"
        until((shell.home / "violet-demo/broker-demo-shadow.log").exists, 60)  # the run is open
        until(lambda: json.loads(shell.run(count))[0]["n"] > 5, 60)
        assert all(shell.run(line).strip() for line in ask)
        scan = json.loads(shell.run(why[0] + " --json"))[0]["scan_id"]
        assert all(str(scan) in shell.run(line.replace("SCAN_ID", str(scan))) for line in why)
        until(lambda: running.poll() is not None, 60)  # in a pipe it ends by itself
    finally:
        ended(running, (0, 2))
    assert all(shell.run(line).strip() for line in (*judge, *what_if))
    assert (shell.home / "demo.html").stat().st_size > 10_000
    free_of(shell.home / "violet-demo")
    port = free_port()
    serving = shell.begin(f"{broker} --port {port}")
    try:
        assert str(port) in serving.stdout.readline()
        for line in topic:
            assert shell.run(line.replace("9092", str(port)).replace("demo-6000", "demo-300")).strip()
    finally:
        ended(serving)
    hashes = [
        json.loads(shell.run(f"violet sql --data {data} --json \"SELECT sum(cityHash64(scan_id, leverage)) AS h FROM decisions WHERE run_id IN (SELECT run_id FROM runs WHERE name != 'no-acb')\""))
        for data in ("violet-demo", "topic-demo")
    ]  # fmt: skip
    assert hashes[0] == hashes[1]
    free_of(shell.home / "topic-demo")


def test_a_wrapped_kernel_takes_the_place_of_the_stand_in(shell):
    (lines,) = told("docs/kernel.md", shell.home)
    write_market(shell.home / "scans.jsonl.zst", 20260614, 400)
    answers = [shell.run(line) for line in lines]
    standins = json.loads(shell.run(f"{lines[-1]} --json"))
    assert [("acb" in row["standins"]) for row in standins] == [True, False]
    assert "acb" in answers[2]
    free_of(shell.home / "my-soak")


def test_candles_and_trades_of_freqtrade_are_soaked_and_compared(shell):
    (lines,) = told("docs/freqtrade.md", shell.home)
    told("docs/blue.md", shell.home)  # its blue.toml
    folder = shell.home / "user_data/data/binance"
    folder.mkdir(parents=True)
    columns = {}
    for bar in minutes(20260614, days=1):
        for symbol, close, high, low, volume in zip(bar.symbols, bar.close, bar.high, bar.low, bar.volume, strict=True):
            columns.setdefault(symbol, []).append((bar.ts_ms, close, high, low, close, volume))
    for symbol, rows in columns.items():
        at, *values = zip(*rows, strict=True)
        named = dict(zip(("open", "high", "low", "close", "volume"), map(list, values), strict=True))
        dates = pa.array(at, pa.timestamp("ms", "UTC"))
        feather.write_feather(
            pa.table({"date": dates} | named), folder / f"{symbol.removesuffix('USDT')}_USDT-1m.feather"
        )
    for line in lines[:2]:
        shell.run(line)
    query = "SELECT asset, ts_ms FROM decisions WHERE run_id = {run:String} ORDER BY log_offset LIMIT 1"
    (row,) = json.loads(shell.run(f"violet sql --data my-soak --json '{query}'"))
    opened = f"{datetime.fromtimestamp(row['ts_ms'] / 1e3, UTC):%Y-%m-%d %H:%M:%S+00:00}"
    trade = {"trade_id": 1, "pair": f"{row['asset'].removesuffix('USDT')}/USDT:USDT", "is_short": True, "open_date": opened,
             "close_date": None, "leverage": 2.0, "close_profit_abs": None}  # fmt: skip
    (shell.home / "trades.json").write_text(json.dumps({"trades": [trade], "trades_count": 1}))
    assert all(shell.run(line).strip() for line in lines[2:])
    free_of(shell.home / "my-soak")
