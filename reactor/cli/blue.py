"""`violet blue`: bring BLUE's trades in, look at them beside a run, or make a stand-in's where there are none."""

import csv
import io
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import click

from journal.blue import clock, intake
from journal.blue.look import look
from journal.judge import damage
from journal.keep.migrate import pending
from journal.ledger import claim as claims
from journal.ledger import run as runs
from journal.refusal import Refusal
from journal.store import JournalAway, Store, connect
from reactor.blue import places as trade_source
from reactor.cli import study
from reactor.cli.common import (
    PATH,
    broker,
    data_option,
    hold,
    journal,
    json_option,
    out,
    print_json,
    print_rows,
    run_argument,
)
from reactor.cli.grouped import Grouped
from reactor.feed import archive_writer, table
from reactor.feed.mapped import MappedSource
from reactor.feed.table import Row
from reactor.log import archive
from reactor.log.kafka import KafkaLog
from reactor.run import config_file
from reactor.run.settings import JournalSettings
from reactor.standin import blue as standin
from reactor.standin import dirt, plant

TRADE_COLUMNS: Final = (*(f.name for f in fields(standin.Trade) if f.name != "legs"), "label")
LEG_COLUMNS: Final = ("trade_id", *(f.name for f in fields(standin.Leg)), "label")


@click.group("blue")
def command() -> None:
    """Import BLUE's trades, clean them in SQL, and have a first look at them beside a run.

    It judges nothing: `violet contract` and `violet compare` do.

    \b
    violet blue import --trades trades.csv --data my-soak
    violet blue look latest --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled


command.add_command(study.answer)


@command.command("import", cls=Grouped, groups={
    "What is imported": ("trades", "legs", "mapping", "clock_offset_ms", "any_clock", "any_asset"),
    "Where it lies": ("clickhouse", "user", "password", "ca", "allow_plaintext", "bootstrap_servers"),
})  # fmt: skip
@click.option("--trades", metavar="PLACE", help="Trade rows: a file, table:DB.NAME or topic:NAME.")
@click.option("--legs", metavar="PLACE", help="Exit legs: a file, table:DB.NAME or topic:NAME.")
@click.option("--map", "mapping", type=PATH, help="TOML mapping; without it the columns must have our names.")
@click.option("--clickhouse", metavar="URL", help="HTTP or HTTPS address of the server that holds table:...")
@click.option("--user", default="default", show_default=True, help="User of that server.")
@click.option(
    "--password", default="", envvar="VIOLET_BLUE_PASSWORD",
    help="Password of that user; better as $VIOLET_BLUE_PASSWORD, for a command line is for all to see.",
)  # fmt: skip
@click.option(
    "--ca", type=PATH, help="PEM file of the CA that signed that server's certificate; else the system's CAs."
)
@click.option("--allow-plaintext", is_flag=True, help="Let the password go over http to another machine.")
@click.option("--bootstrap-servers", metavar="HOST:PORT", help="Broker that holds topic:...")
@click.option(
    "--clock-offset-ms", type=int, default=0,
    help="How far the trades' clock is ahead, in ms; it is taken off their times.",
)  # fmt: skip
@click.option("--any-clock", is_flag=True, help="Import although the times look like another time zone's.")
@click.option("--any-asset", is_flag=True, help="Import although no run here decided on any of the trades' assets.")
@data_option
@json_option
def import_(
    *, trades: str | None, legs: str | None, mapping: Path | None, clock_offset_ms: int, any_clock: bool,
    any_asset: bool, data: Path, as_json: bool, **server: Any,
) -> None:  # fmt: skip
    """Import trade rows as they are, all or none. Rows that are there already are not added again.

    Nothing is cleaned away: the views blue_trades and blue_dropped say which rows count, and why the others do not.

    \b
    violet blue import --trades trades.csv --legs legs.csv --data my-soak
    violet blue import --trades table:dolphin.trade_events --clickhouse https://10.0.0.5:8443 --map blue.toml
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if trades is None and legs is None:
        raise Refusal("nothing to import; fix: --trades PLACE, or --legs PLACE, or both")
    toml = _text(mapping) if mapping else trade_source.plain()
    sources, passed = trade_source.mappings(toml), Counter[str]()
    with ExitStack() as stack:
        rows = {
            kind: _mapped(kind, place, sources, clock_offset_ms, bool(mapping), server, passed, stack)
            for kind, place in (("trade", trades), ("leg", legs))
        }
    given = intake.Intake(
        label=intake.label_of([*rows["trade"], *rows["leg"]]), source=" ".join(filter(None, (trades, legs))),
        mapping=toml if mapping else "", clock_offset_ms=clock_offset_ms, trades=rows["trade"], legs=rows["leg"],
    )  # fmt: skip
    with journal(data) as store, ExitStack() as stack:
        try:
            claim = hold(store, data, "blue import", data / "locks" / "blue.lock", stack)
            shift = _checked(store, given, any_clock=any_clock, any_asset=any_asset)
            brought = intake.bring(store, given, lambda: claims.require(store, claim))
        except JournalAway as away:
            raise Refusal(
                f"the journal went away ({away}); an import counts whole or not at all; fix: the same command again"
            ) from None
    if as_json:
        print_json(asdict(brought) | {"clock": asdict(shift), "passed_over": passed})
        return
    for kind, read, new, there in (
        ("trade rows", brought.trades_read, brought.trades_new, brought.trades_there),
        ("exit legs", brought.legs_read, brought.legs_new, brought.legs_there),
    ):
        out.print(f"{kind:>10}  {read} read, {new} new, {there} were there already")
    for why, count in passed.items():
        out.print(f"{'':>10}  {count} {why}")
    out.print(f"{'import':>10}  {brought.import_id or '(nothing new)'}  {brought.label}")


