"""Darkness: whether a user could write where VIOLET never writes. Asked of a broker by a write that must fail.

The topic has a name of its own that nobody uses. A broker with ACLs denies the write before it looks for the topic; one
without them does not know the topic, or makes it, and then it is deleted again. See docs/design/running.md.
"""

import secrets
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types do not export them
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from reactor.log import diagnosis
from reactor.log.admin import Cluster, made, reach
from reactor.log.connection import Connection

ASK_S: Final = 5.0
_SOME: Final[Any] = None  # any name, principal and host: the client's types know only texts
_ANY: Final = AclBindingFilter(
    ResourceType.ANY, _SOME, ResourcePatternType.ANY, _SOME, _SOME, AclOperation.ANY, AclPermissionType.ANY
)


class Darkness(NamedTuple):
    """Whether a write outside its own topics was denied to a user, and in words."""

    is_proved: bool
    words: str


def darkness(connection: Connection) -> Darkness:
    """Try to write where nothing of ours may. Raises Refusal where the broker is not reached."""
    cluster, who = reach(connection), diagnosis.user(connection)
    if not _has_acls(cluster):
        return Darkness(is_proved=False, words="not proved: the broker has no ACLs, so anyone may write to any topic")
    topic = f"darkness-probe-{secrets.token_hex(6)}"
    error = _written(connection, topic)
    if error is not None and diagnosis.is_denied(error):
        return Darkness(
            is_proved=True, words=f"proved: the broker denies {who} a write to a topic that is not VIOLET's"
        )
    if error is None:
        _delete(cluster, topic)
    return Darkness(
        is_proved=False,
        words=f"not proved: the broker lets {who} write to any topic; fix: a user with READ on the scans' topic, and "
        "WRITE on its own tap topics alone",
    )


def _has_acls(cluster: Cluster) -> bool:
    """Whether the broker has ACLs: it shows some, or shows them to an administrator alone."""
    try:
        return bool(cluster.admin.describe_acls(_ANY, request_timeout=ASK_S).result(ASK_S))
    except KafkaException as error:
        return diagnosis.is_denied(error.args[0])


def _written(connection: Connection, topic: str) -> KafkaError | None:
    """Why a record of no bytes was not stored in a topic; None where it was."""
    answers: list[KafkaError | None] = []

    def delivered(error: KafkaError | None, _: "Message[bytes, bytes]") -> None:
        answers.append(error)

    limits = {"message.timeout.ms": int(ASK_S * 1000), "topic.metadata.propagation.max.ms": 1_000}
    producer = made(Producer, connection, {**limits, "error_cb": lambda error: None})
    producer.produce(topic, b"", on_delivery=delivered)
    producer.flush(ASK_S + 1.0)
    return answers[0] if answers else KafkaError(KafkaError._TIMED_OUT)


def _delete(cluster: Cluster, topic: str) -> None:
    """Take away a topic that the broker made for the write."""
    try:
        cluster.admin.delete_topics([topic], request_timeout=ASK_S)[topic].result(ASK_S)
    except KafkaException:  # it may not: the words say already that too much is allowed
        return
