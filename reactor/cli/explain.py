"""`violet explain`: the waterfall of one outcome, part by part, to raw bit for bit."""

from pathlib import Path
from typing import Any

import click

from journal import run as runs
from journal.pruned import pruned
from journal.refusal import Refusal
from journal.store import Store
from reactor.cli.common import data_option, journal, json_option, out, print_json

_COLUMNS = {"reject": "* REPLACE (toValidUTF8(raw) AS raw)"}  # bytes that are no text would come as hex
_PARTS = ("base", "dc", "acb", "ob", "esof_fanin")


@click.command("explain")
@click.argument("what", metavar="SCAN_ID|@OFFSET")
@data_option
@click.option("--stream", help="Stream, where a scan id is in several.")
@click.option("--run", "run_id", help="Run; the latest where none is given.")
@click.option("--partition", type=int, default=0, show_default=True, help="Partition of an @OFFSET.")
@json_option
def command(what: str, data: Path, stream: str | None, run_id: str | None, partition: int, as_json: bool) -> None:
    """Explain one outcome.

    Of a decision: the parts that multiply, left to right, to raw; then cap, the bound, leverage, sc_mult, notional. Of
    an evaluation: what every lane said, and why it did not decide. Of a plane or a reject: what it was.
    """
    number = what.removeprefix("@")
    if not number.isdigit():
        raise Refusal(f"{what!r}: must be a scan id such as 1234, or @OFFSET such as @5678")
    with journal(data) as store:
        run = runs.pick(store, run_id)
        found = _at(store, run.run_id, partition, int(number)) if what.startswith("@") else None
        found = found or ([] if what.startswith("@") else _scans(store, run.run_id, int(number), stream))
        if not found:
            dropped = "" if what[0] != "@" else _dropped(store, run.run_id, partition, int(number))
            raise Refusal(f"run {run.run_id} has no outcome for {what}{dropped}; fix: look the id up with `violet sql`")
        gone = {partition: each.last_offset for partition, each in pruned(store, run.run_id).items()}
        results = [
            _waterfall(row) | {"planes": _planes(store, row), "planes_dropped_up_to": gone.get(row["partition"])}
            if "leverage" in row
            else row
            for row in found
        ]
    if as_json:
        print_json(results if len(results) > 1 else results[0])
        return
    for result in results:
        _print(result)


def _scans(store: Store, run_id: str, scan_id: int, stream: str | None) -> list[dict[str, Any]]:
    where = "run_id = {run:String} AND scan_id = {id:Int64} AND ({stream:String} = '' OR stream = {stream:String})"
    params = {"run": run_id, "id": scan_id, "stream": stream or ""}
    rows = [
        {"outcome": outcome, **row}
        for outcome in ("decision", "evaluation")
        for row in store.rows(f"SELECT * FROM {outcome}s WHERE {where} ORDER BY log_offset", params)
    ]
    streams = sorted({row["stream"] for row in rows})
    if len(streams) > 1:
        raise Refusal(f"scan {scan_id} is in the streams {', '.join(streams)}; fix: --stream NAME")
    return rows


def _at(store: Store, run_id: str, partition: int, offset: int) -> list[dict[str, Any]]:
    where = "run_id = {run:String} AND partition = {p:UInt32} AND log_offset = {offset:Int64}"
    params = {"run": run_id, "p": partition, "offset": offset}
    return [
        {"outcome": outcome, **row}
        for outcome in ("decision", "evaluation", "plane", "reject")
        for row in store.rows(f"SELECT {_COLUMNS.get(outcome, '*')} FROM {outcome}s WHERE {where}", params)
    ]


def _dropped(store: Store, run_id: str, partition: int, offset: int) -> str:
    """Words for a plane that retention may have taken."""
    end = pruned(store, run_id).get(partition)
    return f" (planes up to offset {end.last_offset} were dropped by age)" if end and offset <= end.last_offset else ""


def _planes(store: Store, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Planes as of the scan's offset, with their ages in event time."""
    rows: list[dict[str, Any]] = store.rows(
        "SELECT name, argMax(value, log_offset) AS value, argMax(seq, log_offset) AS seq, "
        "max(log_offset) AS at_offset, "
        "({ts:Int64} - argMax(ts_ms, log_offset)) / 1000 AS age_s FROM planes WHERE run_id = {run:String} "
        "AND topic = {topic:String} AND partition = {p:UInt32} AND stream = {stream:String} "
        "AND log_offset < {offset:Int64} GROUP BY name ORDER BY name",
        {"run": row["run_id"], "topic": row["topic"], "p": row["partition"], "stream": row["stream"],
         "offset": row["log_offset"], "ts": row["ts_ms"]},
    )  # fmt: skip
    return rows


def _waterfall(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the running product after each part."""
    steps: list[dict[str, Any]] = []
    product = 1.0
    for name in _PARTS:
        product = row[name] if not steps else product * row[name]
        steps.append({"part": name, "value": row[name], "product": product})
    if product.hex() != row["raw"].hex():
        raise Refusal(
            f"offset {row['log_offset']}: the parts give {product!r}, raw is {row['raw']!r}; run `violet verify`"
        )
    return {**row, "steps": steps}


def _print(row: dict[str, Any]) -> None:
    out.print(f"{row['outcome']} at {row['topic']}/{row['partition']} offset {row['log_offset']}", style="bold")
    if "steps" not in row:
        for name, value in row.items():
            out.print(f"{name:>18}  {value}")
        return
    what = f"vel_div {row['vel_div']!r}, strength {row['strength']!r}, dc_status {row['dc_status']}"
    out.print(
        f"scan {row['scan_id']} of {row['stream']}, {row['ts']:%Y-%m-%d %H:%M:%S} UTC, posture {row['posture'] or '-'}"
    )
    out.print(what)
    if row["outcome"] == "decision":
        out.print(f"SHORT {row['asset']}" + (f"; marks: {', '.join(row['reasons'])}" if row["reasons"] else ""))
    else:
        out.print(f"did not decide: {', '.join(row['reasons'])}", style="yellow")
    inputs = {"acb": f"= {row['acb_boost']!r} boost * {row['meta_boost']!r} meta * {row['mc_scale']!r} mc"}
    for step in row["steps"]:
        sign, note = " " if step["part"] == "base" else "x", inputs.get(step["part"], "")
        out.print(f"  {sign} {step['part']:>10}  {step['value']!r:<22} -> {step['product']!r:<22} {note}")
    out.print(f"  = {'raw':>10}  {row['raw']!r}   {row['raw'].hex()}")
    out.print(f"    {'cap':>10}  {row['cap']!r}   bound: {row['bound']}")
    out.print(f"    {'leverage':>10}  {row['leverage_fanin']!r}, sc_mult {row['sc_mult']!r} -> {row['leverage']!r}")
    sized = f"({row['capital_usd']!r} * {row['fraction']!r}) * leverage = {row['notional_usd']!r} USD"
    out.print(f"    {'notional':>10}  {sized}, {row['notional_fraction']!r} of capital")
    if row["planes_dropped_up_to"] is not None:
        out.print(f"  planes up to offset {row['planes_dropped_up_to']} were dropped by age", style="dim")
    for plane in row["planes"]:
        seen = f"age {plane['age_s']:g} s, offset {plane['at_offset']}"
        out.print(f"  plane {plane['name']:>8}  {plane['value']}  {seen}", style="dim")
