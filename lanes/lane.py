"""What a lane declares, and what a plane declares. Everything else about one follows from its declaration.

A lane is one pure function of (inputs, params). Its file holds its params, its scalar kernel and one `Lane`; a line in
`lanes/registry.py` makes it a lane; for a package of yours its entry point of the group `violet.lanes` does. From that
follow its column loop, config section, journal columns, words in the row hash, tap topic, worker, candidate, metrics,
panel, dashboard and line in the docs. See docs/design/lanes.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

import numpy as np

from lanes.code import Reason
from lanes.kernel import Flags, Floats, Kernel
from lanes.params import LaneParams
from lanes.unfit import Unfit

SLOTS: Final = "xyz"  # where the journal keeps the numbers of a plane's value, in the order of its form
OWN_BITS: Final = range(32, 64)  # bits of `reasons` that planes beyond VIOLET's own may take


class Kind(Enum):
    """The domain of one field of a plane's value."""

    MULTIPLIER = "a number of at least 0"
    NUMBER = "a finite number"
    POSITIVE = "a number above 0"
    COUNT = "a whole number from 0"
    ORDINAL = "a whole number from 1"
    TEXT = "1 to 64 characters"


class Field(NamedTuple):
    """One field of a plane's value."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A slow value that upstream publishes, and that scans read as of their offset.

    Args:
        name: Its name on the wire.
        forms: What its value may hold, each a set of at most three fields. The first form is the multiplier; of a value
            that holds both, it is the one that counts.
        alert: The param with the age in milliseconds, TABLE.KEY, beyond which a row bears the reason of a stale plane.
        missing: The bit in `reasons` of a scan before which the plane never came: PLANE_MISSING_<NAME>.
        stale: The bit of one that is older than `alert`: PLANE_STALE_<NAME>.
        excused_by: A plane in whose second form this one is not missed.
    """

    name: str
    forms: tuple[tuple[Field, ...], ...]
    alert: str = ""
    missing: int = -1
    stale: int = -1
    excused_by: str = ""

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """Names of the fields of each form."""
        return tuple(tuple(field.name for field in form) for form in self.forms)

    @property
    def is_text(self) -> bool:
        """Whether its value is one text."""
        return self.forms[0][0].kind is Kind.TEXT

    @property
    def slots(self) -> str:
        """Where its numbers are kept: as many of x, y, z as its longest form has."""
        return SLOTS[: max(map(len, self.forms))]


Doubts = Callable[[Mapping[str, Any], Floats, Any], Mapping[Reason, Flags]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lane:
    """One concern that sizes a trade.

    Args:
        name: Module, kernel, column, config section, metric label, topic suffix and panel.
        title: The name for people.
        formula: One line.
        source: Where the formula comes from.
        params: The model of its config section. `off` has a value for each param, with enabled=False.
        kernel: The scalar kernel. It takes `inputs`, then `constants`, and gives the components and then the value.
        inputs: Columns that it reads: `vel_div`, `w750`, `dc_status` of the scan; PLANE.form, PLANE.seen, PLANE.age_ms
            and PLANE.x, .y, .z of its planes.
        constants: Params that it reads: of its own table by their names, of another as TABLE.KEY.
        planes: Slow values that it reads. The age of the first is the age of a reading.
        components: What the kernel gives before the value: columns that explain it.
        factors: Whether the components multiply, left to right, to the value: then the value is not stored.
        shows: Components of a reading besides, by name: columns of the row.
        inside_cap: Whether the factor stands in the cap, as well as in the product.
        foreign_plane: Whether a foreign kernel's value passes through the kernel, as a fresh multiplier of the first
            plane. Without it the value is taken as it is.
        shared: Params of its table that others read too: they are the soak's, not its worker's.
        doubts: Reasons besides those of its planes, from (inputs, value, params).
    """

    name: str
    title: str
    formula: str
    source: str
    params: type[LaneParams]
    off: LaneParams | None = None
    kernel: Kernel[..., Any]
    inputs: tuple[str, ...]
    constants: tuple[str, ...]
    planes: tuple[Plane, ...] = ()
    components: tuple[str, ...] = ()
    factors: bool = False
    shows: Mapping[str, str] | None = None
    inside_cap: bool = True
    foreign_plane: bool = False
    shared: tuple[str, ...] = ()
    doubts: Doubts | None = None

    @property
    def stored(self) -> tuple[str, ...]:
        """Its columns in the journal."""
        return self.components if self.factors else (*self.components, self.name)

    @property
    def made_of(self) -> tuple[str, ...]:
        """The stored columns that multiply to its value."""
        return self.components if self.factors else (self.name,)

    def value(self, columns: Mapping[str, Any]) -> Floats:
        """Its value in every row, from stored columns."""
        value: Floats = np.asarray(columns[self.made_of[0]])
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite comes out so
            for name in self.made_of[1:]:
                value = value * np.asarray(columns[name])
        return value

    @property
    def shown(self) -> Mapping[str, str]:
        """Components of a reading: name -> column of the row."""
        return {name: name for name in self.components} | dict(self.shows or {})

    @property
    def scanned(self) -> tuple[str, ...]:
        """Columns of the scan that it reads."""
        return tuple(name for name in self.inputs if "." not in name)

    @property
    def borrowed(self) -> tuple[str, ...]:
        """Params of other tables that it reads, as TABLE.KEY."""
        return tuple(name for name in self.constants if "." in name)

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of its planes."""
        return tuple(plane.name for plane in self.planes)


_registered: list[Lane] = []
_spoilt: list[str] = []
_sealed = False


def register(lane: Lane) -> None:
    """Add a lane beyond the five, before LANES are made. Raises RuntimeError after: a process has one set of lanes."""
    if not isinstance(lane, Lane):
        raise TypeError(f"must be a Lane, was {type(lane).__name__}")
    if _sealed:
        raise RuntimeError(f"lane {lane.name} must be registered before lanes.registry is imported")
    _registered.append(lane)


def spoil(why: str) -> None:
    """A lane beyond the five could not be added: whoever asks for LANES is told, and nothing runs without it."""
    _spoilt.append(why)


def registered() -> tuple[Lane, ...]:
    """The lanes beyond the five, by name; from now on there are no more. Raises Unfit where one could not be added."""
    global _sealed  # noqa: PLW0603 - once a process
    if _spoilt:
        raise Unfit(_spoilt[0])
    _sealed = True
    return tuple(sorted(_registered, key=lambda lane: lane.name))
