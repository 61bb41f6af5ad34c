"""`violet contract`: what a comparison with BLUE holds fixed, before anybody looks at a figure."""

import os
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from journal.blue import anchor
from journal.blue.contract import (
    Allowed,
    Contract,
    Floors,
    Margins,
    Pairing,
    Window,
    checked,
    differences,
    following,
    read,
)
from journal.blue.intake import LABELS, REAL, STANDIN
from journal.ledger import run as runs
from journal.ledger.run import Run
from journal.refusal import Refusal
from journal.store import Store
from reactor.cli.common import (
    PATH,
    broker,
    data_option,
    has_journal,
    journal,
    json_option,
    out,
    print_json,
    run_argument,
    write,
)
from reactor.cli.grouped import Grouped
from reactor.evaluate.record import SYMBOL_PATTERN
from reactor.log.outlet import keep
from reactor.run.provenance import wheel
from reactor.run.settings import instant, span_s
from reactor.tap.reading import is_tap_topic

PAIRING: Final = Pairing(tolerance_ms=300_000, clock_ms=30_000)
MARGINS: Final = Margins(leverage=0.1, notional=0.02)
FLOORS: Final = Floors(pairs=1, pair_rate=0.95, scans=0.99)
ALPHA: Final = 0.05
_FLAGS: Final = {
    "window.from_ms": "--from", "window.to_ms": "--to", "pairing.tolerance_ms": "--tolerance",
    "pairing.clock_ms": "--clock", "margins.leverage": "--margin-leverage", "margins.notional": "--margin-notional",
    "alpha": "--alpha", "floors.pairs": "--floor-pairs", "floors.pair_rate": "--floor-rate",
    "floors.scans": "--floor-scans",
}  # fmt: skip
_TOPIC: Final = re.compile(r"violet\.[A-Za-z0-9._-]{1,200}")
against_option = click.option(
    "--against", type=click.Choice(["blue"]), required=True, expose_value=False,
    help="With what the run is compared: blue.",
)  # fmt: skip


@click.group("contract")
def command() -> None:
    """What a comparison with BLUE holds fixed, as one document that its hash names.

    It is kept in the journal when it is made, best before its window opens. Only a contract that is there counts.

    \b
    violet contract new latest --against blue -o contract.json --data my-soak
    violet contract show contract.json --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled


@command.command("new", cls=Grouped, groups={
    "What is compared": ("against", "from_", "until", "label", "universe", "allow"),
    "Pairs": ("tolerance", "clock", "floor_pairs", "floor_rate", "floor_scans"),
    "Verdict": ("margin_leverage", "margin_notional", "alpha"),
    "The document": ("to", "follows", "anchor_topic", "bootstrap_servers"),
})  # fmt: skip
@run_argument
@against_option
@click.option("-o", "--out", "to", type=PATH, required=True, help="File of the contract; it must not exist yet.")
@click.option("--from", "from_", metavar="TIME", help="Begin of the window.  [default: the run's first scan]")
@click.option("--to", "until", metavar="TIME", help="End of the window, itself not in it.  [default: the last scan]")
@click.option("--label", type=click.Choice(LABELS), help="Whose trades.  [default: REAL, without any STAND-IN]")
@click.option("--universe", metavar="A,B,C", help="Assets.  [default: those that the run decided on]")
@click.option("--tolerance", metavar="SPAN", help="Largest gap of a pair.  [default: 5m]")
@click.option("--clock", metavar="SPAN", help="How far BLUE's clock may be off.  [default: 30s]")
@click.option("--margin-leverage", type=float, help=f"Mean difference of leverage.  [default: {MARGINS.leverage}]")
@click.option(
    "--margin-notional", metavar="SHARE",
    help=f"Mean difference of notional, as a share of the capital, or none.  [default: {MARGINS.notional}]",
)  # fmt: skip
@click.option("--alpha", type=float, help=f"Share of wrong verdicts that is borne.  [default: {ALPHA}]")
@click.option("--floor-pairs", type=int, help=f"Least pairs.  [default: {FLOORS.pairs}]")
@click.option(
    "--floor-rate", type=float, help=f"Share of trades that pair, in each group.  [default: {FLOORS.pair_rate}]"
)
@click.option("--floor-scans", type=float, help=f"Share of scans that are there.  [default: {FLOORS.scans}]")
@click.option("--allow", type=PATH, help="TOML file of [[allowed]]: known differences with reason and expires.")
@click.option("--follows", metavar="HASH", help="Contract that it goes on from, or none.  [default: the last one]")
@click.option("--anchor-topic", metavar="TOPIC", help="Keep it in this topic too; its name begins with `violet.`.")
@click.option("--bootstrap-servers", metavar="HOST:PORT", help="Broker of --anchor-topic, or that of --config.")
@data_option
@json_option
def new(run_id: str | None, to: Path, data: Path, as_json: bool, **given: Any) -> None:
    """Write a contract for RUN, and keep it in the journal. Without RUN: the latest run.

    It goes on from the last contract of the same soak, whose terms it takes where no option says otherwise.

    \b
    violet contract new latest --against blue -o contract.json --data my-soak
    violet contract new --against blue --from 2026-06-01 --to 2026-06-08 -o week.json --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if os.path.lexists(to):
        raise Refusal(f"{to} must not exist yet; fix: name another file for the contract")
    asked = Asked(given)
    with journal(data) as store:
        run = runs.pick(store, run_id)
        label = anchor.label_of(given["label"] or _label(store))
        before = _before(store, run, label, given["follows"])
        contract = anchor.made(store, run, label, asked.window(store, run, label), asked.terms(before), wheel())
        contract = checked(following(contract, before), _FLAGS)
        if topic := given["anchor_topic"]:
            _keep(topic, given["bootstrap_servers"], run, contract)
        row = anchor.anchor(store, contract, run.name, topic or "")
    write(to, contract.text)
    _show(contract, row, as_json)


