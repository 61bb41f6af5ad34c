"""Where an engine listens and the keys to it: private files, kept tokens, and no key to a stranger."""

import json
import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from journal.engine import address
from journal.engine.address import READER, WRITER, Address
from journal.lock import Lock, engine_lock


@pytest.fixture
def server():
    """server(answer) -> the URL of something on loopback that answers GET with these bytes."""
    servers = []

    def serve(answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        found = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=found.serve_forever, args=(0.01,)).start()
        servers.append(found)
        return f"http://127.0.0.1:{found.server_port}"

    yield serve
    for each in servers:
        each.shutdown()
        each.server_close()


def test_a_file_is_private_whole_and_keeps_its_token(tmp_path):
    first = address.write(tmp_path, READER, "http://127.0.0.1:1")
    again = address.write(tmp_path, READER, "http://127.0.0.1:2")
    assert (again.url, again.token) == ("http://127.0.0.1:2", first.token)
    assert address.read(tmp_path, READER) == again
    (path,) = tmp_path.iterdir()
    assert path.name == "sql.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["pid"] == os.getpid()
    assert address.write(tmp_path, WRITER, "http://127.0.0.1:2").token != first.token
    assert len(first.token) >= 32


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"url": "x"}', '{"url": "x", "token": "y", "pid": "z"}'])
def test_a_file_that_cannot_be_read_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / "sql.json").write_text(content)
    assert address.read(tmp_path, READER) is None
    assert address.attach(tmp_path, READER) is None
    assert address.write(tmp_path, READER, "http://127.0.0.1:1").token  # and is written anew


def test_host_and_port_are_of_the_url():
    assert (Address("http://127.0.0.1:81", "u", "t").host, Address("http://127.0.0.1:81", "u", "t").port) == (
        "127.0.0.1",
        81,
    )
    assert Address("http://ch", "u", "t").port == 8123
    assert "secret" not in repr(Address("http://ch", "u", "secret"))


def test_only_a_clickhouse_answers(server):
    assert address.answers(Address(server(b"Ok.\n"), "u", "t"))
    assert not address.answers(Address(server(b"hello"), "u", "t"))
    assert not address.answers(Address("http://127.0.0.1:1", "u", "t"))


def test_a_key_goes_to_the_holder_of_the_lock_alone(tmp_path, server):
    written = address.write(tmp_path, WRITER, server(b"Ok.\n"))
    assert address.attach(tmp_path) is None  # it answers, and nobody holds the lock
    with Lock.acquire(engine_lock(tmp_path)):
        assert address.attach(tmp_path) == written
        stored = json.loads((tmp_path / "writer.json").read_text())
        (tmp_path / "writer.json").write_text(json.dumps(stored | {"pid": os.getppid()}))
        assert address.attach(tmp_path) is None  # another process than that of the file holds it
