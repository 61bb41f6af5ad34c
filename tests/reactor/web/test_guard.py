"""The page's door: who is let in, who is not, and what a browser may do with the answer. No journal is needed for it."""

import re
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest

from journal.refusal import Refusal
from journal.store import JournalAway
from reactor.web import app
from reactor.web.host import Page
from reactor.web.poller import Poller
from tests.webpage import Client, ask, page

STATIC = Path(app.__file__).parent / "static"
PATHS = (
    "/",
    "/lane/acb",
    "/run/x/scan/17",
    "/static/page.js",
    "/api/runs",
    "/api/stream",
    "/api/explain?what=1",
    "/nothing",
)


@contextmanager
def away():
    raise JournalAway("it is away")
    yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with page(tmp_path_factory.mktemp("page"), away) as made:
        yield made


@pytest.fixture(scope="module")
def client(made):
    """Whoever used the token of that page."""
    return Client(made)


@pytest.fixture
def fresh(tmp_path):
    """A page whose token nobody used."""
    with page(tmp_path, away) as made:
        yield made


def entrance(made):
    return made.url().partition(str(made.port))[2]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_shown_without_the_token(made, path):
    code, _, body = ask(made.port, path)
    assert (code, b"violet web" in body) == (403, True)


def test_the_token_is_good_once_and_leaves_the_address(fresh):
    code, headers, _ = ask(fresh.port, entrance(fresh).replace("/?", "/scan/17?stream=a+b&"))
    assert (code, headers["Location"]) == (303, "/scan/17?stream=a+b")
    name, _, flags = headers["Set-Cookie"].partition("=")
    assert name == f"violet-{fresh.port}"
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(flags.split("; "))
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert ask(fresh.port, "/", Cookie=cookie)[0] == 200


def test_a_used_token_is_refused_to_everybody(fresh):
    before = entrance(fresh)
    client = Client(fresh)
    assert ask(fresh.port, before)[0] == 403
    assert client.get(before)[0] == 403
    assert client.get("/")[0] == 200
    assert ask(fresh.port, "/?token=None")[0] == ask(fresh.port, "/?token=")[0] == 403


@pytest.mark.parametrize(
    "cookie", ["x", "violet-{port}=", "violet-{port}=None", "violet-1={value}", "violet-{port}=\xe4", ";=;"]
)
def test_another_cookie_opens_nothing(made, client, cookie):
    value = client.cookie.partition("=")[2]
    assert ask(made.port, "/", Cookie=cookie.format(port=made.port, value=value))[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]:{port}",
        "localhost.evil.example:{port}",
        "",
    ],
)
def test_a_foreign_host_is_refused_cookie_or_not(made, client, host):
    assert client.get("/", Host=host.format(port=made.port))[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}"])
def test_both_names_of_loopback_are_known(made, client, host):
    assert client.get("/", Host=host.format(port=made.port))[0] == 200


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
)


def test_a_request_from_another_site_is_refused_and_does_not_use_up_the_token(fresh):
    assert [ask(fresh.port, entrance(fresh), **headers)[0] for headers in FOREIGN] == [403] * len(FOREIGN)
    client = Client(fresh)
    assert [client.get("/api/runs", **headers)[0] for headers in FOREIGN] == [403] * len(FOREIGN)
    assert client.get("/", Origin=f"http://127.0.0.1:{fresh.port}", Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_it_is_only_read(made, client, method):
    assert client.get("/", method=method)[0] == 405
    assert ask(made.port, entrance(made), method=method)[0] == 405


def test_the_way_in_leads_nowhere_else(fresh):
    code, headers, _ = ask(fresh.port, "//evil.example/%2e%2e/a" + entrance(fresh)[1:])
    assert (code, headers["Location"][:2]) == (303, "/e")


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/runs", "/nothing", "/?token=wrong"])
def test_every_answer_confines_the_browser(client, path):
    headers = client.get(path)[1]
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert {policy[f"{what}-src"] for what in ("script", "style", "img", "connect")} == {"'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_the_document_needs_nobody_else_and_runs_nothing_inline():
    document = (STATIC / "page.html").read_text("utf-8")
    assert re.findall(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|javascript:", document) == []
    assert {each[:8] for each in re.findall(r'(?:src|href)="([^"]+)"', document) if each != "/"} == {"/static/"}
    for file in STATIC.glob("*.*"):
        if file.suffix in (".js", ".css") and not file.name.startswith("uPlot"):
            assert "//" not in re.sub(r"(?m)//[ -].*$", "", file.read_text("utf-8")), file.name


def test_the_files_that_are_served_are_those_that_are_there(client):
    kept = {file.name for file in STATIC.iterdir()} - {"uPlot.LICENSE"}
    assert {"page.html", "page.css", "page.js", "icon.svg"} < kept
    for name in kept:
        code, headers, body = client.get(f"/static/{name}")
        assert (code, body) == (200, (STATIC / name).read_bytes())
        assert headers["Content-Type"] == app.KINDS[name.rpartition(".")[2]]
    for name in ("../app.py", "..%2fapp.py", "app.py", "uPlot.LICENSE", ""):
        assert client.get(f"/static/{name}")[0] == 404


def test_it_listens_on_loopback_alone_and_says_which_port_is_taken(made, tmp_path):
    assert made._socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(Refusal, match=r"--port \d+: .*; fix: name a free one"):
        Page(Poller(tmp_path, away), made.port)


def test_while_the_journal_is_away_the_page_says_so(client):
    assert client.json("/api/runs") == (503, {"error": "it is away"})
    assert client.told("away")["away"] == {"why": "it is away", "is_away": True}


def test_at_most_so_many_browsers_look_at_once(made, client):
    streams = []
    try:
        for _ in range(app.VIEWERS):
            stream = socket.create_connection(("127.0.0.1", made.port), 10)
            streams.append(stream)
            stream.sendall(
                f"GET /api/stream HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nCookie: {client.cookie}\r\n\r\n".encode()
            )
            heard = b""
            while b"away" not in heard:
                heard += stream.recv(65_536)
        assert client.json("/api/stream")[0] == 503
    finally:
        for stream in streams:
            stream.close()
