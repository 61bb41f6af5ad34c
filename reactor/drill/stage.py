"""A stage: what a scenario works with: a folder of its own, real processes, a calm run to compare with, its findings.

The world is what scenarios share, made when the first one asks for it: an engine, an embedded broker, an Apache Kafka.
See docs/design/faults.md.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from journal import child, tied
from journal.engine import owner
from journal.engine.address import WRITER, Address, read
from journal.judge import raw
from journal.keep.migrate import migrate
from journal.lock import engine_lock, held
from journal.refusal import Refusal
from journal.store import JournalAway, JournalRefused, Store, connect
from reactor.drill import lines
from reactor.drill.broker import GivenBroker, OwnKafka, Topics, find_jars
from reactor.drill.zygote import Forked, Zygote
from reactor.log.tansu import Tansu

COUNT: Final = 600  # records of the calm run
ENDS_S: Final = 90.0  # a process that takes longer hangs
COMES_S: Final = 40.0  # what is waited for comes sooner, also on a busy machine
COUNTS: Final = ("records", "decisions", "evaluations", "planes", "rejects", "lost", "doubled", "corrupt", "skipped")
SOUND: Final = {"lost": 0, "doubled": 0, "corrupt": 0}


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one document. Raises AssertionError with its words where it printed none."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"exit code {self.code}, and it said: {self.words[-400:]}") from None

    @property
    def words(self) -> str:
        """Its standard error on one line."""
        return " ".join(self.err.split())


class Process:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked, out: Path, err: Path) -> None:
        self._process, self._out, self._err = process, out, err
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def send(self, number: int) -> None:
        """Send it a signal, where it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def is_stopped(self) -> bool:
        """Whether it was stopped by a signal."""
        return state(self.pid) == "T"

    def said(self) -> str:
        """What it has written to standard error by now, on one line."""
        return " ".join(self._err.read_text("utf-8", "replace").split())

    def ended(self, within_s: float = ENDS_S) -> Said:
        """Its end. Raises AssertionError where it does not end in time."""
        try:
            self._process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {within_s:.0f} s: {self.said()[-400:]}") from None
        code = self._process.poll()
        if code is None:
            raise AssertionError("must have ended")
        return Said(code, self._out.read_text("utf-8", "replace"), self._err.read_text("utf-8", "replace"))

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=COMES_S)


def state(pid: int) -> str:
    """The state of a process as the kernel names it (R, S, T, Z, ...); empty where there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    return ""


def until(holds: Callable[[], Any], within_s: float = COMES_S, every_s: float = 0.05) -> Any:
    """Wait until something holds; its value. Raises AssertionError where it does not come to hold in time."""
    deadline = time.monotonic() + within_s
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"what was waited for did not come within {within_s:.0f} s")
        time.sleep(every_s)
    return value


@dataclass(frozen=True, slots=True)
class Calm:
    """The run that nothing befell."""

    code: int
    summary: Mapping[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        """What every other run of the same records must come out with."""
        return result(self.summary)


def result(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, hash and state of a summary."""
    return {name: summary.get(name) for name in (*COUNTS, "content_hash", "state")}


