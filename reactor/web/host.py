"""The page's host: it listens on loopback, has an address with a one-time token, and ends on a signal."""

import signal
import socket
from typing import Final

import uvicorn

from journal.refusal import Refusal
from reactor.web.app import application
from reactor.web.guard import TOKEN, Guard
from reactor.web.poller import Poller

HOST: Final = "127.0.0.1"
LINGER_S: Final = 1  # what a stream that is open gets at the end


class Page:
    """A page that listens; it answers from `serve` on."""

    def __init__(self, poller: Poller, port: int = 0) -> None:
        self._poller, self._socket = poller, socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError as error:
            self._socket.close()
            raise Refusal(f"--port {port}: {error.strerror}; fix: name a free one, or 0 for any") from None
        self._socket.listen()
        self.port: int = self._socket.getsockname()[1]
        self._guard = Guard(application(poller), self.port)
        config = uvicorn.Config(
            self._guard, log_config=None, access_log=False, lifespan="off", ws="none", http="h11", loop="asyncio",
            interface="asgi3", proxy_headers=False, server_header=False, timeout_graceful_shutdown=LINGER_S,
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    def url(self, path: str = "/") -> str:
        """An address with the one-time token."""
        return f"http://{HOST}:{self.port}{path}?{TOKEN}={self._guard.token}"

    def serve(self) -> None:
        """Answer until told to end; then let go of the journal."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self._poller.close()

    def end(self) -> None:
        """Have `serve` return."""
        self._server.should_exit = True


def end_on_signal() -> None:
    """Let SIGINT and SIGTERM end the server alone: it raises them again afterwards, and that is ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
