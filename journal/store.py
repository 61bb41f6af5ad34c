"""The journal's ClickHouse over HTTP: the only module that imports clickhouse-connect.

"Not there" and "too large" are two things. JournalAway passes, so who writes waits for it; JournalTooLarge is an answer
to a question, which is the same the next time.

Inserts are columns in Native, one block each, and always carry a deduplication token: the driver sends an
insert again by itself when a connection breaks, which only the token makes harmless.
See docs/design/exactly-once.md.
"""

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

import numpy as np
from clickhouse_connect import get_client
from clickhouse_connect.datatypes.base import LC_TYPE_DEF
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.datatypes.string import String
from clickhouse_connect.driver import options
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from clickhouse_connect.driver.httputil import get_pool_manager
from clickhouse_connect.driver.insert import InsertContext

from journal.engine.address import Address, tls_fault
from journal.refusal import Refusal
from journal.row import Coded

# What passes and is no fault of what was asked, as ClickHouse's codes by what it lacks: the same call goes well once it
# has that again. Some of them may also stand for a fault that lasts; whoever waits says so, with ClickHouse's words.
LACKS: Final = {
    "disk": (75, 172, 204, 214, 243, 424, 586),  # write, create a folder, fsync, ask for space, no space, link, create
    "files": (76, 298, 573, 635),  # open, pipe, epoll, poll
    "memory": (173, 240, 777, 778),  # malloc or mmap, mremap, a reservation that was taken back or not given
    "threads": (411, 439),
    "rest from others": (202, 252, 749, 762),  # too many queries, parts, connections
    "network or keeper": (209, 210, 319, 999),  # slow, broken, an insert of which nobody knows
    "what no code names": (236, 425, 1000, 1001, 1002),  # aborted, a call of the system, libraries' own errors
}
AWAY_CODES: Final = frozenset(code for codes in LACKS.values() for code in codes)
# What a question was too large for: rows, time (twice), the size of a set, memory, bytes. It is so the next time too.
TOO_LARGE_CODES: Final = frozenset({158, 159, 160, 191, 241, 307})
TIMEOUT_S: Final = 120
QUESTION_S: Final = 100  # below TIMEOUT_S: ClickHouse ends a query that is too slow, before it is given up here
PING_S: Final = 0.5  # the driver tries four times: so a process that is stopped is known within 2 s
REACH_S: Final = 8.0  # a connection is made within this time, or nobody is there
BODY_BYTES: Final = 256 << 20  # of one insert; an engine takes 1 GiB, and a letter may be four bytes
_LIMITS: Final[dict[str, Any]] = {"max_execution_time": QUESTION_S}

# What the driver logs it raises too; without a handler Python would print its words among ours.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())

# The driver would import pandas at the first insert, half a second, to see that a list of columns is no DataFrame.
options.pd = options.pd_time_test = None


class _CodedString(String, registered=False):
    """LowCardinality(String) of a column that is coded already: the driver would look up every row's name again."""

    def _build_lc_dictionary(self, column: Any, _ctx: InsertContext) -> tuple[list[str], list[int]]:
        used = np.zeros(len(column.names), dtype=bool)
        used[column.codes] = True
        places = np.cumsum(used) - 1
        return [name for name, is_used in zip(column.names, used.tolist(), strict=True) if is_used], (
            places[column.codes].tolist()
        )


_CODED: Final = _CodedString(LC_TYPE_DEF)


class JournalAway(Refusal):
    """ClickHouse does not answer or cannot take it now. The same call may be made again."""


class JournalRefused(Refusal):
    """ClickHouse refused: its error code and text. The same call gives the same answer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class JournalTooLarge(JournalRefused):
    """A question took more memory or time than ClickHouse gives it. ClickHouse is there, and writes go on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(
            code, f"the question is too large for ClickHouse ({text}); fix: ask about less, or give it more memory"
        )


