"""ClickHouse is away, slow, loses answers, refuses, or is not as a journal must be."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from journal.engine import owner
from journal.judge import raw
from journal.keep import harm
from journal.ledger import run as runs
from journal.lock import engine_lock, held
from journal.store import Store, connect
from reactor.drill.proxy import Proxy
from reactor.drill.scenario import Scenario
from reactor.drill.stage import COUNT, Process, Stage, until
from reactor.log.tansu import free_port

KNOWN_S: Final = 10.0  # within which an outage must be told
AWAY_S: Final = 12.0
LONG_AWAY_S: Final = 180.0
SLOW_S: Final = 2.0


def _behind(stage: Stage, name: str, *more: object) -> tuple[Proxy, Process]:
    """A soak of the calm run's records whose journal is the shared one behind a proxy, once it has begun."""
    world = stage.world
    _ = world.calm
    proxy = Proxy(world.address.port)
    stage.stack.callback(proxy.go)
    server, env = stage.server(world.address, proxy.url)
    flags = ["soak", *stage.topic_flags(name, stage.folder / "here"), *server, "--batch-size", 50, *more]
    process = stage.start(*flags, env=env)
    until(lambda: raw.journaled(world.store, name), every_s=0.01)
    return proxy, process


def answers_lost(stage: Stage) -> None:
    """The engine has done what was asked, and the soak does not hear of it."""
    proxy, process = _behind(stage, "lost-answers")
    proxy.lose = 4
    said = process.ended()
    stage.inject(f"{proxy.lost} answers to inserts were lost", proxy.lost >= 2)
    stage.check_whole(said, stage.world.store)


def slow(stage: Stage) -> None:
    """Each insert takes two seconds more."""
    proxy, process = _behind(stage, "slow-inserts", "--batch-size", 300)
    proxy.delay_s = SLOW_S
    began = time.monotonic()
    said = process.ended()
    stage.inject("each insert took two seconds more", time.monotonic() - began > SLOW_S)
    stage.check_whole(said, stage.world.store)


