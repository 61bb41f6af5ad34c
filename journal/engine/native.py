"""The first answer to clickhouse-go, Grafana's ClickHouse client: this engine speaks revision 0 of Native.

That client asks over HTTP who answers, and reads the answer to this one question as its own revision frames it: a block
begins with a header, and each column with a flag. The revision it is told there it reads everything else with, and 0 is
Native without either, which is what the embedded engine writes.
"""

import re
from typing import Final

QUESTION: Final = re.compile(r"\s*SELECT displayName\(\), version\(\), revision\(\), timezone\(\)\s*")
_BLOCK: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # no overflow row, no bucket, end of the header
_PLAIN: Final = b"\x00"  # the column's flag: no custom serialization


def hello(version: str) -> bytes:
    """One row: name, version, revision 0, time zone."""
    columns = {
        "displayName()": ("String", _text("violet")),
        "version()": ("String", _text(version)),
        "revision()": ("UInt32", b"\x00\x00\x00\x00"),
        "timezone()": ("String", _text("UTC")),
    }
    head = _BLOCK + bytes([len(columns), 1])
    return head + b"".join(_text(name) + _text(kind) + _PLAIN + data for name, (kind, data) in columns.items())


def _text(text: str) -> bytes:
    raw = text.encode()
    if len(raw) > 127:  # the length is a varint, of which one byte is enough here
        raise ValueError(f"must be at most 127 bytes, was {len(raw)}")
    return bytes([len(raw)]) + raw
