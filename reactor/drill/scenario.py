"""A scenario: one fault, how it is injected, and what must hold.

See docs/design/faults.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

from reactor.drill.stage import Stage


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault.

    Attributes:
        name: how it is asked for.
        fault: what happens, for people.
        must: what must hold, for people.
        act: injects it on a stage, and checks.
        quick: whether it is one of the quick set.
    """

    name: str
    fault: str
    must: str
    act: Callable[[Stage], None]
    quick: bool = False
