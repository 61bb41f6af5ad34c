"""A lane's canary: a candidate version that speaks beside the current one, and the orders by which it takes its place.

A candidate writes to a topic of its own, which nothing is decided by. Promotion is a hand-over between processes that
know nothing of one another: `promote` asks the candidate, `take` is the candidate's word to whoever speaks for the
lane now, `left` is their answer, at which the candidate becomes the lane's worker. Nobody stops before somebody is
there to go on, and the other lanes hear none of it. Pure. Source: SPEC section 2.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from reactor.reading import tap_topic


class Order(Struct, frozen=True):
    """What is to happen to a lane. params_hash, kernel_hash: of the candidate that it is about."""

    v: Literal[1]
    act: Literal["promote", "take", "left"]
    lane: str
    params_hash: str
    kernel_hash: str


encode: Final[Callable[[Order], bytes]] = msgspec.json.Encoder().encode
decode: Final[Callable[[bytes], Order]] = msgspec.json.Decoder(Order).decode


def canary_topic(name: str, lane: str) -> str:
    """Topic of the readings of a lane's candidates in the soak of this name."""
    return f"{tap_topic(name, lane)}.canary"


def orders_topic(name: str) -> str:
    """Topic of the orders to the lanes of the soak of this name; it has one partition."""
    return tap_topic(name, "orders")
