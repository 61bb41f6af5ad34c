"""Kills of a soak and of its engine: at each step of the ledger, within an insert, at random moments."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from journal.judge import raw
from journal.ledger import run as runs
from journal.lock import engine_lock, held
from reactor.drill.proxy import Proxy
from reactor.drill.scenario import Scenario
from reactor.drill.stage import Stage, result, until

STORM_KILLS: Final = 12
HELD: Final = "no offset is lost or doubled; the run goes on and comes out with the calm run's hash"


def _at(step: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """The resume has another batch size, and still the batch in doubt keeps its range."""
        flags, store = stage.topic_flags(step), stage.world.store
        _ = stage.world.calm
        sizes = [stage.dice.randint(60, 140) for _ in range(2)]
        killed = stage.start("soak", *flags, "--batch-size", sizes[0], seam=step, at=stage.dice.randint(1, 3)).ended()
        stage.inject(f"SIGKILL at {step}", killed.code == -signal.SIGKILL)
        there = raw.spans(store, runs.ids(store, name=step)[0])
        again = stage.violet("soak", *flags, "--batch-size", sizes[1])
        stage.check_whole(again, store)
        stage.check("it is one run", len(runs.ids(store, name=step)), 1)
        spans = raw.spans(store, again.json["run_id"])
        stage.check("what was complete stays as it was", spans[: len(there)], there)

    return act


def within_an_insert(stage: Stage) -> None:
    """A proxy breaks the connection in the middle of a block, and the soak is killed at that moment."""
    world = stage.world
    _ = world.calm
    proxy = Proxy(world.address.port)
    stage.stack.callback(proxy.go)
    server, env = stage.server(world.address, proxy.url)
    flags = ["soak", *stage.topic_flags("half", stage.folder / "here"), *server, "--batch-size", 60]
    process = stage.start(*flags, env=env)
    until(lambda: raw.journaled(world.store, "half"), every_s=0.01)
    proxy.cut = True
    cut = proxy.was_cut.wait(20)
    process.send(signal.SIGKILL)
    stage.inject("half of an insert was sent, then SIGKILL", cut and process.ended().code == -signal.SIGKILL)
    stage.check_whole(stage.violet(*flags, env=env), world.store)


def engine_killed(stage: Stage) -> None:
    """The directory's engine, twice, while the soak journals; it is started again."""
    world, data = stage.world, stage.folder / "data"
    _ = world.calm
    flags = [*stage.topic_flags("engine", data), "--batch-size", 12, "--flush-ms", 20]
    process, killed = stage.start("soak", *flags), set[int]()
    while len(killed) < 2 and process.poll() is None:
        holder = held(engine_lock(data))
        if holder is not None and holder.pid not in killed and (data / "sql.json").exists():
            time.sleep(stage.dice.uniform(0.3, 0.8))
            with suppress(ProcessLookupError):
                os.kill(holder.pid, signal.SIGKILL)
                killed.add(holder.pid)
        time.sleep(0.02)
    said = process.ended()
    stage.inject("SIGKILL of the engine", killed)
    stage.check("counts, content hash and state are the calm run's", result(said.json), world.calm.result)
    with stage.journal(data) as store:
        stage.check_rows(store, said.json["run_id"])


def storm(stage: Stage) -> None:
    """Many kills at random moments, with an engine that goes along."""
    _ = stage.world.calm
    data = stage.folder / "data"
    flags = ["soak", *stage.topic_flags("storm", data), "--batch-size", 10, "--flush-ms", 20]
    kills = 0
    for _ in range(3 * STORM_KILLS):
        process = stage.start(*flags)
        time.sleep(stage.dice.uniform(1.0, 4.0))
        process.send(signal.SIGKILL)
        kills += process.ended().code == -signal.SIGKILL
        if kills >= STORM_KILLS:
            break
    stage.inject(f"{kills} SIGKILLs at random moments", kills >= STORM_KILLS)
    said = stage.violet(*flags)
    with stage.journal(data) as store:
        stage.check_whole(said, store)


def child_killed(stage: Stage) -> None:
    """The embedded broker of an archive's soak dies; the soak says so and the same command goes on."""
    data = stage.folder / "data"
    calm = stage.world.calm
    flags = ["soak", "--scans", stage.world.archive, "--data", data, "--json", "--flush-ms", 200]
    process = stage.start(*flags, "--speed", "1200x")
    until(lambda: (data / "sql.json").exists() and "memory://violet/" in " ".join(_children(process.pid).values()))
    (broker,) = (pid for pid, line in _children(process.pid).items() if "memory://violet/" in line)
    time.sleep(1.0)
    os.kill(broker, signal.SIGKILL)
    said = process.ended()
    stage.inject("SIGKILL of the embedded broker", said.code != 0)
    stage.check("it ends with 3 and the reason", (said.code, "the embedded broker ended" in said.words), (3, True))
    again = stage.violet(*flags).json
    stage.check("counts, content hash and state are the calm run's", result(again), calm.result)


def _children(pid: int) -> dict[int, str]:
    """Children of a process: pid -> command line."""

    def found() -> Iterator[tuple[int, str]]:
        for entry in Path("/proc").iterdir():
            with suppress(OSError, IndexError):
                if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()

    return dict(found())


_STEPS: Final = {
    "before_intent": "after its records were read, before anything of the batch is written",
    "after_intent": "between the intent and the rows",
    "after_decisions": "after one of a batch's inserts, before the next one",
    "before_completion": "after all rows, before the completion",
    "after_completion": "after the completion, before the broker's commit",
    "after_commit": "after the broker's commit",
}
_QUICK: Final = ("after_intent", "after_decisions", "after_commit")
SCENARIOS: Final = (
    *(
        Scenario(f"kill-{step.replace('_', '-')}", f"SIGKILL of the soak {when}", HELD, _at(step),
                 quick=step in _QUICK)
        for step, when in _STEPS.items()
    ),
    Scenario("kill-within-insert", "SIGKILL while half of a block is sent", HELD, within_an_insert),
    Scenario("kill-engine", "SIGKILL of the embedded engine, twice", HELD, engine_killed, quick=True),
    Scenario("kill-embedded-broker", "SIGKILL of the embedded broker", "the soak ends with its last words; the same "
             "command comes out with the calm run's hash", child_killed),
    Scenario("kill-storm", f"{STORM_KILLS} SIGKILLs at random moments", HELD, storm),
)  # fmt: skip
