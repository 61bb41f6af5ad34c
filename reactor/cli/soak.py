"""`violet soak`: run a dark shadow soak to its end, or until Ctrl-C; the same command resumes it."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from journal.engine.owner import Address, ensure
from journal.judge.day import Day
from journal.judge.gate import EXIT, HOLD, summary
from journal.judge.health import DISK_DEGRADED, DISK_HALT, DISK_TAPS
from journal.keep import backup
from journal.keep.migrate import migrate
from journal.ledger.ledger import Ledger
from journal.ledger.pruned import Pruned
from journal.lock import Lock
from journal.refusal import Refusal
from journal.row import Batch
from journal.store import JournalAway, JournalRefused, Store, connect
from lanes.code import Incident, Mode, Outcome, Severity
from reactor.cli.common import err, json_option, out, print_json
from reactor.log.kafka import BrokerFailed, LogGap
from reactor.run import foreign as kernels
from reactor.run import session as sessions
from reactor.run.settings import JournalSettings, Settings, SoakSettings, load, span_s
from reactor.run.source import ArchiveSource, BrokerSource, Source, reread
from reactor.run.upkeep import Upkeep
from reactor.standin.seeded import write_market
from reactor.tap.writer import Taps
from reactor.topology.join import Contradiction
from reactor.topology.lane_source import LaneSource
from reactor.watch.events import Events
from reactor.watch.observe import Observers
from reactor.web import process as pages

T = TypeVar("T")
MARKET: Final = "market.jsonl.zst"
MARKET_SEED: Final = 20260614
MARKET_SCANS: Final = 21_600  # 15 days of minutes
WATCH_S: Final = 5.0
AWAY_S: Final = 10.0
MIGRATE_S: Final = 60.0  # waited for another soak's
REFUSED: Final = 3
OPENINGS: Final = 3  # times that an engine may end while a run is opened: killed, or with the soak that began it


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One click option for every field of SoakSettings, so that flags and file cannot drift apart."""
    for name, field in reversed(SoakSettings.model_fields.items()):
        flag = "--" + (field.alias or name).replace("_", "-")
        kind: Any = Path if field.annotation in (Path, Path | None) else int if field.annotation is int else str
        default = "" if field.default in (None, False) else f" [default: {field.default}]"
        command = click.option(
            flag, field.alias or name, type=click.Path(path_type=Path) if kind is Path else kind, default=None,
            is_flag=field.annotation is bool, help=f"{field.description}{default}",
        )(command)  # fmt: skip
    return command


@click.command("soak")
@_options
@click.option("--config", type=click.Path(path_type=Path), help="TOML file; flags win over it.")
@json_option
def command(config: Path | None, as_json: bool, **flags: Any) -> None:
    """Run a dark shadow soak.

    With --scans FILE it publishes an archive into the embedded broker and soaks it to its end. With
    --bootstrap-servers and --topic it follows a topic. Alone it makes a seeded market in the data directory and soaks
    that. Ctrl-C leaves the run Stopped; the same command resumes it. Exit code: 0 PASS, 1 FAIL, 2 HOLD or stopped,
    3 refused.
    """
    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    raise SystemExit(run(load(given, config), as_json))


def run(settings: Settings, as_json: bool, seam: Callable[[str], None] = lambda name: None) -> int:
    """Soak, print the summary, return the exit code. `seam` hears every step of the ledger."""
    told = settings.soak.log_format == "json"
    events, quiet = Events(sys.stderr if told else None, settings.soak.name), err.quiet
    err.quiet = told or quiet  # lines for a collector, or words for people: not both
    try:
        return _run(settings, as_json, seam, events)
    except Refusal as refusal:
        if not told:
            raise
        events.flush()
        events.say("refused", "error", detail=str(refusal))
        return REFUSED
    finally:
        err.quiet = quiet


def _run(settings: Settings, as_json: bool, seam: Callable[[str], None], events: Events) -> int:
    soak, data = settings.soak, settings.soak.data
    if data.exists() and not data.is_dir():
        raise Refusal(f"--data {data}: is a file; fix: name a directory")
    faust = soak.topology == "faust"
    if not faust or soak.lane_workers:
        kernels.load(settings.profile)  # refused here, before anything on disk is touched
    with ExitStack() as stack:
        given = _given(settings, stack)
        observers = stack.enter_context(Observers(soak, events, lambda words: err.print(words, style="yellow")))
        stack.enter_context(Lock.acquire(data / "locks" / f"soak-{soak.name}.lock"))
        stop = Stop()
        journal = Journal(data, settings.journal, stack)
        journal.migrate(partial(sessions.same_code, settings))
        plain = given or _market(settings)
        source: Source = LaneSource(plain, settings) if faust else plain
        session = journal.steady(
            lambda store: sessions.Session(
                settings, store, source,
                lambda run_id: Ledger(
                    store, run_id, partial(reread, source), revive=journal.revive, seam=seam, told=events.incident
                ),
            )
        )  # fmt: skip
        observers.begin(session, source, journal.beside)
        if soak.web:
            stack.callback(pages.start(data, session.run, settings.journal.address, _page))
        result = attend(session, source, stop, soak, observers)
        events.summary(result)
        if as_json:
            print_json(result)
        else:
            print_summary(result)
            if soak.web:
                out.print(f"{'look at it':>20}  violet web --data {data}")
    return EXIT[HOLD] if result["state"] == "STOPPED" else EXIT[result["verdict"]]


