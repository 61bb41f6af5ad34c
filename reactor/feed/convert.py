"""Conversions: a value of a foreign row becomes one of ours, or a BadRow that names it and the fix; pure.

Each maker takes the field's table of the mapping and where it stands, and gives the conversion; a table that cannot be
right is a Refusal. Times are in moment.py, symbols and maps of them in symbol.py. See docs/design/feeds.md.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec

from journal.refusal import Refusal

Row = dict[str, Any]
Read = Callable[[Any], Any]

DIGITS_MAX: Final = 40  # of a time or a whole number; 1e999999999 must not be written out
INT_DIGITS_MAX: Final = 400  # of an integer in JSON; Python refuses to write out one of more than 4,300
SHOWN: Final = 60  # characters of a foreign value in a message
WORD_MAX: Final = 40  # characters of a word for no value; longer text is not looked up
NO_VALUE: Final = frozenset(
    ("", "nan", "-nan", "nat", "none", "null", "nil", "\\n", "n/a", "na", "<na>", "<nil>", "#n/a", "#n/a n/a", "#na",
     "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan")
)  # fmt: skip
"""What pandas, polars, Python, SQL, spreadsheets and C write for no value, in small letters."""


class BadRow(ValueError):
    """A row that the mapping does not fit: the field, the value and the fix."""


class Unclear:
    """What stands for the cells of columns of one name: whoever reads it must be told."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"(several columns {self.name!r})"


def walk(row: Any, path: tuple[str, ...]) -> Any:
    """What lies at a path, or None. JSON in a text on the way is parsed, in place.

    >>> walk({"value": '{"boost": 1.2}'}, ("value", "boost"))
    1.2

    Raises:
        BadRow: the path leads to a column whose name another column has too.
    """
    node = row
    for at, step in enumerate(path):
        if isinstance(node, str):
            node = parsed(node)
            if node is not None and at:
                _put(row, path[:at], node)
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    if type(node) is Unclear:
        raise BadRow(f"several columns are named {node.name!r}; fix: rename those in the header, so that one is")
    return node


def has(row: Any, path: tuple[str, ...]) -> bool:
    """Whether a row has a field at a path, be it null or empty.

    >>> has({"exit": None}, ("exit",)), has({"exit": None}, ("entry",))
    (True, False)
    """
    node = walk(row, path[:-1])
    node = parsed(node) if isinstance(node, str) else node
    if isinstance(node, list):
        return path[-1].isdecimal() and int(path[-1]) < len(node)
    return isinstance(node, dict) and path[-1] in node


def steps(path: Any) -> tuple[str, ...]:
    """The steps of a path as a mapping writes it.

    >>> steps("windows.750.velocity")
    ('windows', '750', 'velocity')

    Raises:
        Refusal: it is neither text nor a list of steps.
    """
    found = path.split(".") if isinstance(path, str) else path
    if not isinstance(found, list) or not found or not all(isinstance(s, str) and s for s in found):
        raise Refusal(f'a path must be text like "a.b" or a list of steps, was {path!r}; fix: name their field')
    return tuple(found)


def spelled(path: tuple[str, ...]) -> str:
    """A path as a mapping writes it.

    >>> spelled(("a", "b")), spelled(("a.b",))
    ('"a.b"', '["a.b"]')
    """
    return json.dumps(list(path) if any("." in step for step in path) else ".".join(path), ensure_ascii=False)


def to_number(spec: Row, here: str) -> Read:
    """A finite number, times the scale."""
    scale = spec.get("scale")
    if scale is not None and (type(scale) not in (int, float) or not math.isfinite(scale) or not scale):
        raise Refusal(f"{here}: scale must be a finite number other than 0, was {scale!r}; fix: give one")

    def read(value: Any) -> float:
        if type(value) is float and scale is None and math.isfinite(value):
            return value
        theirs: Any = _float(value) if isinstance(value, str) else value
        if type(theirs) not in (int, float):
            raise BadRow(f"{show(value)} is no number; fix: mend it, such as 1500.25, or give the path of a number")
        try:
            number = float(theirs) if scale is None else float(theirs) * scale
            finite = math.isfinite(number)
        except OverflowError:
            finite = False
        if not finite:
            word = json.dumps(text(value))
            also = (
                f", `no_value = [{word}]` reads it as none where the field is optional" if len(word) < WORD_MAX else ""
            )
            raise BadRow(f"{show(value)} is not finite; fix: `skip_without` of it passes such rows over{also}")
        return number

    return read


def to_integer(_: Row, _here: str) -> Read:
    """A whole number, whatever it is written as."""

    def read(value: Any) -> int:
        number = to_decimal(value)
        if number is None or number != number.to_integral_value():
            raise BadRow(f"{show(value)} is no whole number; fix: mend it, or give the path of one")
        return int(number)

    return read


