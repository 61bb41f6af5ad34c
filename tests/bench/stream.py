"""The stream path, topic to journal, beside a plain loop that does the same work without any guard.

    python -m tests.bench.stream CONTENDER BOOTSTRAP TOPIC RECORDS DATA

Run by test_stream.py, one process a contender, so that each one's memory is its own. Both read the same topic and insert
into an engine process of their own. CPU is that of this process and its engine,
from the first poll to the last row, once warm.
"""

import json
import math
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from journal.engine.owner import start
from journal.keep.migrate import migrate
from journal.ledger.claim import take
from journal.ledger.ledger import Ledger
from journal.store import Store, connect
from lanes import acb, base, dc, esof, fanin, ob
from lanes.profile import PROFILES
from reactor.evaluate.state import State
from reactor.evaluate.walk import Rules
from reactor.log import connection
from reactor.log.kafka import KafkaLog
from reactor.run.loop import Loop, Pace, Reader
from reactor.run.settings import SoakSettings

PLAIN_TYPES = {
    "log_offset": "Int64", "scan_id": "Int64", "ts_ms": "Int64", "stream": "LowCardinality(String)",
    "vel_div": "Float64", "base": "Float64", "dc": "Float64", "acb": "Float64", "ob": "Float64", "esof": "Float64",
    "leverage": "Float64", "notional_usd": "Float64",
}  # fmt: skip
PLAIN_ROWS = 10_000
WARM = 150_000  # more than one whole batch, so that every buffer has grown to its size
TICKS = os.sysconf("SC_CLK_TCK")


class Value(msgspec.Struct, gc=False):
    boost: float | None = None
    signals: float | None = None
    scale: float | None = None
    mult: float | None = None
    eff_imb: float | None = None
    agree: float | None = None
    n_assets: int | None = None
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


# The lanes' own functions in pure Python: a scalar call of the compiled ones costs more.
_BASE, _DC, _ACB, _OB, _ESOF, _NOTIONAL = (
    f.py_func for f in (base.base, dc.dc, acb.acb, ob.ob, esof.esof, fanin.notional)
)
_P = PROFILES["blue_8b"]
_CUBIC = (_P.base.thr, _P.base.extreme, _P.base.min_lev, _P.base.base_max, _P.base.convexity)
_REGIME = (_P.acb.signals_gain, _P.acb.signals_from, _P.acb.beta_low, _P.acb.beta_high, _P.acb.w750_thr, _P.base.thr,
           _P.base.extreme, _P.base.convexity)  # fmt: skip
_CONSENSUS = (_P.ob.imb_from, _P.ob.imb_full, _P.ob.agree_above, _P.ob.up, _P.ob.down, _P.ob.min_assets)
_HAIRCUT = (_P.esof.splits, _P.esof.plateaus, _P.esof.edge, _P.esof.stale, _P.esof.max_age_ms)
_FRACTION, _CAPITAL = _P.fanin.fraction, _P.fanin.paper_capital_usd
_NEVER = Record("plane", "", 0, value=Value())


def leverage(scan: Record, planes: dict[str, Record]) -> tuple[float, ...]:
    """What the lanes say of a scan, and what comes of it: the same numbers as the reactor's."""
    get = planes.get
    plane, meta, mc = get("acb", _NEVER).value, get("meta", _NEVER).value.boost, get("mc", _NEVER).value.scale
    x, form = (plane.boost, 1) if plane.boost is not None else (plane.signals, 2)
    w750 = math.nan if scan.w750 is None else scan.w750
    regime = _ACB(form if x is not None else 0, x, meta is not None, meta, mc is not None, mc, scan.vel_div, w750,
                  *_REGIME)[3]  # fmt: skip
    plane = get("ob", _NEVER).value
    form = 1 if plane.mult is not None else 2 if plane.eff_imb is not None else 0
    consensus = _OB(form, plane.mult, plane.eff_imb, plane.agree, plane.n_assets, *_CONSENSUS)
    record = get("esof", _NEVER)
    x, form = (record.value.mult, 1) if record.value.mult is not None else (record.value.score, 2)
    haircut = _ESOF(form if x is not None else 0, x, scan.ts_ms - record.ts_ms, *_HAIRCUT)
    cubic, confirm = _BASE(scan.vel_div, *_CUBIC)[1], _DC(scan.dc_status == "CONFIRM", _P.dc.boost)
    stalker = get("posture", _NEVER).value.posture == "STALKER"
    cap = min(_P.base.base_max * regime * consensus * haircut, _P.fanin.abs_max)
    cap = min(cap, _P.fanin.stalker_cap) if stalker else cap
    size = max(_P.base.min_lev, min(cubic * confirm * regime * consensus * haircut, cap))
    capital = get("capital", _NEVER).value.capital_usd
    usd = _NOTIONAL(_CAPITAL if capital is None else capital, _FRACTION, size)
    return cubic, confirm, regime, consensus, haircut, size, usd


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
                planes[record.name] = record
                continue
            if struct is Ranked and record.vel_div < -0.02 and record.irp and record.prices:
                priced = [
                    (irp.score, symbol) for symbol, irp in record.irp.items() if record.prices.get(symbol, 0.0) > 0.0
                ]
                max(priced, default=None)
            out.append((message.offset(), record.scan_id, record.ts_ms, record.stream, record.vel_div,
                        *leverage(record, planes)))  # fmt: skip
            if len(out) == PLAIN_ROWS:
                flush()
    if out:
        flush()
    consumer.close()
    return rows


def violet(bootstrap: str, topic: str, records: int, store: Store) -> int:
    """The product's own loop: the same objects that `violet soak` puts together."""
    migrate(store, lambda name: None)
    log = KafkaLog(connection.plain(bootstrap), topic, "bench-shadow")
    soak, rows = SoakSettings(), 0

    def count(batch: Any) -> None:
        nonlocal rows
        rows += sum(map(len, batch.rows.values()))

    claim = take(store, "bench", "here")
    ledger = Ledger(store, f"bench-{time.monotonic_ns()}", lambda *_: [], claim=claim)
    loop = Loop(
        log, ledger, Rules(PROFILES["blue_8b"]), {0: Reader(State(), 0, records)},
        Pace(soak.batch_size, soak.flush_ms), topic=topic, segment=1, on_batch=count,
        confirm=log.same,
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
