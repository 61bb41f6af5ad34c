"""Question: a reader's query of a journal over HTTP, through the read-only gate and within its caps.

It loads no driver, so that `violet sql` starts quickly. See docs/sql.md.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from journal.engine import owner
from journal.engine.address import Address, tls_fault
from journal.engine.reader import QueryError, escaped, gated
from journal.judge import damage
from journal.keep.scratch import readable
from journal.ledger.naming import SEVERAL, over_several, scoped
from journal.refusal import Refusal

JSON: Final = "JSONCompact"
MAX_ROWS: Final = 100_000  # of an answer, where nobody asks for more
TIMEOUT_S: Final = 30
Answering = Callable[[str, dict[str, str], float], tuple[bytes, str]]  # to a query, its parameters, a time-out
# What ClickHouse adds of the query that ran, which holds the user's in brackets and the caps; not its hint or its name.
_SCOPE: Final = re.compile(
    r"(?:[:.,]? In|:? While (?:executing|processing)|,? in) (?:scope )?[^a-z]*(?:SELECT|WITH|DESCRIBE|EXPLAIN)\b.*?"
    r"(?=\. (?:Maybe|In)\b|\. \([A-Z_]+\)$| \([A-Z_]+\)$|$)"
)
_FIXES: Final = {
    "396": "raise --max-rows, or add a LIMIT",
    "159": "raise --timeout, or ask for less",
    "60": "`SHOW TABLES` lists what there is",
    "47": "`DESCRIBE decisions` lists that view's columns",
}
GRACE_S: Final = 10  # beyond the query's own limit, for the answer to arrive


class EngineGone(Refusal):
    """Nobody listens at the engine's address any more."""


class QueryRefused(Refusal):
    """ClickHouse, or the gate before it, refuses the query; in their words, on one line."""


@contextmanager
def answering(data: Path, server: Address | None, say: Callable[[str], None]) -> Iterator[Answering]:
    """Who answers a reader: a server, or the directory's engine for the duration.

    Args:
        data: the directory; not looked at where there is a server.
        server: a ClickHouse server, which has no gate of its own: a query passes it here.
        say: takes a line for people, where a copy of the directory answers.
    """
    if server is not None:
        yield partial(_of_server, server)
    else:
        with ExitStack() as held:
            yield _of_directory(data, held, say)


def asked(
    bound: Mapping[str, str], form: str = JSON, max_rows: int = MAX_ROWS, timeout_s: int = TIMEOUT_S
) -> dict[str, str]:
    """The settings of a query that go with it. form: ClickHouse's name of the answer's format."""
    return {f"param_{name}": escaped(value) for name, value in bound.items()} | {
        "default_format": form,
        "max_result_rows": str(max_rows),
        "max_execution_time": str(timeout_s),
        "date_time_output_format": "iso" if form == JSON else "simple",
    }


def rows(answer: Answering, query: str) -> list[dict[str, Any]]:
    """What a query of our own gives. Many runs are no reason to refuse the user's query."""
    found, _ = answer(query, asked({}, max_rows=1_000_000, timeout_s=GRACE_S), 2 * GRACE_S)
    return objects(json.loads(found))


def objects(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of an answer in JSON, as column name -> value. Raises Refusal where two columns have one name."""
    names = [column["name"] for column in answer["meta"]]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Refusal(f"two columns are named {twice!r}; fix: name them apart with AS, or use --format csv")
    return [dict(zip(names, row, strict=True)) for row in answer["data"]]


def warnings(answer: Answering, query: str) -> Iterator[str]:
    """What to know of the answer of a query: parts of the journal are gone, or rows of several runs come together."""
    with suppress(Refusal):  # of a journal that was not migrated yet, or a login that may not see it
        if found := damage.in_words(rows(answer, damage.PARTS)):
            yield f"the journal is damaged, so answers may lack rows: {damage.some(found)}"
    if not scoped(query):
        with suppress(Refusal):
            (several,) = rows(answer, SEVERAL)
            if words := over_several(query, int(several["runs"]), several["tables"]):
                yield words


def _reader(data: Path, held: ExitStack, say: Callable[[str], None]) -> Address:
    """The reader's address of the directory's engine, or of a copy's where the directory takes no writes."""
    return held.enter_context(owner.reading(held.enter_context(readable(data, say))))


def _of_directory(data: Path, held: ExitStack, say: Callable[[str], None]) -> Answering:
    """The directory's engine; another, once a question, where it goes with the soak that it belongs to."""
    address = _reader(data, held, say)

    def answer(query: str, params: dict[str, str], timeout_s: float) -> tuple[bytes, str]:
        nonlocal address
        try:
            return ask(address, query, params, timeout_s)
        except EngineGone:
            held.close()
            address = _reader(data, held, say)
            return ask(address, query, params, timeout_s)

    return answer


def ask(address: Address, query: str, params: dict[str, str], timeout_s: float) -> tuple[bytes, str]:
    """A reader's query: the answer and its format. Raises QueryRefused with the engine's exact words."""
    login = b64encode(f"{address.user}:{address.token}".encode()).decode()
    connection = address.http(timeout_s)
    try:
        connection.request(
            "POST", f"{address.path}/?{urlencode(params)}", query.encode(), {"Authorization": f"Basic {login}"}
        )
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        if words := tls_fault(address, str(error)):
            raise Refusal(words) from None
        kind = EngineGone if isinstance(error, ConnectionError) else Refusal
        raise kind(f"the engine at {address.url} went away ({error}); fix: ask again") from None
    finally:
        connection.close()
    if response.status != 200:
        raise QueryRefused(_plain(body.decode(errors="replace")))
    return body, response.headers.get("X-ClickHouse-Format", "")


def _of_server(address: Address, query: str, params: dict[str, str], timeout_s: float) -> tuple[bytes, str]:
    """The same of a ClickHouse server, which has no reader's gate: the query passes it here."""

    def answer(sql: str, bound: dict[str, str]) -> str:
        return ask(address, sql, {**bound, "default_format": "TSVRaw"}, timeout_s)[0].decode().removesuffix("\n")

    try:
        sql, settings = gated(query, params, answer)
    except QueryError as error:
        raise QueryRefused(error.text) from None
    return ask(address, sql, settings, timeout_s)


def _plain(text: str) -> str:
    r"""ClickHouse's error on one line, without the query that it ran for the user's; and the fix, of the common ones.

    >>> _plain("Code: 60. DB::Exception: Unknown table `x` in scope SELECT x. (UNKNOWN_TABLE)\n")
    'Code: 60. DB::Exception: Unknown table `x`. (UNKNOWN_TABLE); fix: `SHOW TABLES` lists what there is'
    """
    words = _SCOPE.sub("", " ".join(text.split()))
    code = words.removeprefix("Code: ").partition(".")[0]
    return f"{words}; fix: {_FIXES[code]}" if code in _FIXES else words
