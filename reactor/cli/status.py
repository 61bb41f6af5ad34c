"""`violet status`: where the soaks of a directory stand, readable in five seconds; its exit code is a health check."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import click
from rich.live import Live
from rich.text import Text

from journal.blue.trust import told
from journal.judge.damage import require_whole
from journal.judge.health import EXIT, FAILING, HEALTHY, NOT_SURE, health
from journal.ledger import run as runs
from journal.ledger.claim import writers
from journal.ledger.patience import remembered
from journal.lock import held, soak_lock
from journal.refusal import Refusal
from journal.store import JournalAway, Store
from reactor.cli.common import data_option, err, journal, json_list_option, out, print_json, run_argument

EVERY_S: Final = 2.0
_BAD: Final = (HEALTHY, NOT_SURE, FAILING)
_STYLE: Final = {HEALTHY: "bold green", FAILING: "bold red"}


@click.command("status")
@run_argument
@data_option
@click.option("--name", help="Only the soak of this name.")
@click.option("--watch", is_flag=True, help=f"Look again every {EVERY_S:.0f} s, until Ctrl-C.")
@json_list_option
def command(run_id: str | None, data: Path, name: str | None, watch: bool, as_json: bool) -> None:
    """Show where the newest run of each soak stands, the newest first, or one RUN.

    Exit code: 0 healthy, 1 failing (HALTED, an incident of level ERROR, lost, doubled or corrupt rows, verdict FAIL,
    disk over 92 %), 2 not sure (stopped, interrupted, DEGRADED, silent, a share of the gate below its bound, nothing
    there), 3 no answer. It is that of the worst run that did not end. Where all ended, it is that of the newest run
    that is no replay.

    \b
    violet status --data my-soak
    violet status --watch
    """  # noqa: D301 - click's mark for lines that are not to be filled
    rows: list[dict[str, Any]] = []
    if not watch:
        if waiting := [words for soak, words in _waiting(data).items() if held(soak_lock(data, soak))]:
            raise Refusal(f"{'; '.join(waiting)}; fix: start ClickHouse, look at its log")  # they ask all the time
        try:
            with journal(data, reads=True) as store:
                rows = _rows(store, data, run_id, name)
        except Refusal as refusal:
            raise Refusal("; ".join([str(refusal), *_waiting(data).values()])) from None
        print_json(rows) if as_json else out.print(_text(rows))
    else:
        looks = closing(_looks(data, run_id, name))
        with suppress(KeyboardInterrupt), Live(console=out, auto_refresh=False, screen=False) as live, looks as each:
            for rows in each:
                print_json(rows) if as_json else live.update(_text(rows), refresh=True)
    raise SystemExit(exit_code(rows))


def exit_code(rows: Sequence[Mapping[str, Any]]) -> int:
    """What a watchdog is told of the runs that are shown, the newest first."""
    going = [row for row in rows if row["state"] != "ENDED"]
    asked = going or [row for row in rows if not row["replay_of"]][:1] or rows[:1]
    return EXIT[max((row["health"] for row in asked), key=_BAD.index, default=NOT_SURE)]


def _waiting(data: Path) -> dict[str, str]:
    """Soaks of a directory that wait for ClickHouse, or did so when they ended, in words: the journal cannot tell."""
    names = {path: path.stem.removeprefix("outage-") for path in sorted(data.glob("outage-*.json"))}
    outages = ((soak, remembered(path)) for path, soak in names.items())
    return {soak: f"soak {soak}: {outage}" for soak, outage in outages if outage is not None}


def _looks(data: Path, run_id: str | None, name: str | None) -> Generator[list[dict[str, Any]]]:
    """The looks of --watch, by one engine. One that goes with its soak is no end: another is found or started."""
    while True:
        try:
            with journal(data, reads=True) as store:
                while True:
                    yield _rows(store, data, run_id, name)
                    time.sleep(EVERY_S)
        except JournalAway as away:
            err.print(f"the journal does not answer ({away})"[:200], style="yellow")
            time.sleep(EVERY_S)


def _rows(store: Store, data: Path, run_id: str | None, name: str | None) -> list[dict[str, Any]]:
    """Health of the runs that are asked for."""
    if run_id is not None:
        chosen = [runs.pick(store, run_id)]
    else:
        chosen = [run for run in runs.newest(store) if name in (None, run.name)]
        if name is not None and not chosen:
            raise Refusal(f"--name {name}: no soak of that name in {data}; fix: `violet status` lists them")
        if not chosen:
            require_whole(store)  # or the runs are lost
    found = writers(store, data, chosen)
    return [
        health(store, run, data, writer=found.get(run.name, ""), at=runs.now()) | {"blue": told(store, run)}
        for run in chosen
    ]


def _text(rows: list[dict[str, Any]]) -> Text:
    """A block of a few lines a run, what matters first."""
    text = Text()
    for row in rows:
        words = f"{row['name']}  {row['mode']} for {_span(row['mode_s'])} (since {row['since']:%Y-%m-%d %H:%M:%S} UTC)"
        text.append(f"{row['health']:<9}", _STYLE.get(row["health"], "bold yellow")).append(f"  {words}\n")
        for why in row["why"]:
            text.append(f"           ! {why}\n", "yellow")
        size = row["journal_bytes"] / 2**20
        integrity = " ".join(f"{name} {_n(row[name])}" for name in ("lost", "doubled", "corrupt"))
        noted = f"{row['error_incidents']} errors, {row['warnings']} warnings"
        shares = ", ".join(f"{name} {_share(row[name])}" for name in ("coverage", "time_coverage"))
        worst_day = f" (worst: {row['time_coverage_of']})" if row["time_coverage_of"] else ""
        so_far = "" if row["state"] == "ENDED" else " so far"
        behind = "unknown" if row["lag_records"] is None else f"{row['lag_records']} records"
        behind += f" as of {_span(row['looked_s'])} ago" if row["looked_s"] is not None else ""
        outcomes = ", ".join(f"{row[name]} {name}" for name in ("decisions", "evaluations", "planes", "rejects"))
        by = row["writer"] and f", written by {row['writer']}"
        for label, value in (
            ("last scan", _last_scan(row)),
            ("lag", f"{behind}; batch p99 {_n(row['latency_ms_p99'])} ms"),
            ("outcomes", f"{outcomes}; {shares}{worst_day}"),
            ("integrity", f"{integrity} orders {row['orders']}; {noted}"),
            ("disk", f"{_share(row['disk_used'])} full, journal {size:.1f} MiB in {row['parts']} parts"),
            ("verdict", f"{row['verdict']}{so_far}{row['held'] and ' (' + row['held'] + ')'}; {row['profile']}, DARK"),
            ("BLUE", _beside(row["blue"])),
            ("run", f"{row['run_id']}{row['reason'] and ' (' + row['reason'] + ')'}{by}"),
        ):
            text.append(f"{label:>11}  {value}\n")
    return text if rows else Text("no run yet\n")


def _last_scan(row: Mapping[str, Any]) -> str:
    """Its event time, and when it was journaled: of an archive long after, which is no lag."""
    if row["last_scan"] is None:
        return "none yet"
    ago, after = _span(row["silence_s"]), _span(row["drift_s"])
    return f"{row['last_scan']:%Y-%m-%d %H:%M:%S} UTC, journaled {ago} ago, {after} after it happened"


def _beside(blue: Mapping[str, Any]) -> str:
    """The verdict of the last comparison, and trust."""
    last = blue["compare"]
    words = "no comparison yet" if last is None else f"{last['words']}, {last['label']} trades"
    return f"{words}; trust {blue['trust']}"


def _n(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"


def _share(value: float | None) -> str:
    return "?" if value is None else f"{value:.1%}"


def _span(seconds: float | None) -> str:
    """Seconds in the largest two units that people use."""
    if seconds is None:
        return "?"
    if seconds < 0:
        return f"-{_span(-seconds)}"
    whole = int(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.1f} s"
