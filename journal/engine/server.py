"""ClickHouse's HTTP protocol on loopback, in front of the embedded engine.

/ping and /replicas_status; / with `query` as parameter, form field or body, with settings and what else request.py
reads, with a trailing FORMAT, and INSERT ... FORMAT X with its data, also chunked or compressed. The writer may do
everything; the reader passes the gate, and holds a place while its query runs. A request is one session of the engine,
so requests share nothing. See docs/design/records.md.
"""

import json
import os
import re
import secrets
import socket
import sys
import threading
import traceback
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import chain
from socketserver import ThreadingTCPServer
from typing import Any, Final, Protocol

from journal.engine import compression, freeze, part, setting
from journal.engine.address import READER, WRITER
from journal.engine.native import QUESTION, hello
from journal.engine.reader import CANONICAL, LATEST_RUN, SYNTAX_ERROR, Admitted, QueryError, admit, escaped, quoted
from journal.engine.request import Asked, asked, login
from journal.engine.running import Queries
from journal.engine.wire import MIB, Wire, bounded, fill, form, memory_file
from journal.shown import shown

MAX_BODY: Final = {READER: MIB, WRITER: 1 << 30}
MAX_QUERY: Final = 16 * MIB
MEMORY_TO_DECODE: Final = {READER: 64 * MIB, WRITER: 4 << 30}
STRANGERS: Final = 64  # connections that have not proved a login, each a thread and a file of this process
CANCEL_S: Final = 5.0  # KILL QUERY ... SYNC waits so long for the query's end
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
CODINGS: Final = {"x-gzip": "gzip"} | {name: name for name in ("gzip", "deflate", "zstd", "lz4", "br")}

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

    def kill(self, mark: str) -> None:
        """End the query whose log_comment begins with a mark, if there is one. Raises QueryError."""


