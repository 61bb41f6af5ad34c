"""violet scan: recorded bars in, an archive of scans and planes out, by the stand-in scanner."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from journal.refusal import Refusal
from lanes.profile import PROFILES
from reactor.cli.common import PATH, err
from reactor.cli.grouped import Grouped
from reactor.evaluate.record import SYMBOL_PATTERN
from reactor.feed import archive_writer, bar_shape, bar_table
from reactor.standin import bars, scanner

THRESHOLD: Final = PROFILES["blue_8b"].base.thr


@click.command(
    "scan", short_help="Turn recorded 1-minute bars into an archive of scans and planes.", cls=Grouped,
    groups={
        "Bars": ("klines", "preset", "map_file", "symbol", "unit", "zone", "step", "funding"),
        "The archive": ("out", "stream", "posture", "capital", "force"),
    },
)  # fmt: skip
@click.option(
    "--klines", required=True, multiple=True, help="Bars: a file, a folder, a pattern, or - ; may be repeated."
)
@click.option(
    "--preset", type=click.Choice(sorted(bar_shape.PRESETS)), metavar="NAME",
    help=f"Whose files they are: {', '.join(sorted(bar_shape.PRESETS))}.",
)  # fmt: skip
@click.option("--map", "map_file", type=PATH, help="TOML file that says which of their columns is which.")
@click.option("--symbol", help="Symbol of files that do not say it.")
@click.option("--unit", help="Unit of their times: s, ms, us, ns, several with commas, or auto.")
@click.option("--zone", help="Zone of their times where the text has none: UTC, +02:00, Europe/Vienna.")
@click.option("--step", default="1m", show_default=True, help="From one bar to the next; scans are made at this step.")
@click.option(
    "--funding", multiple=True, help="Funding rates, for the acb plane: as of --klines; Binance's dumps as they are."
)
@click.option("--out", required=True, type=PATH, help="Archive: .jsonl or .jsonl.zst.")
@click.option("--stream", default=scanner.ScannerParams().stream, show_default=True, help="Stream of the records.")
@click.option(
    "--posture", default=scanner.ScannerParams().posture, show_default=True, help="Posture plane of every day."
)
@click.option("--capital", default=scanner.ScannerParams().capital_usd, show_default=True, help="Capital in USD.")
@click.option("--force", is_flag=True, help="Replace an archive that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def command(
    *, klines: tuple[str, ...], preset: str | None, map_file: Path | None, symbol: str | None, unit: str | None,
    zone: str | None, step: str, funding: tuple[str, ...], out: Path, stream: str, posture: str, capital: float,
    force: bool, as_json: bool,
) -> None:  # fmt: skip
    """Turn recorded 1-minute bars into an archive: one scan a minute from bar 51 on, after its planes.

    This is a REFERENCE STAND-IN for the upstream scanner, and every scan says so. A scan bears the time at which its
    bars close. Bars are CSV, JSON, Parquet or Feather, plain or packed, in any order. Without --preset or --map they
    have the columns symbol, open_time_ms, high, low, close, volume; the rates symbol, funding_time_ms, funding_rate.

    \b
    violet scan --klines klines.parquet --funding funding.parquet --out scans.jsonl.zst
    violet scan --klines 'dumps/*-1m-*.zip' --preset binance-spot --out scans.jsonl.zst
    violet soak --scans scans.jsonl.zst
    """  # noqa: D301 - click reads \b, so the text is not raw
    archive_writer.check_target(out, force=force)
    shape, step_ms = _shape(preset, map_file, symbol, unit, zone), _step_ms(step)
    try:
        params = scanner.ScannerParams(stream=stream, posture=posture, capital_usd=capital, step_ms=step_ms)
    except ValueError as error:
        raise Refusal(f"{error}; fix: give another value") from None
    rates = bars.funding(funding) if funding else []
    read = bars.Bars(bar_table.files(klines), shape, step_ms)
    tally = Tally()
    with _progress(1 + (read.last_ms - read.first_ms) // step_ms) as shown, archive_writer.writing(out) as put:
        for record in scanner.scans(shown(iter(read)), rates, params):
            tally.add(record)
            put(archive_writer.encode(record))
        if not tally.scans:
            raise Refusal(f"{klines[0]} must hold at least {scanner.FIRST_BAR} bars; fix: give a longer window")
    for path in read.empty:
        click.echo(f"violet: {path} holds no row", err=True)
    summary = {"out": str(out), **tally.summary(), "bars": read.rows, "step": bars.duration(step_ms)}
    click.echo(json.dumps(summary) if as_json else _table(summary))


def _shape(
    preset: str | None, map_file: Path | None, symbol: str | None, unit: str | None, zone: str | None
) -> bar_shape.Shape:
    if preset and map_file:
        raise Refusal("--preset and --map both say what the files look like; fix: give one of them")
    shape = bar_shape.PRESETS[preset] if preset else bar_shape.OURS
    if map_file:
        try:
            shape = bar_shape.parse(map_file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(f"--map {map_file} cannot be read ({error}); fix: name a TOML file") from None
    if symbol is not None and not re.fullmatch(SYMBOL_PATTERN, symbol):
        raise Refusal(f"--symbol must match {SYMBOL_PATTERN}, was {symbol!r}; fix: --symbol BTCUSDT")
    units = () if unit is None else bar_shape.UNITS if unit == "auto" else tuple(unit.split(","))
    if wrong := [each for each in units if each not in bar_shape.UNITS]:
        raise Refusal(f"--unit must be of {', '.join(bar_shape.UNITS)} or auto, was {wrong[0]!r}; fix: --unit ms")
    return shape.given(symbol=symbol, units=units, mixed=unit != "auto", zone=zone)


def _step_ms(step: str) -> int:
    """A step such as 5m in milliseconds, a day at most."""
    sizes = {name: ms for ms, name in bars.STEP_NAMES}
    match = re.fullmatch(r"([1-9]\d{0,4})([smhd])", step)
    step_ms = int(match[1]) * sizes[match[2]] if match else 0
    if not 0 < step_ms <= bars.STEP_MAX_MS:
        raise Refusal(f"--step must be a duration up to 1d, was {step!r}; fix: --step 1m, or that of the bars")
    return step_ms


@dataclass(slots=True)
class Tally:
    """Counts over the records of an archive."""

    scans: int = 0
    planes: int = 0
    triggered: int = 0
    first_ms: int = 0
    last_ms: int = 0
    symbols: set[str] = field(default_factory=set)

    def add(self, record: Any) -> None:
        """Count one record."""
        if record["kind"] == "plane":
            self.planes += 1
            return
        self.scans += 1
        self.triggered += record["vel_div"] < THRESHOLD
        self.first_ms = self.first_ms or record["ts_ms"]
        self.last_ms = record["ts_ms"]
        self.symbols.update(record["prices"])

    def summary(self) -> dict[str, Any]:
        """For people and for --json; at least one scan."""
        return {
            "scanner": "stand-in",
            "scans": self.scans,
            "planes": self.planes,
            "first": bars.utc(self.first_ms),
            "last": bars.utc(self.last_ms),
            "triggered_share": self.triggered / self.scans,
            "symbols": sorted(self.symbols),
        }


def _table(summary: dict[str, Any]) -> str:
    shown = summary | {
        "scanner": "stand-in scanner, not BLUE's",
        "triggered_share": f"{summary['triggered_share']:.1%} of scans with vel_div < {THRESHOLD}",
        "symbols": " ".join(summary["symbols"]),
    }
    return "\n".join(f"{name.replace('_share', ''):<10} {value}" for name, value in shown.items())


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Yields what passes minutes through and shows how far they are."""
    columns = (TextColumn("scanning"), BarColumn(), MofNCompleteColumn(), TextColumn("bars"), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task("scanning", total=total)

        def shown(minutes: Iterator[bars.Minute]) -> Iterator[bars.Minute]:
            for n, minute in enumerate(minutes, 1):
                yield minute
                if n % 200 == 0 or n == total:
                    progress.update(task, completed=n)

        yield shown
