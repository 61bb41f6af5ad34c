"""A connection of the engine's door: whatever comes over the wire ends at most itself, and nothing is read twice."""

import socket
import threading
import time

import pytest

from journal.engine import wire
from journal.engine.reader import QueryError
from journal.engine.wire import MIB, Wire

LARGE = 64 * MIB  # more than the buffers of two sockets hold


class Echo(Wire):
    """Answers with what it was asked and sent."""

    def serve(self):
        if self.target == "/ping":
            self.reply(b"Ok.\n")
        elif self.target == "/large":
            self.reply(b"x" * LARGE)
        elif self.target == "/refuse":
            raise QueryError.of(516, "AUTHENTICATION_FAILED", "no")
        elif self.target == "/broken":
            raise ZeroDivisionError
        elif self.target == "/half":
            self.begin({})
            self.chunk(b"half")
            raise ZeroDivisionError
        elif self.target == "/blocks":
            self.begin({"X-A": "b"})
            for block in (b"one", b"", b"two" * 50_000):
                self.chunk(block)
            self.end()
        else:
            body = b"".join(self.body(MIB))
            self.reply(f"{self.method} {self.target} {len(body)} {self.headers.get('x-a')}".encode() + body[-3:])


@pytest.fixture
def connect(capfd):
    """connect() -> the client's end of a connection that is served; afterwards none is, and none printed anything."""
    served = []

    def open_():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname(), 5.0)
            theirs, _ = listener.accept()

        def serve():
            try:
                Echo(theirs, "", None)
            finally:
                theirs.close()

        thread = threading.Thread(target=serve)
        thread.start()
        served.append((ours, thread))
        return ours

    yield open_
    for ours, thread in served:
        ours.close()
        thread.join(5.0)
        assert not thread.is_alive()
    assert capfd.readouterr().err == ""


def answer(connection):
    """One answer: status, headers, body."""
    read = connection.makefile("rb")
    status = int(read.readline().split()[1])
    headers = {}
    while line := read.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    if status == 100:
        return status, headers, b""
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(read.readline(), 16):
            body += read.read(size)
            read.readline()
        read.readline()
        return status, headers, body
    return status, headers, read.read(int(headers["content-length"]))


