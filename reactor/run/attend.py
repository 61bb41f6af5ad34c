"""Attend: a soak from its settings to its summary, for a command, a notebook or a program of one's own.

It starts the engine and the broker that it needs and ends them before it returns, prints nothing, and takes no signal.
A `Watcher` is called while it runs. See docs/design/running.md.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from journal import directory
from journal.blue import trust
from journal.engine.owner import ensure
from journal.judge.day import Day
from journal.judge.gate import summary
from journal.judge.health import DISK_DEGRADED, DISK_HALT, DISK_TAPS
from journal.keep import backup
from journal.keep.migrate import migrate
from journal.keep.origin import held, note
from journal.ledger import claim as claims
from journal.ledger import run as runs
from journal.ledger.claim import Beat, Claim, Fenced
from journal.ledger.incident import Note
from journal.ledger.ledger import Ledger
from journal.ledger.patience import JournalGone, Outage, Revived
from journal.ledger.steady import CLOCK, STILL_S
from journal.lock import Lock, soak_lock
from journal.refusal import Integrity, Refusal
from journal.row import Batch
from journal.store import JournalAway, JournalRefused, JournalTooLarge, Store, connect
from lanes.code import Incident, Mode, Severity
from reactor.log.darkness import in_words
from reactor.log.kafka import LogGap
from reactor.log.presence import Absence
from reactor.log.scout import LogChanged
from reactor.run import foreign
from reactor.run.proving import Proving
from reactor.run.resume import same_code
from reactor.run.session import Session
from reactor.run.settings import JournalSettings, Settings, span_s
from reactor.run.source import ArchiveSource, BrokerSource, Source, reread
from reactor.run.upkeep import Doubt, Upkeep

T = TypeVar("T")
S = TypeVar("S", bound=Session)
CLOCK_FILE: Final = "clock.json"  # what the soaks of a directory know of the wall clock
KEEP_S: Final = 60.0  # between two notes of what the clock did
LOOK_S: Final = 5.0  # between looks at children, disk, taps and upkeep
MIGRATE_S: Final = 60.0  # waited for another soak's migration
OPENINGS: Final = 3  # times that an engine may end while a run is opened: killed, or with the soak that began it


class Watcher:
    """What a soak calls while it runs, all of it in the thread that reads; override what is wanted.

    What a method raises ends the soak, and the run can be resumed.
    """

    def begin(self, session: Session, connect: Callable[[], Store], stack: ExitStack) -> None:
        """The run is open and nothing of it is read yet.

        Args:
            session: the run, its segment, source, ledger and taps.
            connect: gives another connection to the journal, for a thread of one's own.
            stack: is closed at the end of the soak, before the journal's engine ends.
        """

    def say(self, words: str) -> None:
        """A line for people."""

    def expect(self, total: int | None, behind: int) -> None:
        """So many records are expected (None: nobody knows), behind so many that the run has read already."""

    def batch(self, batch: Batch) -> None:
        """A batch was journaled."""

    def lane_done(self, lane: str) -> None:
        """A lane's loop over a part of a batch is over; without a name the first one begins."""

    def look(self) -> None:
        """Between two polls, every LOOK_S at most."""

    def incident(self, note: Note) -> None:
        """An incident became a row of the journal."""

    def away(self, outage: Outage | None) -> None:
        """ClickHouse does not answer, and the soak waits for it; None: it is back."""

    def broker_away(self, absence: Absence | None) -> None:
        """The broker does not answer, and the soak waits for it; None: it is back."""

    def upkeep(self, what: Day | str) -> None:
        """A day was closed, or inputs were dropped by age."""

    def mode(self, mode: Mode, why: str) -> None:
        """The soak is in another mode."""

    def rest(self) -> None:
        """Nothing more is read; the summary comes next."""


