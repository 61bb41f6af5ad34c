"""Naming: which run people mean, and whether a query means one. It loads no driver: `violet sql` starts quickly.

See docs/design/running.md.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from journal.engine.reader import NEWEST_FIRST
from journal.refusal import Refusal

LATEST: Final = "latest"  # names the newest run
KNOWN: Final = f"SELECT run_id, name FROM runs ORDER BY {NEWEST_FIRST}"
# How many runs there are, and the tables that hold rows of more than one.
SEVERAL: Final = (
    "SELECT (SELECT count() FROM runs) AS runs, groupArray(table) AS tables FROM system.columns "
    "WHERE database = currentDatabase() AND name = 'run_id' AND table NOT IN ('runs', 'violet_runs')"
)
_LISTED: Final = 5  # runs that a refusal names
_SCOPED: Final = re.compile(r"\brun_id\b|\{run:", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")


def identify(known: Sequence[Mapping[str, Any]], wanted: str | None) -> str:
    """The id of a run that is named by its id, its name (the latest of that name), `latest`, or how its id begins.

    >>> identify([{"run_id": "r2", "name": "a"}, {"run_id": "r1", "name": "b"}], "b")
    'r1'

    Args:
        known: id and name of every run, the newest first, as KNOWN gives them.
        wanted: what names it; None for the latest run.

    Raises:
        Refusal: it names none, or several.
    """
    ids: list[str] = [row["run_id"] for row in known]
    listed = ", ".join(ids[:_LISTED]) + (" (`violet runs` lists all)" if ids else "(none: soak first)")
    if wanted in (None, "", LATEST) and ids:
        return ids[0]
    for named in (
        [run_id for run_id in ids if run_id == wanted],
        [row["run_id"] for row in known if row["name"] == wanted][:1],
        [run_id for run_id in ids if run_id.startswith(wanted or LATEST)],
    ):
        if len(named) > 1:
            raise Refusal(f"run {wanted!r}: {len(named)} runs begin so; fix: name one of: {', '.join(named[:_LISTED])}")
        if named:
            return named[0]
    missing = f"no run {wanted!r}" if wanted else "no run"
    raise Refusal(f"{missing} in this journal; fix: name one of: {listed}")


def scoped(query: str) -> bool:
    """Whether a query says something of runs itself.

    >>> scoped("SELECT count() FROM decisions"), scoped("SELECT count() FROM decisions WHERE run_id = {run:String}")
    (False, True)
    """
    return _SCOPED.search(query) is not None


def over_several(query: str, runs: int, tables: Sequence[str]) -> str:
    """What to tell who asks a query that is not scoped; empty where it reads no rows of several runs.

    runs, tables: as SEVERAL gives them.
    """
    if runs < 2 or not {*_WORD.findall(query)} & {*tables}:
        return ""
    fix = "WHERE run_id = {run:String} takes the latest, or that of --run"
    return f"this query names no run and reads the rows of all {runs}; fix: {fix}"