class World:
    """What scenarios share. Make it in the main thread: its children die with the thread that started them."""

    def __init__(self, root: Path, jars: Path | None = None) -> None:
        """root: an empty folder. jars: Apache Kafka's, or its download's folder."""
        self.root, self._jars = root, jars
        self._stack = ExitStack()
        self._made: dict[str, Any] = {}
        self.lines = lines.mixed(COUNT, long=False)
        self.archive = lines.write(root / "calm.jsonl", self.lines)
        self.data = root / "journal"

    def close(self) -> None:
        self._stack.close()

    @property
    def store(self) -> Store:
        """The shared journal, whose engine runs."""
        store: Store = self._once("store", self._open)
        return store

    @property
    def address(self) -> Address:
        """Of the shared journal, for who writes to it as to a server."""
        _ = self.store
        address = read(self.data, WRITER)
        if address is None:
            raise AssertionError("must have an engine that runs")
        return address

    @property
    def broker(self) -> Topics:
        """The broker for what is no fault of a broker's: the embedded one."""
        broker: Topics = self._once("broker", self._tansu)
        return broker

    @property
    def kafka(self) -> OwnKafka:
        """An Apache Kafka of the drill's own. Raises NotAtHand."""
        kafka: OwnKafka = self._once("kafka", lambda: self.own_kafka(self.root / "kafka", self._stack))
        if not kafka.is_running:
            kafka.start()
        return kafka

    def own_kafka(self, home: Path, stack: ExitStack, more: Mapping[str, str] | None = None) -> OwnKafka:
        """Another one, which ends with the stack. Raises NotAtHand."""
        jars = find_jars(self._jars)
        home.mkdir()
        kafka = OwnKafka(home, jars, more)
        stack.callback(kafka.kill)
        kafka.start()
        return kafka

    @property
    def topic(self) -> str:
        """A topic of the broker with the calm run's records."""
        topic: str = self._once("topic", lambda: self.filled(self.broker, self.lines))
        return topic

    @staticmethod
    def filled(broker: Topics, records: list[bytes], partitions: int = 1) -> str:
        """A new topic with these records in partition 0."""
        name = broker.create_topic(partitions=partitions)
        broker.produce(name, records)
        return name

    @property
    def calm(self) -> Calm:
        """The calm run, in the shared journal."""
        calm: Calm = self._once("calm", self._soaked)
        return calm

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @property
    def zygote(self) -> Zygote:
        """What starts the commands."""
        zygote: Zygote = self._once("zygote", self._zygote)
        return zygote

    def _zygote(self) -> Zygote:
        folder = self.root / "words"
        folder.mkdir()
        zygote = Zygote(folder, quiet_environment())
        self._stack.callback(zygote.close)
        return zygote

    def _open(self) -> Store:
        engine = owner.start(self.data)
        self._stack.callback(engine.close)
        store = connect(engine.address)
        self._stack.callback(store.close)
        migrate(store, lambda name: None)
        return store

    def _tansu(self) -> Topics:
        return GivenBroker(self._stack.enter_context(Tansu(self.root / "broker.log")).bootstrap)

    def _soaked(self) -> Calm:
        folder = self.root / "calm"
        folder.mkdir()
        stage = Stage(self, folder, 0)
        said = stage.start("soak", *stage.topic_flags("calm")).ended()
        return Calm(said.code, said.json)


