"""Template: what the SQL files leave to the lanes, filled in from LANES and PLANES.

A view or a saved query that goes over all lanes, planes or reasons names `$parts` of this module, so that a lane more
is in all of them. `$each_lane{...}$` stands for a list: the text once a lane, with its name for `$lane`;
`$each_factor{...}$` leaves the base lane out. `$wilson_low{k}{n}$` and `$wilson_high{k}{n}$` are the bounds of a share
of k in n (Wilson, Probable inference, J. Am. Stat. Assoc. 22, 1927; 95 %, one look). `$sum{x}$` is a sum whose bits do
not depend on the order of the rows, which a report needs. See docs/design/records.md.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final

from lanes.code import PlaneForm
from lanes.lane import Lane, Plane
from lanes.registry import LANES, MORE, PLANES, READ, REASONS

# Components of readings that are no column of a row.
_COMPUTED: Final = {"confirm": "toFloat64(dc_status = 'CONFIRM')"}
_FANIN: Final = (
    "esof_fanin", "raw", "cap", "bound", "leverage_fanin", "sc_mult", "leverage", "fraction", "capital_usd",
    "notional_usd", "notional_fraction", "posture", "reasons",
)  # fmt: skip
_EACH: Final = re.compile(r"\$each_(lane|factor)\{(.+?)\}\$", re.DOTALL)
_WILSON: Final = re.compile(r"\$wilson_(low|high)\{(.+?)\}\{(.+?)\}\$")
_SUM: Final = re.compile(r"\$sum\{(.+?)\}\$")
_Z: Final = 1.959963984540054  # of the normal distribution 2.5 % lie beyond it
_EXACT: Final = ("asset", "bound", "posture")  # compared as they are; floats by their bits


def sql() -> Path:
    """The folder sql/: of a checkout; of an installed package it lies in `journal`, since another one is named sql."""
    package = Path(str(resources.files("journal")))
    return inside if (inside := package / "sql").is_dir() else package.parent / "sql"


def texts(folder: str) -> dict[str, str]:
    """The SQL files of a folder of sql/ as they are, by name without .sql, in the order of their names."""
    files = sorted((sql() / folder).iterdir(), key=lambda file: file.name)
    return {file.name[:-4]: file.read_text("utf-8") for file in files if file.name.endswith(".sql")}


def head(text: str) -> str:
    """The comments of a SQL text, as one line."""
    return " ".join(line[2:].strip() for line in text.splitlines() if line.startswith("--"))


def fill(text: str) -> str:
    """A SQL text with its parts filled in. Raises KeyError naming a part that there is not."""
    text = _SUM.sub(r"toFloat64(sum(toDecimal256(\1, 30)))", _WILSON.sub(_wilson, _EACH.sub(_each, text)))
    return Template(text).substitute(_parts()) if "$" in text else text


def _each(match: re.Match[str]) -> str:
    lanes = LANES if match[1] == "lane" else LANES[1:]
    return ", ".join(match[2].replace("$lane", lane.name) for lane in lanes)


def _wilson(match: re.Match[str]) -> str:
    side, k, n = match.groups()
    half = f"{_Z} * sqrt({k} * ({n} - {k}) / {n} + {_Z * _Z / 4})"
    return f"(({k} + {_Z * _Z / 2} {'-' if side == 'low' else '+'} {half}) / ({n} + {_Z * _Z}))"


def product(lane: Lane) -> str:
    """The expression of a lane's value over stored columns."""
    return " * ".join(lane.made_of)


