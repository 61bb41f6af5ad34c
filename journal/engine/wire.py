"""One HTTP/1.1 connection: bodies in, replies out, whatever comes over the wire. No SQL here.

h11 reads and writes the protocol; here are its limits, and what becomes of an error. A bad request ends at most its own
connection. The only module that imports h11. Source: RFC 9112, as far as ClickHouse's clients use it.
"""

import os
import socket
import sys
import time
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email import policy
from email.parser import BytesParser
from email.utils import formatdate
from http import HTTPStatus
from socketserver import BaseRequestHandler
from typing import Final

import h11

from journal.engine.reader import SYNTAX_ERROR, QueryError
from journal.shown import shown

MIB: Final = 1 << 20
IDLE_S: Final = 3_600  # a kept connection without a request
STALL_S: Final = 30  # of a request that has begun nothing comes, or of an answer nothing is taken, as in ClickHouse
HEAD_BYTES: Final = 64 * 1024  # a request line with its headers; a query may stand in the line
PIECE_BYTES: Final = 256 * 1024  # read of a socket at once
DRAIN_S: Final = 0.2
STD_EXCEPTION: Final = 1001  # ClickHouse's code for what has no other
# HTTP's status for ClickHouse's codes, as a ClickHouse server gives it; all others are 500.
_CODES: Final = {
    400: "6 8 15 25 26 27 36 37 38 41 44 53 62 72 117 123 167 168 223 321 376 427 441 675 676",
    403: "192 193 497 512 516",
    404: "46 47 50 56 60 63 73 78 81 115 152 336 511",
    408: "159",
    413: "229",
    501: "48",
    503: "76 209 439",
}
STATUS: Final = {int(code): status for status, codes in _CODES.items() for code in codes.split()}
METHODS: Final = ("GET", "HEAD", "POST")


class Wire(BaseRequestHandler):
    """A connection. `serve` answers one request; what it raises becomes the reply."""

    request: socket.socket
    method: str
    target: str
    headers: dict[str, str]  # by their names in lower case

    def setup(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(IDLE_S)

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            while self._answer_one():
                self._http.start_next_cycle()

    def serve(self) -> None:
        """Answer the request by `reply`; `begin`, `chunk` and `end`; or `fail`."""
        raise NotImplementedError

    def body(self, most: int) -> Iterator[bytes]:
        """The body in pieces. Raises QueryError beyond `most` bytes."""
        yield from bounded(self._pieces(), most, "request")

    def reply(self, body: bytes, headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        """Answer with a whole body."""
        kind = {"Content-Type": "text/plain; charset=UTF-8"}
        head = self._head(status, kind | dict(headers or {}) | {"Content-Length": str(len(body))})
        self._send(head, *([h11.Data(data=body)] if self.method != "HEAD" else []), h11.EndOfMessage())

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin an answer in chunks, that `end` ends."""
        self._send(self._head(200, dict(headers) | {"Transfer-Encoding": "chunked"}))

    def chunk(self, block: bytes) -> None:
        self._send(h11.Data(data=block))

    def end(self) -> None:
        self._send(h11.EndOfMessage())

    def fail(self, status: int, text: str, code: int = 0) -> None:
        """Answer with an error, where no answer has begun."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        self._drain()
        headers = {"X-ClickHouse-Exception-Code": str(code)} if code else {}
        self.reply(text.encode() + b"\n", headers, status)

    def _answer_one(self) -> bool:
        """Whether there was a request, and there may be another."""
        self.method = ""
        self.request.settimeout(IDLE_S)
        try:
            event = self._event()
            if not isinstance(event, h11.Request):
                return False
            self.method, self.target = event.method.decode(), event.target.decode()
            self.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            if self.method in METHODS:
                self.serve()
            else:
                self.fail(501, f"there is {', '.join(METHODS)}")
        except QueryError as error:
            self.fail(STATUS.get(error.code, 500), error.text, error.code)
        except h11.RemoteProtocolError as error:
            self.fail(error.error_status_hint, str(error))
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - a bad request never ends the process
            print(shown(traceback.format_exc(), keep="\n"), file=sys.stderr, flush=True)  # it may quote the request
            self.fail(500, QueryError.of(STD_EXCEPTION, "STD_EXCEPTION", repr(error)).text, STD_EXCEPTION)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _event(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(self.request.recv(PIECE_BYTES))
            self.request.settimeout(STALL_S)
        if not isinstance(event, h11.Event):
            raise ConnectionError("a request was sent before the answer to the last")
        return event

    def _pieces(self) -> Iterator[bytes]:
        while isinstance(event := self._event(), h11.Data):
            yield event.data

    def _head(self, status: int, headers: Mapping[str, str]) -> h11.Response:
        if self._http.their_state is h11.SEND_BODY:
            with suppress(h11.RemoteProtocolError):
                self._http.next_event()  # where the body is empty the request ends here
        ours = {"Server": "ClickHouse-violet", "Date": formatdate(usegmt=True)}
        if self._http.their_state is not h11.DONE:  # what is left of a body would be taken for the next request
            ours["Connection"] = "close"
        fields = list((ours | dict(headers)).items())
        return h11.Response(status_code=status, headers=fields, reason=HTTPStatus(status).phrase.encode())

    def _send(self, *events: h11.Event) -> None:
        self.request.settimeout(STALL_S)  # sendall's is for the whole of what it sends
        for event in events:
            for piece in self._http.send_with_data_passthrough(event) or ():
                view = memoryview(piece)
                for begin in range(0, len(view), PIECE_BYTES):
                    self.request.sendall(view[begin : begin + PIECE_BYTES])

    def _drain(self) -> None:
        """Take what is left of a small body, since a client that still writes would not read the answer."""
        if self._http.they_are_waiting_for_100_continue:
            return
        deadline, left = time.monotonic() + DRAIN_S, MIB
        with suppress(OSError, h11.RemoteProtocolError):
            while self._http.their_state is h11.SEND_BODY and left > 0 and time.monotonic() < deadline:
                self.request.settimeout(DRAIN_S)
                event = self._event()
                left -= len(event.data) if isinstance(event, h11.Data) else 0
        self.request.settimeout(STALL_S)


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
