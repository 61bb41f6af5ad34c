"""`make bench`: what it costs to compare a million decisions with ten thousand trades. Prints; asserts no timing."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from journal.keep.migrate import migrate
from journal.store import Store
from tests.bench.stream import peak_mib
from tests.integration.soaking import VIOLET, Journal
from tests.journal.blue.agreed import at, sized, soaked, traded

DECISIONS, TRADES, STEP_MS, FIRST = 1_000_000, 10_000, 10_000, 20_000
EVERY = DECISIONS // TRADES
# As recorded: by scan id, and equal. As unlike as can be: by time alone, each of another size.
CASES = {
    "equal": {},
    "each differs": {"leverage": 7.9, "esof": 0.9875, "notional_usd": 39_500.0, "planes": '{"esof":{"value":{"mult":0.9},"ts_ms":1}}'},
}  # fmt: skip


def copied(store: Store, table: str, count: int, changes: dict[str, str]) -> None:
    """Insert so many copies of a table's one row, each with these columns changed by `number`."""
    names = [row["name"] for row in store.rows(f"DESCRIBE TABLE {table}")]
    values = ", ".join(f"{changes.get(name, f'd.{name}')} AS {name}" for name in names)
    store.command(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM numbers({count}) AS n CROSS JOIN (SELECT * FROM {table}) AS d"
    )


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CASES)
def test_what_it_costs_to_compare(case: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "data")
    store, start = journal.store, at(FIRST)
    try:
        migrate(store, lambda name: None)
        written = soaked(store, FIRST, 1)
        moved = {
            "log_offset": "8 + number",
            "scan_id": f"{FIRST + 1} + number",
            "ts_ms": f"{start + STEP_MS} + number * {STEP_MS}",
        }
        copied(store, "violet_decisions", DECISIONS - 1, {name: f"toInt64({value})" for name, value in moved.items()})
        traded(store, sized(FIRST, **CASES[case]))
        entry = f"toInt64({start} + (number + 1) * {EVERY * STEP_MS})"
        scan_id = f"toInt64({FIRST} + (number + 1) * {EVERY})" if case == "equal" else "NULL"
        copied(store, "violet_blue_trades", TRADES - 1, {
            "row_number": "number + 2", "trade_id": "toString(number)", "content_hash": "toString(number)", "entry_ts_ms": entry,
            "exit_ts_ms": f"{entry} + {EVERY * STEP_MS} - 1", "scan_id": scan_id,
        })  # fmt: skip
        journal.close()
        journal = Journal(tmp_path / "data")  # whose memory is that of the comparison alone
        about = [written.run_id, "--against", "blue", "--data", tmp_path / "data"]
        subprocess.run([*VIOLET, "contract", "new", *about, "-o", tmp_path / "c.json"], check=True, capture_output=True)
        began = time.monotonic()
        with subprocess.Popen(
            [*VIOLET, "compare", *about, "--contract", tmp_path / "c.json"], stdout=subprocess.PIPE
        ) as compare:
            peak = 0.0
            while compare.poll() is None:
                with suppress(OSError, StopIteration):  # it has just ended
                    peak = max(peak, peak_mib(compare.pid))
                time.sleep(0.1)
            said = compare.stdout.read().decode() if compare.stdout else ""
        wall_s, engine = time.monotonic() - began, peak_mib(journal._engine.pid)
    finally:
        journal.close()
    assert f"{TRADES} of {TRADES} trades" in said
    print(
        f"\n{DECISIONS} decisions, {TRADES} trades, {case}: {wall_s:.1f} s; command {peak:.0f} MiB, engine {engine:.0f} MiB"
    )
