"""Saved queries: what people ask of a journal, as files in sql/queries whose heads say what they answer.

A head is comments: the question, then `Columns:` (each name, and its meaning or unit in brackets), then `Source:`.
See docs/design/watching.md.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Final

from journal.refusal import Refusal
from journal.template import fill, head, texts

_HEAD: Final = re.compile(r"(?P<question>.+?) Columns: (?P<columns>.+?) Source: (?P<source>.+)")


@dataclass(frozen=True, slots=True)
class Query:
    """One saved query. `sql` is the whole file, its head included; {run:String} stands for the run."""

    name: str
    question: str
    columns: str
    source: str
    sql: str


def saved() -> dict[str, Query]:
    """Every saved query by its name.

    Raises:
        ValueError: a file of sql/queries lacks its head.

    >>> saved()["clamps"].question
    'Which bound fixed the leverage, how often, and at which values?'
    """
    return {name: _query(name, fill(text)) for name, text in texts("queries").items()}


def find(name: str) -> Query:
    """The saved query of a name.

    Raises:
        Refusal: there is none of that name; it says which is near.

    >>> find("clmps")
    Traceback (most recent call last):
    journal.refusal.Refusal: no saved query 'clmps'; fix: did you mean 'clamps'?
    """
    known = saved()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        fix = f"did you mean {near[0]!r}?" if near else "`violet sql --saved` lists them"
        raise Refusal(f"no saved query {name!r}; fix: {fix}")
    return known[name]


def _query(name: str, sql: str) -> Query:
    match = _HEAD.fullmatch(words := head(sql))
    if match is None:
        raise ValueError(
            f"sql/queries/{name}.sql must begin with its question, Columns: and Source:, was {words[:80]!r}"
        )
    return Query(name, sql=sql, **match.groupdict())