def _refused_for_a_while(code: int, words: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """What ClickHouse would say is said in its place, to some inserts."""
        name = f"refused-{code}"
        proxy, process = _behind(stage, name)
        proxy.refuse, proxy.refusals = (code, words), 3
        said = process.ended()
        stage.inject(f"{proxy.refused} inserts were refused with code {code}", proxy.refused == 3)
        stage.check_whole(said, stage.world.store)

    return act


def read_only(stage: Stage) -> None:
    """ClickHouse refuses every insert with code 164 (READONLY), until somebody mends it."""
    world, name = stage.world, "read-only"
    proxy, process = _behind(stage, name)
    proxy.refuse, proxy.refusals = (164, "Cannot execute query in readonly mode. (READONLY)"), 1_000
    said = process.ended()
    stage.inject("inserts were refused with code 164", proxy.refused)
    stage.check("the soak ends, not with 0", said.code in (1, 3))
    stage.check("it says why", "READONLY" in said.err.upper().replace(" ", ""))
    (run,) = (runs.pick(world.store, each) for each in runs.ids(world.store, name=name))
    proxy.refusals = 0
    more = ["--resume-halted", "drilled"] if run.state == "HALTED" else []
    server, env = stage.server(world.address, proxy.url)
    flags = ["soak", *stage.topic_flags(name, stage.folder / "here"), *server, *more]
    again = stage.violet(*flags, env=env)
    stage.check("the content hash is the calm run's", again.json["content_hash"], world.calm.summary["content_hash"])
    stage.check_rows(world.store, run.run_id)


def not_there(stage: Stage) -> None:
    """Nobody listens at the journal's address when the soak starts."""
    world = stage.world
    _ = world.calm
    port = free_port()
    server, env = stage.server(world.address, f"http://127.0.0.1:{port}")
    flags = ["soak", *stage.topic_flags("down", stage.folder / "here"), *server]
    began = time.monotonic()
    said = stage.violet(*flags, env=env)
    took_s = time.monotonic() - began
    stage.inject("nobody listened", said.code == 3)
    stage.check("it is refused by the server's address", f"127.0.0.1:{port}" in said.words)
    stage.check("within 20 s", took_s < 20)
    server, env = stage.server(world.address)
    again = stage.violet(*flags[:-2], *server, env=env)
    stage.check_whole(again, world.store)


def _engine_stopped(away_s: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """The directory's engine is stopped under a soak that follows a topic."""
        world, data = stage.world, stage.folder / "data"
        _ = world.calm
        topic = world.filled(world.broker, world.lines[:200])
        flags = [*stage.topic_flags("away", data, topic=topic), "--until", COUNT, "--flush-ms", 50]
        process = stage.start("soak", *flags)
        until(lambda: stage.journaled(data, "away") == 200)
        holder = held(engine_lock(data))
        if holder is None:
            raise AssertionError("must have an engine")
        os.kill(holder.pid, signal.SIGSTOP)
        went = time.monotonic()
        world.broker.produce(topic, world.lines[200:400])
        until(lambda: "ALARM: ClickHouse at http" in process.said(), KNOWN_S)
        stage.check("an alarm names ClickHouse within 10 s", time.monotonic() - went < KNOWN_S)
        time.sleep(max(0.0, went + away_s - time.monotonic()))
        stage.inject(f"the engine was stopped for {away_s:.0f} s", time.monotonic() - went >= away_s)
        os.kill(holder.pid, signal.SIGCONT)
        world.broker.produce(topic, world.lines[400:])
        said = process.ended()
        with stage.journal(data) as store:
            stage.check_whole(said, store)
            stage.check("an incident JOURNAL_AWAY tells of it", "JOURNAL_AWAY" in stage.codes(store, "away"))

    return act


def _own(stage: Stage) -> tuple[Any, Store]:
    """A directory whose engine runs for the scenario alone, with the tables made."""
    data = stage.folder / "own"
    _ = stage.world.calm
    engine = owner.start(data)
    stage.stack.callback(engine.close)
    store = connect(engine.address)
    stage.stack.callback(store.close)
    stage.violet("migrate", "--data", data)
    return data, store


def row_refused(stage: Stage) -> None:
    """A constraint that no check of ours knows refuses one scan."""
    data, store = _own(stage)
    harm.refuse_scan(store, 100)
    flags = [*stage.topic_flags("refused", data), "--batch-size", 250]
    said = stage.violet("soak", *flags).json
    stage.inject("ClickHouse refused a row", said["rejects"] > stage.world.calm.summary["rejects"])
    refused = said["rejects"] - stage.world.calm.summary["rejects"]
    decided = stage.world.calm.summary["decisions"] + stage.world.calm.summary["evaluations"]
    stage.check("its neighbours stay", said["decisions"] + said["evaluations"], decided - refused)
    stage.check("lost, doubled, corrupt are 0", [said[name] for name in ("lost", "doubled", "corrupt")], [0, 0, 0])
    codes = stage.violet("rejects", "--data", data, "--json").json
    stage.check("it is a reject BLOCK_REFUSED", "BLOCK_REFUSED" in str(codes))
    stage.check_rows(store, said["run_id"])


def refused_for_good(stage: Stage) -> None:
    """Inserts into a table fail for a reason that will not pass."""
    data, store = _own(stage)
    harm.refuse_inserts(store, "violet_planes")
    flags = [*stage.topic_flags("halted", data), "--batch-size", 50]
    said = stage.violet("soak", *flags)
    summary = said.json
    stage.inject("inserts failed", summary["state"] == "HALTED")
    stage.check("the run is HALTED, FAIL, and says why", (said.code, "drilled" in said.words), (1, True))
    again = stage.violet("soak", *flags)
    stage.check("a start is refused", (again.code, "--resume-halted" in again.words), (3, True))
    harm.take_inserts(store)
    last = stage.violet("soak", *flags, "--resume-halted", "drilled").json
    stage.check("the content hash is the calm run's", last["content_hash"], stage.world.calm.summary["content_hash"])
    stage.check("the incident stays: the verdict is FAIL", last["verdict"], "FAIL")
    stage.check_rows(store, last["run_id"])


def _table(name: str, harmed: Callable[[Store], None], words: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """Between two starts."""
        data, store = _own(stage)
        flags = stage.topic_flags("drifted", data)
        left = stage.start("soak", *flags, "--batch-size", 100, seam="after_completion", at=2, signal="SIGINT").ended()
        harmed(store)
        stage.inject(f"{name}, under a run that was stopped", left.code == 2)
        there = raw.journaled(store, "drifted") if "column" not in name else None
        said = stage.violet("soak", *flags)
        stage.check("the start is refused, and names it", (said.code, words in said.words), (3, True))
        stage.check("it is one line", len(said.err.strip().splitlines()), 1)
        if there is not None:
            stage.check("nothing was journaled", raw.journaled(store, "drifted"), there)

    return act


CALM: Final = "nothing is lost or doubled; the hash is the calm run's"
SCENARIOS: Final = (
    Scenario("answers-lost", "ClickHouse does an insert, and its answer is lost", CALM, answers_lost, quick=True),
    Scenario("inserts-slow", "each insert takes 2 s more", CALM, slow),
    Scenario("too-many-parts", "ClickHouse refuses inserts for a while: TOO_MANY_PARTS", CALM,
             _refused_for_a_while(252, "Too many parts (300). Merges are processing slower than inserts. "
                                       "(TOO_MANY_PARTS)")),
    Scenario("memory-of-clickhouse", "ClickHouse refuses inserts for a while: MEMORY_LIMIT_EXCEEDED", CALM,
             _refused_for_a_while(241, "(total) memory limit exceeded (MEMORY_LIMIT_EXCEEDED)")),
    Scenario("clickhouse-read-only", "ClickHouse refuses all inserts: READONLY",
             "the soak stops and says why; no offset is passed; the resume has the calm run's hash", read_only),
    Scenario("clickhouse-not-there", "no ClickHouse answers when a soak starts",
             "refused by its address within 20 s; the next start has the calm run's hash", not_there),
    Scenario("clickhouse-stopped", f"ClickHouse does not answer for {AWAY_S:.0f} s, under a soak that follows a topic",
             f"an alarm within {KNOWN_S:.0f} s, an incident; {CALM}", _engine_stopped(AWAY_S), quick=True),
    Scenario("clickhouse-stopped-long", f"ClickHouse does not answer for {LONG_AWAY_S:.0f} s",
             f"the same; {CALM}", _engine_stopped(LONG_AWAY_S)),
    Scenario("row-refused", "ClickHouse refuses a row that our checks let pass",
             "that row is a reject BLOCK_REFUSED; its neighbours stay", row_refused),
    Scenario("refused-for-good", "ClickHouse refuses inserts for a reason that does not pass",
             "HALTED, exit code 1; --resume-halted goes on; the hash is the calm run's", refused_for_good),
    Scenario("table-gone", "a table is renamed between two starts", "refused by its name; nothing is journaled",
             _table("a table was renamed", lambda store: harm.hide(store, "violet_planes"), "violet_planes")),
)  # fmt: skip
