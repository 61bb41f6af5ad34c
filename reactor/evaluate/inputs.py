"""Inputs: the columns that the lanes read, of the scans that a walk gathered and of the planes that each of them saw.

A scan points at the row of each plane that it saw, so an as-of column is a matter of indices.
See docs/design/records.md.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lanes.code import PlaneForm
from lanes.columns import Inputs
from reactor.evaluate.state import READ, seen_columns
from reactor.evaluate.walk import Walk

# Types of a walk's scan rows and plane rows, in their order.
_SCAN_DTYPES: Final = (
    np.int64, np.int32, np.int64, np.int64, np.float64, np.float64, np.int8, np.int32, np.uint64,
)  # fmt: skip
_PLANE_DTYPES: Final = (
    np.int64, np.int32, np.int32, np.int64, np.int64, np.int8, np.float64, np.float64, np.float64, np.int32,
)  # fmt: skip


def _columns(rows: list[Any], dtypes: tuple[Any, ...]) -> list[NDArray[Any]]:
    columns = zip(*rows, strict=True) if rows else ((),) * len(dtypes)
    return [np.fromiter(column, dtype, len(rows)) for column, dtype in zip(columns, dtypes, strict=True)]


class PlaneColumns:
    """The planes of a walk as columns, and of each scan the ones that it saw."""

    def __init__(self, walk: Walk, ts_ms: NDArray[np.int64]) -> None:
        (
            self.at, self.stream, self.code, self.seq, self.at_ms, self.form, self.x, self.y, self.z, self.text,
        ) = _columns(walk.planes, _PLANE_DTYPES)  # fmt: skip
        places = np.fromiter(chain.from_iterable(walk.versions), np.int64, len(walk.versions) * len(READ))
        self._places = {name: places[i :: len(READ)] for i, name in enumerate(READ)}
        self.ts_ms = ts_ms
        self.posture: NDArray[np.int32] = self.of("posture", self.text)

    def of(self, name: str, column: NDArray[Any]) -> NDArray[Any]:
        """A column's values, of the plane that each scan saw."""
        taken: NDArray[Any] = column[self._places[name]]
        return taken

    def seen(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Columns of these planes as each scan saw them."""
        columns = {"form": self.form, "ts_ms": self.at_ms, "x": self.x, "y": self.y, "z": self.z}
        return {c: self.of(name, columns[what]) for name in names for c, what in seen_columns(name).items()}

    def read(self, dotted: str) -> NDArray[Any]:
        """One input by its name in Lane.inputs: PLANE.form, .seen, .age_ms, .x, .y or .z."""
        name, what = dotted.split(".")
        if what == "seen":
            return ~self.missing(name)
        if what == "age_ms":
            return self.ages_ms(name)
        column: NDArray[Any] = getattr(self, what)
        return self.of(name, column)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Where the plane was never seen."""
        absent: NDArray[np.bool_] = self.of(name, self.form) == PlaneForm.NEVER_SEEN
        return absent

    def ages_ms(self, name: str) -> NDArray[np.int64]:
        """Event-time ages; 0 where the plane was never seen."""
        ages: NDArray[np.int64] = np.where(self.missing(name), 0, self.ts_ms - self.of(name, self.at_ms))
        return ages

    def older(self, name: str, than_ms: int) -> NDArray[np.bool_]:
        """Where the plane was seen and its event-time age is over a bound."""
        return self.ages_ms(name) > than_ms


class Gathered:
    """The scans that a walk gathered, as columns.

    at: positions of the scans among its records. inputs: what the lanes and the fan-in read. foreign: by lane, the
    values of a kernel in its place. reasons: those that the walk itself gave.
    """

    def __init__(self, walk: Walk) -> None:
        self.at, self.stream, self.scan_id, self.ts_ms, vel_div, w750, dc_status, self.asset, self.reasons = _columns(
            walk.scans, _SCAN_DTYPES
        )
        profile = walk.rules.profile
        self.planes = PlaneColumns(walk, self.ts_ms)
        stalker = np.array([text == "STALKER" for text in walk.texts.names])
        capital_usd = self.planes.of("capital", self.planes.x)
        scan = {"vel_div": vel_div, "w750": w750, "dc_status": dc_status}
        self.inputs: Inputs = {
            **scan,
            **{n: self.planes.read(n) for lane in profile.lanes for n in lane.inputs if n not in scan},
            "stalker": stalker[self.planes.posture],
            "capital_usd": np.where(self.planes.missing("capital"), profile.fanin.paper_capital_usd, capital_usd),
        }
        self.foreign = {lane: np.array(values, dtype=np.float64) for lane, values in walk.foreign.items()}