@dataclass
class Stage:
    """What one scenario has, and what it found."""

    world: World
    folder: Path
    seed: int
    checked: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    injections: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - where a fault strikes, the same for a seed
        self.stack = ExitStack()
        self._started: list[Process] = []

    # -- findings ----------------------------------------------------------------------------------------------------

    def inject(self, what: str, happened: object) -> None:
        """Note an injection, and whether it was seen to happen."""
        self.injections.append((what, bool(happened)))

    def check(self, what: str, got: Any, wanted: Any = True) -> None:
        """Note a check: what must hold, and whether it did."""
        self.checked.append(what)
        if got != wanted:
            self.broken.append(
                f"{what}: was {got!r}"[:600] + (f", must be {wanted!r}"[:600] if wanted is not True else "")
            )

    # -- processes ---------------------------------------------------------------------------------------------------

    def start(self, *arguments: object, env: Mapping[str, str] | None = None, **more: Any) -> Process:
        """Start `violet` in this folder. env: more variables. more: see reactor/cli/drilled.py."""
        asked = {"cwd": str(self.folder), "environ": dict(env or {}), **more}
        forked = self.world.zygote.spawn(*arguments, **asked)
        self._started.append(Process(forked, forked.out, forked.err))
        return self._started[-1]

    def fresh(
        self, *arguments: object, env: Mapping[str, str] | None = None, errors: int | None = None,
        output: int | None = None,
    ) -> Process:  # fmt: skip
        """Start `violet` with an interpreter of its own.

        Args:
            arguments: of the command line.
            env: more variables of its environment.
            errors: a descriptor for its standard error; a file where it is not given.
            output: a descriptor for its standard output; a file where it is not given.
        """
        number = len(self._started)
        out, err = self.folder / f"fresh{number}.out", self.folder / f"fresh{number}.err"
        line = [sys.executable, "-P", "-c", "from reactor.cli.main import main; main()", *map(str, arguments)]
        err.touch()
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", tied.__file__, str(os.getpid()), *line], cwd=self.folder,
                env={**quiet_environment(), **(env or {})}, start_new_session=True, stdin=subprocess.DEVNULL,
                stdout=to_out if output is None else output, stderr=to_err if errors is None else errors,
            )  # fmt: skip
        self._started.append(Process(process, out, err))
        return self._started[-1]

    def violet(self, *arguments: object, **more: Any) -> Said:
        """Run `violet` to its end; more: as of `start`."""
        return self.start(*arguments, **more).ended()

    def close(self) -> None:
        """End what still runs."""
        for process in reversed(self._started):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
        self.stack.close()

    # -- soaks of the calm run's records -----------------------------------------------------------------------------

    def topic_flags(
        self, name: str, data: Path | None = None, *, topic: str = "", broker: Topics | None = None
    ) -> list[Any]:
        """Flags of a soak of the calm run's topic, or of another one; to its end if it is the calm run's."""
        end = ["--until", COUNT] if not topic else []
        where = [*self.log(broker or self.world.broker, topic or self.world.topic), *end]
        return [*where, "--data", data or self.world.data, "--name", name, "--json"]

    @staticmethod
    def log(broker: Topics, topic: str) -> list[str]:
        """Flags that name a topic."""
        return ["--bootstrap-servers", broker.bootstrap, "--topic", topic]

    def config(self, text: str) -> Path:
        """A configuration file of the scenario."""
        path = self.folder / "drill.toml"
        path.write_text(text, "utf-8")
        return path

    def server(self, address: Address, url: str = "") -> tuple[list[Any], dict[str, str]]:
        """Flags and environment for a soak whose journal is that engine, reached as a server."""
        config = self.config(f'[journal]\nurl = "{url or address.url}"\nuser = "{address.user}"\n')
        return ["--config", config], {"VIOLET_JOURNAL_PASSWORD": address.token}

    @contextmanager
    def journal(self, data: Path) -> Generator[Store]:
        """The journal of a directory whose soaks have ended, or end."""
        until(lambda: held(engine_lock(data)) is None)
        with owner.running(data) as address, connect(address) as store:
            yield store

    def journaled(self, data: Path, name: str) -> int:
        """Outcomes of the runs of a name in a directory whose engine may run; 0 while it does not answer."""
        address = owner.attach(data) if (data / "sql.json").exists() else None
        if address is None:
            return 0
        try:
            with connect(address) as store:
                return raw.journaled(store, name)
        except (Refusal, JournalRefused, JournalAway):  # it ends, or its tables are not made yet
            return 0

    def check_whole(self, said: Said, store: Store | None = None) -> None:
        """A soak of the calm run's records came out as if nothing had been: counts, hash, exit code, raw rows."""
        calm = self.world.calm
        summary = said.json
        self.check("counts, content hash and state are the calm run's", result(summary), calm.result)
        self.check("the exit code is the calm run's", said.code, calm.code)
        if store is not None:
            self.check_rows(store, summary["run_id"])

    def check_rows(self, store: Store, run_id: str, count: int = COUNT) -> None:
        """Of a run of one partition: every offset has one outcome, no batch was written twice, none is missing."""
        self.check(
            "every offset has one outcome", raw.outcomes(store, run_id), raw.Outcomes(count, count, 0, count - 1)
        )
        spans = raw.spans(store, run_id)
        wanted = [0, *(last + 1 for _, last in spans[:-1])]
        self.check("batches follow one another, each written once", [first for first, _ in spans], wanted)

    def codes(self, store: Store, name: str) -> set[str]:
        """Codes of the incidents of all runs of a name."""
        return {row["code"] for row in raw.incidents(store, name)}

    def check_verify(self, data: Path, *more: object, run: str = "latest") -> dict[str, Any]:
        """`violet verify` computes all of a run again and finds the same; its report."""
        report: dict[str, Any] = self.violet("verify", run, "--data", data, "--json", *more).json
        self.check("every outcome computed again is the same", report["identical"])
        self.check("lost, doubled, corrupt are 0", {name: report[name] for name in SOUND}, SOUND)
        return report


def quiet_environment() -> dict[str, str]:
    """This environment without what it says to VIOLET: a drill is to come near no journal of the user's."""
    return {name: value for name, value in child.environment().items() if not name.startswith("VIOLET_")}
