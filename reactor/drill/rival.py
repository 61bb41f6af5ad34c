"""Other writers: a second soak of a name, a soak that was taken for dead and wakes up, copies, publishers."""

import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from journal.judge import raw
from journal.ledger import run as runs
from journal.lock import soak_lock
from journal.store import Store
from reactor.drill import lines
from reactor.drill.scenario import Scenario
from reactor.drill.stage import SOUND, Process, Stage, result, until

FOREVER: Final = 100_000  # an end that does not come
FAST: Final = ("--flush-ms", 100)


class _Server:
    """Soaks of data directories of their own that write to the shared journal as to a server."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._world = stage, stage.world
        _ = stage.world.calm
        self._where, self._env = stage.server(stage.world.address)

    def start(self, folder: str, name: str, *more: object, **asked: Any) -> Process:
        flags = ["soak", *self._where, *self._stage.topic_flags(name, self._stage.folder / folder), *more]
        return self._stage.start(*flags, env=self._env, **asked)


def _rows(store: Store, name: str) -> tuple[Any, ...]:
    (run_id,) = runs.ids(store, name=name)
    return raw.outcomes(store, run_id), raw.spans(store, run_id), raw.streams(store, name), raw.reasons(store, name)


def _sound(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in SOUND}


def _stopped(step: str, *other: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """SIGSTOP at a step, another soak takes over and ends the run, SIGCONT."""
        server, store, name = _Server(stage), stage.world.store, f"zombie-{step}-{len(other)}"
        sizes = [stage.dice.randint(31, 60) for _ in range(2)]
        asked = {"seam": step, "at": 3, "signal": "SIGSTOP"}
        first = server.start("one", name, "--flush-ms", 60_000, "--batch-size", sizes[0], **asked)
        until(first.is_stopped)
        second = server.start("two", name, "--flush-ms", 60_000, "--batch-size", sizes[1], *other).ended()
        stage.check("the second soak takes over", second.code in (0, 1, 2))
        stage.check("lost, doubled, corrupt are 0", _sound(second.json), SOUND)
        if not other:
            stage.check("counts and hash are the calm run's", result(second.json), stage.world.calm.result)
        before = _rows(store, name)
        first.send(signal.SIGCONT)
        said = first.ended()
        stage.inject(f"SIGSTOP at {step}, take-over, SIGCONT", said.code == 3)
        stage.check("the first one says who took over, and gives no verdict",
                    ("taken over by pid" in said.words, said.out), (True, ""))  # fmt: skip
        stage.check("not a row changed", _rows(store, name), before)
        stage.check("an incident FENCED tells of it", "FENCED" in stage.codes(store, name))
        gate = stage.violet("gate", second.json["run_id"], "--data", stage.world.data, "--json").json
        stage.check("the gate finds nothing lost, doubled, corrupt", _failed(gate), set())

    return act


def _failed(gate: Mapping[str, Any]) -> set[str]:
    clauses = [clause for segment in gate["segments"] for clause in segment["clauses"]]
    return {c["name"] for c in clauses if c["name"] in SOUND and c["verdict"] != "PASS"}


def second_soak(stage: Stage) -> None:
    """Of one name, on one server: from another directory, and from a copy of the first one's."""
    server, store, name = _Server(stage), stage.world.store, "lives"
    first = server.start("first", name, "--until", FOREVER, *FAST, "--batch-size", 37)
    until(lambda: raw.journaled(store, name))
    shutil.copytree(stage.folder / "first", stage.folder / "copy")
    refused = [server.start(each, name, "--until", FOREVER, *FAST).ended() for each in ("second", "copy")]
    stage.inject("two more soaks were started", first.poll() is None)
    for said in refused:
        stage.check("it is refused and names the first one's pid", (said.code, f"by pid {first.pid} on" in said.words),
                    (3, True))  # fmt: skip
    first.send(signal.SIGTERM)
    stage.check("the first one drains", first.ended().code, 2)
    last = server.start("second", name).ended()
    stage.check_whole(last, store)


def same_directory(stage: Stage) -> None:
    """Two soaks of one name in one directory; then the lock's file is removed and a third one is started."""
    store, name = stage.world.store, "locked"
    _ = stage.world.calm
    flags = ["soak", *stage.topic_flags(name), "--until", FOREVER, *FAST]
    first = stage.start(*flags)
    until(lambda: raw.journaled(store, name))
    second = stage.violet(*flags)
    stage.check("the second is refused by the lock", (second.code, f"pid {first.pid}" in second.words), (3, True))
    soak_lock(stage.world.data, name).unlink()
    third = stage.violet(*flags)
    stage.inject("the lock's file was removed under the first one", first.poll() is None)
    stage.check("the third is refused by the claim", (third.code, f"by pid {first.pid} on" in third.words), (3, True))
    first.send(signal.SIGTERM)
    stage.check("the first one drains", first.ended().code, 2)
    stage.check_whole(stage.violet("soak", *stage.topic_flags(name)), store)


