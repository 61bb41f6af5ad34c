"""Shown: text of anybody's in a form that speaks to no terminal."""

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Final

# What JSON leaves as it is, though a terminal or a reader of lines takes it for more than text.
_UNSEEN: Final = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def shown(text: str, keep: str = "") -> str:
    r"""Text of anybody's as a terminal, a log or a table may have it: what is not printable is spelled out.

    Args:
        text: any.
        keep: what stays as it is besides.

    >>> shown("red \x1b[31m")
    'red \\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def as_json(value: Any, *, compact: bool = False) -> str:
    """A value as one line of JSON. compact: without blanks."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain(value: Any) -> Any:
    """The value as JSON has it: no NaN, no infinity, times in ISO 8601."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value
