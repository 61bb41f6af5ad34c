"""`violet soak`: run a dark shadow soak to its end, or until Ctrl-C; the same command resumes it."""

import shlex
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import click

from journal.engine import owner
from journal.judge.gate import EXIT, HOLD
from journal.refusal import Refusal, of_machine
from journal.row import Batch
from journal.store import Store
from lanes.code import Outcome
from reactor.cli import value
from reactor.cli.common import PATH, err, json_option, out, print_json, program
from reactor.cli.grouped import Grouped
from reactor.cli.stream import foreign_code
from reactor.cli.terminal import Terminal, print_summary
from reactor.run.attend import log_of, soak
from reactor.run.session import Session
from reactor.run.settings import Settings, SoakSettings, load
from reactor.run.source import ArchiveSource, BrokerSource, Source
from reactor.run.stop import Stop
from reactor.standin.seeded import write_market
from reactor.watch.events import Events
from reactor.watch.observe import Beside, Observers
from reactor.web import beside

REFUSED: Final = 3
COMPARE_S: Final = 1.0  # between looks at what lanes' candidates gave
STAY_S: Final = 0.1  # between looks whether the page is to end


class Market(NamedTuple):
    """A seeded market: its file in the data directory, its seed, and how many scans of a minute each it has."""

    file: str = "market.jsonl.zst"
    seed: int = 20260614
    scans: int = 21_600  # 15 days


MARKET: Final = Market()