def attend(
    session: sessions.Session, source: Source, stop: "Stop", soak: SoakSettings, observers: Observers
) -> dict[str, Any]:
    """Read a session to its end or until told to stop, under a progress bar; the run's summary."""

    def say(what: Day | str) -> None:
        err.print(str(what), style="dim")
        observers.events.upkeep(what)

    keep_s = span_s(soak.keep_inputs) if soak.keep_inputs else None
    upkeep = Upkeep(session.ledger, session.run, keep_s, say)
    watch = _Watch(stop, source, session.ledger, soak.data, upkeep, session.taps, observers)
    try:
        with _Bar(soak.name) as bar:

            def batch(batch: Batch) -> None:
                bar.batch(batch)
                observers.batch(batch)

            session.read(watch, sessions.Progress(bar.expect, batch, observers.lap))
    except (sessions.Integrity, Contradiction, JournalRefused, _DiskFull) as error:
        session.halt(str(error))
        err.print(f"HALTED: {error}", style="bold red")
        observers.mode(Mode.HALTED)
    except (LogGap, BrokerFailed) as error:
        session.stop(str(error))
        raise Refusal(
            f"{error}; the run is Stopped; fix: look at the log, then resume (--accept-gap for a gap)"
        ) from None
    finally:
        session.taps.close()
        observers.rest()
        source.close()
    result = session.ledger.insist(lambda store: summary(store, session.run))
    taps = session.taps
    told = {lane: {"sent": taps.sent[lane], "dropped": taps.dropped[lane]} for lane in taps.lanes}
    return result | {"taps": told} if told else result


def _page(address: str) -> None:
    err.print(f"its page, for one browser: {address}", soft_wrap=True)


def _given(settings: Settings, stack: ExitStack) -> ArchiveSource | BrokerSource | None:
    """The archive or the topic that was named, read or reached before anything on disk is touched."""
    soak = settings.soak
    if soak.scans is not None:
        return ArchiveSource(soak.scans, soak.name, soak.speed, soak.data)
    if soak.bootstrap_servers is None:
        return None
    source = BrokerSource(soak.bootstrap_servers, soak.topic or "", soak.name)
    stack.callback(source.close)
    return source


def _market(settings: Settings) -> ArchiveSource:
    """The seeded market of the data directory, made where it is missing."""
    soak = settings.soak
    path = soak.data / MARKET
    if not path.exists():
        err.print(f"making a seeded market of {MARKET_SCANS} scans in {path}")
        write_market(path, MARKET_SEED, MARKET_SCANS)
    return ArchiveSource(path, soak.name, soak.speed, soak.data, seeded=True)


class Journal:
    """The journal's address: the directory's engine, started where none runs and again where it died, or a server."""

    def __init__(self, data: Path, remote: JournalSettings, stack: ExitStack) -> None:
        self._data, self._stack, self._remote = data, stack, remote
        self.store = self._connect()

    def migrate(self, check: Callable[[Store], None] = lambda store: None) -> None:
        """Bring the tables up to this version, a backup first. check: refuses before them what would be after them.

        One soak at a time: a view that is replaced is away for an instant.
        """

        def current(store: Store) -> None:
            def backup_first(name: str) -> None:
                check(store)
                self._backup(name)

            migrate(store, backup_first)

        with Lock.acquire(self._data / "locks" / "migrate.lock", MIGRATE_S):
            self.steady(current)

    def steady(self, call: Callable[[Store], T]) -> T:
        """A call before there is a ledger to insist: again where the directory's engine ended under it."""
        for _ in range(OPENINGS):
            try:
                return call(self.store)
            except JournalAway:
                if self._remote.url is not None:
                    raise
                self.store = self._connect()
        return call(self.store)

    def revive(self) -> Store | None:
        """A store on an engine that answers, or None while there is none."""
        try:
            return self._connect()
        except Refusal:
            return None

    def _backup(self, name: str) -> None:
        """Keep the journal as it is before migrations change it."""
        if self._remote.url is not None:
            backup.remote(self.store, name)
        else:
            backup.alone(self._data)
            err.print(f"the journal is migrated; as it was it stays in {backup.link(self._data, name)}")

    def beside(self) -> Store:
        """Another connection to where this one goes, for another thread."""
        return connect(self._address)

    def _connect(self) -> Store:
        self._address = self._ensure()
        return connect(self._address)

    def _ensure(self) -> Address:
        """The server's address, or that of the directory's engine, which is started where none runs."""
        if (server := self._remote.address) is not None:
            return server
        address, engine = ensure(self._data)
        if engine is not None:
            self._stack.callback(engine.close)
        return address