@command.command("show")
@click.argument("contract", metavar="FILE|HASH")
@data_option
@json_option
def show(contract: str, data: Path, as_json: bool) -> None:
    """Show a contract, and since when the journal has it.

    \b
    violet contract show contract.json --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    path = Path(contract)
    found = _read(path) if path.is_file() else None
    row = None
    if found is None or has_journal(data):
        with journal(data, reads=True) as store:
            row = anchor.find(store, found.hash if found is not None else contract)
    if found is None and row is None:
        raise Refusal(f"{contract}: must be a file, or the hash of one contract of this journal; fix: name one")
    _show(found or anchor.contract_of(row or {}), row, as_json)


@command.command("check")
@click.argument("file", type=PATH)
@data_option
@json_option
def check(file: Path, data: Path, as_json: bool) -> None:
    """Check a contract.

    Its form, that the journal has it, and what it says of the contract before it.

    \b
    violet contract check contract.json --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    contract = _read(file)
    with journal(data, reads=True) as store:
        row = anchor.require(store, contract)
        if follows := contract.lineage.follows:
            before = anchor.find(store, follows)
            if before is None:
                raise Refusal(f"{file}: follows {follows[:12]}, which is not in this journal; fix: make a new contract")
            changed = differences(contract, anchor.contract_of(before))
            if changed != contract.lineage.changed:
                raise Refusal(
                    f"{file}: lineage.changed must be {list(changed)}, was {list(contract.lineage.changed)}; "
                    "fix: make a new contract"
                )
    _show(contract, row, as_json)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options of `violet contract new` say."""

    given: dict[str, Any]

    def window(self, store: Store, run: Run, label: anchor.LABEL) -> Window | None:
        """The window; an end that is not said is that of the run's scans."""
        first, last = (_time(flag, self.given[name]) for flag, name in (("--from", "from_"), ("--to", "until")))
        if first is None and last is None:
            return None
        if first is None or last is None:
            seen = anchor.seen(store, run.run_id)
            if seen is None:
                raise Refusal(f"run {run.run_id} journaled no scan yet; fix: say both --from and --to")
            first, last = (seen[0] if first is None else first), (seen[1] + 1 if last is None else last)
        if first >= last:
            raise Refusal("--from must be before --to; fix: swap them")
        return Window(from_ms=first, to_ms=last)

    def terms(self, before: Contract | None) -> anchor.Terms:
        """The terms: as said, else as in the contract before, else the defaults."""
        was = before or _Defaults
        notional = was.margins.notional if (text := self.given["margin_notional"]) is None else _notional(text)
        universe = before.universe if before else None
        return anchor.Terms(
            universe=universe if self.given["universe"] is None else _universe(self.given["universe"]),
            pairing=Pairing(
                tolerance_ms=_span("--tolerance", self.given["tolerance"], was.pairing.tolerance_ms),
                clock_ms=_span("--clock", self.given["clock"], was.pairing.clock_ms),
            ),
            margins=Margins(leverage=self._or("margin_leverage", was.margins.leverage), notional=notional),
            alpha=self._or("alpha", was.alpha),
            floors=Floors(
                pairs=self._or("floor_pairs", was.floors.pairs), pair_rate=self._or("floor_rate", was.floors.pair_rate),
                scans=self._or("floor_scans", was.floors.scans),
            ),
            allowed=_allowed(self.given["allow"]) if self.given["allow"] else was.allowed,
        )  # fmt: skip

    def _or(self, name: str, default: Any) -> Any:
        return default if self.given[name] is None else self.given[name]


