"""The modular topology: one Faust agent a lane, from the scans' topic to the lane's own. Faust is imported here alone.

A worker is a process with one lane or several; each lane has a consumer group of its own wherever it runs alone. What
Faust delivers is a hint of what to say next, never the truth about it: the state and the next offset come from the
lane's own topic, an offset that comes twice is passed over, and one that did not come is read from the log itself. A
record is acknowledged once its readings are stored. A worker in doubt ends, and whoever starts it again has its exact
state. A canary is a worker whose readings go to a topic of their own. See docs/design/stages.md.

python -m reactor.topology.worker TOPIC NAME LANES PROFILE.json BEGINS.json < CONNECTION.json
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any, Final, Literal, cast

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.events import Event
from faust.streams import Stream
from faust.transport.drivers import aiokafka
from faust.types import TP, ChannelT
from msgspec import structs

from journal.refusal import Refusal
from lanes.profile import Profile
from reactor.evaluate.chunk import Chunk, cut_of
from reactor.log.admin import create_all
from reactor.log.connection import UNNAMED, UNVERIFIED, Connection
from reactor.log.kafka import KafkaLog
from reactor.run.foreign import load
from reactor.tap.reading import tap_topic
from reactor.topology import canary, codec
from reactor.topology.canary import Order, canary_topic, orders_topic
from reactor.topology.checkpoint import HEADER, SINCE
from reactor.topology.evaluator import Evaluator, LaneVersion
from reactor.topology.lane_topic import LaneTopic

codec.install()
TAKE: Final = 1_024  # records said together at most
ORDERS_S: Final = 0.5  # between looks at the orders
STOP_S: Final = 5.0  # nothing is lost with what a worker leaves undone
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Thread(aiokafka.AIOKafkaConsumerThread):
    """Faust reads what is not committed, unless it writes transactions; the journal does not, and nor may we."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        self.consumer.in_transaction = True  # which is all that is asked of it here
        try:
            return super()._create_worker_consumer(transport)
        finally:
            self.consumer.in_transaction = False


class _Consumer(aiokafka.Consumer):
    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(aiokafka.Transport):
    Consumer = _Consumer


class _App(faust.App):
    def _create_directories(self) -> None:
        """None: its tables are in memory, and an empty folder would stay behind a worker that is killed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker reads and for which soak it speaks.

    role: managed where the soak started it and decides what it says; a lane hears orders; a canary decides nothing.
    begins: of a managed one, the soak's offset and state by partition, from where it goes on.
    """

    connection: Connection
    topic: str
    name: str
    role: Literal["managed", "lane", "canary"]
    begins: Mapping[int, tuple[int, bytes]] = field(default_factory=dict)

    def out(self, lane: str) -> str:
        """The topic that a lane's readings go to."""
        return canary_topic(self.name, lane) if self.role == "canary" else tap_topic(self.name, lane)

    def client(self, lanes: str) -> str:
        """What the worker of some lanes is called on the broker, and its group."""
        return f"{self.name}-lane-{lanes}" + ("-canary" if self.role == "canary" else "")


class LaneFailed(Exception):
    """A lane ended that had begun, whatever it raised: Faust's threads run, so the process must end by force."""


class Stage:
    """One lane in a worker: its evaluators by partition. silent: another process writes for the lane."""

    def __init__(self, app: faust.App, lane: LaneVersion, place: Place) -> None:
        self._app, self.lane, self._place = app, lane, place
        self._out, self._client = place.out(lane.name), place.client(lane.name)
        self.silent = False
        self._evaluators: dict[int, Evaluator] = {}
        self._generation = -1
        self._lock = asyncio.Lock()

    async def run(self, stream: Stream[bytes]) -> None:
        """Say what comes, for ever."""
        # The channel's queue, many at a time: the stream's own turn for each record costs more than all the rest.
        came = cast(asyncio.Queue[Event], cast(ChannelT[bytes], stream.channel).queue)
        while True:
            events = [await came.get()]
            while len(events) < TAKE and not came.empty():
                events.append(came.get_nowait())
            generation = self._app.consumer_generation_id
            mine = [event for event in events if event.message.generation_id == generation]
            for partition in {event.message.partition for event in mine}:
                some = [event for event in mine if event.message.partition == partition]
                await self._say(partition, generation, _chunk(partition, some))
            for event in mine:
                event.ack()

    async def begin(self, partitions: set[int]) -> None:
        """Take up partitions, at once and not with their first record: what is acknowledged may still want saying."""
        for partition in sorted(partitions):
            await self._say(partition, self._app.consumer_generation_id, None)

    async def leave(self) -> None:
        """Say no more; what is being said is said to its end."""
        async with self._lock:
            self.silent = True

    async def _say(self, partition: int, generation: int, chunk: Chunk | None) -> None:
        async with self._lock:
            if self.silent:
                return
            if generation != self._generation and self._place.role != "managed":
                self._evaluators = {}  # whoever had the partitions meanwhile went on without us
            self._generation = generation
            if partition not in self._evaluators:
                self._evaluators[partition], group = await asyncio.to_thread(self._resume, partition)
                await self._catch_up(partition, self._evaluators[partition], group)
            evaluator = self._evaluators[partition]
            if chunk is not None:
                await self._catch_up(partition, evaluator, chunk.offsets[0])
                await self._send(partition, evaluator, chunk)

    def _resume(self, partition: int) -> tuple[Evaluator, int]:
        """The evaluator as the lane's topic has it, and where the group stands."""
        with closing(KafkaLog(self._place.connection, self.lane.topic, self._app.conf.id)) as log:
            return resumed(self.lane, self._place, partition, log), log.committed(partition)

    async def _catch_up(self, partition: int, evaluator: Evaluator, end: int) -> None:
        """Write the readings between the evaluator's offset and another, read from the log itself; mostly nothing."""
        if evaluator.next >= end:
            return
        with closing(KafkaLog(self._place.connection, self.lane.topic, f"{self._client}-gap")) as log:
            chunks = log.range(partition, evaluator.next, end)
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                await self._send(partition, evaluator, chunk)
        evaluator.next = max(evaluator.next, end)

    async def _send(self, partition: int, evaluator: Evaluator, chunk: Chunk) -> None:
        """Write the readings of a chunk; returns when they are stored."""
        producer = self._app.producer
        known: dict[str, bytes] = {SINCE: str(evaluator.since).encode()} if evaluator.since else {}
        sent = [
            await producer.send(
                self._out, key, value, partition, None, known | ({HEADER: checkpoint} if checkpoint else {})
            )
            for key, value, checkpoint in evaluator.evaluate(chunk)
        ]
        for stored in sent:
            await stored


