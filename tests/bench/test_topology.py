"""`make bench`: CPU of the lanes as stages beside the fused path, on one topic and in one run. Prints; asserts no timing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reactor.feed.publish import fill
from reactor.log.archive import identity
from reactor.log.connection import plain
from reactor.log.outlet import KafkaWriter
from reactor.standin.seeded import write_market
from tests.integration.soaking import recorded_month

SCANS = 20_000  # where no recorded month is at hand
WAYS = {"fused": ("fused", "1"), "faust, 1 worker": ("faust", "1"), "faust, 5 workers": ("faust", "5")}


@pytest.mark.bench
@pytest.mark.timeout(1_800)
def test_lanes_as_stages_beside_the_fused_path(broker: Any, tmp_path: Path) -> None:
    archive = tmp_path / "scans.jsonl.zst"
    recorded = recorded_month(archive)
    if not recorded:
        write_market(archive, 7, SCANS)
    records, topic = identity(archive).lines, broker.create_topic()
    fill(archive, KafkaWriter(plain(broker.bootstrap), topic, "bench"), [0])
    print(f"\n{records} records of {'the recorded month' if recorded else 'a seeded market'} on {broker.name}, one run "
          "each; start-up, engine and workers included, broker not")  # fmt: skip
    print(f"{'':>18} {'CPU s/M records':>16} {'wall s':>8}")
    hashes = set()
    for at, (way, (topology, workers)) in enumerate(WAYS.items()):
        command = [
            sys.executable, "-c", "from reactor.cli.main import main; main()", "soak", "--json",
            "--bootstrap-servers", broker.bootstrap, "--topic", topic, "--until", str(records),
            "--topology", topology, "--lane-workers", workers, "--name", f"bench{at}", "--data", str(tmp_path / str(at)),
        ]  # fmt: skip
        began = time.monotonic()
        with (tmp_path / "out.json").open("wb") as out:
            soak = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
            try:
                _, _, used = os.wait4(soak.pid, 0)  # with the children that it waited for: engine and workers
                soak.returncode = 0
            finally:
                soak.kill()  # where somebody ended the bench
        summary = json.loads((tmp_path / "out.json").read_text())
        assert (summary["records"], summary["lost"], summary["doubled"]) == (records, 0, 0)
        hashes.add(summary["content_hash"])
        cpu_s = used.ru_utime + used.ru_stime
        print(f"{way:>18} {cpu_s / records * 1e6:>16.0f} {time.monotonic() - began:>8.0f}")
    assert len(hashes) == 1
