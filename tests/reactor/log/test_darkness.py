"""Darkness is not proved where nobody denies anything; where ACLs do: tests/integration/test_secured.py."""

import pytest
from confluent_kafka.admin import AdminClient

from journal.refusal import Refusal
from reactor.log.connection import plain
from reactor.log.darkness import darkness
from reactor.log.tansu import free_port


def test_a_broker_without_acls_proves_nothing_and_is_left_as_it_was(broker):
    before = set(AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics)
    found = darkness(plain(broker.bootstrap))
    assert not found.is_proved
    assert found.words.startswith("not proved: the broker does not deny an anonymous client a topic")
    assert not {t for t in set(AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics) - before if "darkness" in t}  # fmt: skip


def test_a_broker_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("reactor.log.admin.PATIENCE_S", 0.2)
    with pytest.raises(Refusal, match="cannot be reached"):
        darkness(plain(f"127.0.0.1:{free_port()}"))