def two_names(stage: Stage) -> None:
    """Two soaks of two names, one topic, one journal, at the same time."""
    store = stage.world.store
    _ = stage.world.calm
    started = [stage.start("soak", *stage.topic_flags(name), "--batch-size", 40) for name in ("left", "right")]
    stage.inject("both ran at a time", all(each.poll() is None for each in started))
    for each in started:
        stage.check_whole(each.ended(), store)


def copied_directory(stage: Stage) -> None:
    """A directory is copied while its soak runs, and the copy is gone on with beside it."""
    world, data, copy = stage.world, stage.folder / "data", stage.folder / "copy"
    _ = world.calm
    flags = [*stage.log(world.broker, world.topic), "--name", "copied", "--json", *FAST]
    first = stage.start("soak", *flags, "--data", data, "--until", FOREVER, "--batch-size", 20)
    until(lambda: stage.journaled(data, "copied"))
    time.sleep(0.5)
    shutil.copytree(data, copy, symlinks=True, ignore=_vanished)
    stage.inject("the directory of a running soak was copied", first.poll() is None)
    said = stage.violet("soak", *flags, "--data", copy, "--until", 600)
    is_refused = said.code == 3 and not said.out
    stage.check("the copy is refused, or comes out as the calm run", is_refused or result(said.json), is_refused
                or world.calm.result)  # fmt: skip
    first.send(signal.SIGTERM)
    stage.check("the first one drains", first.ended().code, 2)
    last = stage.violet("soak", *flags, "--data", data, "--until", 600)
    with stage.journal(data) as store:
        stage.check_whole(last, store)


def _vanished(folder: str, names: list[str]) -> list[str]:
    """Temporary parts of the engine may be gone before they are copied."""
    return [name for name in names if name.startswith("tmp_") or not (Path(folder) / name).exists()]


def two_publishers(stage: Stage) -> None:
    """Somebody else writes into a topic that `violet publish` fills."""
    broker = stage.world.broker
    topic = broker.create_topic()
    archive = lines.write(stage.folder / "many.jsonl", lines.plain(4_000))
    flags = ["publish", "--scans", archive, *stage.log(broker, topic), "--json"]
    publisher = stage.start(*flags, "--speed", "12000x")
    until(lambda: broker.end(topic) > 0)
    broker.produce(topic, [lines.scan(9_999_999)])
    said = publisher.ended()
    stage.inject("another writer's record lies between", broker.end(topic) > 1)
    stage.check("the publisher is refused and names the offset", (said.code, "another writer's" in said.words),
                (3, True))  # fmt: skip
    again = stage.violet(*flags)
    stage.check("the topic is not gone on with", again.code, 3)


FENCED: Final = "the first one changes nothing once it wakes up, and says who took over; an incident FENCED"
SCENARIOS: Final = (
    Scenario("zombie-after-intent", "a soak is stopped after an intent; another one takes over and ends the run; it "
             "wakes up", FENCED, _stopped("after_intent"), quick=True),
    Scenario("zombie-before-completion", "the same, stopped after its rows", FENCED, _stopped("before_completion")),
    Scenario("zombie-other-segment", "the same after an intent; the other one opens another segment", FENCED,
             _stopped("after_intent", "--new-segment", "--profile", "v3_base9")),
    Scenario("second-soak", "two more soaks of a name that runs, from another directory and from a copy of its own",
             "refused by the pid of the first; the first is not disturbed", second_soak, quick=True),
    Scenario("lock-removed", "a second soak of a name in one directory; the lock's file is removed; a third",
             "both are refused", same_directory),
    Scenario("two-names", "two soaks with names of their own, on one topic and one journal", "both come out as the "
             "calm run", two_names),
    Scenario("directory-copied", "a data directory is copied while its soak runs, and the copy is gone on with",
             "the copy is refused, or is a sound journal of its own; the first is not disturbed", copied_directory),
    Scenario("two-publishers", "another producer writes into a topic while `violet publish` fills it",
             "the publisher is refused and names the offset", two_publishers),
)  # fmt: skip
