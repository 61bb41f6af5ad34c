"""A proxy on loopback in front of an engine: it loses answers to inserts, slows them down, or is away for a while."""

import contextlib
import socket
import threading
import time

INSERT = b"insert_deduplication_token"  # in the first line of every insert's request


class Proxy:
    """Forwards connections. lose: answers to so many inserts are not given; delay_s: before each insert."""

    def __init__(self, port):
        self.lose, self.lost, self.delay_s = 0, 0, 0.0
        self._to, self._pairs, self.port = port, [], 0
        self.come()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def come(self):
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def go(self):
        """Close everything: nobody answers until it comes back."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._pairs:
            each.close()
        self._pairs.clear()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                self._pairs.append(_Pair(self, listener.accept()[0], socket.create_connection(("127.0.0.1", self._to))))


class _Pair:
    """One connection and its way on."""

    def __init__(self, proxy, client, server):
        self._proxy, self._client, self._server, self._mute = proxy, client, server, False
        for way in (self._ask, self._answer):
            threading.Thread(target=way, daemon=True).start()

    def close(self):
        for each in (self._client, self._server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _ask(self):
        with contextlib.suppress(OSError):
            while block := self._client.recv(1 << 16):
                if INSERT in block:
                    time.sleep(self._proxy.delay_s)
                    if self._proxy.lose:
                        self._proxy.lose -= 1
                        self._mute = True
                self._server.sendall(block)
        self.close()

    def _answer(self):
        with contextlib.suppress(OSError):
            while block := self._server.recv(1 << 16):
                if self._mute:  # the engine has done it, and nobody will hear
                    self._proxy.lost += 1
                    break
                self._client.sendall(block)
        self.close()
