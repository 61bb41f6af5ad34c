"""`violet compare-runs`: what differs between two runs, from SQL."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from journal.judge.versus import versus
from journal.ledger import run as runs
from journal.shown import plain
from reactor.cli import value
from reactor.cli.common import data_option, journal, json_option, out, print_json, print_rows
from reactor.cli.table import rounded

COLUMNS: Final = 80  # of a table on a pipe: sources are folded


@click.command("compare-runs")
@click.argument("a", metavar="A", shell_complete=value.runs)
@click.argument("b", metavar="B", shell_complete=value.runs)
@data_option
@json_option
def command(a: str, b: str, data: Path, as_json: bool) -> None:
    """Compare two runs: params, counts, verdicts, decisions. A and B: an id, a prefix, a name, or latest.

    Scans are the same where stream, scan_id and ts_ms are. A leverage differs where a bit of it does. `violet replay`
    makes a run with other params; `violet compare` compares one with BLUE.

    \b
    violet compare-runs my-soak my-soak-replay --data my-soak
    violet compare-runs 20260614 latest --json
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with journal(data, reads=True) as store:
        found = versus(store, runs.pick(store, a), runs.pick(store, b))
    print_json(found) if as_json else _print(found)


def _print(found: Mapping[str, Any]) -> None:
    out.print(f"A  run {found['a']}\nB  run {found['b']}", style="bold")
    for name, none in (("params", "the same params"), ("differs", "nothing else differs")):
        rows = [{"what": key, "A": _text(was), "B": _text(now)} for key, (was, now) in found[name].items()]
        print_rows(rows, piped=COLUMNS) if rows else out.print(none)
    if max(found["segments"]) > 1:
        out.print(
            "A has {} and B {} segments: params, code and kernels are those of the last".format(*found["segments"])
        )
    pairs = found["pairs"]
    out.print(
        f"{pairs['scans']} scans are in both, {pairs['scans_a_only']} only in A, {pairs['scans_b_only']} only in B"
    )
    out.print(
        f"of these both decided on {pairs['decided']}, only A on {pairs['decided_a_only']}, only B on "
        f"{pairs['decided_b_only']}; on another asset {pairs['other_asset']} times"
    )
    if pairs["decided"]:
        share, most = f"{pairs['other_leverage_share']:.2%}", rounded(pairs["largest_difference"])
        out.print(
            f"the leverage differs in {pairs['other_leverage']} of {pairs['decided']} ({share}), by {most} at most"
        )
    if (first := found["first"]) is None:
        out.print("no decision differs", style="bold green")
        return
    sides = (f"{side.upper()} {_decided(first['asset_' + side], first['leverage_' + side])}" for side in "ab")
    where = f"scan {first['scan_id']} of {first['stream']}, {first['ts']:%Y-%m-%d %H:%M:%S} UTC"
    out.print(f"first differing decision: {where}: {', '.join(sides)}", style="bold")


def _decided(asset: str | None, leverage: float | None) -> str:
    return "did not decide" if leverage is None else f"{asset} at leverage {leverage!r}"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={plain(each)}" for key, each in value.items())
    return "-" if value is None else str(plain(value))
