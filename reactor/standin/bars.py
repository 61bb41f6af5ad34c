"""Bars: recorded klines and funding rates, streamed from files by ClickHouse's engine.

The engine reads and sorts the file (Parquet, or CSV with a header); here its blocks become whole minutes.
A file that cannot be right is refused by rule and fix; nothing is repaired.
Source: default dc and default asset say what the scanner needs of a bar (docs/design/sources.md).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from journal.refusal import Refusal
from lanes.code import END_MS, FIRST_MS
from reactor.evaluate.record import SYMBOL_PATTERN

MINUTE_MS: Final = 60_000

Floats = NDArray[np.float64]
Block = dict[str, Any]
Blocks = Callable[[str], Iterator[Block]]
"""Runs a SELECT and yields its blocks: column name -> array or list."""
KLINES: Final = {"symbol": "String", "open_time_ms": "Int64"} | dict.fromkeys(
    ("open", "high", "low", "close", "volume"), "Float64"
)
FUNDING: Final = {"symbol": "String", "funding_time_ms": "Int64", "funding_rate": "Float64"}
_ABSENT: Final = {"String": "''", "Int64": "0", "Float64": "nan"}  # what cannot be read becomes what the checks refuse
_symbol_ok = re.compile(SYMBOL_PATTERN).fullmatch


class Minute(NamedTuple):
    """The bars of one minute, one entry a symbol, symbols ascending. `ts_ms` is the open time."""

    ts_ms: int
    symbols: tuple[str, ...]
    close: Floats
    high: Floats
    low: Floats
    volume: Floats


class Funding(NamedTuple):
    """One funding rate, known from `ts_ms` on."""

    ts_ms: int
    symbol: str
    rate: float


def klines(path: Path, blocks: Blocks) -> Iterator[Minute]:
    """The minutes of a kline file. Raises Refusal where the file cannot be right."""
    return from_blocks(_rows(path, KLINES, "open_time_ms", blocks))


def minutes_in(path: Path, blocks: Blocks) -> int:
    """How many minutes a kline file holds."""
    (block,) = _read(path, blocks, f"SELECT uniqExact(open_time_ms) AS n FROM {_source(path)}")
    return int(block["n"][0])


def funding(path: Path, blocks: Blocks) -> Iterator[Funding]:
    """The rates of a funding file, oldest first. Raises Refusal where the file cannot be right."""
    return _rates(_rows(path, FUNDING, "funding_time_ms", blocks))


def from_blocks(blocks: Iterable[Block]) -> Iterator[Minute]:
    """Whole minutes from column blocks sorted by open_time_ms, symbol; a minute may span blocks."""
    held: list[Any] = []
    known: set[str] = set()
    for block in blocks:
        columns = [np.asarray(block["symbol"], dtype=object), np.asarray(block["open_time_ms"], dtype=np.int64)]
        columns += [np.asarray(block[name], dtype=np.float64) for name in ("close", "high", "low", "volume")]
        if held:
            columns = [np.concatenate(pair) for pair in zip(held, columns, strict=True)]
        if not len(columns[0]):
            continue
        _check(columns, known)
        ts = columns[1]
        starts = [0, *(np.flatnonzero(np.diff(ts)) + 1).tolist()]
        for start, end in pairwise(starts):
            yield _minute(columns, start, end)
        held = [column[starts[-1] :] for column in columns]
    if held:
        yield _minute(held, 0, len(held[0]))


def _rates(blocks: Iterable[Block]) -> Iterator[Funding]:
    for block in blocks:
        for symbol, ts_ms, rate in zip(*(block[name] for name in FUNDING), strict=True):
            if not (FIRST_MS <= ts_ms < END_MS and np.isfinite(rate)):
                raise Refusal(
                    "a funding rate must be finite and its time UTC milliseconds, "
                    f"was {rate} for {symbol} at {ts_ms}; fix: repair or drop that row"
                )
            yield Funding(int(ts_ms), symbol, float(rate))


def _minute(columns: list[Any], start: int, end: int) -> Minute:
    symbols, ts, *values = columns
    return Minute(int(ts[start]), tuple(symbols[start:end]), *(value[start:end] for value in values))


def _check(columns: list[Any], known: set[str]) -> None:
    """Refuse the first row that no scan may be computed from."""
    symbols, ts, close, high, low, volume = columns
    same, step = ts[1:] == ts[:-1], np.diff(ts)
    unsorted = np.r_[False, (step < 0) | (same & (symbols[1:] <= symbols[:-1]))]
    off_minute = (ts < FIRST_MS) | (ts >= END_MS) | (ts % MINUTE_MS != 0)
    rules = (
        ("open_time_ms must be UTC milliseconds on the minute", off_minute),
        ("close, high and low must be finite and above 0", ~_positive(close) | ~_positive(high) | ~_positive(low)),
        ("low <= close <= high must hold", (low > close) | (close > high)),
        ("volume must be finite and at least 0", ~(np.isfinite(volume) & (volume >= 0.0))),
        ("rows must be sorted by open_time_ms, symbol, one bar a symbol and minute", unsorted),
    )
    for rule, broken in rules:
        if broken.any():
            row = int(broken.argmax())
            raise Refusal(f"{rule}, was not for {symbols[row]} at open_time_ms {ts[row]}; fix: repair or drop that row")
    for symbol in set(symbols) - known:
        if not _symbol_ok(symbol):
            raise Refusal(f"symbol must match {SYMBOL_PATTERN}, was {symbol!r}; fix: rename or drop it")
        known.add(symbol)


def _positive(values: Floats) -> NDArray[np.bool_]:
    return np.isfinite(values) & (values > 0.0)


def _rows(path: Path, columns: dict[str, str], time: str, blocks: Blocks) -> Iterator[Block]:
    """The file's blocks with exactly `columns`, sorted by time and symbol; at least one row."""
    place = _source(path)
    probe = list(_read(path, blocks, f"SELECT * FROM {place} LIMIT 1"))
    if not probe:
        raise Refusal(f"{path} must hold at least one row, was empty; fix: give a file with data")
    if missing := [name for name in columns if name not in probe[0]]:
        raise Refusal(
            f"{path} must hold the columns {', '.join(columns)}; missing: {', '.join(missing)}; "
            f"found: {', '.join(sorted(probe[0]))}; fix: rename or add them"
        )
    fields = ", ".join(
        f"ifNull(accurateCastOrNull({name}, '{kind}'), {_ABSENT[kind]}) AS {name}" for name, kind in columns.items()
    )
    return _read(path, blocks, f"SELECT {fields} FROM {place} ORDER BY {time}, symbol")


