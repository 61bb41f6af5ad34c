"""The read-only gate: what a reader may run, and the only form in which it runs.

The text goes through the engine's own parser and formatter, which runs nothing, refuses several statements
and unbalanced brackets, and drops comments. Only that canonical output runs, inside brackets, where INTO
OUTFILE, FORMAT and PARALLEL WITH do not parse, in a session whose last SET was readonly = 1, which refuses
writes, files and networks, also from subqueries. What readonly = 1 lets through, FORBIDDEN stops by name: the
scalar function file() reads any file of the machine, so also the writer's token.
Source: trials with the engine (docs/design/sources.md).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

READONLY: Final = 164  # ClickHouse's own codes
BAD_ARGUMENTS: Final = 36
SYNTAX_ERROR: Final = 62

_AI: Final = ("classify", "embed", "extract", "filter", "generate", "redact", "similarity", "translate")
FORBIDDEN: Final = frozenset(
    {"file", "python", "eval", "catboostevaluate", "evalmlmethod", "showcertificate", "logtrace", "getclienthttpheader"}
    | {"addresstoline", "addresstolinewithinlines", "addresstosymbol", *(f"ai{verb}" for verb in _AI)}
)
CANONICAL: Final = "SELECT formatQuerySingleLine({q:String})"
# No clock decides which run is the latest. A journal that is not migrated yet has no `begun`: there its clock has to.
NEWEST_FIRST: Final = "tuple(COLUMNS('^begun$')) DESC, started_at DESC, run_id DESC"
LATEST_RUN: Final = f"SELECT run_id FROM violet_runs ORDER BY {NEWEST_FIRST} LIMIT 1"

# Begins with a word: a run of spaces at its begin would cost its square, and nothing else of the engine runs meanwhile.
_FORMAT: Final = re.compile(r"(?<=\s)FORMAT\s+(\w+)[\s;]*\Z", re.IGNORECASE)
_SELECT: Final = re.compile(r"(?:SELECT|WITH)\s|\(")
_NAME: Final = r"(?!INTO\b|FORMAT\b|SETTINGS\b)\w+(?:\.\w+)?"
_CATALOG: Final = re.compile(
    rf"SHOW DATABASES|SHOW TABLES(?: FROM \w+)?(?: LIKE '[\w%]*')?|SHOW CREATE (?:TABLE|VIEW) {_NAME}"
    rf"|DESCRIBE TABLE {_NAME}|EXISTS (?:(?:TABLE|VIEW) {_NAME}|DATABASE \w+)"
)
_DESCRIBE: Final = re.compile(r"DESCRIBE TABLE \((?P<query>.*)\)", re.DOTALL)
_KILL: Final = re.compile(r"KILL QUERY WHERE query_id = '(?P<id>(?:[^'\\]|\\.)*)' (?P<how>SYNC|ASYNC)", re.DOTALL)
_EXPLAIN: Final = re.compile(
    r"(?P<explain>EXPLAIN(?: AST| SYNTAX| QUERY TREE| PLAN| PIPELINE| ESTIMATE)?(?: \w+ = \d+,?)*) "
    r"(?P<query>(?:SELECT|WITH)\s.*|\(.*)",
    re.DOTALL,
)
# A quote inside `...` opens no string, so both are matched; only the string goes.
_STRING: Final = re.compile(r"'(?:[^'\\]|\\.)*'|(`(?:[^`\\]|\\.)*`)", re.DOTALL)
_WORD: Final = re.compile(r"\w+")
_SETTINGS: Final = re.compile(r"\bSETTINGS\s+\w+\s*=")  # the engine would drop them in silence
_RUN: Final = re.compile(r"\{\s*run\s*:\s*String\s*\}")


class QueryError(Exception):
    """A query that was refused or failed: ClickHouse's error code and its text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text

    @classmethod
    def of(cls, code: int, name: str, message: str) -> Self:
        """An error of ours in ClickHouse's words, so that every client can read it."""
        return cls(code, f"Code: {code}. DB::Exception: {message} ({name})")