def to_words(spec: Row, here: str) -> Read:
    """Text, one of `values` where the mapping lists them."""
    values = spec.get("values")
    if values is not None and not isinstance(values, dict):
        raise Refusal(f'{here}: values must be a table of theirs = ours, was {values!r}; fix: {{ theirs = "OURS" }}')

    def read(value: Any) -> str:
        if isinstance(value, dict | list):
            raise BadRow(f"{show(value)} is no text; fix: give the path of one")
        theirs = text(value)
        if not theirs.isascii() and not is_utf8(theirs):
            raise BadRow(f"{show(theirs)} is no text in UTF-8; fix: write the file in UTF-8")
        if values is None:
            return theirs
        if theirs not in values:
            raise BadRow(f'{show(value)} is not among `values`; fix: add {json.dumps(theirs)} = "OURS"')
        return str(values[theirs])

    return read


def to_any(_: Row, _here: str) -> Read:
    """A value as it is."""
    return lambda value: value


def decode(raw: bytes | str) -> Any:
    """JSON as the world writes it: NaN too; an infinity and a number beyond every double stay text.

    >>> decode('{"rsi": NaN, "x": 1e400, "y": 1.5}')
    {'rsi': nan, 'x': '1e400', 'y': 1.5}

    Raises:
        ValueError: it is not JSON.
        RecursionError: it nests too deep.
    """
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        try:
            return json.loads(raw, parse_float=_finite, parse_int=_whole, parse_constant=_CONSTANTS.__getitem__)
        except ValueError:
            pass
        raise


_decode: Final = msgspec.json.Decoder().decode
_CONSTANTS: Final = {"NaN": math.nan, "Infinity": "Infinity", "-Infinity": "-Infinity"}


def _finite(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= INT_DIGITS_MAX else digits


def encode(row: Any) -> bytes:
    """A row as JSON, in which NaN and infinity stay what they are; bytes that are no text are escaped."""
    try:
        raw = msgspec.json.encode(row)
    except UnicodeEncodeError:
        return json.dumps(row, separators=(",", ":")).encode()
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() if b"null" in raw else raw


def parsed(text: str) -> Any:
    """JSON that a text holds, or None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return decode(text)
    except (ValueError, RecursionError):
        return None


# Python reads 1_5 as 15 and digits of other scripts too; a cell that holds such is damaged.
_is_number: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII).fullmatch
_is_infinity: Final = re.compile(r"[+-]?inf(?:inity)?|[+-]?1\.#inf", re.IGNORECASE).fullmatch


def _float(text: str) -> float | None:
    text = text.strip()
    return float(text) if _is_number(text) else math.inf if _is_infinity(text) else None


def to_decimal(value: Any) -> Decimal | None:
    """A number exactly; None where it is none, or has more digits than any time or count."""
    if type(value) not in (int, float, str):
        return None
    digits = str(value).strip()
    if not _is_number(digits):
        return None
    number = Decimal(digits)
    return number if number.is_finite() and abs(number.adjusted()) < DIGITS_MAX else None


def words_for_none(given: Iterable[Any]) -> frozenset[str]:
    """The words for no value, those of a mapping among them."""
    return NO_VALUE | {text(word).strip().lower() for word in given}


def is_empty(value: Any, words: frozenset[str] = NO_VALUE) -> bool:
    """Whether it is no value: absent, null, empty, NaN, or one of the words for that.

    Args:
        value: of a foreign row.
        words: in small letters.
    """
    if isinstance(value, str):
        return len(value) <= WORD_MAX and value.strip().lower() in words
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return words is not NO_VALUE and not isinstance(value, dict | list) and text(value).lower() in words


def is_infinite(value: Any) -> bool:
    """Whether it is an infinity, as a number or as text."""
    if isinstance(value, str):
        return bool(_is_infinity(value.strip()))
    return isinstance(value, float) and math.isinf(value)


def text(value: Any) -> str:
    """A scalar as text: true, 17 for 17.0."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_utf8(value: str) -> bool:
    """Whether text can be written out; bytes of another encoding, and halves of a pair, cannot."""
    return not any("\ud800" <= each <= "\udfff" for each in value)


def show(value: Any) -> str:
    """A foreign value for a message, as it stands in its file."""
    if isinstance(value, str):
        shown = f"'{value}'" if value.isprintable() else repr(value)
    else:
        shown = repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=repr)
        shown = "NaN" if shown == "nan" else shown
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"


def _put(row: Any, path: tuple[str, ...], node: Any) -> None:
    """Keep JSON that was read out of a text, so that it is read once a row."""
    for step in path[:-1]:
        row = row[int(step)] if isinstance(row, list) else row[step]
    row[int(path[-1]) if isinstance(row, list) else path[-1]] = node