GROUPS: Final = {  # of the flags in --help
    "What is read": ("scans", "bootstrap_servers", "topic", "from", "until", "for", "speed"),
    "What is computed": ("profile", "topology", "lane_workers"),
    "What is kept": ("data", "name", "batch_size", "flush_ms", "keep_inputs"),
    "An earlier run": ("new", "new_segment", "accept_gap", "resume_halted"),
    "What is shown": ("web", "taps", "metrics_port", "sketches", "log_format", "as_json"),
}


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One click option for every field of SoakSettings, so that flags and file cannot drift apart."""
    kinds: dict[Any, Any] = {Path: PATH, Path | None: PATH, int: int, bool: bool}
    for name, field in reversed(SoakSettings.model_fields.items()):
        flag, kind = "--" + (field.alias or name).replace("_", "-"), kinds.get(field.annotation, str)
        names = f"{flag}/--no-{flag[2:]}" if kind is bool else flag  # it wins over the file, either way
        if get_origin(field.annotation) is Literal:
            kind = click.Choice(get_args(field.annotation))
        default = "" if field.default in (None, False) else f" [default: {field.default}]"
        command = click.option(
            names, field.alias or name, type=kind, default=None, is_flag=kind is bool,
            shell_complete=value.profiles if name == "profile" else None,
            help=f"{field.description}{default}",
        )(command)  # fmt: skip
    return command


@click.command("soak", cls=Grouped, groups=GROUPS)
@_options
@click.option("--config", type=PATH, help="TOML file with any of these flags; flags win over it.")
@json_option
def command(config: Path | None, as_json: bool, **flags: Any) -> None:
    """Run a dark shadow soak.

    With --scans FILE it publishes an archive into the embedded broker and soaks it to its end. With
    --bootstrap-servers and --topic it follows a topic. With neither it makes a synthetic market in the data directory
    and soaks that. Ctrl-C leaves the run STOPPED; the same command resumes it. Exit code: 0 PASS, 1 FAIL, 2 HOLD or
    stopped, 3 refused.

    \b
    violet soak
    violet soak --scans scans.jsonl.zst --data my-soak
    violet soak --bootstrap-servers 127.0.0.1:9092 --topic scans --keep-inputs 30d
    """  # noqa: D301 - click's mark for lines that are not to be filled
    given = {name: value for name, value in flags.items() if value is not None}
    raise SystemExit(run(load(given, config), as_json))


def run(
    settings: Settings, as_json: bool, seam: Callable[[str], None] = lambda name: None, market: Market = MARKET
) -> int:
    """Soak, print the summary, return the exit code.

    Args:
        settings: of the soak.
        as_json: print the summary as JSON.
        seam: called with every step of the ledger.
        market: what is soaked where the settings name neither an archive nor a topic.
    """
    for_collector = settings.soak.log_format == "json"
    events, quiet = Events(sys.stderr if for_collector else None, settings.soak.name), err.quiet
    err.quiet = for_collector or quiet  # lines for a collector, or words for people: not both
    try:
        return _run(settings, as_json, seam, events, market)
    except Exception as error:
        refusal = error if isinstance(error, Refusal) else of_machine(error)
        if refusal is None or not for_collector:
            raise
        events.flush()
        events.say("refused", "error", detail=str(refusal))
        return REFUSED
    finally:
        err.quiet = quiet


def _run(settings: Settings, as_json: bool, seam: Callable[[str], None], events: Events, market: Market) -> int:
    def warn(words: str) -> None:
        err.print(words, style="yellow")

    with ExitStack() as page:
        with foreign_code(), ExitStack() as stack:
            named = log_of(settings)
            if named is not None:
                stack.callback(named.close)
            stop = Stop(warn, is_open=False)
            observers = stack.enter_context(Observers(settings.soak, events, warn))
            undo = stack.enter_context(ExitStack())
            watcher = _Soaking(settings, observers, stop, undo, page if out.is_terminal and not as_json else None)
            result = soak(
                settings,
                watcher,
                source=lambda: watcher.topology(named or _market(settings, market, watcher.undo)),
                stop=stop,
                seam=seam,
            )
        events.summary(result)
        print_json(result) if as_json else print_summary(result)
        if settings.soak.web and not as_json:
            watcher.print_next()
            if out.is_terminal and not stop():
                err.print("the page stays until Ctrl-C")
                stop.over()
                while not stop():
                    time.sleep(STAY_S)
    return EXIT[HOLD] if result["state"] == "STOPPED" else EXIT[result["verdict"]]


class _Soaking(Terminal):
    """The terminal of a soak, with its page and its topology where it has them.

    Args:
        settings: of the soak.
        observers: who else watches it.
        stop: asked whether to end.
        undo: of a soak that did not begin.
        page: ends its page, where that outlives the soak; else the page ends with it.
    """

    def __init__(
        self, settings: Settings, observers: Observers, stop: Stop, undo: ExitStack, page: ExitStack | None
    ) -> None:
        super().__init__(settings.soak.name, observers)
        self._settings, self._stop, self.undo, self._page = settings, stop, undo, page
        self._compare: Callable[[Session], Beside] | None = None
        self._decision = ""

    def topology(self, source: ArchiveSource | BrokerSource) -> Source:
        """The source as it is, or with its lanes as workers: the one place that imports the topology for a soak."""
        if self._settings.soak.topology == "fused":
            return source
        from reactor.topology.compare import Comparison
        from reactor.topology.lane_source import LaneSource
        from reactor.topology.segments import LaneSegments

        modular = LaneSource(source, self._settings, LaneSegments)
        self._compare = lambda session: Comparison(modular, session.run)
        return modular

    def begin(self, session: Session, connect: Callable[[], Store], stack: ExitStack) -> None:
        self._stop.opened()
        self.undo.pop_all()
        super().begin(session, connect, stack)
        if self._compare is not None:
            self.observers.beside("canary", self._compare(session), COMPARE_S, connect)
        if self._settings.soak.web:
            soak = self._settings.soak
            if self._page is not None:
                self._page.callback(owner.wait_unused, soak.data)
            ends = self._page or stack
            ends.callback(beside.start(soak.data, session.run, self._settings.journal.address, _tell))

    def batch(self, batch: Batch) -> None:
        super().batch(batch)
        if len(offsets := batch.rows[Outcome.DECISION].offsets):
            self._decision = f"@{offsets[-1]}"

    def print_next(self) -> None:
        """Print what to type next, as it must be typed here."""
        data = shlex.quote(str(self._settings.soak.data))
        commands = ("web", f"explain {self._decision}" if self._decision else "status", "sql --saved clamps")
        for label, words in zip(("next", "", ""), commands, strict=True):
            out.print(f"{label:>20}  {program()} {words} --data {data}")


def _tell(words: str) -> None:
    err.print(words, soft_wrap=True)


def _market(settings: Settings, market: Market, undo: ExitStack) -> ArchiveSource:
    """The seeded market of the data directory, made where it is missing."""
    soak = settings.soak
    path = soak.data / market.file
    if not path.exists():
        err.print(f"making a seeded market of {market.scans} scans in {path}")
        undo.callback(path.unlink, missing_ok=True)
        write_market(path, market.seed, market.scans)
    return ArchiveSource(path, soak.name, soak.speed, soak.data, seeded=True)
