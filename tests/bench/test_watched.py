"""`make bench`: what it costs a soak to be watched, and how soon a reading follows its scan. Prints; asserts no timing."""

import json
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from lanes.registry import LANES
from reactor.log.archive import identity
from reactor.standin.seeded import write_market
from reactor.tap.reading import decode, tap_topic
from tests.bench.watched import EVERY
from tests.integration.soaking import ended, fresh, recorded_month

RUNS = 2
SPEED = "60000x"  # of a scan a minute: 1,000 scans/s
WARM_S = 10  # in which the soak starts
SCANS = 20_000  # where no recorded month is at hand


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded month, else a seeded market; a scan a minute."""
    path = tmp_path_factory.mktemp("archive") / "scans.jsonl.zst"
    if not recorded_month(path):
        write_market(path, 7, SCANS)
    return path


@pytest.mark.bench
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("speed", ["max", SPEED], ids=["full speed", "1,000 scans/s"])
def test_what_it_costs_to_be_watched(speed: str, archive: Path, tmp_path: Path) -> None:
    results: dict[str, list[dict[str, float]]] = {name: [] for name in EVERY}
    for run in range(RUNS):
        for contender, runs in results.items():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            arguments = [contender, archive, speed, tmp_path / f"{contender}-{run}", port]
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.watched", *map(str, arguments)],
                check=False, capture_output=True, text=True, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    bare = statistics.median(r["cpu_s"] for r in results["nothing"])
    records = results["nothing"][0]["records"]
    print(f"\n{records} records at {speed}, {RUNS} runs each, medians; CPU s of soak and engine, broker and feeder not; "
          "a scrape a second, one Chromium")  # fmt: skip
    print(f"{'':>10} {'CPU s':>8} {'(range)':>14} {'of it engine':>13} {'share':>8} {'page':>6} {'Chromium':>9} {'wall s':>7} "
          f"{'peak MiB':>9} {'dropped':>8}")  # fmt: skip
    for contender, runs in results.items():
        cpu = [r["cpu_s"] for r in runs]
        middle, wall, peak, page, browser, dropped = (
            statistics.median(r[name] for r in runs)
            for name in ("cpu_s", "wall_s", "peak_mib", "page_cpu_s", "browser_cpu_s", "dropped")
        )
        engine = statistics.median(r["cpu_s"] - r["own_cpu_s"] for r in runs)
        span = f"({min(cpu):.2f}-{max(cpu):.2f})"
        print(f"{contender:>10} {middle:>8.2f} {span:>14} {engine:>13.2f} {middle / bare - 1:>+8.1%} {page:>6.1f} "
              f"{browser:>9.1f} {wall:>7.1f} {peak:>9.0f} {dropped:>8.0f}")  # fmt: skip
    assert len({r["hash"] for runs in results.values() for r in runs}) == 1, "who watches must change nothing"


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_how_soon_a_reading_follows_its_scan(broker: Any, archive: Path, tmp_path: Path) -> None:
    """From the time that the scan's writer stamped on it to the time that the reading's writer stamped on that."""
    records, topic, flush_ms = identity(archive).lines, broker.create_topic(), 100
    where, name = ["--bootstrap-servers", broker.bootstrap, "--topic", topic], f"soon-{topic}"
    soak = fresh("soak", *where, "--taps", "all", "--name", name, "--until", records, "--flush-ms", flush_ms,
                 "--data", tmp_path / "data", "--json")  # fmt: skip
    try:
        assert ended(fresh("publish", "--scans", archive, *where, "--speed", SPEED), 500).code == 0
        summary = ended(soak, 300).json
    finally:
        soak.kill()  # where somebody ended the bench
    assert summary["records"] == records
    came = {offset: at_ms for offset, at_ms, _ in _stamped(broker.bootstrap, topic)}
    warm_ms = min(came.values()) + WARM_S * 1_000
    print(f"\n{records} records at {SPEED} on {broker.name}, journaled every {flush_ms} ms; ms to the reading, "
          f"of what came after {WARM_S} s")  # fmt: skip
    for lane in LANES:
        took: dict[int, int] = {}
        for _, at_ms, value in _stamped(broker.bootstrap, tap_topic(name, lane.name)):
            if came[offset := decode(value).offset] >= warm_ms:
                took.setdefault(offset, at_ms - came[offset])
        cuts = statistics.quantiles(took.values(), n=100)
        print(
            f"{lane.name:>6} p50 {cuts[49]:>6.0f}  p99 {cuts[98]:>6.0f}  most {max(took.values()):>6}  of {len(took)}"
        )


def _stamped(bootstrap: str, topic: str) -> list[tuple[int, int, bytes]]:
    """Offset, time stamp (ms) and value of each record of partition 0, to where nothing more comes."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False})
    found: list[tuple[int, int, bytes]] = []
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while messages := consumer.consume(10_000, 3.0):
            found += [(m.offset() or 0, m.timestamp()[1], m.value() or b"") for m in messages if m.error() is None]
    finally:
        consumer.close()
    return found
