"""`violet compare`: a run beside BLUE under a contract."""

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from journal.blue import anchor, trust, verdict
from journal.blue.clause import Clause
from journal.blue.contract import read
from journal.blue.verdict import EXIT, INVALID, INVALID_COMPARISON, Compared, Measure, clause_json, needed_days
from journal.judge.gate import HOLD
from journal.ledger import run as runs
from journal.refusal import Refusal
from journal.shown import as_json as json_text
from journal.shown import plain
from reactor.blue import comparison
from reactor.cli.common import (
    PATH,
    data_option,
    hold,
    journal,
    json_option,
    out,
    print_json,
    print_rows,
    run_argument,
    write,
)

_STYLE: Final = {"PASS": "bold green", "FAIL": "bold red", HOLD: "bold yellow", INVALID: "bold red"}
_SHOWN: Final = 160  # characters of a value in a table; --json has all of it


@click.command("compare")
@run_argument
@click.option(
    "--against", type=click.Choice(["blue"]), required=True, expose_value=False,
    help="With what the run is compared: blue.",
)  # fmt: skip
@click.option("--contract", "file", type=PATH, required=True, help="File of `violet contract new`.")
@click.option("--artefacts", type=PATH, help="Folder for parity_contract.json, parity_compare.tsv and two more.")
@click.option("--offer", "offered", type=PATH, help="Where it is invalid: file for a contract over what is valid.")
@data_option
@json_option
def command(
    run_id: str | None, file: Path, artefacts: Path | None, offered: Path | None, data: Path, as_json: bool
) -> None:
    """Compare RUN with BLUE under a contract. Without RUN: the latest run.

    Validity comes first: a clause that does not hold makes it INVALID_COMPARISON, and no figure is shown or kept. Then
    each measure has its number of pairs, its interval and a verdict. Trust is apart: `violet trust`.

    Exit code: 0 PASS (equivalent), 1 FAIL (different), 2 HOLD (go on), 3 invalid or an error.

    \b
    violet compare latest --against blue --contract contract.json --data my-soak
    violet compare --against blue --contract contract.json --artefacts parity --json
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if offered is not None and (offered.exists() or not offered.parent.is_dir()):
        raise Refusal(f"--offer {offered}: must be a new file in a folder that is there; fix: name another")
    if artefacts is not None and artefacts.exists() and not artefacts.is_dir():
        raise Refusal(f"--artefacts {artefacts}: must be a folder; fix: name another")
    try:
        contract = read(file.read_bytes(), str(file))
    except FileNotFoundError:
        raise Refusal(f"--contract {file} is not there; fix: `violet contract new` writes one") from None
    with journal(data) as store, ExitStack() as stack:
        anchor.require(store, contract)
        run = runs.pick(store, run_id)
        hold(store, data, "blue compare", data / "locks" / "compare.lock", stack)
        made = comparison.compared(store, run, contract)
        following = comparison.offer(store, run, made) if offered is not None and made.verdict == INVALID else None
        files = comparison.artefacts(store, made) if artefacts is not None else {}
        trusted = trust.standing(store, run.name, run.standins).words
    if artefacts is not None:
        artefacts.mkdir(parents=True, exist_ok=True)
        for name, raw in files.items():
            write(artefacts / name, raw)
    if following is not None and offered is not None:
        write(offered, following.text)
    if as_json:
        print_json({**verdict.as_json(made), "trust": trusted})
    else:
        _print(made, offered if following is not None else None)
        out.print(f"{'trust':>12}  {trusted}")
    raise SystemExit(EXIT[made.verdict])


def _print(made: Compared, offered: Path | None) -> None:
    contract, window = made.contract, made.contract.window
    label = contract.blue.label
    out.print(f"{'comparison':>12}  {made.compare_id} of run {contract.run_id} with {label} trades", style="bold")
    out.print(f"{'contract':>12}  {contract.hash[:16]}, window {_time(window.from_ms)} to {_time(window.to_ms)}")
    if made.verdict == INVALID:
        _print_invalid(made, offered)
        return
    p = made.figures["pairs"]
    out.print(
        f"{'pairs':>12}  {p['n']} of {made.trades} trades, {p['by_id']} by scan id, {p['ambiguous']} ambiguous; within "
        + ", ".join(f"{int(ms) / 1e3:g} s {n}" for ms, n in p["sensitivity"].items())
    )
    print_rows([_measure(each) for each in made.measures], f"clauses: all {len(made.clauses)} hold")
    figures = made.figures
    slot, late = figures["slot"], figures["noise_floor"]["delay"]
    dropped = f"; of {late['dropped']} retention dropped the planes, so they are judged" if late["dropped"] else ""
    for name, words in {
        "one slot": f"{slot['ours']} trades of ours, {slot['trades']} of BLUE's, {slot['missed']} not taken by BLUE",
        "noise floor": f"{late['explained']} of {late['n']} differences, of planes one scan late, not judged{dropped}",
    }.items():
        out.print(f"{name:>12}  {words}")
    for title, rows in (
        ("lanes", figures["lanes"]), ("by vel_div and dc_status", figures["buckets"]),
        ("differences", figures["classes"]),
        ("lanes that differ, of all asked at once", _differing(figures["by_lane"])),
        ("quiet scans at other thresholds, sized as journaled: by the run's own, with strength 0", figures["quiet"]),
    ):  # fmt: skip
        if rows:
            print_rows(rows, title)
    words = verdict.in_words(made.verdict, made.needed, needed_days(made), within=late["explained"])
    so_far = "" if made.is_over else ", so far: the window is not over"
    out.print(f"{words}, {label} trades{so_far}", style=_STYLE[made.verdict])


def _differing(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "differs"} for row in rows if row["differs"]]


def _print_invalid(made: Compared, offered: Path | None) -> None:
    for each in made.broken:
        out.print(f"{'broken':>12}  {each.name}: agreed {_value(each.agreed)}{_sides(each)}", style="red")
        told = clause_json(each)
        where = ", ".join(f"{_time(first)} to {_time(end)}" for first, end in told["spans"][:3])
        offsets = ", ".join(f"partition {p} @{first} to @{last}" for p, first, last in told["offsets"][:3])
        out.print(f"{'':>12}  {told['breaches']} spans: {where}{'; ' + offsets if offsets else ''}")
    valid = made.valid_window
    words = "no part of the window is valid" if valid is None else (
        f"the longest valid part is {_time(valid.from_ms)} to {_time(valid.to_ms)} ({valid.from_ms} to {valid.to_ms})"
    )  # fmt: skip
    if offered is not None:
        words += f"; {offered} is a contract over it"
    elif valid is not None:
        words += "; --offer FILE makes a contract over it"
    out.print(f"{INVALID_COMPARISON}: {made.broken[0].name}; {words}", style=_STYLE[INVALID])


def _sides(clause: Clause) -> str:
    sides = (("ours", clause.ours), ("theirs", clause.theirs))
    return "".join(f", {name} {_value(value)}" for name, value in sides if value is not None)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json_text(plain(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _measure(each: Measure) -> dict[str, Any]:
    told = "" if each.low is None else f"{each.low:.6g} to {each.high:.6g}"
    return {
        "verdict": each.verdict, "measure": each.name, "n": each.n, "figure": each.figure, "above floor": each.above,
        "interval": told, "margin": each.margin, "method": each.method,
        "still needed": "unknown" if each.needed is None else each.needed or "", "why": each.why,
    }  # fmt: skip


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1e3, UTC):%Y-%m-%d %H:%M:%S}"