@dataclass(frozen=True, slots=True)
class Admitted:
    """What runs. `wants_run`: the text has {run:String}. `cancels`: a query's id, to end it; `waits`: until it has."""

    sql: str
    format: str | None
    wants_run: bool
    cancels: str | None = None
    waits: bool = False


def admit(text: str, canonical: Callable[[str], str], settings: Mapping[str, str]) -> Admitted:
    """Pass a reader's text through the gate. canonical: the engine's formatter. Both raise QueryError."""
    match = _FORMAT.search(text)
    query, form = canonical(text[: match.start()] if match else text), match[1] if match else None
    if cancel := _KILL.fullmatch(query):
        return Admitted("", form, wants_run=False, cancels=unquoted(cancel["id"]), waits=cancel["how"] == "SYNC")
    if _SELECT.match(query):
        sql = _bracketed(query, settings)
    elif _CATALOG.fullmatch(query):
        sql = query
    elif explain := _EXPLAIN.fullmatch(query):
        sql = f"{explain['explain']} {_bracketed(canonical(explain['query']), settings)}"
    elif described := _DESCRIBE.fullmatch(query):
        sql = f"DESCRIBE TABLE (\n{_bracketed(canonical(described['query']), settings)}\n)"
    else:
        raise _refusal(
            "the reader may run SELECT, WITH, SHOW TABLES, SHOW DATABASES, SHOW CREATE name, EXISTS name, DESCRIBE of "
            f"a name or a SELECT, EXPLAIN of a SELECT and KILL QUERY WHERE query_id = '...', was {query[:80]!r}"
        )
    return Admitted(sql, form, bool(_RUN.search(query)))


def gated(
    text: str, params: Mapping[str, str], ask: Callable[[str, dict[str, str]], str]
) -> tuple[str, dict[str, str]]:
    """A reader's text and parameters as a server runs them that has no gate of its own.

    Args:
        text: what the reader asks.
        params: of its request.
        ask: the server's answer to a statement with parameters, without its last line's end.

    Raises:
        QueryError: the gate does not let it pass.
    """
    admitted = admit(text, lambda query: ask(CANONICAL, {"param_q": escaped(query)}), {})
    if admitted.cancels is not None:
        raise _refusal("a query of a server is ended by the server's own users")
    if admitted.wants_run and "param_run" not in params:
        if not (latest := ask(LATEST_RUN, {})):
            raise QueryError.of(
                456, "UNKNOWN_QUERY_PARAMETER", "{run:String} is the latest run, and the journal has none yet"
            )
        params = {**params, "param_run": escaped(latest)}
    kept = ("max_result_rows", "max_execution_time", "date_time_output_format", "default_format")
    limits = {"result_overflow_mode": "throw", "timeout_overflow_mode": "throw", "readonly": "1"}
    form = f" FORMAT {admitted.format}" if admitted.format else ""
    asked = {
        name: value for name, value in params.items() if name in (*kept, "default_format") or name.startswith("param_")
    }
    return f"{admitted.sql}{form}", asked | limits


def _bracketed(query: str, settings: Mapping[str, str]) -> str:
    if not _SELECT.match(query):
        raise _refusal(f"EXPLAIN and DESCRIBE take a SELECT, was {query[:80]!r}")
    bare = _STRING.sub(r"\1 ", query)
    if _SETTINGS.search(bare):
        raise _refusal("SETTINGS is not for readers; fix: give settings as parameters of the request")
    for word in _WORD.findall(bare):
        if word.lower() in FORBIDDEN:
            raise _refusal(f"the name {word!r} is not for readers, it reaches beyond the journal")
    clause = ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())
    return f"SELECT * FROM (\n{query}\n)" + (f" SETTINGS {clause}" if clause else "")


def _refusal(rule: str) -> QueryError:
    return QueryError.of(READONLY, "READONLY", f"read-only gate: {rule}.")


def quoted(value: str) -> str:
    """A string literal of SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def unquoted(text: str) -> str:
    """What a string literal of SQL holds, given without its quotes."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def escaped(value: str) -> str:
    """A text as the value of a {name:String} parameter."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
