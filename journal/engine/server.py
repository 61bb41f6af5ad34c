"""ClickHouse's HTTP protocol on loopback, in front of the embedded engine.

/ping; / with `query` as parameter, form field or body, `param_*`, `database`, `default_format`, a trailing
FORMAT, and INSERT ... FORMAT X with its data, also chunked or compressed. The writer may do everything; the
reader passes the gate. A request is one session of the engine, so requests share nothing.
See docs/design/records.md.
"""

import base64
import binascii
import hmac
import json
import os
import re
import secrets
import sys
import threading
import traceback
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from socketserver import ThreadingTCPServer
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from journal.engine.address import READER, WRITER
from journal.engine.native import QUESTION, hello
from journal.engine.reader import CANONICAL, LATEST_RUN, SYNTAX_ERROR, QueryError, admit, caps, escaped, quoted
from journal.engine.wire import MIB, Wire, bounded, fill, form, memory_file

MAX_BODY: Final = {READER: MIB, WRITER: 1 << 30}
MAX_QUERY: Final = 16 * MIB
READERS: Final = 4  # reader queries at once; the next one waits, the writer never does
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
CODINGS: Final = {"x-gzip": "gzip"} | {name: name for name in ("gzip", "deflate", "zstd", "lz4", "br")}

# Parameters that HTTP itself uses; every other one of the writer is a setting.
_RESERVED: Final = frozenset(
    {"query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout"}
    | {"session_check", "quota_key", "compress", "decompress", "buffer_size", "wait_end_of_query", "role"}
    | {"client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms"}
    | {"enable_http_compression", "stacktrace", "cancel_http_readonly_queries_on_client_close"}
)
_INSERT: Final = re.compile(
    rb"\s*INSERT\s+INTO\s+(?:TABLE\s+)?"
    rb"(?P<into>(?:\w+|`[^`]+`)(?:\.(?:\w+|`[^`]+`))?\s*(?:\((?:[^()`]|`[^`]*`)*\))?)\s*"
    rb"(?:SETTINGS\s+(?P<settings>[^;]*?)\s*)?\bFORMAT\s+(?P<format>\w+)[ \t\f]*\r?\n?",
    re.IGNORECASE,
)
_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)[\s;]*\Z", re.IGNORECASE)
_ROWS: Final = re.compile(r"\s*(?:\(|(?:SELECT|WITH|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN|CHECK)\b)", re.IGNORECASE)
_SELECT: Final = re.compile(r"\s*(?:SELECT|WITH)\b", re.IGNORECASE)
_WORD: Final = re.compile(r"\w{1,64}", re.ASCII)
_QUERY_ID: Final = re.compile(r"[\w-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave."""

    body: bytes
    rows_read: int = 0
    bytes_read: int = 0
    elapsed_ns: int = 0


class EngineSession(Protocol):
    """A connection to the engine with settings of its own."""

    def run(self, sql: str, form: str, params: Mapping[str, str]) -> Answer:
        """Run one statement. Raises QueryError."""

    def stream(self, sql: str, params: Mapping[str, str]) -> Generator[bytes]:
        """Run a SELECT ... FORMAT Native, block by block. Raises QueryError."""


class Engine(Protocol):
    """What the server needs of the engine."""

    memory_bytes: int

    def session(self, settings: Mapping[str, str], database: str = "") -> AbstractContextManager[EngineSession]:
        """A session in which these settings hold, set in their order."""


class Server(ThreadingTCPServer):
    """The listening socket, the keys, and the count of inserts that run."""

    allow_reuse_address = True  # the directory's port is the same for every engine of it
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, engine: Engine) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine, self.tokens = engine, dict[str, str]()
        self.readers = threading.BoundedSemaphore(READERS)
        self.closing = False
        self._inserts, self._changed = 0, threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def inserting(self) -> Generator[None]:
        """Count an insert, so that the end can wait for it."""
        with self._changed:
            self._inserts += 1
        try:
            yield
        finally:
            with self._changed:
                self._inserts -= 1
                self._changed.notify_all()

    def finish(self, timeout_s: float) -> None:
        """Take no more requests; wait until no insert runs, up to timeout_s."""
        self.closing = True
        self.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: not self._inserts, timeout_s)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is no news
            traceback.print_exc()


