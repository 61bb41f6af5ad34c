"""`violet demo`: a market made up on the spot, soaked at a pace that people can watch, with its page."""

from pathlib import Path
from typing import Final

import click

from reactor.cli.common import PATH
from reactor.cli.soak import MARKET, run
from reactor.run.settings import load

SCANS: Final = 10  # a second; each is a minute of the market. In the first 600 every lane moves and every bound binds.


@click.command("demo")
@click.option(
    "--minutes", type=click.FloatRange(0.1, 240), default=10, show_default=True, help="How long it lasts, about."
)
@click.option(
    "--data", type=PATH, default=Path("violet-demo"), show_default=True, help="Data directory; a new run each time."
)
def command(minutes: float, data: Path) -> None:
    """Soak a synthetic market with 10 scans a second, and show its page, for as many minutes as you want.

    The market is made up, and so are its scanner and four of the lanes' kernels: nothing here says anything of BLUE. In
    a terminal the page stays after the end until Ctrl-C. Exit code: that of `violet soak`.

    \b
    violet demo
    violet demo --minutes 60 --data my-demo
    """  # noqa: D301 - click's mark for lines that are not to be filled
    scans = round(minutes * 60 * SCANS)
    settings = load({"data": data, "name": "demo", "speed": f"{60 * SCANS}x", "web": True, "new": True})
    market = MARKET._replace(file=f"demo-{scans}.jsonl.zst", scans=scans)
    raise SystemExit(run(settings, as_json=False, market=market))