def _checked(store: Store, given: intake.Intake, *, any_clock: bool, any_asset: bool) -> clock.Shift:
    """How the trades' times lie beside the decisions. Refuses where assets or times say that something is wrong."""
    decided = clock.decided(store)
    if not any_asset:
        _check_assets(given, decided.keys())
    shift = _clock(given, decided)
    if shift.is_off and not any_clock:
        raise Refusal(
            f"only {shift.matched} of {shift.trades} trades lie within 5 minutes of a decision on their asset, but "
            f"{shift.shifted} once shifted by {shift.shift_ms / 3_600_000:+g} h: another time zone; nothing was "
            'imported; fix: zone = "..." in the mapping, or --any-clock'
        )
    return shift


@command.command("forget")
@click.argument("import_id")
@click.option("--reason", required=True, help="Why; the view blue_imports keeps it.")
@data_option
def forget(import_id: str, reason: str, data: Path) -> None:
    """Take an import back. Its rows stay in the tables and count no longer.

    \b
    violet blue forget IMPORT_ID --reason "wrong mapping" --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with journal(data) as store:
        _ready(store)
        intake.forget(store, import_id, reason)
    out.print(
        f"{import_id} is FORGOTTEN; rows that a later import found there already are gone with it: "
        "`violet blue import` brings them in again"
    )


@command.command("look")
@run_argument
@click.option(
    "--label", type=click.Choice(intake.LABELS), help="Whose trades to show.  [default: REAL where there are any]"
)
@data_option
@json_option
def look_(run_id: str | None, label: str | None, data: Path, as_json: bool) -> None:
    """Show a run beside BLUE's trades. Without RUN: the latest run.

    It shows universe, co-location and sizes by vel_div.

    It gives figures and no verdict; trust is HOLD, and it says why. Exit code: 0, whatever there is to see.

    \b
    violet blue look --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    with journal(data, reads=True) as store:
        _ready(store)
        seen = look(store, runs.pick(store, run_id), label)
    print_json(seen) if as_json else _print(seen)


