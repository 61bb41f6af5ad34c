"""Admin: reaching a broker, asking what it is, and making topics on it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from journal.refusal import Refusal
from reactor.log import diagnosis
from reactor.log.connection import Connection
from reactor.log.diagnosis import Faults

C = TypeVar("C")
REACH_S: Final = 10.0  # an unreachable broker is refused after this long
_LOOK_S: Final = 1.0  # for an answer; then it is looked at why there is none
_AGAIN_S: Final = 0.2
PATIENCE_S: Final = 6.0  # for a broker that starts; what is wrong is then looked for, within REACH_S in all
_BROKERS_DEFAULT: Final = -1


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that answers: its id, and the partitions of each topic that its user may see."""

    admin: AdminClient
    cluster_id: str
    topics: Mapping[str, int]


def made(kind: Callable[[dict[str, Any]], C], connection: Connection, settings: Mapping[str, Any]) -> C:
    """A client with these settings. Raises Refusal where the library does not take the connection's."""
    asked = {**settings, **connection.client()}
    try:
        return kind(asked)
    except (KafkaException, ValueError, TypeError) as error:
        known = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise Refusal(f"kafka: {connection.masked(known)}; fix: mend that setting") from None


def reach(connection: Connection) -> Cluster:
    """A cluster that answers. Raises Refusal, within REACH_S, that names why it does not."""
    faults = Faults()
    admin = made(AdminClient, connection, {"error_cb": faults})
    deadline = time.monotonic() + PATIENCE_S
    wait_s = _LOOK_S
    while True:
        try:
            found = admin.list_topics(timeout=wait_s)
            break
        except KafkaException as error:
            admin.poll(0)
            wrong, is_over = diagnosis.why(connection, faults), time.monotonic() > deadline
            if wrong is not None and (is_over or not wrong.passes):
                raise Refusal(wrong.words) from None
            if is_over:
                said = connection.masked(faults.last() or error.args[0].str())
                raise Refusal(
                    f"no broker answers at {connection.bootstrap_servers} within {PATIENCE_S:.0f} s ({said}); fix: "
                    "start it, or give --bootstrap-servers HOST:PORT of one that runs"
                ) from None
            time.sleep(_AGAIN_S)
            wait_s = max(_LOOK_S, deadline - time.monotonic())  # a large cluster may take longer than a look
    if words := diagnosis.advertised(connection, [(str(each.host), each.port) for each in found.brokers.values()]):
        raise Refusal(words)
    return Cluster(admin, str(found.cluster_id), {name: len(each.partitions) for name, each in found.topics.items()})


def create_all(connection: Connection, topics: Iterable[str], partitions: int, *, grow: bool = False) -> None:
    """Create topics where they are missing; grow: and partitions where too few are. Refusal where it is not done."""
    cluster = reach(connection)
    for topic in topics:
        if topic not in cluster.topics:
            _create(cluster.admin, connection, topic, partitions)
        elif grow and cluster.topics[topic] < partitions:
            _grow(cluster.admin, connection, topic, partitions)


def topic_id(cluster: Cluster, connection: Connection, topic: str) -> str:
    """The id of a topic; empty where the broker has none. Raises Refusal where it may not be read."""
    try:
        found = _described(cluster, topic)
    except KafkaException:
        return ""
    if (may := _operations(found)) and "READ" not in may:
        error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
        raise Refusal(diagnosis.denied(connection, f"read topic {topic!r}", "READ", error))
    return str(found.topic_id)


def operations(cluster: Cluster, topic: str) -> set[str]:
    """What the user of a cluster may do to a topic, in the words of Kafka's ACLs; nothing where nobody says."""
    try:
        return _operations(_described(cluster, topic))
    except (KafkaException, TimeoutError):
        return set()


def _described(cluster: Cluster, topic: str) -> Any:
    asked = cluster.admin.describe_topics(
        TopicCollection([topic]), include_authorized_operations=True, request_timeout=REACH_S
    )
    return asked[topic].result(REACH_S)


def _operations(described: Any) -> set[str]:
    return {each.name for each in described.authorized_operations or ()}


def _grow(admin: AdminClient, connection: Connection, topic: str, partitions: int) -> None:
    try:
        admin.create_partitions([NewPartitions(topic, partitions)], request_timeout=REACH_S)[topic].result(REACH_S)
    except KafkaException as failure:
        said = connection.masked(failure.args[0].str())
        raise Refusal(
            f"topic {topic!r} needs {partitions} partitions, as the scans' topic has, and gets none: {said}; fix: add "
            "them by hand"
        ) from None


def _create(admin: AdminClient, connection: Connection, topic: str, partitions: int) -> None:
    new = NewTopic(topic, partitions, connection.replication_factor or _BROKERS_DEFAULT)
    try:
        admin.create_topics([new], request_timeout=REACH_S)[topic].result(REACH_S)
    except KafkaException as failure:
        error = failure.args[0]
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return
        if diagnosis.is_denied(error):
            doing = f"create topic {topic!r}, which it does not see there"
            words = diagnosis.denied(connection, doing, "CREATE", error)
            raise Refusal(f"{words}, or let an administrator create it and allow DESCRIBE and WRITE") from None
        raise Refusal(
            f"topic {topic!r} cannot be created: {error.str()}; fix: what the broker names, or create it by hand"
        ) from None