def soak(
    settings: Settings,
    watcher: Watcher | None = None,
    *,
    source: Callable[[], Source] | None = None,
    stop: Callable[[], bool] = lambda: False,
    seam: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Run a soak to its end, or until it is asked to stop; a Stopped or interrupted run of its name is resumed.

    Args:
        settings: all that a soak is asked to do, from `reactor.run.settings.load`.
        watcher: called while it runs.
        source: makes the log to read, once the data directory is this soak's; by default `log_of(settings)`.
        stop: asked between two polls; where it is true the run is left Stopped.
        seam: called with the name of every step of the ledger, for tests of crashes.

    Returns:
        The summary, as `violet soak --json` prints it: run_id, state, verdict, counts, content_hash, segments and more.

    Raises:
        Refusal: nothing can be read or journaled as asked; its text names the rule and the fix.
    """
    watcher = watcher or Watcher()
    with ExitStack() as stack:
        if source is None:
            named = log_of(settings)
            if named is None:
                raise Refusal("a soak reads an archive or a topic; fix: give scans, or bootstrap_servers and topic")
            stack.callback(named.close)
            source = lambda: named  # noqa: E731 - one name for what is made now and what is made later
        data = settings.soak.data
        directory.claim(data)
        lock = stack.enter_context(Lock.acquire(soak_lock(data, settings.soak.name)))
        copied = stack.enter_context(held(data, settings.soak.name))
        journal = Journal(data, settings.journal, stack, watcher.say)
        journal.migrate(partial(same_code, settings))
        log = source()
        CLOCK.begin(data / CLOCK_FILE, journal.steady(runs.last_word))
        claim = journal.claim(settings.soak.name, lock)
        told = {"on_incident": watcher.incident, "on_away": watcher.away}
        session = journal.session(Session, settings, log, claim, seam=seam, stop=stop, **told)
        note(copied, session.ledger, session.run.run_id)
        watcher.begin(session, journal.beside, stack)
        return attend(session, watcher, stop)


def log_of(settings: Settings) -> ArchiveSource | BrokerSource | None:
    """The archive or topic that settings name, read or reached, before anything on disk is touched; None: neither.

    Raises:
        Refusal: it is not there, or a kernel of the profile is not, or the data directory is somebody else's.
    """
    soak = settings.soak
    directory.check(soak.data)
    if soak.decides:
        foreign.load(settings.profile)
    if soak.scans is not None:
        return ArchiveSource(soak.scans, soak.name, soak.speed, soak.data)
    if soak.topic is not None:
        return BrokerSource(settings.kafka, soak.topic, soak.name)
    if settings.kafka.bootstrap_servers:
        raise Refusal("kafka.bootstrap_servers names a broker, but no topic is named; fix: --topic")
    return None


def attend(session: Session, watcher: Watcher, stop: Callable[[], bool]) -> dict[str, Any]:
    """Read a session to its end or until it is asked to stop, and close its source; the run's summary.

    Raises:
        Refusal: the log or what feeds it failed; the run is left Stopped.
    """
    ledger, taps, soak = session.ledger, session.taps, session.settings.soak
    keep_s = span_s(soak.keep_inputs) if soak.keep_inputs else None
    ends = dict if session.source.finite else session.source.known_ends
    upkeep = Upkeep(ledger, session.run, keep_s, watcher.upkeep, ends=ends, doubt=Doubt(session.source))
    between = _Between(session, upkeep, watcher, stop)
    try:
        session.read(between, watcher)
    except (Integrity, JournalRefused, _DiskFull) as error:
        session.halt(str(error))
        watcher.mode(Mode.HALTED, str(error))
    except (JournalGone, Fenced):
        raise  # the run is another's, or cannot be told of: to a resume it is as if the soak had been killed
    except LogChanged as changed:
        ledger.note(Severity.ERROR, Incident.LOG_CHANGED, str(changed))
        session.stop(str(changed))
        raise Refusal(f"{changed}; the run is Stopped") from None
    except Refusal as refusal:
        session.stop(str(refusal))
        gap = " (--accept-gap goes on behind the gap)" if isinstance(refusal, LogGap) else ""
        raise Refusal(f"{refusal}; the run is Stopped, and the same command resumes it{gap}") from None
    finally:
        CLOCK.keep(soak.data / CLOCK_FILE)
        taps.close()
        watcher.rest()
        session.source.close()
    try:
        result = ledger.insist(
            lambda store: summary(store, session.run) | {"trust": trust.in_words(store, session.run)}
        )
    except JournalTooLarge as refusal:
        raise Refusal(f"the run is {session.run.state} and all is journaled, but not judged: {refusal}") from None
    counts = {lane: {"sent": taps.sent[lane], "dropped": taps.dropped[lane]} for lane in taps.lanes}
    return result | {"taps": counts} if counts else result


class Journal:
    """The journal's address: the directory's engine, started where none runs and again where it died, or a server."""

    def __init__(self, data: Path, remote: JournalSettings, stack: ExitStack, say: Callable[[str], None]) -> None:
        """stack: ends what was started here, and waits for none that is away. say: takes a line for people."""
        self._data, self._remote, self._say = data, remote, say
        self._at_end: Callable[..., Any] = lambda close: stack.push(lambda kind, *_: close(is_away=kind is JournalGone))
        self._started, self._why = 0, ""  # engines started here; why there was none the last time
        self.store = self._connect()

    def migrate(self, check: Callable[[Store], None] = lambda store: None) -> None:
        """Bring the tables up to this version, a backup first. check: refuses before them what would be after them.

        One soak at a time: a view that is replaced is away for an instant.
        """

        def backup_first(name: str) -> None:
            check(self.store)
            if self._remote.url is not None:
                backup.remote(self.store, name)
            else:
                backup.alone(self._data)
                self._say(f"the journal is migrated; as it was it stays in {backup.link(self._data, name)}")

        with Lock.acquire(self._data / "locks" / "migrate.lock", MIGRATE_S):
            self.steady(lambda store: migrate(store, backup_first))

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

    def claim(self, name: str, lock: Lock) -> Claim:
        """Claim a soak's name until the end, on top of its lock, which another directory's soak does not see."""
        claim = self.steady(lambda store: claims.take(store, name, lock.place, self._say))
        self._at_end(Beat(claim, self.beside).release)
        return claim

    def session(self, kind: Callable[..., S], settings: Settings, source: Source, claim: Claim, **ledger: Any) -> S:
        """A session of a kind on a source; ledger: what else its ledger takes."""

        def opened(store: Store) -> S:
            memory = outage_file(self._data, settings.soak.name)
            more = ledger | {"claim": claim, "revive": self.revive, "memory": memory}
            return kind(settings, store, source, lambda run_id: Ledger(store, run_id, partial(reread, source), **more))

        session = self.steady(opened)
        self._at_end(Proving(session.run.run_id, self.beside).close)
        return session

    def revive(self) -> Revived | None:
        """A store on an engine that answers, or None while there is none; why it cannot start is said once."""
        started = self._started
        try:
            store = self._connect()
        except Refusal as refusal:
            if str(refusal) != self._why:
                self._why = str(refusal)
                self._say(f"the journal does not answer: {refusal}")
            return None
        self._why = ""
        return Revived(store, is_new_engine=self._started > started)

    def beside(self) -> Store:
        """Another connection to where this one goes, for another thread."""
        return connect(self._address)

    def _connect(self) -> Store:
        """A store on the server, or on the directory's engine, which is started where none runs."""
        if (address := self._remote.address) is None:
            address, engine = ensure(self._data)
            if engine is not None:
                self._at_end(engine.close)
                self._started += 1
        self._address = address
        return connect(address)


def outage_file(data: Path, name: str) -> Path:
    """Where a soak keeps an outage of ClickHouse until the journal holds it."""
    return data / f"outage-{name}.json"


class _DiskFull(Exception):
    """The disk is so full that an outcome could be lost."""


class _Between:
    """Asked between polls: whether to stop. Sees to feeder, broker, disk and upkeep; notes a change of mode."""

    def __init__(self, session: Session, upkeep: Upkeep, watcher: Watcher, stop: Callable[[], bool]) -> None:
        self._source, self._ledger, self._taps = session.source, session.ledger, session.taps
        self._soak, self._upkeep, self._watcher, self._stop = session.settings.soak, upkeep, watcher, stop
        self._next, self._keep_at, self._degraded = 0.0, 0.0, False
        self._absence: Absence | None = None

    def __call__(self) -> bool:
        if (now := time.monotonic()) >= self._next:
            if not self._next:
                self._introduce()
            self._next = now + LOOK_S
            self._ledger.fence()
            self._source.check()
            self._disk()
            self._clock(now)
            self._taps.tell(self._ledger.note)
            self._upkeep()
            self._watcher.look()
        self._ledger.pulse()
        found = self._source.take_incidents()
        self._broker()
        for each in found:
            self._ledger.note(each.severity, each.code, each.detail, lanes=each.lanes)
        return self._stop()

    def _broker(self) -> None:
        presence = self._source.presence
        if presence is not None and presence.now != self._absence:
            self._absence = presence.now
            self._watcher.broker_away(self._absence)

    def _introduce(self) -> None:
        source, say = self._source, self._watcher.say
        broker = source.connection.bootstrap_servers if source.connection is not None else ""
        if source.connection is not None and source.identity["kind"] == "broker":  # not the embedded one
            say(f"darkness: {in_words(source.connection, source.topic)}")
        if self._taps.lanes:
            say(f"taps on {broker}: {', '.join(self._taps.topics.values())}")
        if source.lanes is not None:
            say(f"lanes on {broker}, topic {source.topic}")
        if self._soak.speed != "max" and self._soak.scans is None and self._soak.topic is not None:
            say(f"--speed {self._soak.speed} paces an archive; topic {source.topic} comes as fast as it is written")

    def _clock(self, now: float) -> None:
        if now >= self._keep_at:
            self._keep_at = now + KEEP_S
            CLOCK.keep(self._soak.data / CLOCK_FILE)
        if (jump_s := CLOCK.take_jump()) is not None:
            words = f"the wall clock jumped: it is {jump_s:+.1f} s off; time goes on as before until it stood still"
            self._ledger.note(Severity.WARN, Incident.CLOCK_JUMPED, f"{words} for {STILL_S / 60:.0f} min")
            self._watcher.say(words)

    def _disk(self) -> None:
        data = self._soak.data
        usage = shutil.disk_usage(data)
        used = usage.used / usage.total
        if used >= DISK_HALT:
            raise _DiskFull(f"the disk of {data} is {used:.0%} full; from {DISK_HALT:.0%} on nothing is journaled")
        self._taps.paused = used >= DISK_TAPS
        if (used >= DISK_DEGRADED) is not self._degraded:
            self._degraded = not self._degraded
            mode = Mode.DEGRADED if self._degraded else Mode.RUN
            words = f"{'DEGRADED' if self._degraded else 'RUN again'}: the disk is {used:.0%} full"
            self._ledger.note(Severity.WARN, Incident.DISK_SHORT, words, mode=mode)
            self._watcher.mode(mode, words)