@cache
def _parts() -> dict[str, str]:
    columns = [name for lane in LANES for name in (*lane.components, lane.name)]
    compared = ("asset", *columns, *_FANIN)
    values = [f"('{lane.name}', {_some(lane.name, lane)})" for lane in LANES]
    return {
        "lane_columns": _selected(),
        "raw": " * ".join(_factor(lane) for lane in LANES),
        "reasons": "Array(Enum8(" + ", ".join(f"''{name}'' = {bit}" for bit, name in sorted(REASONS.items())) + "))",
        "lane_names": _quoted([lane.name for lane in LANES]),
        "values": ", ".join(lane.name for lane in LANES),
        "lane_values": _there(values, 2),
        "lane_readings": _there([f"('{each.name}', {_some(each.name, each)}, {_map(each)})" for each in LANES], 2),
        "plane_names": _quoted(list(READ)),
        "plane_value": _plane_value(),
        "zero_names": _quoted([name for name, _ in _zeros()]),
        "zero_values": f"[{', '.join(value for _, value in _zeros())}]",
        "compared": ", ".join(compared),
        "compared_names": _quoted(list(compared)),
        "compared_same": "[" + ",\n".join(_same(name) for name in compared) + "]",
        "compared_pairs": ",\n".join(f"o.{name} AS {name}, r.{name} AS {name}_replayed" for name in compared),
        "compared_nulls": ", ".join("[]" if name == "reasons" else "NULL" for name in compared),
    }


def _selected() -> str:
    """Components and values of the lanes, as a view over the stored columns selects them."""
    values = {lane: f"{product(lane)} AS {lane.name}" if lane.factors else lane.name for lane in LANES}
    return ",\n    ".join(name for lane in LANES for name in (*lane.components, values[lane]))


def _quoted(names: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def _factor(lane: Lane) -> str:
    """A lane's factor in `raw`: 1 where a lane beyond the five was off."""
    if lane in MORE:
        return f"ifNull({product(lane)}, 1.)"
    return "esof_fanin" if lane.name == "esof" else lane.name


def _some(name: str, lane: Lane) -> str:
    return f"ifNull({name}, nan)" if lane in MORE else name


def _map(lane: Lane) -> str:
    shown = lane.shown.items()
    return "map(" + ", ".join(f"'{name}', {_some(_COMPUTED.get(column, column), lane)}" for name, column in shown) + ")"


def _there(tuples: Sequence[str], value: int) -> str:
    """An array of tuples, one a lane; those of lanes that were off left out."""
    every = "[" + ", ".join(tuples) + "]"
    return f"arrayFilter(each -> NOT isNaN(each.{value}), {every})" if MORE else every


def _same(name: str) -> str:
    if name == "reasons":
        return "o.reasons = r.reasons"
    if name in _EXACT:
        return f"ifNull(o.{name} = r.{name}, true)"
    bits = f"reinterpretAsUInt64(o.{name}) = reinterpretAsUInt64(r.{name})"
    if any(lane in MORE and name in (*lane.components, lane.name) for lane in LANES):
        return f"ifNull({bits}, isNull(o.{name}) = isNull(r.{name}) OR 'reject' IN (o.outcome, r.outcome))"
    return f"ifNull({bits}, true)"


def _zeros() -> Sequence[tuple[str, str]]:
    """Factors that may make a product zero: (name, expression)."""
    found: list[tuple[str, str]] = []
    for lane in LANES:
        parts = ("esof_fanin",) if lane.name == "esof" else lane.made_of
        found += [(part, f"ifNull({part}, 1.)" if lane in MORE else part) for part in parts]
    return found[1:]  # the base is never below its floor


def _plane_value() -> str:
    """The value of a plane as JSON, from its form and numbers."""
    cases = []
    for plane in PLANES.values():
        if plane.is_text:
            cases += [
                f"name = '{plane.name}'",
                f"concat('{{\"{plane.names[0][0]}\":', toJSONString(toString(text)), '}}')",
            ]
            continue
        for form in (PlaneForm.MULTIPLIER, PlaneForm.INPUTS)[: len(plane.forms)]:
            cases += [f"name = '{plane.name}' AND form = '{form.name}'", _json(plane, form)]
    return f"multiIf({', '.join(cases)}, '')"


def _json(plane: Plane, form: PlaneForm) -> str:
    fields = zip(plane.names[form - 1], plane.slots, strict=False)
    parts = ", ',".join(f'"{name}":\', toString({slot})' for name, slot in fields)
    return f"concat('{{{parts}, '}}')"
