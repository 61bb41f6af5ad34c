"""`violet explain`: the waterfall of one outcome, part by part, to raw bit for bit."""

from pathlib import Path
from typing import Any

import click

from journal.blue.waterfall import beside
from journal.judge.explain import explain
from journal.ledger import run as runs
from lanes.registry import LANES
from reactor.cli import value
from reactor.cli.common import data_option, journal, json_flag, out, print_json, print_rows


@click.command("explain")
@click.argument("what", metavar="SCAN_ID|@OFFSET")
@data_option
@click.option("--stream", help="Stream; needed where several streams have the scan id.")
@click.option(
    "--run", "run_id", shell_complete=value.runs, help="Run, by id, prefix or name.  [default: the latest run]"
)
@click.option("--partition", type=int, help="Partition of an @OFFSET.  [default: every partition]")
@click.option("--against", type=click.Choice(["blue"]), help="Lay BLUE's trade beside it, as it was compared last.")
@json_flag("one JSON object, a list of them where several outcomes fit,")
def command(
    what: str, data: Path, stream: str | None, run_id: str | None, partition: int | None, against: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show how the outcome of one scan was computed.

    For a decision: the factors, left to right, and their product raw; then cap, the bound, leverage, sc_mult, notional.
    For an evaluation: every lane's reading, and why the scan did not decide. For a plane or a reject:
    the record.

    \b
    violet explain 17 --data my-soak
    violet explain @6672 --stream ng7
    violet explain 17 --against blue
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with journal(data, reads=True) as store:
        run = runs.pick(store, run_id)
        results = explain(store, run.run_id, what, stream, partition)
        if against is not None:
            results = [row | {"beside": beside(store, row)} if row["outcome"] == "decision" else row for row in results]
    if as_json:
        named = [{"run_id": run.run_id, **result} for result in results]
        print_json(named if len(named) > 1 else named[0])
        return
    out.print(f"run {run.run_id} ({run.name})", style="dim")
    for result in results:
        _print(result)
        if "beside" in result:
            _print_beside(result["beside"])
        elif against is not None:
            out.print("only a decision has a trade of BLUE beside it", style="yellow")


def _print_beside(pair: dict[str, Any]) -> None:
    out.print(f"\nbeside BLUE's trade {pair['trade_id']} ({pair['label']}), {pair['gap_ms']} ms apart", style="bold")
    names = {"ours": "ours", "our_product": "product", "theirs": "BLUE's", "their_product": "BLUE's product",
             "nominal": "nominal", "effective": "effective"}  # fmt: skip
    terms = [term for term in pair["terms"] if term["term"]]
    lanes = {lane.name for lane in LANES}
    rows = [
        {"term": term["term"], **{
            name: "" if name.endswith("product") and term["term"] not in lanes else _exact(term[key])
            for key, name in names.items()
        }}
        for term in terms
    ]  # fmt: skip
    whole = pair["terms"][0]
    ratio = {"term": "leverage", "ours": _exact(pair["journaled"]), "product": "", "BLUE's": _exact(pair["recorded"]),
             "BLUE's product": "", "nominal": _exact(whole["log_ratio"]), "effective": ""}  # fmt: skip
    print_rows([*rows, ratio])
    if not terms:
        out.print(f"{whole['status']}: BLUE recorded too little of this trade to say which lane it was")
    words = f"class {pair['class']}" if pair["class"] else "the same bits"
    where = f" ({', '.join(pair['class_where'])})" if pair["class_where"] else ""
    out.print(f"{words}{where}; terms of ln(ours / BLUE's), which add up to {_exact(whole['log_ratio'])}")


def _exact(value: float | None) -> str:
    return "-" if value is None else repr(value)


def _print(row: dict[str, Any]) -> None:
    out.print(f"{row['outcome']} at {row['topic']}/{row['partition']} offset {row['log_offset']}", style="bold")
    if "steps" not in row:
        for name, value in row.items():
            out.print(f"{name:>18}  {value}")
        return
    at = f"{row['ts']:%Y-%m-%d %H:%M:%S} UTC"
    out.print(f"scan {row['scan_id']} of {row['stream']}, {at}, posture {row['posture'] or '-'}")
    out.print(f"vel_div {row['vel_div']!r}, strength {row['strength']!r}, dc_status {row['dc_status']}")
    if row["outcome"] == "decision":
        out.print(f"SHORT {row['asset']}" + (f"; reasons: {', '.join(row['reasons'])}" if row["reasons"] else ""))
    else:
        out.print(f"did not decide: {', '.join(row['reasons'])}", style="yellow")
    factors = {lane.name: lane.components for lane in LANES if lane.factors}
    for step in row["steps"]:
        sign, of = " " if step["part"] == "base" else "x", factors.get(step["part"])
        note = "= " + " * ".join(f"{row[name]!r} {name}" for name in of) if of else ""
        out.print(f"  {sign} {step['part']:>10}  {step['value']!r:<22} -> {step['product']!r:<22} {note}")
    out.print(f"  = {'raw':>10}  {row['raw']!r}   {row['raw'].hex()}")
    out.print(f"    {'cap':>10}  {row['cap']!r}   bound: {row['bound']}")
    out.print(f"    {'leverage':>10}  {row['leverage_fanin']!r}, sc_mult {row['sc_mult']!r} -> {row['leverage']!r}")
    sized = f"({row['capital_usd']!r} * {row['fraction']!r}) * leverage = {row['notional_usd']!r} USD"
    out.print(f"    {'notional':>10}  {sized}, {row['notional_fraction']!r} of capital")
    if row["planes_dropped_up_to"] is not None:
        out.print(f"  planes up to offset {row['planes_dropped_up_to']} were dropped by age", style="dim")
    if not row["planes"]:
        out.print("  no plane is stored from before it", style="dim")
    for plane in row["planes"]:
        seen = f"age {plane['age_s']:g} s, offset {plane['at_offset']}"
        out.print(f"  plane {plane['name']:>8}  {plane['value']}  {seen}", style="dim")
