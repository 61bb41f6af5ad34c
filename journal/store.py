"""The journal's ClickHouse over HTTP: the only module that imports clickhouse-connect.

Inserts are columns in Native, one block each, and always carry a deduplication token: the driver sends an
insert again by itself when a connection breaks, which only the token makes harmless.
See docs/design/exactly-once.md.
"""

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

# What passes, so a batch waits for it: timeout, too many queries, memory, network, disk full, too many parts.
AWAY_CODES: Final = frozenset({159, 202, 209, 210, 236, 241, 243, 252, 319, 999})
TIMEOUT_S: Final = 120

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


class Store:
    """A connection to the journal's ClickHouse."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._types: dict[str, dict[str, str]] = {}

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a query, each as column name -> value.

        Args:
            sql: one statement.
            params: values of {name:Type} in it; the server binds them.

        Raises:
            JournalAway: ClickHouse does not answer now; the same call may be made again.
            JournalRefused: it says no; the same call gives the same answer.
        """
        with _errors():
            return list(self._client.query(sql, parameters=dict(params or {})).named_results())

    def count(self, sql: str, params: Mapping[str, Any] | None = None) -> int:
        """The number that a query gives as its only value."""
        (row,) = self.rows(sql, params)
        (value,) = row.values()
        return int(value or 0)

    def blocks(self, sql: str) -> Iterator[dict[str, Any]]:
        """The result of a query in blocks, as they come: column name -> values."""
        with _errors(), self._client.query_column_block_stream(sql) as stream:
            names = stream.source.column_names
            for block in stream:
                yield dict(zip(names, block, strict=True))

    def command(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """Run a statement; returns its single value or row, if it has one."""
        with _errors():
            return self._client.command(sql, parameters=dict(params or {}))

    def insert(self, table: str, columns: Mapping[str, Any], types: Mapping[str, str], token: str) -> None:
        """Insert columns as one block.

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
            return Store(get_client(
                interface=address.scheme, host=address.host, port=address.port, proxy_path=address.path,
                username=address.user, password=address.token, client_cert=address.certificate,
                tls_mode="strict" if address.token else None,  # with no password the certificate is the login
                compress=False,  # on loopback it costs more than it saves
                send_receive_timeout=TIMEOUT_S, autogenerate_session_id=False, pool_mgr=pool,
            ))  # fmt: skip
    except JournalAway as away:
        if words := tls_fault(address, str(away)):
            raise Refusal(words) from None
        raise JournalAway(f"no ClickHouse answers at {address.url} ({away}); fix: start it, or name another") from None


@contextmanager
def _errors() -> Generator[None]:
    try:
        yield
    except DatabaseError as error:
        code = error.code or 0
        if code in AWAY_CODES or (not code and isinstance(error, OperationalError)):
            raise JournalAway(str(error)) from error
        raise JournalRefused(code, str(error)) from error
