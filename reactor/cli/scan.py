"""violet scan: recorded bars in, an archive of scans and planes out, by the stand-in scanner."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from journal.refusal import Refusal
from lanes.profile import PROFILES
from reactor.cli.common import PATH, engine
from reactor.feed import archive_writer
from reactor.standin import bars, scanner

THRESHOLD: Final = PROFILES["blue_8b"].base.thr


@click.command("scan", short_help="Turn recorded 1-minute bars into an archive of scans and planes.")
@click.option("--klines", required=True, type=PATH, help="Bars: Parquet, or CSV with a header.")
@click.option("--funding", type=PATH, help="Funding rates, for the acb plane.")
@click.option("--out", required=True, type=PATH, help="Archive: .jsonl or .jsonl.zst.")
@click.option("--stream", default=scanner.ScannerParams().stream, show_default=True, help="Stream of the records.")
@click.option(
    "--posture", default=scanner.ScannerParams().posture, show_default=True, help="Posture plane of every day."
)
@click.option("--capital", default=scanner.ScannerParams().capital_usd, show_default=True, help="Capital in USD.")
@click.option("--force", is_flag=True, help="Replace an archive that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def command(
    *, klines: Path, funding: Path | None, out: Path, stream: str, posture: str, capital: float, force: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Turn recorded 1-minute bars into an archive: one scan a minute from bar 51 on, after its planes.

    This is a REFERENCE STAND-IN for the upstream scanner, and every scan says so. The bars need the columns
    symbol, open_time_ms, open, high, low, close, volume; the rates symbol, funding_time_ms, funding_rate.

    \b
    violet scan --klines klines.parquet --funding funding.parquet --out scans.jsonl.zst
    violet soak --scans scans.jsonl.zst
    """  # noqa: D301 - click reads \b, so the text is not raw
    archive_writer.check_target(out, force=force)
    try:
        params = scanner.ScannerParams(stream=stream, posture=posture, capital_usd=capital)
    except ValueError as error:
        raise Refusal(f"{error}; fix: give another value") from None
    tally = Tally()
    with engine() as blocks:
        minutes = bars.klines(klines, blocks)
        rates = list(bars.funding(funding, blocks)) if funding else []  # the engine streams one answer at a time
        with _progress(bars.minutes_in(klines, blocks)) as shown, archive_writer.writing(out) as put:
            for record in scanner.scans(shown(minutes), rates, params):
                tally.add(record)
                put(archive_writer.encode(record))
            if not tally.scans:
                raise Refusal(f"{klines} must hold at least {scanner.FIRST_BAR} minutes; fix: give a longer window")
    summary = {"out": str(out), **tally.summary()}
    click.echo(json.dumps(summary) if as_json else _table(summary))


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
    columns = (TextColumn("scanning"), BarColumn(), MofNCompleteColumn(), TextColumn("minutes"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("scanning", total=total)

        def shown(minutes: Iterator[bars.Minute]) -> Iterator[bars.Minute]:
            for n, minute in enumerate(minutes, 1):
                yield minute
                if n % 200 == 0 or n == total:
                    progress.update(task, completed=n)

        yield shown
