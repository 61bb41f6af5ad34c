"""Darkness: whether a user could write where VIOLET never writes. Asked of a broker by a write that must fail.

The topic has a name of its own that nobody uses. A broker with ACLs denies even the sight of it; only then the write is
tried, so that no broker ever makes the topic. Nothing is tried on the topic that is read, since it might succeed:
there the broker says what its ACLs allow. See docs/design/running.md.
"""

import secrets
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection

from journal.refusal import Refusal
from reactor.log import diagnosis
from reactor.log.admin import Cluster, made, operations, reach
from reactor.log.connection import Connection

ASK_S: Final = 5.0


class Darkness(NamedTuple):
    """Whether a write outside its own topics was denied to a user, and in words."""

    is_proved: bool
    words: str


def darkness(connection: Connection, topic: str | None = None) -> Darkness:
    """Try to write where nothing of ours may, and ask whether it may write to the topic that it reads.

    Raises:
        Refusal: the broker is not reached.
    """
    cluster, who = reach(connection), diagnosis.user(connection)
    probe = f"darkness-probe-{secrets.token_hex(6)}"
    if not (_is_hidden(cluster, probe) and _is_refused(connection, probe)):
        words = f"not proved: the broker does not deny {who} a topic that is not VIOLET's (no ACLs, or wide ones)"
        return Darkness(is_proved=False, words=words)
    if topic is not None and not (may := operations(cluster, topic)):
        return Darkness(is_proved=False, words=f"not proved: the broker does not say what {who} may do to {topic!r}")
    if topic is not None and "WRITE" in may:
        words = f"{who} may write to {topic!r}, which it reads; fix: the ACLs of deploy/kafka/acls.sh"
        return Darkness(is_proved=False, words=f"not proved: {words}")
    where = "a topic that is not VIOLET's" + (f", and to {topic!r}, which it reads" if topic is not None else "")
    return Darkness(is_proved=True, words=f"proved: the broker denies {who} a write to {where}")


def in_words(connection: Connection, topic: str) -> str:
    """The same as a soak of a topic says it when it starts: whatever stands in the way, the soak goes on."""
    try:
        return darkness(connection, topic).words
    except Refusal as refusal:
        return f"not proved: {refusal}"


def _is_hidden(cluster: Cluster, topic: str) -> bool:
    """Whether the broker denies the sight of a topic: one without ACLs says that there is none."""
    try:
        cluster.admin.describe_topics(TopicCollection([topic]), request_timeout=ASK_S)[topic].result(ASK_S)
    except KafkaException as error:
        return diagnosis.is_denied(error.args[0])
    except TimeoutError:
        return False
    return False


def _is_refused(connection: Connection, topic: str) -> bool:
    """Whether the broker denies the write of a record of no bytes."""
    answers: list[KafkaError | None] = []

    def delivered(error: KafkaError | None, _: "Message[bytes, bytes]") -> None:
        answers.append(error)

    producer = made(Producer, connection, {"message.timeout.ms": int(ASK_S * 1000), "error_cb": lambda error: None})
    producer.produce(topic, b"", on_delivery=delivered)
    producer.flush(ASK_S + 1.0)
    return any(error is not None and diagnosis.is_denied(error) for error in answers)