class Server(ThreadingTCPServer):
    """The listening socket, the keys, and the count of writes that run."""

    allow_reuse_address = True  # the directory's port is the same for every engine of it
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, engine: Engine) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine, self.tokens = engine, dict[str, str]()
        self.queries = Queries(engine.kill)
        self.answers = part.Answers()
        self.closing = False
        self._writes, self._held, self._changed = 0, False, threading.Condition()
        self._strangers: dict[Any, None] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection. Of too many strangers the first goes: whoever holds connections idle ends no soak."""
        with self._changed:
            self._strangers[request] = None
            if len(self._strangers) > STRANGERS:
                first = next(iter(self._strangers))
                del self._strangers[first]
                with suppress(OSError):
                    first.shutdown(socket.SHUT_RDWR)  # its thread hears the end, and closes it
        super().process_request(request, client_address)

    def known(self, request: Any) -> None:
        """A connection proved a login."""
        with self._changed:
            self._strangers.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        self.known(request)
        super().shutdown_request(request)

    @contextmanager
    def writing(self) -> Generator[None]:
        """Count a write, so that the end can wait for it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held)
            self._writes += 1
        try:
            yield
        finally:
            with self._changed:
                self._writes -= 1
                self._changed.notify_all()

    @contextmanager
    def held(self, timeout_s: float) -> Generator[None]:
        """Let no write begin, and wait until none runs. Raises QueryError where one runs on for timeout_s."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held)
            self._held = True
            is_calm = self._changed.wait_for(lambda: not self._writes, timeout_s)
        try:
            if not is_calm:
                raise QueryError.of(473, "DEADLOCK_AVOIDED", f"a write has run for {timeout_s:.0f} s; fix: once more")
            yield
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()

    def finish(self, timeout_s: float) -> None:
        """Take no more requests; wait until no write runs, up to timeout_s."""
        self.closing = True
        self.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: not self._writes, timeout_s)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is no news
            print(shown(traceback.format_exc(), keep="\n"), file=sys.stderr, flush=True)  # it may quote the request


class Handler(Wire):
    """One connection."""

    server: Server

    def serve(self) -> None:
        host = self.headers.get("host", "")
        if re.sub(r":\d+\Z", "", host).lower() not in LOOPBACK:
            self.fail(403, "this engine answers to loopback names only")
            return
        path, _, query_string = self.target.partition("?")
        if path in ("/ping", "/replicas_status") or (path == "/" and not query_string and self.method != "POST"):
            self.reply(b"Ok.\n")
        elif path != "/":
            self.fail(404, "there is / and /ping")
        elif self.server.closing:
            self.fail(503, "the engine is closing")
        else:
            self._answered(asked(query_string, self.headers))

    def _answered(self, request: Asked) -> None:
        user = login(request.params, self.headers, self.server.tokens)
        self.server.known(self.request)
        if user == READER and self._is_for_parts() and self._send_part():
            return
        query, data = self._request(user, request)
        if user == READER:
            self._read(_text(b"".join([query, *data])), request)
        else:
            self._write(query, data, request)

    def _is_for_parts(self) -> bool:
        """Whether a client reads an address as a file."""
        has_body = self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers
        return not has_body and (self.method == "HEAD" or (self.method == "GET" and self._wanted() is not None))

    def _wanted(self) -> tuple[int, int] | None:
        return part.wanted(self.headers.get("range", ""))

    def _whole_request(self) -> str:
        """What a request asks for, without which part."""
        names = sorted(name for name in self.headers if name.startswith(("x-clickhouse-", "accept-encoding")))
        return "\n".join([self.target, *(f"{name}: {self.headers[name]}" for name in names)])

    def _send_part(self) -> bool:
        """Answer out of an answer that is kept; False where this request begins a new one."""
        wanted = self._wanted()
        start = wanted[0] if wanted else -1  # of Parquet the end is read first
        kept = self.server.answers.find(self._whole_request(), is_new=start < 0)
        if kept is not None:
            self._send_kept(kept)
        elif start > 0:
            self.fail(
                412, f"the answer of this part is not kept: its last was read more than {part.KEEP_S:.0f} s ago, or "
                f"it has over {part.MOST_BYTES} bytes; fix: ask for all of it, without Range"
            )  # fmt: skip
        return kept is not None or start > 0

    def _send_kept(self, kept: part.Kept) -> None:
        wanted = self._wanted()
        status, body, headers = (200, kept.body, kept.headers) if wanted is None else kept.cut(wanted)
        self.reply(body, headers, status)

    def _request(self, user: str, request: Asked) -> tuple[bytes, Iterator[bytes]]:
        """The `query` parameter and what comes after it, as pieces."""
        body = self.body(MAX_BODY[user])
        if coding := self.headers.get("content-encoding", ""):
            body = bounded(self._decoded(coding.lower(), body, user), MAX_BODY[user], "request")
        if request.flag("decompress"):
            body = bounded(compression.unframed(body, MAX_BODY[user]), MAX_BODY[user], "request")
        kind = self.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() == "multipart/form-data":
            request.params.update(form(kind, b"".join(body)))
            body = iter(())
        query = request.params.get("query", "").encode()
        return query + b"\n" if query and not query.endswith(b"\n") else query, body

    def _read(self, text: str, request: Asked) -> None:
        engine, mark = self.server.engine, secrets.token_hex(16)
        settings = setting.chosen(request.params, engine.memory_bytes, self._known)
        settings["log_comment"] = f"{mark} {settings['log_comment']}".rstrip()
        with engine.session(setting.caps(engine.memory_bytes)) as session:
            if "client_protocol_version" in request.params and QUESTION.fullmatch(text):
                version = session.run("SELECT version()", "RawBLOB", {}).body.decode()
                self._answer(Answer(hello(version)), "Native", request)
                return

            if question := setting.QUESTION.fullmatch(text):
                names = session.run("SELECT name FROM system.settings", "TabSeparated", {}).body.decode().split()
                text = setting.answerable(question, names)

            def canonical(query: str) -> str:
                bound = {"q": escaped(query)}
                return session.run(CANONICAL, "RawBLOB", bound).body.decode()

            admitted = admit(text, canonical, settings)
            form, bound = admitted.format or request.default_format, request.bound
            if admitted.wants_run and "run" not in bound:
                bound["run"] = _latest_run(session)
            if admitted.cancels is not None:
                self._answer(self._cancelled(admitted, form, session), form, request)
                return
        wait_s = float(settings["max_execution_time"])
        with (
            self.server.queries.place(request.query_id, mark, text, self.request, wait_s),
            engine.session(settings, request.database) as session,
        ):
            answer = session.run(f"{admitted.sql} FORMAT {form}", "TabSeparated", bound)
        self._answer(answer, form, request, in_parts=self._is_for_parts())

    def _known(self, name: str) -> bool:
        """Whether the engine has a setting of this name."""
        with self.server.engine.session({}) as session:
            sql = "SELECT count() FROM system.settings WHERE name = {name:String}"
            return int(session.run(sql, "TabSeparated", {"name": escaped(name)}).body) > 0

    def _cancelled(self, admitted: Admitted, form: str, session: EngineSession) -> Answer:
        """End the query of an id, and say so as ClickHouse does: a row for it, none where no reader's query has it."""
        query_id = admitted.cancels or ""
        found = self.server.queries.cancel(query_id, CANCEL_S if admitted.waits else 0.0)
        query, ended = found or (None, False)
        bound = {"status": "finished" if ended else "waiting", "id": query_id, "query": query.text if query else ""}
        sql = (
            "SELECT {status:String} AS kill_status, {id:String} AS query_id, 'reader' AS user, {query:String} AS query "
            f"FROM numbers({int(query is not None)}) FORMAT {form}"
        )
        return session.run(sql, "TabSeparated", {name: escaped(value) for name, value in bound.items()})

    def _write(self, query: bytes, data: Iterator[bytes], request: Asked) -> None:
        settings = {"async_insert": "0"} | setting.given(request.params)
        if wrong := [name for name in settings if not _WORD.fullmatch(name)]:
            raise setting.unknown(wrong[0])
        head = query
        for piece in data:
            head += piece
            if len(head) >= 64 * 1024:
                break
        if match := _INSERT.match(head):
            with self.server.writing():
                self._insert(match, chain([head[match.end() :]], data), settings, request)
            return
        text = _text(head + b"".join(bounded(data, MAX_QUERY, "query")))
        found = _FORMAT.search(text)
        form = found[1] if found else request.default_format
        frozen = freeze.STATEMENT.fullmatch(text)
        counted = nullcontext() if frozen or _ROWS.match(text) else self.server.writing()
        with counted, self.server.engine.session(settings, request.database) as session:
            if frozen:
                freeze.freeze(session, self.server.held, frozen[1])
                self._answer(Answer(b""), "", request)
            elif found and form == "Native" and _SELECT.match(text):
                with closing(session.stream(text, request.bound)) as blocks:
                    self._stream(blocks, request)
            else:
                answer = session.run(text, form, request.bound)
                self._answer(answer, form if answer.body or _ROWS.match(text) else "", request)

    def _insert(self, match: re.Match[bytes], data: Iterator[bytes], settings: dict[str, str], request: Asked) -> None:
        """Insert from an anonymous file: the engine's own streaming insert hides a violated constraint."""
        clause = ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items())
        if match["settings"]:
            clause += f", {match['settings'].decode()}"
        with memory_file() as (fd, path):
            fill(fd, data)
            into, form = match["into"].decode(), match["format"].decode()
            sql = f"INSERT INTO {into} FROM INFILE '{path}' SETTINGS {clause} FORMAT {form}"
            with self.server.engine.session({}, request.database) as session:
                answer = session.run(sql, "TabSeparated", {})
        self._answer(answer, "", request, written=True)

    def _decoded(self, coding: str, body: Iterator[bytes], user: str) -> Iterator[bytes]:
        """Decompressed by the engine, which knows every coding that a ClickHouse client may send."""
        if coding not in CODINGS:
            raise QueryError.of(48, "NOT_IMPLEMENTED", f"Content-Encoding {coding[:20]!r} is not for this request")
        memory = {"max_memory_usage": str(MEMORY_TO_DECODE[user])}
        with memory_file() as (fd, path), self.server.engine.session(memory) as session:
            fill(fd, body)
            if os.fstat(fd).st_size:
                sql = f"SELECT * FROM file('{path}', 'RawBLOB', 'data String', '{CODINGS[coding]}')"
                yield session.run(sql, "RawBLOB", {}).body

    def _answer(
        self, answer: Answer, form: str, request: Asked, *, written: bool = False, in_parts: bool = False
    ) -> None:
        rows, size = ("written_rows", "written_bytes") if written else ("read_rows", "read_bytes")
        counts = dict.fromkeys(("read_rows", "read_bytes", "written_rows", "written_bytes"), "0")
        counts |= {rows: str(answer.rows_read), size: str(answer.bytes_read), "elapsed_ns": str(answer.elapsed_ns)}
        body, coding = request.compressed(answer.body)
        headers = request.headers(form) | coding | {"X-ClickHouse-Summary": json.dumps(counts)}
        if in_parts:
            kept = part.Kept(body, headers)
            self.server.answers.keep(self._whole_request(), kept)
            self._send_kept(kept)
        else:
            self.reply(body, headers)

    def _stream(self, blocks: Iterator[bytes], request: Asked) -> None:
        """Chunks as they come. An error after the first goes the way ClickHouse tells it in mid-stream."""
        if request.flag("compress"):
            blocks = (frame for block in blocks for frame in compression.frames(block))
        first = next(blocks, b"")
        tag = secrets.token_hex(8)
        self.begin(request.headers("Native") | {"X-ClickHouse-Exception-Tag": tag})
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