def resumed(lane: LaneVersion, place: Place, partition: int, log: KafkaLog) -> Evaluator:
    """An evaluator as the soak or its topic has it. A new candidate begins where its lane stands."""
    low = log.lows([partition])[partition]
    lane_topic = partial(LaneTopic, place.connection, client=f"{place.client(lane.name)}-tail")
    with closing(lane_topic(place.out(lane.name))) as mine:
        if place.role == "managed":
            return Evaluator.begun(lane, partition, mine.back(partition), *place.begins[partition])
        if place.role == "canary":  # behind another candidate's readings it begins anew, where its lane stands
            evaluator = Evaluator.resumed(lane, partition, islice(mine.back(partition), 1), low, lane.is_own)
        else:
            evaluator = Evaluator.resumed(lane, partition, mine.back(partition), low, lane.agrees)
    if place.role == "canary" and not evaluator.known:
        written = evaluator.written
        with closing(lane_topic(tap_topic(place.name, lane.name))) as current:
            evaluator = Evaluator.resumed(lane, partition, current.back(partition), low, lambda checkpoint: True)
        evaluator.written = written
    return evaluator


def _chunk(partition: int, events: Sequence[Event]) -> Chunk:
    chunk = Chunk(partition, [], [])
    for message in (event.message for event in events):
        chunk.offsets.append(message.offset)
        chunk.values.append(message.value)
        if (cut := cut_of(message.value, message.headers)) is not None:
            chunk.cut[message.offset] = cut
    return chunk


# Long since what it starts must be stopped in this order, whatever ends it.
async def work(place: Place, names: Sequence[str], profile: Profile) -> bool:
    """Speak for some lanes until a signal comes or others do; whether a candidate is to be the lane's worker now.

    Raises what made a lane end.
    """
    kernels, group = load(profile), place.client("-".join(names))
    with closing(KafkaLog(place.connection, place.topic, group)) as log:
        found = log.describe()
        lanes = [LaneVersion.of(name, place.topic, found.log, profile, kernels) for name in names]
        create_all(place.connection, map(place.out, names), found.partitions)
        if place.role == "canary":  # what Faust brought of what lies before would only be passed over
            create_all(place.connection, [tap_topic(place.name, name) for name in names], found.partitions)
            stands = {p: resumed(lane, place, p, log).next for lane in lanes for p in range(found.partitions)}
            log.commit(stands, waits=True)
    app = _App(
        group,
        broker=[f"kafka://{each.strip()}" for each in place.connection.bootstrap_servers.split(",")],
        broker_credentials=_credentials(place.connection),
        store="memory://", web_enabled=False, stream_wait_empty=False,
        topic_disable_leader=True, topic_allow_declare=False, topic_partitions=found.partitions,
        value_serializer="raw", key_serializer="raw", consumer_auto_offset_reset="earliest", producer_acks=-1,
        broker_commit_interval=1.0, broker_heartbeat_interval=1.0, broker_session_timeout=6.0,
        broker_request_timeout=20.0,
    )  # fmt: skip
    app.transport = _Transport(app.conf.broker_consumer, app, loop=app.loop)
    scans = app.topic(place.topic, value_serializer="raw", key_serializer="raw", value_type=bytes, key_type=bytes)
    over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    stages = [Stage(app, lane, place) for lane in lanes]
    for stage in stages:
        app.agent(scans, name=f"lane-{stage.lane.name}")(_agent(stage, over))
    tasks: set[asyncio.Task[None]] = set()

    async def assigned(_: Any, assigned: set[TP], **told: Any) -> None:  # noqa: ARG001 - how a signal calls
        for stage in stages:
            task = asyncio.create_task(_guarded(stage.begin({tp.partition for tp in assigned}), over))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    app.on_partitions_assigned.connect(assigned)  # type: ignore[arg-type]  # its types want no named argument
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _end, over)
    await app.start()
    if place.role != "managed":
        tasks.add(asyncio.create_task(_guarded(_obey(app, stages, place, over), over)))
    try:
        return await over
    finally:
        stopping = asyncio.create_task(app.stop())  # leaves the group, so that another may take over at once
        await asyncio.wait({stopping}, timeout=STOP_S)


