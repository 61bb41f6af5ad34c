"""Delay: which share of the differences one scan's delay of the planes explains.

Of each pair that differs the decision is evaluated again under our own planes, but each that came since the scan before
is late by it: one at a time, and all of them. Where nothing of the pair differs then, it was noise of timing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from journal.blue.classes import differs
from journal.blue.noise_floor import Seen
from journal.blue.pairing import Pair
from reactor.blue.again import again, own_planes
from reactor.evaluate.walk import Rules

ALL: Final = "all"


def explained(
    pairs: Sequence[Pair], planes: Iterable[Seen], rules: Callable[[Mapping[str, Any]], Rules]
) -> dict[str, str]:
    """Of the pairs that a delay explains: trade_id -> the plane, or ALL where it takes all that came.

    Args:
        pairs: those that differ.
        planes: of each, the planes that its decision saw.
        rules: what decided a row of `decisions`.
    """
    tried = [
        (pair, name, {**own_planes(pair.decision), **found.planes, **late})
        for pair, found in zip(pairs, planes, strict=True)
        for name, late in _delays(found)
    ]
    evaluated = again([pair for pair, _, _ in tried], [each for _, _, each in tried], rules)
    found: dict[str, str] = {}
    for (pair, name, _), row in zip(tried, evaluated, strict=True):
        if row is not None and not differs(replace(pair, decision={**pair.decision, **row})):
            found.setdefault(pair.trade["trade_id"], name)
    return found


def share(n: int, found: Mapping[str, str], dropped: int) -> dict[str, Any]:
    """How many of `n` differences a delay explains, and of which plane; of how many the planes were dropped."""
    counts = Counter(found.values())
    return {
        "n": n, "explained": len(found), "share": len(found) / n if n else None, "dropped": dropped,
        "by_plane": dict(counts.most_common()),
    }  # fmt: skip


def _delays(found: Seen) -> list[tuple[str, Mapping[str, Any]]]:
    """What may be late: each plane that came, and all of them where there are several."""
    single: list[tuple[str, Mapping[str, Any]]] = [(name, {name: was}) for name, was in found.late.items()]
    return [*single, *([(ALL, found.late)] if len(single) > 1 else [])]
