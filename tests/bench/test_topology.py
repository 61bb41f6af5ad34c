"""`make bench`: CPU of the lanes as stages beside the fused path, on one topic and in one run. Prints; asserts no timing."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from reactor.log.archive import identity
from reactor.log.outlet import KafkaWriter
from reactor.log.tansu import Tansu
from reactor.market.publish import fill
from reactor.market.seeded import write_market

RUNS = 3
SCANS = 20_000
WAYS = {"fused": ("fused", "1"), "faust, 1 worker": ("faust", "1"), "faust, 5 workers": ("faust", "5")}


@pytest.mark.bench
@pytest.mark.timeout(1_800)
def test_lanes_as_stages_beside_the_fused_path(tmp_path: Path) -> None:
    archive = tmp_path / "market.jsonl.zst"
    write_market(archive, 7, SCANS)
    records = identity(archive).lines
    results: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    hashes = set()
    with Tansu(tmp_path / "broker.log") as broker:
        writer = KafkaWriter(broker.bootstrap, "bench", "bench")
        writer.create(1)
        fill(archive, writer, [[]])
        for run in range(RUNS + 1):
            for at, (way, (topology, workers)) in enumerate(WAYS.items()):
                command = [
                    sys.executable, "-c", "from reactor.cli.main import main; main()", "soak", "--json",
                    "--bootstrap-servers", broker.bootstrap, "--topic", "bench", "--until", str(records),
                    "--topology", topology, "--lane-workers", workers, "--name", f"b{run}-{at}",
                    "--data", str(tmp_path / f"{run}-{at}"),
                ]  # fmt: skip
                with (tmp_path / "out.json").open("wb") as out:
                    soak = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
                    _, _, used = os.wait4(soak.pid, 0)  # with the children that it waited for: engine and workers
                    soak.returncode = 0
                summary = json.loads((tmp_path / "out.json").read_text())
                hashes.add(summary["content_hash"])
                if run:  # the first compiles
                    results[way].append((used.ru_utime + used.ru_stime, summary["records"]))
    print(f"\n{records} records, {RUNS} runs each, medians; start-up, engine and workers included, broker not")
    print(f"{'':>18} {'CPU s/M records':>16}")
    for way, runs in results.items():
        cpu = [used / count * 1e6 for used, count in runs]
        print(f"{way:>18} {statistics.median(cpu):>9.0f} ({min(cpu):.0f}-{max(cpu):.0f})")
    assert len(hashes) == 1
