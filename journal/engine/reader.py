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
LATEST_RUN: Final = "SELECT run_id FROM violet_runs ORDER BY started_at DESC, run_id DESC LIMIT 1"
LIMITS: Final = {"max_result_rows": 10_000_000, "max_execution_time": 3_600}  # what a reader may raise, and how far
STYLES: Final = ("simple", "iso")  # of date_time_output_format

_FORMAT: Final = re.compile(r"\s+FORMAT\s+(\w+)[\s;]*\Z", re.IGNORECASE)
_SELECT: Final = re.compile(r"(?:SELECT|WITH)\s|\(")
_NAME: Final = r"(?!INTO\b|FORMAT\b|SETTINGS\b)\w+(?:\.\w+)?"
_CATALOG: Final = re.compile(
    rf"SHOW DATABASES|SHOW TABLES(?: FROM \w+)?(?: LIKE '[\w%]*')?|SHOW CREATE (?:TABLE|VIEW) {_NAME}"
    rf"|DESCRIBE TABLE {_NAME}|EXISTS (?:TABLE|VIEW) {_NAME}"
)
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
    """What runs. `wants_run`: the text has {run:String}."""

    sql: str
    format: str | None
    wants_run: bool


def admit(text: str, canonical: Callable[[str], str], settings: Mapping[str, str]) -> Admitted:
    """Pass a reader's text through the gate. canonical: the engine's formatter. Both raise QueryError."""
    match = _FORMAT.search(text)
    query = canonical(text[: match.start()] if match else text)
    if _SELECT.match(query):
        sql = _bracketed(query, settings)
    elif _CATALOG.fullmatch(query):
        sql = query
    elif explain := _EXPLAIN.fullmatch(query):
        sql = f"{explain['explain']} {_bracketed(canonical(explain['query']), settings)}"
    else:
        raise _refusal(
            "the reader may run SELECT, WITH, SHOW TABLES, SHOW DATABASES, SHOW CREATE name, DESCRIBE name, "
            f"EXISTS name and EXPLAIN of a SELECT, was {query[:80]!r}"
        )
    return Admitted(sql, match[1] if match else None, bool(_RUN.search(query)))


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


def caps(params: Mapping[str, str], memory_bytes: int) -> dict[str, str]:
    """Settings of a reader's session, from the few parameters it may give; others have no effect."""
    chosen = {"max_result_rows": "100000", "max_execution_time": "30"}
    for name, most in LIMITS.items():
        value = params.get(name, chosen[name])
        if not re.fullmatch(r"[0-9]{1,9}", value) or not 1 <= int(value) <= most:
            raise QueryError.of(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"{name} must be 1 to {most}, was {value[:40]!r}")
        chosen[name] = value
    style = params.get("date_time_output_format", STYLES[0])
    return chosen | {
        "result_overflow_mode": "throw",
        "timeout_overflow_mode": "throw",
        "max_result_bytes": str(memory_bytes // 4),
        "max_memory_usage": str(memory_bytes),
        "date_time_output_format": style if style in STYLES else STYLES[0],
        "readonly": "1",  # last: after it nothing can be changed
    }


def _bracketed(query: str, settings: Mapping[str, str]) -> str:
    if not _SELECT.match(query):
        raise _refusal(f"EXPLAIN takes a SELECT, was {query[:80]!r}")
    bare = _STRING.sub(r"\1 ", query)
    if _SETTINGS.search(bare):
        raise _refusal(
            "SETTINGS is not for readers; max_result_rows and max_execution_time are parameters of a request"
        )
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


def escaped(value: str) -> str:
    """A text as the value of a {name:String} parameter."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
