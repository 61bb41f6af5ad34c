"""Reaching a broker and making topics on it: on Tansu and on Apache Kafka; with ACLs in tests/integration/test_secured.py."""

import uuid

import pytest
from confluent_kafka import Consumer

from journal.refusal import Refusal
from reactor.log.admin import create_all, made, reach
from reactor.log.connection import Connection, plain
from tests.integration.soaking import until


def fresh():
    return f"t-{uuid.uuid4().hex[:12]}"


def test_topics_are_made_once_and_kept(broker):
    one, two = fresh(), fresh()
    create_all(plain(broker.bootstrap), [one], 2)
    create_all(plain(broker.bootstrap), [one, two], 3)
    until(lambda: {one, two} <= reach(plain(broker.bootstrap)).topics.keys())
    topics = broker.admin().list_topics(timeout=10).topics
    assert [len(topics[name].partitions) for name in (one, two)] == [2, 3]


def test_replicas_are_the_brokers_own_unless_given(kafka):
    with pytest.raises(Refusal, match="cannot be created: .*replication"):
        create_all(Connection(bootstrap_servers=kafka.bootstrap, replication_factor=3), [fresh()], 1)  # of one node
    name = fresh()
    create_all(Connection(bootstrap_servers=kafka.bootstrap, replication_factor=1), [name], 1)
    until(lambda: name in reach(plain(kafka.bootstrap)).topics)


def test_a_setting_that_the_library_does_not_know_is_named():
    known = Connection(bootstrap_servers="127.0.0.1:1", librdkafka={"no.such.setting": "x"})
    with pytest.raises(
        Refusal, match='kafka: No such configuration property: "no.such.setting"; fix: mend that setting'
    ):
        made(Consumer, known, {"group.id": "g"})