def closed(connection):
    """Whether the other side closed it, and sent nothing more."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


GET = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(target, body, *headers):
    lines = [b"POST %b HTTP/1.1" % target, b"Host: localhost", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_a_connection_is_kept_and_header_names_have_no_case(connect):
    client = connect()
    for number in range(3):
        client.sendall(post(b"/a?n=%d" % number, b"xyz", b"X-a: 1"))
        status, headers, body = answer(client)
        assert (status, body) == (200, b"POST /a?n=%d 3 1xyz" % number)
        assert "connection" not in headers
    client.sendall(GET)
    assert answer(client)[2] == b"Ok.\n"


def test_requests_that_come_at_once_are_answered_in_their_order(connect):
    client = connect()
    client.sendall(post(b"/a", b"first") + GET + post(b"/b", b""))
    read = b""
    while read.count(b"HTTP/1.1 200") < 3 or not read.endswith(b"None"):
        read += client.recv(65_536)
    assert [read.find(part) for part in (b"POST /a 5", b"Ok.", b"POST /b 0")] == sorted(
        read.find(part) for part in (b"POST /a 5", b"Ok.", b"POST /b 0")
    )


def test_a_body_may_come_in_chunks_byte_by_byte_and_with_trailers(connect):
    client = connect()
    raw = (
        b"POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n1;ext=1\r\n \r\n3\r\nyou\r\n0\r\nX-T: 1\r\n\r\n"
    )
    for byte in raw:
        client.sendall(bytes([byte]))
    assert answer(client)[2] == b"POST /a 9 Noneyou"
    client.sendall(GET)
    assert answer(client)[2] == b"Ok.\n"


def test_who_waits_for_a_word_before_the_body_gets_it_where_the_body_is_wanted(connect):
    client = connect()
    head, body = post(b"/a", b"xyz", b"Expect: 100-continue").split(b"\r\n\r\n")
    client.sendall(head + b"\r\n\r\n")
    assert answer(client)[0] == 100
    client.sendall(body)
    assert answer(client)[2] == b"POST /a 3 Nonexyz"
    refused = connect()
    refused.sendall(post(b"/refuse", b"xyz", b"Expect: 100-continue")[:-3])
    status, headers, _ = answer(refused)
    assert (status, headers["connection"]) == (403, "close")
    assert closed(refused)


def test_blocks_go_as_chunks(connect):
    client = connect()
    client.sendall(GET.replace(b"/ping", b"/blocks"))
    status, headers, body = answer(client)
    assert (status, headers["x-a"], body) == (200, "b", b"one" + b"two" * 50_000)
    client.sendall(GET)
    assert answer(client)[2] == b"Ok.\n"


def test_a_body_too_large_is_refused_and_a_small_one_is_taken_before_the_answer(connect):
    client = connect()
    client.sendall(post(b"/a", b"x" * (MIB + 1)))
    status, headers, body = answer(client)
    assert (status, headers["x-clickhouse-exception-code"]) == (400, "62")
    assert b"a request must be at most 1048576 bytes" in body
    client = connect()
    client.sendall(post(b"/refuse", b"x" * 100_000))
    assert answer(client)[0] == 403
    client.sendall(GET)  # the refused body is not taken for a request
    assert answer(client)[2] == b"Ok.\n"


def test_a_body_that_does_not_come_delays_a_refusal_by_little(connect):
    client = connect()
    began = time.monotonic()
    client.sendall(post(b"/refuse", b"x" * 1_000)[:-900])
    status, headers, _ = answer(client)
    assert (status, headers["connection"]) == (403, "close")
    assert time.monotonic() - began < 2.0
    assert closed(client)


def test_an_unread_body_is_never_taken_for_the_next_request(connect):
    client = connect()
    client.sendall(post(b"/ping", b"GET /stolen HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    status, headers, _ = answer(client)
    assert (status, headers["connection"]) == (200, "close")
    assert closed(client)


def test_a_client_that_goes_quiet_is_left_after_a_time(connect, monkeypatch):
    monkeypatch.setattr(wire, "IDLE_S", 0.2)
    monkeypatch.setattr(wire, "STALL_S", 0.2)
    for raw in (b"", b"GET /pi", post(b"/a", b"xyz")[:-1]):
        client = connect()
        client.sendall(raw)
        assert closed(client)


def test_a_client_that_does_not_read_its_answer_is_left_after_a_time(connect, monkeypatch):
    monkeypatch.setattr(wire, "STALL_S", 0.2)
    client = connect()
    client.sendall(GET.replace(b"/ping", b"/large"))
    time.sleep(1.0)
    read = 0
    while more := client.recv(1 << 20):
        read += len(more)
    assert read < LARGE


def test_head_is_answered_without_a_body(connect):
    client = connect()
    for _ in range(2):
        client.sendall(GET.replace(b"GET", b"HEAD"))
        read = b""
        while not read.endswith(b"\r\n\r\n"):
            read += client.recv(1)
        assert b"Content-Length: 4\r\n" in read
    client.sendall(GET)
    assert answer(client)[2] == b"Ok.\n"


def test_a_client_that_goes_away_in_the_middle_ends_its_connection_alone(connect):
    for raw in (b"GET /pi", post(b"/a", b"xyz")[:-1], post(b"/blocks", b"")):
        connect().sendall(raw)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 1_000_000, 431),
        (b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ],
)
def test_what_is_not_a_request_is_named_so(connect, raw, status):
    client = connect()
    client.sendall(raw)
    found = client.recv(65_536)
    assert found.startswith(b"HTTP/1.1 %d " % status)


def test_a_fault_is_a_reply_and_in_mid_stream_the_end(connect, capfd):
    client = connect()
    client.sendall(GET.replace(b"/ping", b"/broken"))
    status, headers, body = answer(client)
    assert (status, headers["x-clickhouse-exception-code"]) == (500, "1001")
    assert b"ZeroDivisionError" in body
    client.sendall(GET.replace(b"/ping", b"/half"))
    read = b""
    while more := client.recv(65_536):
        read += more
    assert read.endswith(b"4\r\nhalf\r\n")
    assert capfd.readouterr().err.count("Traceback") == 2  # one trace each


def test_an_old_client_gets_a_body_that_ends_with_the_connection(connect):
    client = connect()
    client.sendall(b"GET /blocks HTTP/1.0\r\n\r\n")
    read = b""
    while more := client.recv(65_536):
        read += more
    assert read.endswith(b"\r\n\r\none" + b"two" * 50_000)
