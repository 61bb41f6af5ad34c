"""A proxy on loopback in front of a ClickHouse: it loses answers to inserts, slows them down, refuses them, is away."""

import contextlib
import socket
import threading
import time
from typing import Final

INSERT: Final = b"insert_deduplication_token"  # in the first line of every insert's request
_BLOCK: Final = 1 << 16


class Proxy:
    """Forwards connections to a port of this machine.

    lose: answers to so many inserts are not given. delay_s: before each insert. cut: the next insert's connection
    breaks within its request. refuse: (code, words) that answer the next `refusals` inserts in ClickHouse's place.
    """

    def __init__(self, port: int) -> None:
        self.lose = self.lost = self.refusals = self.refused = 0
        self.delay_s, self.cut, self.was_cut = 0.0, False, threading.Event()
        self.refuse = (0, "")
        self._to, self._pairs, self.port = port, list[_Pair](), 0
        self.come()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def come(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def go(self) -> None:
        """Close everything: nobody answers until it comes back."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._pairs:
            each.close()
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._pairs.append(_Pair(self, listener.accept()[0], socket.create_connection(("127.0.0.1", self._to))))


class _Pair:
    """One connection and its way on."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server, self._mute = proxy, client, server, False
        for way in (self._ask, self._answer):
            threading.Thread(target=way, daemon=True).start()

    def close(self) -> None:
        for each in (self._client, self._server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            while block := self._client.recv(_BLOCK):
                if INSERT in block and not self._insert(block):
                    break
                self._server.sendall(block)
        self.close()

    def _insert(self, block: bytes) -> bool:
        """What befalls an insert; whether it goes on."""
        time.sleep(self._proxy.delay_s)
        if self._proxy.cut:
            self._proxy.cut = False
            self._server.sendall(block[: len(block) - 40])
            self._proxy.was_cut.set()
            return False
        if self._proxy.refusals:
            self._proxy.refusals -= 1
            self._proxy.refused += 1
            code, words = self._proxy.refuse
            body = f"Code: {code}. DB::Exception: {words}".encode()
            head = f"HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: {code}\r\n"
            self._client.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            return False
        if self._proxy.lose:
            self._proxy.lose -= 1
            self._mute = True
        return True

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while block := self._server.recv(_BLOCK):
                if self._mute:  # the engine has done it, and nobody will hear
                    self._proxy.lost += 1
                    break
                self._client.sendall(block)
        self.close()