class _Defaults:
    pairing, margins, alpha, floors = PAIRING, MARGINS, ALPHA, FLOORS
    allowed: tuple[Allowed, ...] = ()


def _label(store: Store) -> str:
    return REAL if anchor.has_trades(store, REAL) or not anchor.has_trades(store, STANDIN) else STANDIN


def _before(store: Store, run: Run, label: str, follows: str | None) -> Contract | None:
    if follows == "none":
        return None
    if follows is None:
        return anchor.last(store, run.name, label)
    if (row := anchor.find(store, follows)) is None:
        raise Refusal(f"--follows {follows}: must be the hash of one contract of this journal; fix: name one, or none")
    return anchor.contract_of(row)


def _keep(topic: str, bootstrap: str | None, run: Run, contract: Contract) -> None:
    if not _TOPIC.fullmatch(topic) or is_tap_topic(topic) or topic == run.source.get("topic"):
        raise Refusal(
            f"--anchor-topic {topic}: must begin with `violet.` and be no topic that is read or tapped; "
            "fix: violet.contracts"
        )
    if not (connection := broker(bootstrap)).bootstrap_servers:
        raise Refusal("--anchor-topic must have a broker; fix: --bootstrap-servers HOST:PORT")
    keep(connection, topic, "violet-contract", contract.hash.encode(), contract.text)


def _read(path: Path) -> Contract:
    try:
        return read(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise Refusal(f"{path} is not there; fix: a file of `violet contract new`") from None


def _time(flag: str, text: str | None) -> int | None:
    try:
        return None if text is None else int(instant(text).timestamp() * 1e3)
    except ValueError:
        raise Refusal(f"{flag} must be a time such as 2025-05-04T15:33Z, was {text!r}; fix: write it so") from None


def _span(flag: str, text: str | None, default: int) -> int:
    try:
        return default if text is None else round(span_s(text) * 1e3)
    except ValueError as error:
        raise Refusal(f"{flag} {text}: {error}; fix: write it so") from None


def _universe(text: str) -> tuple[str, ...]:
    names = {name.strip() for name in text.split(",")}
    if strange := sorted(name for name in names if not re.fullmatch(SYMBOL_PATTERN, name)):
        raise Refusal(f"--universe {text}: each must match {SYMBOL_PATTERN}, was {strange[0]!r}; fix: BTCUSDT,ETHUSDT")
    return tuple(sorted(names))


def _notional(text: str) -> float | None:
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise Refusal(f"--margin-notional must be a number or none, was {text!r}; fix: 0.02") from None


def _allowed(path: Path) -> tuple[Allowed, ...]:
    try:
        given = tomllib.loads(path.read_text("utf-8"))
        allowed = msgspec.convert(given, dict[str, tuple[Allowed, ...]])["allowed"]
        for each in allowed:
            date.fromisoformat(each.expires)
        return allowed
    except (OSError, ValueError, KeyError) as error:  # of the encoding, of TOML, of a field and of a day
        raise Refusal(
            f"--allow {path}: must be TOML of [[allowed]] with kind, reason and expires ({error}); fix: mend it"
        ) from None


def _show(contract: Contract, row: Any, as_json: bool) -> None:
    anchored = None if row is None else row["anchored_at"]
    document = msgspec.to_builtins(contract)
    if as_json:
        print_json({
            "contract_hash": contract.hash, "anchored_at": anchored, "is_before": row and bool(row["is_before"]),
            "is_open": contract.is_open, "contract": document,
        })  # fmt: skip
        return
    before = "" if row is None else ", before its window opened" if row["is_before"] else ", after its window opened"
    out.print(f"{'contract':>16}  {contract.hash}", style="bold")
    out.print(f"{'anchored':>16}  {f'{anchored:%Y-%m-%d %H:%M:%S} UTC{before}' if anchored else 'not in this journal'}")
    for name, value in document.items():
        if name in ("format", "params"):
            continue
        out.print(f"{name:>16}  {value if isinstance(value, str | float) else msgspec.json.encode(value).decode()}")
    out.print(f"{'params':>16}  {contract.params.profile} {contract.params.hash}")
