"""A stretch: what the rows of a range of offsets add up to, and what several stretches are together.

See proof.py, which counts them, and docs/design/running.md.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

FACTS: Final = ("n", "pegged", "off_abs", "repeated", "broken")
ENDS: Final = ("top", "low", "high")
SUMS: Final = (
    "decisions", "evaluations", "planes", "rejects", "scan_rejects", "deliverable", "journaled", "skipped", "doubled",
    "corrupt", "content_hash", *FACTS,
)  # fmt: skip
_WRAP: Final = 2**64


class Times(msgspec.Struct):
    """Event times of a stream in a stretch: first and last, how many it adds, and how often each step between two."""

    first: int
    last: int
    n: int
    steps: dict[int, int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the rows of a range of offsets of a partition add to those before it.

    segment: 0 where a run has several and this is about all of them. raw: rows of each table, copies too.
    """

    segment: int
    partition: int
    first: int
    last: int
    sums: Mapping[str, int]
    top: float | None
    low: float | None
    high: float | None
    unseen: Mapping[str, int]
    times: Mapping[str, Times]
    raw: Sequence[int]


def total(stretches: Sequence[Stretch], names: Iterable[str]) -> dict[str, Any]:
    """The figures of all stretches together. names: of the planes that are read."""
    sums: dict[str, Any] = {name: sum(each.sums[name] for each in stretches) for name in SUMS}
    sums["content_hash"] %= _WRAP
    for name, of in (("top", max), ("low", min), ("high", max)):
        sums[name] = of((value for each in stretches if (value := getattr(each, name)) is not None), default=0.0)
    sums["unseen"] = {name: sum(each.unseen.get(name, 0) for each in stretches) for name in ("scans", *names)}
    return sums | _time(stretches)


def _time(stretches: Sequence[Stretch]) -> dict[str, Any]:
    """As count.time has it, from the steps of each stream."""
    steps: dict[str, Counter[int]] = {}
    seen: Counter[str] = Counter()
    for each in stretches:
        for stream, times in each.times.items():
            steps.setdefault(stream, Counter()).update(times.steps)
            seen[stream] += times.n
    found = [_covered(seen[stream], of) for stream, of in steps.items()]
    known = bool(found) and all(n >= 3 for n, *_ in found)
    return {
        "time_coverage": min(covered for _, covered, _, _ in found) if known else None,
        "scan_gaps": sum(gaps for _, _, gaps, _ in found),
        "longest_silence_ms": max((longest for *_, longest in found), default=0),
    }


def _covered(n: int, steps: Mapping[int, int]) -> tuple[int, float, int, int]:
    """Of a stream: distinct times, the share of time that is covered, gaps, the longest step."""
    ordered = sorted((step, times) for step, times in steps.items() if times)
    if not ordered:
        return n, 0.0, 0, 0
    c = _median(ordered)
    gaps = [(step, times) for step, times in ordered if step > 2 * c]
    span = sum(step * times for step, times in ordered)
    dead = sum((step - c) * times for step, times in gaps)
    return n, 1.0 - dead / span, sum(times for _, times in gaps), ordered[-1][0]


def _median(ordered: Sequence[tuple[int, int]]) -> float:
    """The middle of values that come so often, ascending; of an even number the mean of the two."""
    n = sum(times for _, times in ordered)
    middle = [(n - 1) // 2, n // 2]
    found, behind = [], 0
    for value, times in ordered:
        behind += times
        while middle and middle[0] < behind:
            middle.pop(0)
            found.append(value)
    return (found[0] + found[1]) / 2
