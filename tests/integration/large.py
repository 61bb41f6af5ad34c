"""Large journals for the tests: a small run's rows many times over, written by SQL, with batches that are true of them.

    python -m tests.integration.large DIR MILLIONS

writes one into DIR and prints what gate, status, audit and resume cost before and after its stretches are proved.
"""

import sys
import time
from pathlib import Path

from journal.engine import owner
from journal.judge import proof
from journal.judge.gate import summary
from journal.judge.health import health
from journal.keep.migrate import migrate
from journal.ledger.identity import identities
from journal.ledger.ledger import audit, positions
from journal.ledger.run import now
from journal.row import TABLES, row_hash_sql
from journal.store import connect
from lanes.code import Outcome
from tests.strategies import encode, planes, scan
from tests.written import begin, decisions

BATCH = 50_000  # records
PART = 1_000_000  # rows of an insert


def grow(written, n):
    """The run with so many scans more: every fourth decides, ten a second. Its last batch is a true one."""
    store, run_id = written.store, written.run_id
    first = max(written.lines[0]) + 1
    for table, share in (("violet_decisions", "number % 4 = 0"), ("violet_evaluations", "number % 4 != 0")):
        for low in range(first, first + n, PART):
            many = min(PART, first + n - low)
            store.command(
                f"INSERT INTO {table} SELECT t.* REPLACE (toInt64(number) AS log_offset, toInt64(number) AS scan_id, "
                f"t.ts_ms + toInt64(number) * 100 AS ts_ms) FROM numbers({low}, {many}) AS n CROSS JOIN "
                f"(SELECT * FROM {table} WHERE run_id = {{run:String}} ORDER BY log_offset DESC LIMIT 1) AS t WHERE {share}",
                {"run": run_id},
            )
    d, e = Outcome.DECISION.value, Outcome.EVALUATION.value
    sums = {
        kind: f"SELECT intDiv(log_offset - {first}, {BATCH}) AS b{kind.value}, count() AS n{kind.value}, sum({row_hash_sql(kind)}) AS h{kind.value} FROM {TABLES[kind]} "
        f"WHERE run_id = {{run:String}} AND log_offset >= {first} GROUP BY b{kind.value}"
        for kind in (Outcome.DECISION, Outcome.EVALUATION)
    }
    store.command(
        f"INSERT INTO violet_batches SELECT t.* REPLACE ({first} + b{d} * {BATCH} AS first_offset, "
        f"least({first} + (b{d} + 1) * {BATCH}, {first + n}) - 1 AS last_offset, n{d} AS decisions, h{d} AS decisions_hash, "
        f"n{e} AS evaluations, h{e} AS evaluations_hash, 0 AS planes, 0 AS planes_hash, 0 AS rejects, 0 AS rejects_hash, "
        f"'[]' AS skipped, arrayJoin(['INTENT', 'COMPLETE']) AS phase) FROM ({sums[Outcome.DECISION]}) AS d "
        f"INNER JOIN ({sums[Outcome.EVALUATION]}) AS e ON b{d} = b{e} CROSS JOIN (SELECT * FROM violet_batches FINAL "
        "WHERE run_id = {run:String} AND phase = 'COMPLETE' ORDER BY first_offset DESC LIMIT 1) AS t",
        {"run": run_id},
    )
    written.lines[0] = {first + n - 1: b""}


def made(store, n):
    """A run of so many scans."""
    written = begin(store)
    written.append([*map(encode, planes()), encode(scan(scan_id=0, vel_div=0.0)), *decisions(1, first=1)])
    grow(written, n)
    return written


def looks(store, written, data):
    """What people and a resume ask: name -> seconds, and the gate's summary."""
    run, found = written.run, {}

    def timed(name, call):
        began = time.monotonic()
        answer = call()
        found[name] = time.monotonic() - began
        return answer

    judged = timed("gate", lambda: summary(store, run))
    timed("status", lambda: health(store, run, data, writer="me", at=now()))
    timed("audit", lambda: audit(store, run.run_id, proof.prove(store, run.run_id)))

    def resume():
        (at,) = positions(store, run.run_id).values()
        identities(store, run.run_id, 0, at.last, 4096, ["ng7"])

    timed("positions", resume)
    return found, judged


def main(data, millions):
    engine = owner.start(Path(data))
    with connect(engine.address) as store:
        migrate(store, lambda name: None)
        began = time.monotonic()
        written = made(store, int(float(millions) * 1e6))
        print(f"written in {time.monotonic() - began:.0f} s", flush=True)
        memory = Path(f"/proc/{engine.pid}/clear_refs")
        for times in ("first", "again"):
            memory.write_text("5")
            costs, judged = looks(store, written, Path(data))
            peak = next(line for line in Path(f"/proc/{engine.pid}/status").read_text().splitlines() if "VmHWM" in line)
            print(
                times,
                {name: round(s, 2) for name, s in costs.items()},
                peak,
                judged["records"],
                judged["lost"],
                flush=True,
            )
    engine.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