class Stop:
    """Ctrl-C and SIGTERM: the first drains, the second ends the process and its children at once."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on)

    def _on(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            os._exit(EXIT[HOLD])  # the broker and the feeder die with us; the engine sees that it is alone
        self.asked = True
        err.print("stopping: journaling what was read; once more stops at once", style="yellow")


class _DiskFull(Exception):
    """The disk is so full that an outcome could be lost."""


class _Watch:
    """Asked between polls: whether to stop. Sees to feeder, broker, disk and upkeep; notes a change of mode."""

    def __init__(
        self,
        stop: Stop,
        source: Source,
        ledger: Ledger,
        data: Path,
        upkeep: Upkeep,
        taps: Taps,
        observers: Observers,
    ) -> None:
        self._stop, self._source, self._ledger, self._data, self._upkeep = stop, source, ledger, data, upkeep
        self._taps, self._observers = taps, observers
        self._next = 0.0
        self._degraded = False

    def __call__(self) -> bool:
        if (now := time.monotonic()) >= self._next:
            if not self._next and self._taps.lanes:
                err.print(f"taps on {self._source.bootstrap}: {', '.join(self._taps.topics.values())}", style="dim")
            if not self._next and isinstance(self._source, LaneSource):
                err.print(f"lanes on {self._source.bootstrap}, topic {self._source.topic}", style="dim")
            self._next = now + WATCH_S
            self._source.check()
            self._disk()
            self._taps.tell(self._ledger.note)
            self._upkeep()
            self._observers.look()
        if (outage_s := self._source.take_outage()) is not None:
            self._ledger.note(Severity.WARN, Incident.BROKER_AWAY, f"the broker was away for {outage_s:.1f} s")
        if isinstance(self._source, LaneSource):
            for severity, code, detail, lanes in self._source.take_notes():
                self._ledger.note(severity, code, detail, lanes=lanes)
        return self._stop.asked

    def _disk(self) -> None:
        usage = shutil.disk_usage(self._data)
        used = usage.used / usage.total
        if used >= DISK_HALT:
            raise _DiskFull(
                f"the disk of {self._data} is {used:.0%} full; from {DISK_HALT:.0%} on nothing is journaled"
            )
        self._taps.paused = used >= DISK_TAPS
        if (used >= DISK_DEGRADED) is not self._degraded:
            self._degraded = not self._degraded
            mode = Mode.DEGRADED if self._degraded else Mode.RUN
            words = "DEGRADED" if self._degraded else "RUN again"
            self._ledger.note(Severity.WARN, Incident.DISK_SHORT, f"{words}: the disk is {used:.0%} full", mode=mode)
            self._observers.mode(mode)


class _Bar:
    """Progress for people on standard error; on a pipe a line now and then."""

    def __init__(self, name: str) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
        )
        self._bar = Progress(*columns, TimeRemainingColumn(), console=err, disable=not err.is_terminal)
        self._name, self._said = name, time.monotonic()
        self._counts = dict.fromkeys(Outcome, 0)
        self._done = 0
        self._total: int | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def expect(self, total: int | None, behind: int) -> None:
        self._total = total
        self._task = self._bar.add_task(self._name, total=total, said="")
        if behind:
            err.print(f"resuming behind offset {behind}", style="dim")

    def batch(self, batch: Batch) -> None:
        for kind, rows in batch.rows.items():
            self._counts[kind] += len(rows)
            self._done += len(rows)
        said = f"{self._counts[Outcome.DECISION]} decisions, {self._counts[Outcome.REJECT]} rejects"
        self._bar.update(self._task, completed=self._done, said=said)
        if not err.is_terminal and time.monotonic() - self._said > WATCH_S:
            self._said = time.monotonic()
            err.print(f"{self._name}: {self._done} of {self._total or '?'} records, {said}")


def print_summary(result: dict[str, Any]) -> None:
    """The summary of a run for people."""
    style = {"PASS": "bold green", "FAIL": "bold red"}.get(result["verdict"], "bold yellow")
    for name in ("run_id", "state", "profile", "records", "decisions", "evaluations", "planes", "rejects", "lost",
                 "doubled", "corrupt", "skipped", "coverage", "time_coverage", "scan_gaps", "longest_silence_ms",
                 "orders", "content_hash", "trust"):  # fmt: skip
        out.print(f"{name:>20}  {result[name]}")
    for lane, counts in result.get("taps", {}).items():
        out.print(f"{'tap ' + lane:>20}  {counts['sent']} readings sent, {counts['dropped']} dropped")
    for each in result["pruned"]:
        out.print(f"{'dropped by age':>20}  {Pruned(**each)}")
    for segment in result["segments"]:
        for clause in segment["clauses"]:
            out.print(f"{'segment ' + str(segment['segment']):>20}  {clause['verdict']}: {clause['name']} "
                      f"({clause['formula']}) is {clause['figure']}, must be {clause['bound']}")  # fmt: skip
    out.print(f"{result['verdict']} ({result['verdict_basis']})", style=style)
