"""Fault: what ClickHouse says of a query that it refuses, in a line of ours."""

import re
from typing import Final

_LONG: Final = 160  # letters of a message that we have no words for
_THEIRS: Final = re.compile(r"(?:Code: (?P<code>\d+)\. )?(?:DB::Exception: )?(?P<words>.*?)(?: \((?P<name>[A-Z_]+)\))?")
# Of each code: what to look for in their words, and the rule and the fix in ours. {what} and {near} are what was found.
_OURS: Final = {
    "47": (
        r"identifier [`'](?P<what>[^`']+)[`']",
        "no column {what}; fix: `DESCRIBE decisions` lists that view's columns",
    ),
    "60": (
        r"(?:identifier|[Tt]able) [`'](?P<what>[^`']+)[`']",
        "no table {what}; fix: `SHOW TABLES` lists what there is",
    ),
    "46": (r"name `(?P<what>[^`]+)`.*\['(?P<near>[^']+)'", "no function {what}; fix: did you mean {near!r}?"),
    "62": (
        r"position (?P<what>\d+) \((?P<near>.*?)\)",
        "the query is no SQL at letter {what}, {near!r}; fix: mend it there; --verbose says what may stand there",
    ),
    "159": ("", "the query takes too long; fix: raise --timeout, or ask for less"),
    "164": (r"(?P<what>read-only gate: .*[^.])", "{what}; fix: SELECT from the views, which `SHOW TABLES` lists"),
    "241": ("", "the query wants more memory than a reader has; fix: ask for less, such as one day"),
    "396": ("", "the answer has more rows than --max-rows; fix: raise --max-rows, or add a LIMIT"),
    "456": (r"`(?P<what>[^`]+)`", "the query asks for a value of {what}; fix: --param {what}=VALUE"),
}


def ours(theirs: str) -> str:
    """One line: the rule that a query broke, the fix, and ClickHouse's name of the error.

    >>> ours("Code: 46. DB::Exception: Function with name `lenght` does not exist. Maybe you meant: ['length']. (X)")
    "no function lenght; fix: did you mean 'length'? (X)"
    >>> ours("Code: 395. DB::Exception: Value passed to 'throwIf' is non-zero: while executing 'FUNCTION'. (THROWN)")
    "Value passed to 'throwIf' is non-zero; fix: mend the query; --verbose has all of ClickHouse's words (395 THROWN)"
    """
    read = _THEIRS.fullmatch(theirs.partition("; fix: ")[0])
    if read is None:
        raise AssertionError("must match: every line does")
    pattern, words = _OURS.get(read["code"] or "", ("$.", ""))
    if found := re.search(pattern, read["words"]):
        return words.format(**found.groupdict()) + (f" ({read['name']})" if read["name"] else "")
    said = read["words"].partition(": while executing")[0].partition(". ")[0].rstrip(".")
    said = said if len(said) <= _LONG else f"{said[:_LONG]}..."
    named = " ".join(filter(None, (read["code"], read["name"])))
    return f"{said}; fix: mend the query; --verbose has all of ClickHouse's words ({named})"
