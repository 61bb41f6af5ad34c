"""`violet status`: where each run of a directory stands."""

from pathlib import Path
from typing import Any

import click

from journal.lock import held
from journal.store import Store
from reactor.cli.common import data_option, journal, json_option, show


@click.command("status")
@data_option
@json_option
def command(data: Path, as_json: bool) -> None:
    """Where the runs of a directory stand, newest first. Exit code 0 where the newest is sound, 1 where it is not."""
    with journal(data) as store:
        rows = [_row(store, run, data) for run in store.rows("SELECT * FROM runs ORDER BY started_at DESC LIMIT 20")]
    show(rows, as_json, str(data))
    raise SystemExit(0 if rows and rows[0]["healthy"] else 1)


def _row(store: Store, run: dict[str, Any], data: Path) -> dict[str, Any]:
    params = {"run": run["run_id"]}
    counts = store.rows(
        "SELECT sum(decisions) AS decisions, sum(evaluations) AS evaluations, sum(planes) AS planes, "
        "sum(rejects) AS rejects, max(written_at) AS last_batch, count() AS batches, "
        "round(quantileExact(0.99)(latency_ms)) AS latency_ms_p99 FROM batches WHERE run_id = {run:String}",
        params,
    )[0]
    last = store.rows(
        "SELECT max(ts) AS last_scan FROM (SELECT ts FROM decisions WHERE run_id = {run:String} "
        "UNION ALL SELECT ts FROM evaluations WHERE run_id = {run:String})",
        params,
    )[0]
    errors = store.rows(
        "SELECT count() AS n FROM incidents WHERE run_id = {run:String} AND severity = 'ERROR'", params
    )[0]["n"]
    holder = held(data / "locks" / f"soak-{run['name']}.lock")
    alive = holder is not None and run["state"] == "RUNNING"
    state = run["state"] if run["state"] != "RUNNING" or alive else "INTERRUPTED"
    return {
        "run_id": run["run_id"], "name": run["name"], "state": state, "reason": run["reason"],
        "trading_mode": run["trading_mode"], "is_trading_allowed": bool(run["is_trading_allowed"]),
        "profile": run["profile"], **counts, **last, "error_incidents": errors,
        "healthy": errors == 0 and state in ("RUNNING", "STOPPED", "ENDED"),
    }  # fmt: skip
