"""`make bench`: what metrics, sketches and events cost a soak, as shares of its CPU, medians of interleaved runs."""

import json
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from reactor.market.seeded import write_market
from tests.bench.watched import EVERY

RUNS = 3


@pytest.mark.bench
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("speed", "scans"), [("max", 60_000), ("60000x", 10_000)], ids=["full speed", "1,000 scans/s"])
def test_what_it_costs_to_be_watched(speed: str, scans: int, tmp_path: Path) -> None:
    archive = tmp_path / "market.jsonl.zst"
    write_market(archive, 7, scans)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in EVERY}
    for run in range(RUNS + 1):
        for contender, runs in results.items():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            arguments = [contender, archive, speed, tmp_path / f"{contender}-{run}", port]
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.watched", *map(str, arguments)],
                capture_output=True, text=True, check=True, timeout=300,
            )  # fmt: skip
            if run:  # the first compiles
                runs.append(json.loads(done.stdout.splitlines()[-1]))
    bare = statistics.median(r["cpu_s"] for r in results["nothing"])
    records = results["nothing"][0]["records"]
    print(
        f"\n{records} records at {speed}, {RUNS} runs each, medians; engine included, broker and feeder not; a scrape a second"
    )
    print(f"{'':>10} {'CPU s':>8} {'(range)':>14} {'of it engine':>13} {'share':>8} {'wall s':>7} {'peak MiB':>9}")
    for contender, runs in results.items():
        cpu = [r["cpu_s"] for r in runs]
        middle, wall, peak = (statistics.median(r[name] for r in runs) for name in ("cpu_s", "wall_s", "peak_mib"))
        engine = statistics.median(r["cpu_s"] - r["own_cpu_s"] for r in runs)
        span = f"({min(cpu):.2f}-{max(cpu):.2f})"
        print(
            f"{contender:>10} {middle:>8.2f} {span:>14} {engine:>13.2f} {middle / bare - 1:>+8.1%} {wall:>7.1f} {peak:>9.0f}"
        )
    assert len({r["hash"] for runs in results.values() for r in runs}) == 1, "who watches must change nothing"