def _source(path: Path) -> str:
    """The engine's table function for a whole Parquet file, or a CSV file with a header."""
    if not path.is_file():
        raise Refusal(f"{path} must be a file, was not found; fix: check the path")
    if set(str(path)) & set("*?{}"):  # the engine would take them for a pattern over several files
        raise Refusal(f"{path} must not contain any of * ? {{ }}; fix: rename the file")
    quoted = str(path.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    if path.suffix == ".csv":
        if not path.stat().st_size:
            raise Refusal(f"{path} must hold a header and rows, was empty; fix: give a file with data")
        return f"file('{quoted}', CSVWithNames)"
    from reactor.feed import parquet  # a soak of the seeded market reads no file

    parquet.check(path)
    return f"file('{quoted}', Parquet)"


def _read(path: Path, blocks: Blocks, sql: str) -> Iterator[Block]:
    """Blocks that hold rows; whatever the engine says against the file is a refusal."""
    try:
        yield from (block for block in blocks(sql) if any(map(len, block.values())))
    except Exception as error:
        said = str(error).partition("\n")[0][:300]
        raise Refusal(f"{path} must be readable, the engine said: {said}; fix: give a whole file") from error


def utc(ts_ms: int) -> str:
    """A time for people: ISO 8601, UTC, seconds."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
