"""The tests' own brokers keep their promises, since every other test rests on them."""

import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.broker import NotOurs


def produce(bootstrap, topic, values):
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(10.0) == 0


def consume(bootstrap, topic, count):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "t", "enable.auto.commit": False, "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        got, deadline = [], time.monotonic() + 20.0
        while len(got) < count and time.monotonic() < deadline:
            got += consumer.consume(count - len(got), 0.2)
        return [(m.offset(), m.value()) for m in got if not m.error()]
    finally:
        consumer.close()


VALUES = [b"%d" % n for n in range(10)]


def test_ten_records_come_back_in_order(broker):
    topic = broker.create_topic()
    produce(broker.bootstrap, topic, VALUES)
    assert consume(broker.bootstrap, topic, 10) == list(enumerate(VALUES))


@pytest.mark.parametrize("end", [pytest.param("stop", marks=pytest.mark.slow), "kill"])
def test_kafka_keeps_its_records_and_its_port_over_a_restart(kafka, end):
    topic, before = kafka.create_topic(), kafka.bootstrap
    produce(before, topic, VALUES)
    try:
        getattr(kafka, end)()
    except NotOurs as reason:
        pytest.skip(str(reason))
    kafka.start()
    assert kafka.bootstrap == before
    assert consume(before, topic, 10) == list(enumerate(VALUES))
