"""The stream path, topic to journal, beside a plain loop that does the same work without any guard.

    python -m tests.bench.stream CONTENDER BOOTSTRAP TOPIC RECORDS DATA

Run by test_stream.py, one process a contender, so that each one's memory is its own. Both read the same topic and insert
into an engine process of their own. CPU is that of this process and its engine,
from the first poll to the last row, once warm.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from journal.engine.owner import start
from journal.ledger import Ledger
from journal.migrate import migrate
from journal.store import Store, connect
from lanes.params import PROFILES
from reactor.log.kafka import KafkaLog
from reactor.loop import Loop, Pace, Reading
from reactor.settings import SoakSettings
from reactor.state import State
from reactor.walk import Rules

PLAIN_TYPES = {
    "log_offset": "Int64", "scan_id": "Int64", "ts_ms": "Int64", "stream": "LowCardinality(String)",
    "vel_div": "Float64", "base": "Float64", "dc": "Float64", "acb": "Float64", "ob": "Float64", "esof": "Float64",
    "leverage": "Float64", "notional_usd": "Float64",
}  # fmt: skip
PLAIN_ROWS = 10_000
WARM = 30_000
TICKS = os.sysconf("SC_CLK_TCK")


class Value(msgspec.Struct, gc=False):
    boost: float | None = None
    signals: float | None = None
    scale: float | None = None
    mult: float | None = None
    eff_imb: float | None = None
    agree: float | None = None
    score: float | None = None
    capital_usd: float | None = None
    posture: str | None = None


class Record(msgspec.Struct, gc=False):
    """A scan or a plane, with all prices and nothing else that the arithmetic does not need."""

    kind: str
    stream: str
    ts_ms: int
    scan_id: int = 0
    vel_div: float = 0.0
    w750: float | None = None
    prices: dict[str, float] | None = None
    dc_status: str | None = None
    name: str = ""
    value: Value | None = None


class Irp(msgspec.Struct, gc=False):
    score: float
    alignment: float


class Ranked(Record):
    """The same with irp, which a decision's asset comes from."""

    irp: dict[str, Irp] | None = None


def plain(bootstrap: str, topic: str, records: int, store: Store) -> int:
    """Consume, decode with all prices, planes in a dict, scalar compose, insert 12 columns. No guard of any kind."""
    return _plain(bootstrap, topic, records, store, Record)


def plain_asset(bootstrap: str, topic: str, records: int, store: Store) -> int:
    """The same, and irp is decoded and the best asset of a signal found: what a decision is about."""
    return _plain(bootstrap, topic, records, store, Ranked)


def _plain(bootstrap: str, topic: str, records: int, store: Store, struct: type[Any]) -> int:
    store.command(
        "CREATE OR REPLACE TABLE plain ("
        + ", ".join(f"{n} {t}" for n, t in PLAIN_TYPES.items())
        + ") ENGINE = MergeTree ORDER BY log_offset"
    )
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "plain", "enable.auto.commit": False, "fetch.wait.max.ms": 20,
         "fetch.queue.backoff.ms": 5, "queued.min.messages": 100_000, "queued.max.messages.kbytes": 65_536}
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, 0, 0)])
    decode = msgspec.json.Decoder(struct).decode
    planes: dict[str, Any] = {}
    out: list[tuple[Any, ...]] = []
    done, rows = 0, 0

    def flush() -> None:
        nonlocal rows
        store.insert(
            "plain",
            dict(zip(PLAIN_TYPES, map(list, zip(*out, strict=True)), strict=True)),
            PLAIN_TYPES,
            f"{rows}",
        )
        rows += len(out)
        out.clear()

    while done < records:
        for message in consumer.consume(10_000, 0.2):
            done += 1
            try:
                record = decode(message.value())
            except msgspec.DecodeError:
                continue
            if record.kind == "plane":
                planes[record.name] = record.value
                continue
            if struct is Ranked and record.vel_div < -0.02 and record.irp and record.prices:
                priced = [(irp.score, symbol) for symbol, irp in record.irp.items() if record.prices.get(symbol, 0.0) > 0.0]
                max(priced, default=None)
            s = (-0.02 - record.vel_div) / (-0.02 - -0.05)
            s = 0.0 if s < 0.0 else min(s, 1.0)
            base = 0.5 + s**3.0 * 7.5
            dc = 1.1 if record.dc_status == "CONFIRM" else 1.0
            plane = planes.get("acb")
            acb = (
                1.0 if plane is None else plane.boost if plane.boost is not None else 1.0 + 0.5 * (plane.signals or 0.0)
            )
            plane = planes.get("ob")
            ob = 1.0 if plane is None or plane.mult is None else plane.mult
            plane = planes.get("esof")
            esof = 0.4 if plane is None else plane.mult if plane.mult is not None else 0.8
            plane = planes.get("capital")
            capital = 25_000.0 if plane is None else plane.capital_usd
            leverage = max(0.5, min(base * dc * acb * ob * esof, 8.0 * acb * ob * esof, 9.0))
            out.append((message.offset(), record.scan_id, record.ts_ms, record.stream, record.vel_div, base, dc, acb, ob,
                        esof, leverage, capital * 0.2 * leverage))  # fmt: skip
            if len(out) == PLAIN_ROWS:
                flush()
    if out:
        flush()
    consumer.close()
    return rows


def violet(bootstrap: str, topic: str, records: int, store: Store) -> int:
    """The product's own loop: the same objects that `violet soak` puts together."""
    migrate(store)
    log = KafkaLog(bootstrap, topic, "bench-shadow")
    soak, rows = SoakSettings(), 0

    def count(batch: Any) -> None:
        nonlocal rows
        rows += sum(map(len, batch.rows.values()))

    loop = Loop(
        log, Ledger(store, f"bench-{time.monotonic_ns()}"), Rules(PROFILES["blue_8b"]), {0: Reading(State(), 0, records)},
        Pace(soak.batch_size, soak.flush_ms), topic=topic, segment=1, on_batch=count,
    )  # fmt: skip
    loop.run(lambda: False)
    log.close()
    return rows


def cpu_s(pid: int) -> float:
    """CPU seconds that another process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid: int) -> float:
    """Peak resident memory of another process."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(contender: str, bootstrap: str, topic: str, records: str, data: str) -> None:
    engine = start(Path(data))
    try:
        store = connect(engine.address)
        run = {"plain": plain, "plain_asset": plain_asset, "violet": violet}[contender]
        run(bootstrap, topic, WARM, store)  # imports, compiled code and buffers: start-up is not the stream path
        before = time.process_time(), cpu_s(engine.pid), time.monotonic()
        rows = run(bootstrap, topic, int(records), store)
        mine, theirs = time.process_time() - before[0], cpu_s(engine.pid) - before[1]
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({
            "contender": contender, "records": int(records), "rows": rows, "wall_s": time.monotonic() - before[2],
            "cpu_s": mine + theirs, "engine_cpu_s": theirs, "peak_mib": own + peak_mib(engine.pid),
        }))  # fmt: skip
    finally:
        engine.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