def _credentials(connection: Connection) -> SASLCredentials | SSLCredentials | None:
    """The connection's login and TLS for Faust's driver. Raises Refusal where it has no such thing."""
    security = [name for name in connection.librdkafka if name.startswith(("ssl.", "sasl.", "enable.s"))]
    if unknown := [name for name in security if name not in (UNNAMED, UNVERIFIED)]:
        raise Refusal(
            f"kafka.librdkafka.{unknown[0]} is not for a lane's worker, whose driver is another; fix: --topology fused"
        )
    if connection.sasl_mechanism == "OAUTHBEARER":
        raise Refusal("a lane's worker has no login OAUTHBEARER; fix: SCRAM, PLAIN, mutual TLS, or --topology fused")
    context = connection.tls()
    if connection.is_sasl:
        return SASLCredentials(
            username=connection.sasl_username, password=connection.password(), ssl_context=context,
            mechanism=connection.sasl_mechanism,
        )  # fmt: skip
    return None if context is None else SSLCredentials(context)


async def _obey(app: faust.App, stages: Sequence[Stage], place: Place, over: "asyncio.Future[bool]") -> None:
    """Hear what is ordered of the lanes from now on, and hand over or take over."""
    topic = orders_topic(place.name)
    await asyncio.to_thread(create_all, place.connection, [topic], 1)
    with closing(KafkaLog(place.connection, topic, f"{app.conf.id}-orders")) as log:
        log.assign(await asyncio.to_thread(log.ends, [0]))
        while not over.done():
            for chunk in await asyncio.to_thread(log.poll, 100, ORDERS_S):
                for order, stage in product(canary.orders(chunk.values), stages):
                    if stage.lane.name == order.lane and (answer := await _answer(stage, order, place, over)):
                        await (await app.producer.send(topic, b"", canary.encode(answer), 0, None, None))
            if all(stage.silent for stage in stages):
                _end(over)


async def _answer(stage: Stage, order: Order, place: Place, over: "asyncio.Future[bool]") -> Order | None:
    """What a worker or a candidate does at an order, and what it says to it."""
    lane = stage.lane
    if place.role == "canary":
        if order.act == "promote":
            return Order(1, "take", lane.name, lane.params_hash, lane.kernel_hash, lane.shared_hash)
        mine = (order.params_hash, order.kernel_hash) == (lane.params_hash, lane.kernel_hash)
        if mine and order.act == "left" and not over.done():
            over.set_result(True)
    elif order.act == "take" and not stage.silent:
        if order.shared != lane.shared_hash:
            return structs.replace(order, act="refused")
        await stage.leave()
        return structs.replace(order, act="left")
    return None


def _end(over: "asyncio.Future[bool]") -> None:
    if not over.done():
        over.set_result(False)


def _agent(stage: Stage, over: "asyncio.Future[bool]") -> Any:
    async def lane(stream: Stream[bytes]) -> AsyncIterator[None]:
        await _guarded(stage.run(stream), over)
        yield

    return lane


async def _guarded(work: Any, over: "asyncio.Future[bool]") -> None:
    """A lane that fails ends the worker: Faust would go on behind the record, which then nobody spoke of."""
    try:
        await work
    except (asyncio.CancelledError, StopAsyncIteration):
        if not over.done():
            raise
    except Exception as error:
        if not over.done():
            ended = LaneFailed(str(error))
            ended.__cause__ = error
            over.set_exception(ended)
        raise


def run(place: Place, lanes: Sequence[str], profile: Profile) -> None:
    """A worker until a signal, others or a fault end it, and with it the process: Faust's threads may outlive its stop.

    Returns where a candidate is to be its lane's worker, for which another process image must take this one's place.
    """
    code = 0
    try:
        if asyncio.run(work(place, lanes, profile)):
            return
    except Refusal:
        raise
    except Exception:
        logging.getLogger(__name__).exception("lanes %s end", ", ".join(lanes))
        code = 3
    logging.shutdown()
    os._exit(code)


def main(topic: str, name: str, lanes: str, profile: str, begins: str) -> None:
    """A worker of its own process."""
    logging.basicConfig(level=logging.WARNING, format=FORMAT)
    told = json.loads(Path(begins).read_bytes())
    connection = Connection.model_validate_json(sys.stdin.buffer.read())
    place = Place(connection, topic, name, "managed", {int(p): (at, state.encode()) for p, (at, state) in told.items()})
    run(place, lanes.split(","), Profile.model_validate_json(Path(profile).read_bytes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
