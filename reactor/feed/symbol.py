"""Symbol: the names of assets, and the maps by symbol that a scan holds, out of every form that feeds have; pure.

A map is an object by symbol, a list of entries, two parallel lists, the columns of a wide table, or one entry a row.
An entry that does not fit is left out and named; the others stay. See docs/design/feeds.md.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from journal.refusal import Refusal
from reactor.evaluate.record import SYMBOL_PATTERN
from reactor.feed.convert import NO_VALUE, BadRow, Read, Row, has, is_empty, parsed, show, steps, text, to_number, walk

# Behind the pair where it settles (ccxt), or that it is a perpetual (OKX, Binance). A future that ends on a day is
# another instrument, so it does not match; nor does BTCUSDT_UMCBL, which is a pair already and a kind of market.
PAIR: Final = (
    r"(?![A-Z0-9]+USD[TC][/_-])([A-Z0-9]+)[/_-]((?!(?:PERP|PERPETUAL|SWAP)$)[A-Z][A-Z0-9]*)"
    r"(?::[A-Z][A-Z0-9]*|[_-](?:PERP|PERPETUAL|SWAP))?"
)
"""BTC/USDT, BTC-USDT or BTC_USDT, as a pattern whose groups together are the symbol."""
_is_pair: Final = re.compile(PAIR).fullmatch
_is_symbol: Final = re.compile(SYMBOL_PATTERN).fullmatch
_Entry = Callable[[], tuple[Any, ...]]  # gives its symbol and its numbers as they came, or raises BadRow
SYMBOL_MARK: Final = "{symbol}"
NUMBERS: Final = {"prices": ("value",), "ranks": ("score", "alignment")}
"""Kind of a map -> the keys that say where the numbers of an entry lie."""


class Entries(NamedTuple):
    """A map that was read: what fits by symbol, and what was left out, each with why."""

    found: Row
    left_out: tuple[str, ...]


class Form(NamedTuple):
    """How a row's map is read: the paths that it reads, its columns where the table is wide, and the reading.

    `read` gives None where the row has no such field. is_single: a row may hold one entry alone.
    """

    paths: tuple[tuple[str, ...], ...]
    read: Callable[[Row], Entries | None]
    matches: Callable[[str], bool] | None = None
    is_single: bool = False


def to_symbol(spec: Row, here: str) -> Read:
    """A symbol as it is, in capitals, or out of a pair."""
    unit = spec.get("unit")
    if unit not in _UNITS:
        raise Refusal(f'{here}: unit of a symbol must be "pair", "upper" or none, was {unit!r}; fix: unit = "pair"')
    return _UNITS[unit]


def _pair(theirs: Any) -> str:
    """BTC/USDT, BTC-USDT and BTC_USDT:USDT are BTCUSDT; a name without a separator may be one coin, so it is none."""
    if match := _is_pair(text(theirs).strip().upper()):
        return match[1] + match[2]
    also = "" if re.search(r"[^A-Za-z0-9]", text(theirs)) else '; `unit = "upper"` takes names without a separator'
    raise BadRow(
        f"{show(theirs)} is no pair such as BTC/USDT, BTC-USDT or BTC_USDT; fix: write it so, or give the path of "
        f"one{also}"
    )


_UNITS: Final[Mapping[Any, Read]] = {None: text, "pair": _pair, "upper": lambda value: text(value).strip().upper()}


def to_map(spec: Row, kind: str, here: str, words: frozenset[str], taken: frozenset[str], *, is_grouped: bool) -> Form:
    """The form of a map.

    Args:
        spec: the field's table of the mapping.
        kind: prices or ranks.
        here: where the table stands.
        words: for no value.
        taken: columns that other fields read; no pattern matches them.
        is_grouped: whether the rows of one time become one scan.

    Raises:
        Refusal: the table cannot be right.
    """
    make = _Map(spec, kind, here, words)
    if "columns" in spec:
        return make.wide(taken)
    if "key" in spec:
        return make.listed() if "path" in spec else make.beside(is_grouped=is_grouped)
    if "path" not in spec:
        raise Refusal(f'{here} must have a path; fix: {here.rpartition(".")[2]} = "their.path"')
    return make.keyed()


def fixed(spec: Row, kind: str, here: str) -> Row:
    """A map that the mapping itself holds. Raises BadRow where an entry does not fit."""
    made = _Map(spec, kind, here, NO_VALUE)
    found = made.of_object(spec["const"])
    if found.left_out:
        raise BadRow(found.left_out[0])
    return found.found


class _Map:
    """The reading of one map: how its symbols and numbers are read, and the forms that it may have."""

    def __init__(self, spec: Row, kind: str, here: str, words: frozenset[str]) -> None:
        self._spec, self._here, self._words, self._names = spec, here, words, NUMBERS[kind]
        self._symbol, self._number = to_symbol(spec, here), to_number(spec, here)
        self._inner = {name: steps(spec[name]) for name in self._names if name in spec}

    def keyed(self) -> Form:
        """An object by symbol."""
        path = steps(self._spec["path"])

        def read(row: Row) -> Entries | None:
            value = walk(row, path)
            return None if is_empty(value, self._words) else self.of_object(value)

        return Form((path,), read)

    def listed(self) -> Form:
        """A list of entries, each with its symbol."""
        path, key = steps(self._spec["path"]), steps(self._spec["key"])
        inner = self._paths()

        def read(row: Row) -> Entries | None:
            value = _node(walk(row, path))
            if is_empty(value, self._words):
                return None
            if not isinstance(value, list | dict):
                raise BadRow(f"{show(value)} is no list of entries; fix: give the path of one")
            entries = value.values() if isinstance(value, dict) else value
            return self._entries(_at(e, (key, *inner)) for e in entries)

        return Form((path,), read)

    def beside(self, *, is_grouped: bool) -> Form:
        """Symbol and numbers at paths of the row: one entry a row, or parallel lists."""
        key, inner = steps(self._spec["key"]), self._paths()

        def read(row: Row) -> Entries | None:
            name, values = _node(walk(row, key)), tuple(_node(walk(row, path)) for path in inner)
            if isinstance(name, list):
                return self._parallel(name, values)
            if not all(has(row, path) for path in (key, *inner)):
                return None
            if not is_grouped:
                raise BadRow("a map with a `key` has one entry a row; fix: group = true joins the rows of a time")
            return self._entries([lambda: (name, *values)])

        return Form((key, *inner), read, is_single=True)

    def wide(self, taken: frozenset[str]) -> Form:
        """The columns of a wide table, chosen by pattern."""
        if len(self._names) > 1 or "key" in self._spec:
            raise Refusal(f"{self._here}: columns goes with prices alone, and without a key; fix: drop one of them")
        symbol_of = _columns(self._spec["columns"], self._here)
        path = steps(self._spec["path"]) if "path" in self._spec else None
        taken = taken if path is None else frozenset()

        def matches(name: str) -> bool:
            return name not in taken and symbol_of(name) is not None

        def read(row: Row) -> Entries | None:
            table = row if path is None else _node(walk(row, path))
            if not isinstance(table, dict):
                return None
            names = [name for name in table if matches(name)]
            if not names:
                raise BadRow(
                    f"no column matches {self._spec['columns']!r}; it has {', '.join(list(table)[:12])}; "
                    "fix: correct the pattern"
                )
            return self._entries((self._keyed(symbol_of(name), walk(table, (name,))) for name in names), has_names=True)

        return Form((path,) if path else (), read, matches if path is None else None)

    def of_object(self, value: Any) -> Entries:
        """The entries of an object by symbol."""
        entries = _node(value)
        if isinstance(entries, list):
            first = entries[0] if entries else None
            names = [str(at) for at in range(len(first))] if isinstance(first, list) else first
            fix = "write an object, symbol: price"
            if isinstance(names, dict | list) and len(names) > 1:
                key, number = list(names)[:2]
                fix = f"name its fields, such as {{ path = ..., key = {key!r}, value = {number!r} }}"
            raise BadRow(f"{show(value)} is a list, no map of symbols; fix: {fix}")
        if not isinstance(entries, dict):
            raise BadRow(f"{show(value)} is no map of symbols; fix: give the path of one, or `key` and `value`")
        return self._entries((self._keyed(name, entry) for name, entry in entries.items()), has_names=True)

    def _keyed(self, name: Any, entry: Any) -> _Entry:
        """An entry under its symbol: the number itself, or what holds the numbers."""
        if entry is None or (len(self._names) == 1 and "value" not in self._inner):
            return partial(_alone, name, entry)
        inner = _at(entry, tuple(self._inner.get(each, (each,)) for each in self._names))

        def read() -> tuple[Any, ...]:
            try:
                return name, *inner()
            except BadRow as bad:
                raise BadRow(f"{show(name)}: {bad}") from None

        return read

    def _paths(self) -> tuple[tuple[str, ...], ...]:
        if missing := [name for name in self._names if name not in self._inner]:
            raise Refusal(f'{self._here} with a key must have {missing[0]}; fix: {missing[0]} = "their.path"')
        return tuple(self._inner[name] for name in self._names)

    def _parallel(self, names: list[Any], values: tuple[Any, ...]) -> Entries:
        for value in values:
            if not isinstance(value, list) or len(value) != len(names):
                count = len(value) if isinstance(value, list) else show(value)
                raise BadRow(
                    f"{len(names)} symbols stand beside {count} values; fix: give the paths of lists that are as long"
                )
        return self._entries(partial(tuple, entry) for entry in zip(names, *values, strict=True))

    def _entries(self, given: Iterable[_Entry], *, has_names: bool = False) -> Entries:
        """What fits; raises BadRow where nothing does and not for want of values, or two names are one symbol.

        has_names: the symbols are keys or columns, no cells.
        """
        found: Row = {}
        theirs: Row = {}
        left_out: list[str] = []
        has_faults = False
        for entry in given:
            name: Any = None
            try:
                name, *values = entry()
                # A key is a name, and a coin may be called NULL; a cell that says NULL holds nothing.
                judged = values if has_names and name else (name, *values)
                if empty := [value for value in judged if is_empty(value, self._words)]:
                    has_name = empty[0] is not name
                    left_out.append(f"{show(name)} is {show(empty[0])}" if has_name else "a symbol is missing")
                    continue
                symbol = self._named(name)
                numbers = [self._number(value) for value in values]
            except BadRow as bad:
                left_out.append(f"{show(name)}: {bad}" if name is not None else str(bad))
                has_faults = True
                continue
            if symbol in found:
                raise BadRow(f"{show(theirs[symbol])} and {show(name)} both become {symbol}; fix: leave one out")
            theirs[symbol] = name
            found[symbol] = numbers[0] if len(numbers) == 1 else dict(zip(self._names, numbers, strict=True))
        if has_faults and not found:
            raise BadRow(f"none of its entries fits, the first is {left_out[0]}")
        return Entries(found, tuple(left_out))

    def _named(self, name: Any) -> str:
        symbol: str = self._symbol(name)
        if not _is_symbol(symbol):
            unit = next((unit for unit in ("upper", "pair") if _converts(unit, symbol)), None)
            fix = f'unit = "{unit}"' if unit and "unit" not in self._spec else "mend the name upstream"
            raise BadRow(f"a symbol must match {SYMBOL_PATTERN}; fix: {fix}")
        return symbol


def _converts(unit: str, name: str) -> bool:
    try:
        return bool(_is_symbol(_UNITS[unit](name)))
    except BadRow:
        return False


def _at(entry: Any, paths: tuple[tuple[str, ...], ...]) -> _Entry:
    """What lies at paths of an entry, of which each must be there."""

    def read() -> tuple[Any, ...]:
        if absent := next((path for path in paths if not has(entry, path)), None):
            raise BadRow(f"{show(entry)} has no {'.'.join(absent)!r}; fix: correct the path")
        return tuple(walk(entry, path) for path in paths)

    return read


def _alone(name: Any, entry: Any) -> tuple[Any, ...]:
    if isinstance(entry, dict) and entry:
        raise BadRow(
            f"{show(name)}: {show(entry)} is an object; fix: value = {next(iter(entry))!r}, or another key of it"
        )
    return name, entry


def _node(value: Any) -> Any:
    """A list or an object, also where a text holds it."""
    return (found if (found := parsed(value)) is not None else value) if isinstance(value, str) else value


def _columns(given: Any, here: str) -> Callable[[str], str | None]:
    """The symbol that a column's name holds, or None where no pattern matches."""
    patterns = [given] if isinstance(given, str) else given
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) and p for p in patterns):
        raise Refusal(
            f'{here}: columns must be a pattern such as "*USDT" or "{SYMBOL_MARK}_close", or a list of them, '
            f"was {given!r}; fix: write one"
        )
    tests = [re.compile("".join(_parts(pattern))).fullmatch for pattern in patterns]

    def symbol_of(name: str) -> str | None:
        match = next(filter(None, (test(name) for test in tests)), None)
        return None if match is None else match.groupdict().get("symbol") or name

    return symbol_of


def _parts(pattern: str) -> Iterator[str]:
    """A pattern as a regular expression: `*` is any text, and the first {symbol} is where the symbol stands."""
    head, mark, tail = pattern.partition(SYMBOL_MARK)
    yield ".*".join(map(re.escape, head.split("*")))
    if mark:
        yield "(?P<symbol>.+)"
    yield ".*".join(map(re.escape, tail.split("*")))
