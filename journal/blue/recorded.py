"""What BLUE recorded beside a trade: its scan, lane values, planes, posture, marks, and what it says of itself.

All of it is optional. A row that has none of it is hashed as before these fields were known, so an import of before is
still the same import.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lanes.registry import LANES

TEXTS: Final = ("posture", "dc_status", "version", "code_hash", "config_hash", "math_fingerprint")
RECORDED: Final = {
    "scan_id": "Nullable(Int64)", "lanes": "Map(LowCardinality(String), Float64)", "planes": "String",
    **dict.fromkeys(TEXTS, "LowCardinality(String)"), "marks": "Array(LowCardinality(String))",
}  # fmt: skip
"""Our fields in the order in which they are stored and hashed, with their ClickHouse types."""
NOTHING: Final[Mapping[str, Any]] = {
    "scan_id": None, "lanes": {}, "planes": "", **dict.fromkeys(TEXTS, ""), "marks": [],
}  # fmt: skip
LANE_NAMES: Final = tuple(lane.name for lane in LANES)
SCAN_ID_END: Final = 1 << 63


def recorded(row: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded fields of a mapped row, NOTHING where it has none. Raises ValueError with what must be otherwise."""
    scan_id = row.get("scan_id")
    if scan_id is not None and not 0 <= scan_id < SCAN_ID_END:
        raise ValueError(f"scan_id must be between 0 and 2^63 - 1, was {scan_id}")
    lanes = {name: float(row[name]) for name in LANE_NAMES if row.get(name) is not None}
    if bad := [name for name, value in lanes.items() if not math.isfinite(value)]:
        raise ValueError(f"{bad[0]} must be finite, was {lanes[bad[0]]!r}")
    return {
        "scan_id": scan_id, "lanes": lanes, "planes": _planes(row.get("planes")),
        **{name: str(row.get(name) or "") for name in TEXTS}, "marks": _marks(row.get("marks")),
    }  # fmt: skip


def _planes(given: Any) -> str:
    """Planes as one JSON text in one order, so that equal planes are equal text; of none that were seen {}."""
    if given is None:
        return ""
    planes = _json(given) if isinstance(given, str) else given
    for name, plane in planes.items() if isinstance(planes, dict) else [("", None)]:
        known = isinstance(plane, dict) and isinstance(plane.get("value"), dict) and type(plane.get("ts_ms")) is int
        if not known:
            raise ValueError(
                f"planes must be an object of plane: {{value: {{...}}, ts_ms: milliseconds}}, was {plane!r} at {name!r}"
            )
    return msgspec.json.encode(planes, order="sorted").decode()


def _marks(given: Any) -> list[str]:
    """Marks as a list: of a list, of one as JSON, or of words with commas between."""
    found = _json(given) if isinstance(given, str) and given.startswith("[") else given
    marks = found.split(",") if isinstance(found, str) else found or []
    if not isinstance(marks, list) or not all(isinstance(mark, str) for mark in marks):
        raise ValueError(f"marks must be a list of texts, was {given!r}")
    return sorted({mark.strip() for mark in marks} - {""})


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
