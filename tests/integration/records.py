"""Archives for the tests: small, fixed, with every kind of outcome in them. The drill's, which the product brings."""

from reactor.drill.lines import (
    LONG,
    MINUTE_MS,
    POISON,
    POSTURES,
    START_MS,
    STREAMS,
    SYMBOLS,
    every_plane,
    line,
    mixed,
    plain,
    plane,
    scan,
    write,
)  # fmt: skip

__all__ = [
    "LONG", "MINUTE_MS", "POISON", "POSTURES", "START_MS", "STREAMS", "SYMBOLS", "every_plane", "line", "mixed", "plain", "plane",
    "scan", "write",
]  # fmt: skip
