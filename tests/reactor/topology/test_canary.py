"""Orders to lanes: what is none is nobody's, and each soak and lane has topics of its own."""

from reactor.topology.canary import Order, canary_topic, encode, orders, orders_topic


def test_orders_come_through_their_records_and_what_is_none_is_passed_over():
    sent = [
        Order(1, "promote", "acb", "p", "k", "s"),
        Order(1, "left", "ob"),
        Order(1, "refused", "dc"),
        Order(1, "take", "acb"),
    ]
    strange = [
        b"",
        None,
        b"{",
        b"[]",
        b'{"v":2,"act":"left","lane":"ob"}',
        b'{"v":1,"act":"fly","lane":"ob"}',
        b'{"v":1,"act":"left"}',
    ]
    found = orders([each for pair in zip(map(encode, sent), strange, strict=False) for each in pair])
    assert found == sent
    assert encode(sent[1]) == b'{"v":1,"act":"left","lane":"ob"}'
    assert orders(strange) == []


def test_topics_differ_by_soak_and_lane():
    names = {canary_topic(n, lane) for n in ("a", "b") for lane in ("acb", "ob")} | {
        orders_topic("a"),
        orders_topic("b"),
    }
    assert len(names) == 6
    assert canary_topic("a", "acb") == "violet.a.lanes.acb.canary"
    assert orders_topic("a") == "violet.a.lanes.orders"
