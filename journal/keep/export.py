"""Export: a run's outcomes as questions, one behind the other, whose answers fit memory however long the run is.

Each question is about a range of offsets, in the order of the log, and is small enough for a reader's caps. What is
journaled after the ranges were made is in none of them. See docs/python.md.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from journal.engine.reader import quoted
from journal.refusal import Refusal
from lanes.registry import BY_NAME

VIEWS: Final = ("decisions", "evaluations", "scans", "planes")
PART_ROWS: Final = 131_072  # of an answer at most, or one SPAN
SPAN: Final = 65_536  # offsets that are counted together
_PLACE: Final = ("run_id", "stream", "scan_id", "ts", "ts_ms", "partition", "log_offset", "actuated")
_COLUMN: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def outcomes(
    view: str, run_id: str, columns: Sequence[str], rows: Callable[[str], list[dict[str, Any]]]
) -> Iterator[str]:
    """Questions that give a run's rows of a view, by partition and offset; at least one, which has the columns.

    Args:
        view: out of VIEWS.
        run_id: the run.
        columns: of the view; all where none is named.
        rows: gives the rows of a query.

    Raises:
        Refusal: a column has a name that none can have.
    """
    if wrong := [name for name in columns if not _COLUMN.fullmatch(name)]:
        raise Refusal(f"column {wrong[0]!r}: must be a name such as leverage; fix: compute with sql()")
    return _parts(view, ", ".join(columns) or "*", f"run_id = {quoted(run_id)}", rows)


def readings(lane: str, run_id: str, rows: Callable[[str], list[dict[str, Any]]]) -> Iterator[str]:
    """Questions that give what a lane gave at every scan of a run: where, its value, and what explains it.

    Raises:
        Refusal: there is no such lane.
    """
    if lane not in BY_NAME:
        raise Refusal(f"no lane {lane!r}; fix: name one of {', '.join(BY_NAME)}")
    parts = (f"{column} AS {name}" for name, column in BY_NAME[lane].shown.items())
    columns = ", ".join((*_PLACE, f"{lane} AS value", *parts))
    return _parts("scans", columns, f"run_id = {quoted(run_id)} AND isNotNull({lane})", rows)


def _parts(view: str, columns: str, where: str, rows: Callable[[str], list[dict[str, Any]]]) -> Iterator[str]:
    ask = f"SELECT {columns} FROM {view} WHERE {where}"
    counted = rows(
        f"SELECT partition, intDiv(log_offset, {SPAN}) AS span, min(log_offset) AS first, max(log_offset) AS last, "
        f"count() AS n FROM {view} WHERE {where} GROUP BY partition, span ORDER BY partition, span"
    )
    ranges: list[dict[str, int]] = []
    for each in ({name: int(value) for name, value in row.items()} for row in counted):
        before = ranges[-1] if ranges else None
        if before and before["partition"] == each["partition"] and before["n"] + each["n"] <= PART_ROWS:
            before |= {"last": each["last"], "n": before["n"] + each["n"]}
        else:
            ranges.append(each)
    for each in ranges:
        span = f"partition = {each['partition']} AND log_offset BETWEEN {each['first']} AND {each['last']}"
        yield f"{ask} AND {span} ORDER BY log_offset"
    if not ranges:
        yield f"{ask} LIMIT 0"
