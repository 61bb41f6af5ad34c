"""Parts of an answer, for clients that read an address as a file: HEAD, then a Range after another (polars).

ClickHouse answers no Range. Here the parts are cut out of one answer that is kept for them, so that a journal which
grows meanwhile is not read half old and half new. Source: RFC 9110, sections 14 and 15.3.7.
"""

import re
import threading
import time
from dataclasses import dataclass
from typing import Final

KEEP_S: Final = 60.0  # since the last part was taken
MOST_BYTES: Final = 64 << 20  # of all answers that are kept

_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")  # several at once: the whole is sent


@dataclass(slots=True)
class Kept:
    """An answer with its headers. is_read: its last byte was taken, so that a new reading asks anew."""

    body: bytes
    headers: dict[str, str]
    until: float = 0.0
    is_read: bool = False

    def cut(self, wanted: tuple[int, int]) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of a part."""
        start, end = wanted
        whole = len(self.body)
        if start < 0:
            start, end = max(0, whole + start), whole
        end = min(end, whole)
        if start >= end:
            return 416, b"", {"Content-Range": f"bytes */{whole}"}
        self.is_read = self.is_read or end == whole
        return 206, self.body[start:end], self.headers | {"Content-Range": f"bytes {start}-{end - 1}/{whole}"}


class Answers:
    """The answers that are kept, by what was asked."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._lock = threading.Lock()

    def keep(self, asked: str, answer: Kept) -> None:
        """Keep an answer, unless it is too large; older ones make room."""
        if len(answer.body) > MOST_BYTES:
            return
        with self._lock:
            self._kept.pop(asked, None)
            answer.until = time.monotonic() + KEEP_S
            self._kept[asked] = answer
            while sum(len(each.body) for each in self._kept.values()) > MOST_BYTES:
                del self._kept[next(iter(self._kept))]

    def find(self, asked: str, *, is_new: bool) -> Kept | None:
        """An answer that is kept. is_new: a reading begins, which may join another but begins no old one again."""
        now = time.monotonic()
        with self._lock:
            for name in [name for name, each in self._kept.items() if each.until < now]:
                del self._kept[name]
            found = self._kept.get(asked)
            if found is None or (is_new and found.is_read):
                return None
            found.until = now + KEEP_S
            return found


def wanted(header: str) -> tuple[int, int] | None:
    """The one range that a header asks for, from and to before; from is negative where it counts from the end.

    >>> wanted("bytes=0-3"), wanted("bytes=10-"), wanted("bytes=-8"), wanted("lines=1-2")
    ((0, 4), (10, 9223372036854775807), (-8, 0), None)
    """
    if (found := _RANGE.fullmatch(header.strip())) is None:
        return None
    first, last, tail = found.groups()
    if tail is not None:
        return -int(tail), 0
    return int(first), int(last) + 1 if last else (1 << 63) - 1