class Handler(Wire):
    """One connection."""

    server: Server

    def serve(self) -> None:
        host = self.headers.get("host", "")
        if re.sub(r":\d+\Z", "", host).lower() not in LOOPBACK:
            self.fail(403, "this engine answers to loopback names only")
            return
        path, _, query_string = self.target.partition("?")
        if path == "/ping":
            self.reply(b"Ok.\n")
        elif path != "/":
            self.fail(404, "there is / and /ping")
        elif self.server.closing:
            self.fail(503, "the engine is closing")
        else:
            params = dict(parse_qsl(query_string, keep_blank_values=True, max_num_fields=1_000))
            user = self._login(params)
            query, data = self._request(user, params)
            if user == READER:
                with self.server.readers:
                    self._read(_text(b"".join([query, *data])), params)
            else:
                self._write(query, data, params)

    def _login(self, params: Mapping[str, str]) -> str:
        user, token = params.get("user", ""), params.get("password", "")
        if "x-clickhouse-user" in self.headers:
            user, token = self.headers["x-clickhouse-user"], self.headers.get("x-clickhouse-key", "")
        kind, _, basic = self.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                user, _, token = base64.b64decode(basic, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                user = ""
        expected = self.server.tokens.get(user, "")
        same = hmac.compare_digest(token.encode(errors="replace"), (expected or secrets.token_hex(16)).encode())
        if not (same and expected):
            raise QueryError.of(
                516, "AUTHENTICATION_FAILED", "no such user, or another token: DIR/sql.json holds the reader's"
            )
        return user

    def _request(self, user: str, params: dict[str, str]) -> tuple[bytes, Iterator[bytes]]:
        """The `query` parameter and what comes after it, as pieces."""
        body = self.body(MAX_BODY[user])
        if coding := self.headers.get("content-encoding", ""):
            body = self._decoded(coding.lower(), body, user)
        kind = self.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() == "multipart/form-data":
            params.update(form(kind, b"".join(body)))
            body = iter(())
        query = params.get("query", "").encode()
        return query + b"\n" if query and not query.endswith(b"\n") else query, body

    def _read(self, text: str, params: dict[str, str]) -> None:
        settings = caps(params, self.server.engine.memory_bytes)
        with self.server.engine.session(settings, _database(params)) as session:
            if "client_protocol_version" in params and QUESTION.fullmatch(text):
                version = session.run("SELECT version()", "RawBLOB", {}).body.decode()
                self.reply(hello(version), self._headers("Native", params))
                return

            def canonical(query: str) -> str:
                bound = {"q": escaped(query)}
                return session.run(CANONICAL, "RawBLOB", bound).body.decode()

            admitted = admit(text, canonical, settings)
            bound = _bound(params)
            if admitted.wants_run and "run" not in bound:
                bound["run"] = _latest_run(session)
            form = admitted.format or _default_format(params)
            self._answer(session.run(f"{admitted.sql} FORMAT {form}", "TabSeparated", bound), form, params)

    def _write(self, query: bytes, data: Iterator[bytes], params: dict[str, str]) -> None:
        settings = {"async_insert": "0"} | {
            name: value for name, value in params.items() if name not in _RESERVED and not name.startswith("param_")
        }
        if wrong := [name for name in settings if not _WORD.fullmatch(name)]:
            raise QueryError.of(115, "UNKNOWN_SETTING", f"no such setting: {wrong[0][:80]!r}")
        head = query
        for piece in data:
            head += piece
            if len(head) >= 64 * 1024:
                break
        if match := _INSERT.match(head):
            with self.server.inserting():
                self._insert(match, chain([head[match.end() :]], data), settings, params)
            return
        text = _text(head + b"".join(bounded(data, MAX_QUERY, "query")))
        found = _FORMAT.search(text)
        form = found[1] if found else _default_format(params)
        counted = self.server.inserting() if re.match(r"\s*INSERT\b", text, re.IGNORECASE) else nullcontext()
        with counted, self.server.engine.session(settings, _database(params)) as session:
            if found and form == "Native" and _SELECT.match(text):
                with closing(session.stream(text, _bound(params))) as blocks:
                    self._stream(blocks, params)
            else:
                answer = session.run(text, form, _bound(params))
                self._answer(answer, form if answer.body or _ROWS.match(text) else "", params)

    def _insert(
        self, match: re.Match[bytes], data: Iterator[bytes], settings: dict[str, str], params: dict[str, str]
    ) -> None:
        """Insert from an anonymous file: the engine's own streaming insert hides a violated constraint."""
        clause = ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())
        if match["settings"]:
            clause += f", {match['settings'].decode()}"
        with memory_file() as (fd, path):
            fill(fd, data)
            into, form = match["into"].decode(), match["format"].decode()
            sql = f"INSERT INTO {into} FROM INFILE '{path}' SETTINGS {clause} FORMAT {form}"
            with self.server.engine.session({}, _database(params)) as session:
                answer = session.run(sql, "TabSeparated", {})
        self._answer(answer, "", params, written=True)

    def _decoded(self, coding: str, body: Iterator[bytes], user: str) -> Iterator[bytes]:
        """Decompressed by the engine, which knows every coding that a ClickHouse client may send."""
        if user == READER or coding not in CODINGS:
            raise QueryError.of(48, "NOT_IMPLEMENTED", f"Content-Encoding {coding[:20]!r} is not for this request")
        with memory_file() as (fd, path), self.server.engine.session({"max_memory_usage": str(4 << 30)}) as session:
            fill(fd, body)
            if os.fstat(fd).st_size:
                sql = f"SELECT * FROM file('{path}', 'RawBLOB', 'data String', '{CODINGS[coding]}')"
                yield session.run(sql, "RawBLOB", {}).body

    def _answer(self, answer: Answer, form: str, params: Mapping[str, str], *, written: bool = False) -> None:
        rows, size = ("written_rows", "written_bytes") if written else ("read_rows", "read_bytes")
        counts = dict.fromkeys(("read_rows", "read_bytes", "written_rows", "written_bytes"), "0")
        counts |= {rows: str(answer.rows_read), size: str(answer.bytes_read), "elapsed_ns": str(answer.elapsed_ns)}
        self.reply(answer.body, self._headers(form, params) | {"X-ClickHouse-Summary": json.dumps(counts)})

    def _headers(self, form: str, params: Mapping[str, str]) -> dict[str, str]:
        asked = params.get("query_id", "")
        query_id = asked if _QUERY_ID.fullmatch(asked) else str(uuid.uuid4())
        headers = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Query-Id": query_id}
        return headers | ({"X-ClickHouse-Format": form} if form else {})

    def _stream(self, blocks: Iterator[bytes], params: Mapping[str, str]) -> None:
        """Chunks as they come. An error after the first goes the way ClickHouse tells it in mid-stream."""
        first = next(blocks, b"")
        tag = secrets.token_hex(8)
        self.begin(self._headers("Native", params) | {"X-ClickHouse-Exception-Tag": tag})
        try:
            self.chunk(first)
            for block in blocks:
                self.chunk(block)
        except QueryError as error:
            text = error.text.encode()
            frame = b"\r\n__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n"
            self.chunk(frame % (tag.encode(), text, len(text), tag.encode()))
        self.end()


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise QueryError.of(SYNTAX_ERROR, "SYNTAX_ERROR", "a query must be UTF-8") from None
    if not text.strip() or "\0" in text:
        raise QueryError.of(SYNTAX_ERROR, "SYNTAX_ERROR", "a query must not be empty or hold a NUL")
    return text


def _bound(params: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix("param_"): value for name, value in params.items() if name.startswith("param_")}


def _database(params: Mapping[str, str]) -> str:
    name = params.get("database", "")
    if name and not _WORD.fullmatch(name):
        raise QueryError.of(81, "UNKNOWN_DATABASE", f"no such database: {name[:80]!r}")
    return name


def _default_format(params: Mapping[str, str]) -> str:
    name = params.get("default_format") or "TabSeparated"
    # The last four are the engine's ways into Python objects and its debug log.
    if not _WORD.fullmatch(name) or name.lower() in ("dataframe", "datastore", "arrowtable", "debug"):
        raise QueryError.of(73, "UNKNOWN_FORMAT", f"unknown format {name[:80]!r}")
    return name


def _latest_run(session: EngineSession) -> str:
    try:
        found = session.run(LATEST_RUN, "RawBLOB", {}).body.decode()
    except QueryError:
        found = ""
    if not found:
        raise QueryError.of(
            456, "UNKNOWN_QUERY_PARAMETER", "{run:String} is the latest run, and the journal has none yet"
        )
    return escaped(found)
