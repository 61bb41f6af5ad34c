"""A page for the tests: the real server in a thread of this process, and a plain HTTP client to ask it with."""

import json
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest

from reactor.web.host import Page
from reactor.web.poller import Poller, reader

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; .ci/run installs it")


@contextmanager
def page(data, opened=None):
    """A page of a directory, answering until the end of the block."""
    made = Page(Poller(data, opened or partial(reader, data, None)))
    thread = threading.Thread(target=made.serve)
    thread.start()
    try:
        yield made
    finally:
        made.end()
        thread.join(10)
        assert not thread.is_alive()


class Client:
    """What a browser holds: a cookie, after the token was exchanged for it."""

    def __init__(self, made):
        self.port, self.cookie = made.port, None
        code, headers, _ = self.get(made.url().partition(str(made.port))[2])
        assert code == 303
        self.cookie = headers["Set-Cookie"].partition(";")[0]

    def get(self, path, method="GET", **headers):
        return ask(self.port, path, method, **({"Cookie": self.cookie} if self.cookie else {}), **headers)

    def json(self, path, **asked):
        code, _, body = self.get(f"{path}?{urlencode(asked)}")
        return code, json.loads(body)

    def told(self, *names, **asked):
        """The first event of each name in the stream, in whatever order they come."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/api/stream?{urlencode(asked)}", headers={"Cookie": self.cookie})
            answer, found = connection.getresponse(), {}
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            while set(names) - set(found):
                line = answer.readline().decode().rstrip()
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    found.setdefault(name, json.loads(line.removeprefix("data: ")))
            return found
        finally:
            connection.close()


def ask(port, path, method="GET", **headers):
    """One request without a cookie; header names have _ for -."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host="Host" in named)
        for name, value in named.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()
