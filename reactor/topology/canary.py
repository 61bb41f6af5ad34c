"""A lane's canary: a candidate version that speaks beside the current one, and the orders by which it takes its place.

A candidate writes to a topic of its own, which nothing is decided by. Promotion is a hand-over between processes that
know nothing of one another: `promote` asks for the candidate, `take` is its word to whoever speaks for the lane now,
and their answer is `left`, at which the candidate becomes the lane's worker, or `refused`, where the soak would not
hear it. Nobody is silent before a candidate is there, and the other lanes go on. Pure. See docs/design/stages.md.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Literal

import msgspec
from msgspec import Struct

from reactor.tap.reading import tap_topic


class Order(Struct, frozen=True, omit_defaults=True):
    """What is to happen to a lane.

    params_hash, kernel_hash: of the candidate that answers. shared: hash of what it reads that is the soak's to say.
    """

    v: Literal[1]
    act: Literal["promote", "take", "left", "refused"]
    lane: str
    params_hash: str = ""
    kernel_hash: str = ""
    shared: str = ""


encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Order).decode


def orders(values: Iterable[bytes | None]) -> list[Order]:
    """The orders among some records; what is none is passed over, for it is nobody's."""
    found = []
    for value in values:
        with suppress(msgspec.DecodeError):
            found.append(_decode(value or b""))
    return found


def canary_topic(name: str, lane: str) -> str:
    """Topic of the readings of a lane's candidates in the soak of this name."""
    return f"{tap_topic(name, lane)}.canary"


def orders_topic(name: str) -> str:
    """Topic of the orders to the lanes of the soak of this name; it has one partition."""
    return tap_topic(name, "orders")
