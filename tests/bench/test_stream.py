"""`make bench`: CPU of the stream path beside a plain loop, medians of interleaved runs. Prints; asserts no timing."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from reactor.feed.publish import fill
from reactor.log.archive import identity
from reactor.log.connection import plain
from reactor.log.outlet import KafkaWriter
from reactor.log.tansu import Tansu
from reactor.standin.seeded import write_market

RUNS = 5
SCANS = 120_000  # so many that start-up is a small part


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_the_stream_path_beside_a_plain_loop(tmp_path: Path) -> None:
    archive = tmp_path / "market.jsonl.zst"
    write_market(archive, 7, SCANS)
    records = identity(archive).lines
    results: dict[str, list[dict[str, float]]] = {"plain": [], "plain_asset": [], "violet": []}
    with Tansu(tmp_path / "broker.log") as broker:
        writer = KafkaWriter(plain(broker.bootstrap), "bench", "bench")
        writer.create(1)
        fill(archive, writer, [0])
        for run in range(RUNS + 1):
            for contender, runs in results.items():
                data = tmp_path / f"{contender}-{run}"
                command = [
                    sys.executable,
                    "-m",
                    "tests.bench.stream",
                    contender,
                    broker.bootstrap,
                    "bench",
                    str(records),
                    str(data),
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
                if run:  # the first compiles
                    runs.append(json.loads(done.stdout.splitlines()[-1]))
    print(
        f"\n{records} records (scans of 16 symbols with irp, and planes), {RUNS} runs each, medians; engine included, broker not"
    )
    print(f"{'':>12} {'CPU s/M records':>16} {'of it engine':>13} {'records/s':>10} {'peak MiB':>9}")
    middle: dict[str, float] = {}
    for contender, runs in results.items():
        cpu = [r["cpu_s"] / r["records"] * 1e6 for r in runs]
        middle[contender] = statistics.median(cpu)
        engine = statistics.median(r["engine_cpu_s"] / r["records"] * 1e6 for r in runs)
        rate = statistics.median(r["records"] / r["wall_s"] for r in runs)
        memory = statistics.median(r["peak_mib"] for r in runs)
        print(
            f"{contender:>12} {middle[contender]:>9.2f} ({min(cpu):.1f}-{max(cpu):.1f}) {engine:>8.2f} {rate:>10.0f} {memory:>9.0f}"
        )
    for other in ("plain", "plain_asset"):
        print(f"violet / {other}: {middle['violet'] / middle[other]:.2f}")
    assert all(r["rows"] == records for r in results["violet"]), "every record must have its outcome"
