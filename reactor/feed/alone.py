"""Alone: one publisher or sequencer a topic on one machine; one elsewhere shows in the offsets that the broker gives.

A name of the kernel's (an abstract socket) is held while the process lives: no file, nothing to clear after a crash.
See docs/design/feeds.md.
"""

import errno
import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from journal.refusal import Refusal


@contextmanager
def alone(bootstrap: str, topic: str) -> Iterator[None]:
    """Be the only one of this machine that writes to a topic. Raises Refusal where another is."""
    name = hashlib.sha256(f"{bootstrap} {topic}".encode()).hexdigest()
    with socket.socket(socket.AF_UNIX) as held:
        try:
            held.bind(f"\0violet-writer-{name}")
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Refusal(
                    f"another `violet sequence` or `violet publish` on this machine writes to {topic!r}; fix: end it, "
                    "or --topic OTHER"
                ) from None
            # Only Linux has such names: elsewhere the offsets alone tell.
        yield
