"""One HTTP/1.1 connection: bodies in, replies out, whatever comes over the wire. No SQL here.

A bad request ends at most its own connection. Source: RFC 9112, as far as ClickHouse's clients use it.
"""

import os
import re
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from email import policy
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from journal.engine.reader import SYNTAX_ERROR, QueryError

MIB: Final = 1 << 20
IDLE_S: Final = 3_600  # a kept connection without a request
STD_EXCEPTION: Final = 1001  # ClickHouse's code for what has no other
FORBIDDEN_CODES: Final = (497, 516)  # HTTP 403: not for this login


class Wire(BaseHTTPRequestHandler):
    """A connection. `serve` answers one request; what it raises becomes the reply."""

    protocol_version = "HTTP/1.1"
    server_version = "ClickHouse-violet"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._whole = self.command == "GET" and "Content-Length" not in self.headers
        self._started = False
        try:
            self.serve()
        except QueryError as error:
            self.fail(403 if error.code in FORBIDDEN_CODES else 500, error.text, error.code)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - a bad request never ends the process
            traceback.print_exc()
            self.fail(500, QueryError.of(STD_EXCEPTION, "STD_EXCEPTION", repr(error)).text, STD_EXCEPTION)

    def do_POST(self) -> None:
        self.do_GET()

    def serve(self) -> None:
        """Answer the request by `reply`, `head` and `chunk`, or `fail`."""
        raise NotImplementedError

    def body(self, most: int) -> Iterator[bytes]:
        """The body in pieces. Raises QueryError beyond `most` bytes."""
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        yield from bounded(self._chunks() if chunked else self._plain(), most, "request")
        self._whole = True

    def _plain(self) -> Iterator[bytes]:
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,15}", length):
            raise QueryError.of(SYNTAX_ERROR, "SYNTAX_ERROR", "Content-Length must be a number")
        yield from self._take(int(length))

    def _take(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, MIB))
            if not piece:
                raise ConnectionError("the body ended early")
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = self.rfile.readline(1_024).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
                raise ConnectionError("the body ended early")
            if not int(size, 16):
                while self.rfile.readline(65_536).strip():
                    pass  # trailers
                return
            yield from self._take(int(size, 16))
            self.rfile.readline(8)

    def chunk(self, block: bytes) -> None:
        if block:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))

    def reply(self, body: bytes, headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        kind = {"Content-Type": "text/plain; charset=UTF-8"}
        self.head(status, kind | dict(headers or {}) | {"Content-Length": str(len(body))})
        self.wfile.write(body)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self._started = True
        self.send_response(status)
        if not self._whole:  # what is left of a body would be taken for the next request
            self.close_connection = True
            self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def fail(self, status: int, text: str, code: int = 0) -> None:
        if self._started:
            self.close_connection = True
            return
        if not self._whole:
            self._drain()
        headers = {"X-ClickHouse-Exception-Code": str(code)} if code else {}
        self.reply(text.encode() + b"\n", headers, status)

    def _drain(self) -> None:
        """Take what is left of a small body, since a client that still writes would not read the answer."""
        length = self.headers.get("Content-Length", "")
        self.connection.settimeout(0.2)
        try:
            if length.isdigit() and int(length) <= MIB:
                self.rfile.read(int(length))
        except OSError:
            pass

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has above
        """Nothing: the log is for what goes wrong."""


def form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a multipart form, as clickhouse-connect sends long parameters."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    fields = {}
    for part in message.iter_parts():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content.decode(errors="replace")
    return fields


def bounded(pieces: Iterable[bytes], most: int, what: str) -> Iterator[bytes]:
    """The pieces. Raises QueryError beyond `most` bytes."""
    taken = 0
    for piece in pieces:
        taken += len(piece)
        if taken > most:
            raise QueryError.of(SYNTAX_ERROR, "SYNTAX_ERROR", f"a {what} must be at most {most} bytes")
        yield piece


@contextmanager
def memory_file() -> Generator[tuple[int, str]]:
    """An anonymous file in memory and the path by which this process can open it; nothing is left behind."""
    fd = os.memfd_create("violet", os.MFD_CLOEXEC)
    try:
        yield fd, f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def fill(fd: int, pieces: Iterable[bytes]) -> None:
    """Write all pieces to a file."""
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(fd, view) :]