@command.command("simulate")
@click.option("--scans", type=PATH, required=True, help="Scan archive: JSON lines, plain or packed.")
@click.option("--out", "target", type=PATH, required=True, help="Trades, .csv.")
@click.option("--legs-out", type=PATH, help="Exit legs, .csv.")
@click.option(
    "--plant", "plants", type=click.Choice([*plant.PLANTS]), multiple=True, metavar="NAME",
    help="A difference to find, may be given again: "
    + "; ".join(f"{name}: {each.words}" for name, each in plant.PLANTS.items()) + ".",
)  # fmt: skip
@click.option("--dirt", "dirty", is_flag=True, help="Add the defects of the recorded trades, as many as were recorded.")
@click.option("--stream", help="Stream that it trades.  [default: the first scan's]")
@click.option("--seed", type=int, default=standin.Engine().seed, show_default=True, help="Seed of exits and defects.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@json_option
def simulate(
    *, scans: Path, target: Path, legs_out: Path | None, plants: tuple[str, ...], dirty: bool,
    stream: str | None, seed: int, force: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make the trades of a STAND-IN for BLUE. They are to try the comparison with; it is not BLUE.

    \b
    violet blue simulate --scans scans.jsonl.zst --out trades.csv --legs-out legs.csv
    """  # noqa: D301 - click's mark for lines that are not to be filled
    for path in filter(None, (target, legs_out)):
        archive_writer.check_target(path, force=force, suffixes=(".csv",))
    whole = (line for line in archive.lines(scans) if isinstance(line, bytes))
    engine, lines, bend = plant.planted(plants, standin.Engine(stream=stream, seed=seed), whole)
    made = bend(list(standin.trades(lines, engine)))
    if not made:
        raise Refusal(f"{scans}: no scan made a trade; fix: give an archive with scans of vel_div < -0.02 and irp")
    rows, counts, kept = made, {"trades": len(made)}, len(made)
    if dirty:
        soiled = dirt.soil(made, seed)
        rows, counts, kept = soiled.rows, soiled.counts, soiled.kept
    told: dict[str, Any] = {"rows": len(rows), **counts, "kept": kept}
    _write(target, TRADE_COLUMNS, (asdict(trade) | {"label": standin.MARK} for trade in rows))
    legs = {trade.trade_id: trade.legs for trade in rows if trade.legs}
    if legs_out:
        each_leg = ({"trade_id": i, **asdict(leg), "label": standin.MARK} for i, of in legs.items() for leg in of)
        _write(legs_out, LEG_COLUMNS, each_leg)
    told |= {"legs": sum(map(len, legs.values())), "label": standin.MARK, "out": str(target)}
    words = "\n".join(f"{name:>15}  {value}" for name, value in told.items())
    print_json(told) if as_json else out.print(words)


def _mapped(
    kind: str, place: str | None, sources: dict[str, Any], offset_ms: int, strict: bool, server: dict[str, Any],
    passed: Counter[str], stack: ExitStack,
) -> list[intake.BlueRow]:  # fmt: skip
    """All rows of a place as ours, before anything is touched."""
    if place is None:
        return []
    if kind not in sources:
        raise Refusal(f"the mapping must hold a [[source]] that feeds {kind}; fix: add one")
    rows = _rows(place, sources[kind], server, passed, stack)
    return trade_source.mapped(rows, sources[kind], place, offset_ms, passed, strict=strict)


def _rows(
    place: str, source: MappedSource, server: dict[str, Any], passed: Counter[str], stack: ExitStack
) -> Iterator[Row]:
    scheme, _, name = place.partition(":")
    if scheme == "table":
        if server["clickhouse"] is None:
            raise Refusal(f"{place} must have a server; fix: --clickhouse http://HOST:8123")
        given = {name: server[name] for name in ("user", "password", "ca", "allow_plaintext")}
        known = config_file.valid(JournalSettings, {"url": server["clickhouse"], **given}, "clickhouse").address
        if known is None:
            raise AssertionError("must have an address")
        remote = stack.enter_context(connect(known))
        return trade_source.table_rows(name, remote.blocks)
    if scheme == "topic":
        if not (connection := broker(server["bootstrap_servers"])).bootstrap_servers:
            raise Refusal(f"{place} must have a broker; fix: --bootstrap-servers HOST:PORT")
        log = KafkaLog(connection, name, "violet-blue")
        return trade_source.topic_rows(stack.enter_context(closing(log)), passed)
    return table.rows(Path(place), source.layout)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"--map {path}: cannot be read ({error}); fix: name a TOML file") from None


def _check_assets(given: intake.Intake, decided: Collection[str]) -> None:
    """Refuse trades of which no asset is one of the journal's: most likely it is their names that differ."""
    assets = {row.fields["asset"] for row in given.trades}
    if assets and decided and assets.isdisjoint(decided):
        theirs, ours = (damage.some(sorted(names)) for names in (assets, decided))
        raise Refusal(
            f"no asset of these trades ({theirs}) is one that a run here decided on ({ours}); nothing was imported; "
            'fix: unit = "pair" for names such as BTC-USDT, or --any-asset'
        )


def _clock(given: intake.Intake, decided: dict[str, list[int]]) -> clock.Shift:
    trades = {(row.fields["asset"], row.fields["entry_ts_ms"]) for row in given.trades if row.fields["side"] == "SHORT"}
    return clock.best_shift(sorted(trades), decided)


def _ready(store: Store) -> None:
    if pending(store):
        raise Refusal("this journal's tables or views are older than this version; fix: `violet migrate` first")


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    """A CSV file, whole or not at all; floats in the shortest form that reads back to the same bits."""
    with archive_writer.writing(path) as put:
        for row in (dict(zip(columns, columns, strict=True)), *rows):
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow([row[name] for name in columns])
            put(line.getvalue().encode())


def _print(seen: dict[str, Any]) -> None:
    """The look for people: each figure with its N."""
    cleaned, trades, sizes = seen["cleaning"], seen["trades"], seen["leverage"]
    dropped = ", ".join(f"{n} {reason}" for reason, n in cleaned["dropped"].items()) or "none"
    notes = ", ".join(f"{n} {note}" for note, n in cleaned["notes"].items()) or "none"
    located, universe, clocked, curve = seen["colocation"], seen["universe"], seen["clock"], seen["curve"]
    why = ", ".join(f"{row['trades']} {row['why']}" for row in seen["unmatched"]["why"]) or "none"
    for name, words in {
        "run": f"{seen['run_id']} ({seen['window']['scans']} scans)",
        "trades": f"{seen['label']}: {cleaned['rows']} rows of {cleaned['trade_ids']} trades, at most "
        f"{cleaned['most_rows']} of one; kept {cleaned['kept']}; dropped: {dropped}; notes: {notes}",
        "window": f"{trades['inside']} of {trades['n']} trades inside the run's scans, {trades['outside']} outside",
        "universe": f"{_percent(universe['share'])} on assets that the run decided on (N {universe['n']}); others: "
        f"{', '.join(row['asset'] for row in universe['assets'] if not row['is_covered']) or 'none'}",
        "co-located": f"{_percent(located['share'])} within 5 minutes on the same asset (N {located['n']}); "
        f"median gap {_short(located['gap_ms_median'])} ms",
        "not co-located": f"{why} (N {seen['unmatched']['n']})",
        "clock": f"{clocked['matched']} of {clocked['n']} match as they are, {clocked['matched_under_it']} under the "
        f"best other shift ({clocked['best_other_shift_ms'] / 3_600_000:+g} h)",
        "vel_div": f"{_percent(seen['vel_div']['share'])} the same as the journal's (N {seen['vel_div']['n']})",
        "leverage": f"{sizes['identical']} identical bit for bit of N {sizes['n']}; pearson "
        f"{_short(sizes['pearson'])}, largest error {_short(sizes['max_abs_err'])}, above 1.05: "
        f"{_percent(sizes['share_above'])}, below 0.95: {_percent(sizes['share_below'])}",
        "median curve": f"pearson {_short(curve['pearson'])}, largest error {_short(curve['max_abs_err'])} over "
        f"{len(curve['steps'])} steps (N {curve['n']})",
    }.items():
        out.print(f"{name:>15}  {words}")
    for title, rows in (
        ("nearest decision, where it is further than 5 minutes", located["outside"]),
        ("recorded against journaled leverage, by vel_div and dc_status", seen["buckets"]),
        ("median curve", curve["steps"]),
        (f"multipliers recovered (N {seen['recovery']['n']})", seen["recovery"]["bands"]),
    ):
        if rows:
            print_rows(rows, title)
    out.print(f"no verdict; trust {seen['trust']}", style="bold")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _short(value: Any) -> Any:
    """A figure in few digits; "-" where there are too few trades for one."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else value
