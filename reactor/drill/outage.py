"""The broker is away, its coordinator is, or others work with the group of a soak. On Apache Kafka.

See docs/design/exactly-once.md.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from journal.judge import raw
from reactor.drill.broker import GroupMember, OwnKafka
from reactor.drill.proxy import Proxy
from reactor.drill.scenario import Scenario
from reactor.drill.stage import COUNT, Process, Stage, until

FIRST: Final = 200
KNOWN_S: Final = 10.0  # within which an outage must be told
AWAY_S: Final = 12.0
LONG_AWAY_S: Final = 180.0
JOINS: Final = 20


def _following(stage: Stage, kafka: OwnKafka, name: str, *more: object) -> tuple[str, Process]:
    """A soak in the shared journal that follows a topic of a Kafka, and has journaled the first records."""
    world = stage.world
    _ = world.calm
    topic = world.filled(kafka, world.lines[:FIRST])
    flags = [*stage.topic_flags(name, topic=topic, broker=kafka), "--until", COUNT, "--flush-ms", 50, *more]
    process = stage.start("soak", *flags)
    until(lambda: raw.journaled(world.store, name) == FIRST)
    return topic, process


def _away(name: str, away_s: float) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        """The broker is stopped or killed under a soak, and comes back."""
        world, kafka = stage.world, stage.world.kafka
        topic, process = _following(stage, kafka, name)
        if "killed" in name:
            kafka.kill()
        else:
            os.kill(kafka.pid, signal.SIGSTOP)
        went = time.monotonic()
        until(lambda: f"ALARM: the broker at {kafka.bootstrap}" in process.said(), KNOWN_S)
        until(lambda: "BROKER_AWAY" in stage.codes(world.store, name), KNOWN_S)
        stage.check("an alarm and an incident within 10 s", time.monotonic() - went < KNOWN_S)
        time.sleep(max(0.0, went + away_s - time.monotonic()))
        stage.inject(f"the broker was away for {away_s:.0f} s", time.monotonic() - went >= away_s)
        if "killed" in name:
            kafka.start()
        else:
            os.kill(kafka.pid, signal.SIGCONT)
            kafka.wait_ready()
        kafka.produce(topic, world.lines[FIRST:])
        stage.check_whole(process.ended(), world.store)
        stage.check("an incident BROKER_BACK tells of its end", "BROKER_BACK" in stage.codes(world.store, name))

    return act


def coordinator_away(stage: Stage) -> None:
    """A Kafka that cannot make its topic of group offsets: every commit fails."""
    (stage.folder / "home").mkdir()
    more = {"offsets.topic.replication.factor": "3"}
    kafka = stage.world.own_kafka(stage.folder / "home" / "kafka", stage.stack, more)
    world, name = stage.world, "no-coordinator"
    _ = world.calm
    topic = world.filled(kafka, world.lines)
    flags = [*stage.topic_flags(name, topic=topic, broker=kafka), "--until", COUNT, "--batch-size", 60]
    said = stage.violet("soak", *flags)
    topics = kafka.admin().list_topics(timeout=10).topics
    stage.inject("there is no topic of group offsets", "__consumer_offsets" not in topics)
    stage.check_whole(said, world.store)


def others_join(stage: Stage) -> None:
    """Foreign members join and leave the soak's group, again and again."""
    world, kafka, name = stage.world, stage.world.kafka, "crowd"
    topic, process = _following(stage, kafka, name)
    joined = 0
    for number in range(JOINS):
        member = GroupMember(kafka.bootstrap, f"{name}-shadow", topic)
        joined += member.joined(5.0)
        if number == JOINS // 2:
            kafka.produce(topic, world.lines[FIRST:400])
        member.close()
    stage.inject(f"{joined} foreign members got the partition", joined >= JOINS // 2)
    kafka.produce(topic, world.lines[400:])
    stage.check_whole(process.ended(), world.store)


def group_rewound(stage: Stage) -> None:
    """An operator resets the group's offset to the beginning while the soak is stopped."""
    world, kafka, name = stage.world, stage.world.kafka, "rewound"
    _ = world.calm
    topic = world.filled(kafka, world.lines)
    flags = ["soak", *stage.topic_flags(name, topic=topic, broker=kafka), "--until", COUNT, "--batch-size", 100]
    left = stage.start(*flags, seam="after_commit", at=3, signal="SIGINT").ended()
    stage.check("the soak is stopped", left.code, 2)
    kafka.commit(f"{name}-shadow", topic, 0)
    stage.inject("the group is at offset 0", kafka.committed(f"{name}-shadow", topic) == 0)
    stage.check_whole(stage.violet(*flags), world.store)


def poll_interval(stage: Stage) -> None:
    """One insert takes longer than the client may go without a poll."""
    world, kafka, name = stage.world, stage.world.kafka, "slow-poll"
    _ = world.calm
    topic = world.filled(kafka, world.lines)
    proxy = Proxy(world.address.port)
    stage.stack.callback(proxy.go)
    address = world.address
    config = stage.config(
        f'[journal]\nurl = "{proxy.url}"\nuser = "{address.user}"\n'
        '[kafka.librdkafka]\n"max.poll.interval.ms" = 6000\n"session.timeout.ms" = 6000\n'
    )
    flags = [*stage.topic_flags(name, stage.folder / "here", topic=topic, broker=kafka), "--until", COUNT]
    process = stage.start("soak", *flags, "--config", config, "--batch-size", 300,
                          env={"VIOLET_JOURNAL_PASSWORD": address.token})  # fmt: skip
    until(lambda: raw.journaled(world.store, name), every_s=0.01)
    proxy.delay_s = 9.0
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 10.0 or process.poll() is not None)
    proxy.delay_s = 0.0
    said = process.ended()
    stage.inject("an insert took 9 s, and a poll was due after 6", time.monotonic() - began > 9.0)
    stage.check_whole(said, world.store)


CALM: Final = "nothing is lost or doubled; the hash is the calm run's"
TOLD: Final = f"an alarm and an incident within {KNOWN_S:.0f} s, another one at its end; {CALM}"
SCENARIOS: Final = (
    Scenario("broker-killed", f"the broker is killed and started again after {AWAY_S:.0f} s", TOLD,
             _away("broker-killed", AWAY_S), quick=True),
    Scenario("broker-stopped", f"the broker does not answer for {AWAY_S:.0f} s (SIGSTOP)", TOLD,
             _away("broker-stopped", AWAY_S)),
    Scenario("broker-stopped-long", f"the broker does not answer for {LONG_AWAY_S:.0f} s (SIGSTOP)", TOLD,
             _away("broker-stopped-long", LONG_AWAY_S)),
    Scenario("coordinator-away", "the broker has no coordinator: every commit of the group fails", CALM,
             coordinator_away),
    Scenario("group-joined", f"foreign members join and leave the soak's group {JOINS} times", CALM, others_join),
    Scenario("group-rewound", "an operator sets the group's offset back to 0", f"the journal decides; {CALM}",
             group_rewound),
    Scenario("poll-late", "an insert takes longer than the client may go without a poll", CALM, poll_interval),
)  # fmt: skip
