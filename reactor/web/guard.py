"""The door of the page: who may ask, and what a browser may do with the answer.

Only GET; only by a loopback name with our port, so that no foreign name may be pointed at us; never from another
site's page; only with the cookie that the one-time token of the printed address is exchanged for.
See docs/design/watching.md.
"""

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Middleware in front of every path."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app, self._hosts = app, (f"127.0.0.1:{port}", f"localhost:{port}")
        self._cookie = f"violet-{port}"  # a browser sends the cookies of all ports of a host to each of them
        self._session = secrets.token_urlsafe(32)
        self.token: str | None = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"must be http, was {scope['type']}")

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (self._answer(scope) or self._app)(scope, receive, guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """A refusal, or the way in; None lets the request through."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts or len(headers.getlist("host")) != 1:
            return _no(403, "this page answers to its own loopback address only")
        if scope["method"] != "GET":
            return _no(405, "this page is only read: GET")
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return _no(403, "not from another site")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _no(403, "not from another site")
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if tokens := [value for name, value in asked if name == TOKEN]:
            return self._enter(scope["path"], tokens[0], [each for each in asked if each[0] != TOKEN])
        if not _same(self._given(headers), self._session):
            return _no(403, "no session: open the address that `violet web` prints; it is good for one browser")
        return None

    def _enter(self, path: str, token: str, asked: list[tuple[str, str]]) -> Response:
        """Exchange the token for a cookie and go on at the address without it."""
        if self.token is None or not _same(token, self.token):
            return _no(403, "this address was used, or is of another page; `violet web` prints a new one")
        self.token = None
        to = "/" + quote(path.lstrip("/"))  # two slashes would be another host
        answer = RedirectResponse(to + (f"?{urlencode(asked)}" if asked else ""), 303)
        answer.set_cookie(self._cookie, self._session, path="/", httponly=True, samesite="strict")
        return answer

    def _given(self, headers: Headers) -> str:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return ""
        return morsel.value if morsel else ""


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), known.encode())


def _no(status: int, words: str) -> Response:
    return PlainTextResponse(f"{words}\n", status)
