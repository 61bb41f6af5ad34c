"""A reading: what one lane said of one scan, as a record of its tap topic.

It is made of a batch's columns, or of the journal's, by one function, so that a tap topic, a lane's worker and the
journal say the same, bit for bit. The planes that a scan saw are no columns of its row: `step.outcomes` carries those
of `seen_by` where it is asked to, under the names of `state.seen_columns`. Pure. See docs/design/watching.md.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from math import isnan
from typing import Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from journal.row import Batch, Coded, Rows, Values
from lanes.code import DcStatus, Outcome, PlaneForm
from lanes.registry import BY_NAME, LANES
from reactor.evaluate.record import FORMS
from reactor.evaluate.state import LANE_PLANES, seen_columns

Shown = dict[str, float | str]


class Reading(Struct, gc=False, omit_defaults=True):
    """One lane at one scan. Floats keep their bits through JSON.

    topic, partition, offset: where the scan is. components: what explains the value, as in lane_readings. inputs: what
    the lane reads, of the scan by its name and of a plane as plane.field; what is absent is left out. age_ms:
    event-time age of the lane's first plane; None where it has none, or none was seen. kernel_hash: of the
    foreign kernel in the lane's place, else of the code that decides. run: whose scan it is; a worker, which serves
    whatever run comes, leaves it out. A worker alone says what is not finite, as None,
    and with `fault` what a foreign kernel raised: such a scan ends in a reject.
    """

    v: Literal[1]
    lane: str
    topic: str
    partition: int
    offset: int
    stream: str
    scan_id: int
    ts_ms: int
    value: float | None
    components: dict[str, float | None]
    inputs: Shown
    age_ms: int | None
    params_hash: str
    kernel_hash: str
    fault: str = ""
    run: str = ""


encode: Final[Callable[[Reading], bytes]] = msgspec.json.Encoder().encode
decode: Final[Callable[[bytes], Reading]] = msgspec.json.Decoder(Reading).decode

_TAP_TOPIC: Final = re.compile(rf"violet\..+\.lanes\.({'|'.join(BY_NAME)})")
_DC: Final = tuple(status.name for status in DcStatus)


def tap_topic(name: str, lane: str) -> str:
    """Topic of a lane's readings in the soak of this name."""
    return f"violet.{name}.lanes.{lane}"


def is_tap_topic(topic: str) -> bool:
    """Whether a topic has the name of a lane's readings, in a soak of any name."""
    return _TAP_TOPIC.fullmatch(topic) is not None


def seen_by(lanes: Iterable[str]) -> tuple[str, ...]:
    """Planes that these lanes read."""
    return tuple(plane for lane in LANES if lane.name in lanes for plane in LANE_PLANES.get(lane.name, ()))


def readings(batch: Batch, lane: str, kernel_hash: str, run: str = "") -> list[Reading]:
    """Readings of a lane in a batch that carries the lane's planes, by offset."""
    kinds = (batch.rows[Outcome.DECISION], batch.rows[Outcome.EVALUATION])
    found = list(chain(*(of_rows(rows, lane, batch.topic, batch.partition, kernel_hash, run) for rows in kinds)))
    found.sort(key=lambda reading: reading.offset)  # two runs in order: one pass
    return found


def of_rows(rows: Rows, lane: str, topic: str, partition: int, kernel_hash: str, run: str = "") -> list[Reading]:
    """Readings of a lane in rows of scans, in their order."""
    n, columns, shown_as = len(rows), rows.columns, BY_NAME[lane].shown
    if not n or not columns.keys() >= {*BY_NAME[lane].stored}:  # a lane that is off and has no columns
        return []
    own = (_plain(columns, name) for name in ("stream", "scan_id", "ts_ms", lane, "params_hash"))
    shown = zip(*(_plain(columns, source) for source in shown_as.values()), strict=True)
    names = tuple(shown_as)
    return [
        Reading(
            1, lane, topic, partition, offset, stream, scan_id, ts_ms, value, dict(zip(names, parts, strict=True)),
            inputs, age_ms, params_hash, kernel_hash, run=run,
        )
        for offset, stream, scan_id, ts_ms, value, params_hash, parts, inputs, age_ms in zip(
            rows.offsets.tolist(), *own, shown, _inputs(columns, lane, n), _ages_ms(columns, lane, n), strict=True
        )
    ]  # fmt: skip


def _plain(columns: Mapping[str, Values], name: str) -> list[Any]:
    """A column as Python's own; some of them are functions of others."""
    if name in BY_NAME:
        values: Values = BY_NAME[name].value(columns)
    elif name == "confirm":
        values = (np.asarray(columns["dc_status"]) == DcStatus.CONFIRM).astype(np.float64)
    else:
        values = columns[name]
    if isinstance(values, Coded):
        return values.strings()
    return values if isinstance(values, list) else values.tolist()


def _inputs(columns: Mapping[str, Values], lane: str, n: int) -> list[Shown]:
    """What the lane reads, a map a row."""
    planes = _plane_inputs(columns, lane, n)
    names = BY_NAME[lane].scanned
    if not names:
        return planes
    scans = zip(*(_scanned(columns, name) for name in names), strict=True)
    return [
        {name: x for name, x in zip(names, read, strict=True) if x is not None} | held
        for read, held in zip(scans, planes, strict=True)
    ]


def _scanned(columns: Mapping[str, Values], name: str) -> list[float | str | None]:
    """A column of the scans as it is shown: names of codes, None where there was nothing."""
    values = _plain(columns, name)
    return [_DC[code] for code in values] if name == "dc_status" else [None if isnan(x) else x for x in values]


def _plane_inputs(columns: Mapping[str, Values], lane: str, n: int) -> list[Shown]:
    """Fields of the lane's planes, a map a row. Planes are slow: rows that saw the same share a map."""
    planes = LANE_PLANES.get(lane, ())
    seen = {name: np.asarray(columns[name]) for plane in planes for name in seen_columns(plane)}
    changes = np.zeros(n, dtype=np.bool_)
    changes[0] = True
    for column in seen.values():
        bits = column.view(np.int64) if column.dtype == np.float64 else column
        changes[1:] |= bits[1:] != bits[:-1]
    maps = [_held(seen, planes, at) for at in np.flatnonzero(changes).tolist()]
    return [maps[at] for at in (np.cumsum(changes) - 1).tolist()]


def _held(seen: Mapping[str, NDArray[Any]], planes: Iterable[str], at: int) -> Shown:
    held: Shown = {}
    for plane in planes:
        form = int(seen[f"{plane}.form"][at])
        if form != PlaneForm.NEVER_SEEN:
            names = FORMS[plane][form - 1]
            held |= {f"{plane}.{name}": float(seen[f"{plane}.{n}"][at]) for name, n in zip(names, "xyz", strict=False)}
    return held


def _ages_ms(columns: Mapping[str, Values], lane: str, n: int) -> list[int | None]:
    if lane not in LANE_PLANES:
        return [None] * n
    plane = LANE_PLANES[lane][0]
    ages = (np.asarray(columns["ts_ms"]) - np.asarray(columns[f"{plane}.ts_ms"])).tolist()
    never = (np.asarray(columns[f"{plane}.form"]) == PlaneForm.NEVER_SEEN).tolist()
    return [None if absent else age for age, absent in zip(ages, never, strict=True)]