class Store:
    """A connection to the journal's ClickHouse.

    Args:
        client: the driver's.
        url: where, for people.
        limits: settings of each question.
    """

    def __init__(self, client: Client, url: str = "", limits: dict[str, Any] | None = None) -> None:
        self._client, self.url, self._limits = client, url, limits
        self._types: dict[str, dict[str, str]] = {}

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a query, each as column name -> value.

        Args:
            sql: one statement.
            params: values of {name:Type} in it; the server binds them.

        Raises:
            JournalAway: ClickHouse does not answer now; the same call may be made again.
            JournalTooLarge: it takes more memory or time than ClickHouse gives a query.
            JournalRefused: it says no; the same call gives the same answer.
        """
        with self._question():
            found = self._client.query(sql, parameters=dict(params or {}), settings=self._limits)
            return list(found.named_results())

    def count(self, sql: str, params: Mapping[str, Any] | None = None) -> int:
        """The number that a query gives as its only value."""
        (row,) = self.rows(sql, params)
        (value,) = row.values()
        return int(value or 0)

    def blocks(self, sql: str) -> Iterator[dict[str, Any]]:
        """The result of a query in blocks, as they come: column name -> values."""
        with self._question(), self._client.query_column_block_stream(sql, settings=self._limits) as stream:
            names = stream.source.column_names
            for block in stream:
                yield dict(zip(names, block, strict=True))

    def command(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """Run a statement; returns its single value or row, if it has one."""
        with self._question():
            return self._client.command(sql, parameters=dict(params or {}))

    def insert(self, table: str, columns: Mapping[str, Any], types: Mapping[str, str], token: str) -> None:
        """Insert columns as one block, or as several where they are more than one insert may hold.

        Args:
            table: its name.
            columns: column name -> values, all of one length.
            types: column name -> ClickHouse type; so nobody asks the server for them.
            token: the same insert with the same token is a no-op.

        Raises:
            JournalAway: ClickHouse does not answer now; the same call may be made again.
            JournalRefused: it says no, for example because a row breaks a constraint.
        """
        if not token:
            raise ValueError("must have a deduplication token")
        count = len(next(iter(columns.values())))
        if count > 1 and _size(columns) > BODY_BYTES:
            for part, rows in (("a", range(count // 2)), ("b", range(count // 2, count))):
                self.insert(table, {n: _slice(c, rows) for n, c in columns.items()}, types, f"{token}|{part}")
            return
        # A block's keys are distinct, so sorting it into its final form at once would cost and give nothing.
        settings = {"insert_deduplicate": 1, "async_insert": 0, "optimize_on_insert": 0}
        kinds = [_CODED if isinstance(column, Coded) else get_from_name(types[n]) for n, column in columns.items()]
        with _errors():
            context = self._client.create_insert_context(
                table, list(columns), column_types=kinds, column_oriented=True,
                settings={**settings, "insert_deduplication_token": token},
            )  # fmt: skip
            context.req_block_size = max(1, count)
            context.data = list(columns.values())
            self._client.data_insert(context)

    def put(self, table: str, columns: Mapping[str, Any], token: str) -> None:
        """Insert columns as one block, in the types of the table's migration, which the server is asked for once."""
        if table not in self._types:
            self._types[table] = {row["name"]: row["type"] for row in self.rows(f"DESCRIBE TABLE {table}")}
        self.insert(table, columns, self._types[table], token)

    def put_row(self, table: str, row: Mapping[str, Any], token: str) -> None:
        """Insert one row."""
        self.put(table, {name: [value] for name, value in row.items()}, token)

    def answers(self) -> bool:
        """Whether ClickHouse answers now, however busy it is. May be asked while another thread waits for a query."""
        return bool(self._client.ping(PING_S))

    def require_answer(self) -> None:
        """Raise JournalAway where ClickHouse does not answer now."""
        if not self.answers():
            raise JournalAway("no answer to a ping")

    @contextmanager
    def _question(self) -> Generator[None]:
        """As `_errors`, but what was too large is no absence: nor is silence where ClickHouse answers others."""
        try:
            with _errors():
                yield
        except JournalAway as away:
            error = away.__cause__
            code = getattr(error, "code", 0) or 0
            if code in TOO_LARGE_CODES:
                raise JournalTooLarge(code, str(away)) from error
            if _timed_out(error) and self.answers():
                raise JournalTooLarge(0, "no answer in time") from error
            raise

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def connect(address: Address) -> Store:
    """Connect; never through a proxy of the environment, which would learn the token."""
    address.require_files()
    pool = get_pool_manager(ca_cert=address.ca, client_cert=address.certificate, client_cert_key=address.key)
    try:
        with _errors():
            _reach(pool, address)
            client = get_client(
                interface=address.scheme, host=address.host, port=address.port, proxy_path=address.path,
                username=address.user, password=address.token, client_cert=address.certificate,
                tls_mode="strict" if address.token else None,  # with no password the certificate is the login
                compress=False,  # on loopback it costs more than it saves
                send_receive_timeout=TIMEOUT_S, autogenerate_session_id=False, pool_mgr=pool,
            )  # fmt: skip
            mine = client.server_settings.get("max_execution_time")
            # A login that may only read has limits of its own, which it cannot change.
            return Store(client, address.url, None if mine is None or mine.readonly else _LIMITS)
    except JournalAway as away:
        if words := tls_fault(address, str(away)):
            raise Refusal(words) from None
        raise JournalAway(f"no ClickHouse answers at {address.url} ({away}); fix: start it, or name another") from None


def _size(columns: Mapping[str, Any]) -> int:
    """About how many bytes columns are."""
    return sum(_size_of(column) for column in columns.values())


def _size_of(column: Any) -> int:
    if isinstance(column, Coded):
        return int(column.codes.nbytes)
    if isinstance(column, np.ndarray):
        return int(column.nbytes)
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in column)


def _slice(column: Any, rows: range) -> Any:
    if isinstance(column, Coded):
        return column.take(np.arange(rows.start, rows.stop))
    return column[rows.start : rows.stop]


def _reach(pool: Any, address: Address) -> None:
    """Ask whether somebody is there: the driver's own first question would wait for a process that is stopped."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    url = f"{address.scheme}://{host}:{address.port}{address.path}/ping"
    try:
        pool.request("GET", url, timeout=REACH_S, retries=False)
    except Exception as error:  # the pool's library has errors of its own, and the driver none for them
        raise JournalAway(str(error)) from error


@contextmanager
def _errors() -> Generator[None]:
    try:
        yield
    except DatabaseError as error:
        code = error.code or 0
        if code in AWAY_CODES | TOO_LARGE_CODES or (not code and isinstance(error, OperationalError)):
            raise JournalAway(str(error)) from error
        raise JournalRefused(code, str(error)) from error


def _timed_out(error: BaseException | None) -> bool:
    """Whether a silence is behind an error."""
    while error is not None and not isinstance(error, TimeoutError):
        error = error.__cause__ or error.__context__
    return error is not None
