"""Bars: recorded klines and funding rates out of files of any shape and order become whole minutes in order.

Rows are checked as they are read, sorted in runs on disk, and merged: memory is bounded by a run. A row that cannot be
right is refused by rule, file and line; nothing is repaired.
Source: default dc and default asset say what the scanner needs of a bar (docs/design/sources.md).
"""

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from journal.refusal import Refusal
from reactor.evaluate.record import SYMBOL_PATTERN
from reactor.feed import bar_table
from reactor.feed.bar_shape import FUNDING, FUNDING_FILE, TIME, VALUES, Shape
from reactor.feed.bar_table import Block
from reactor.feed.column import BadCell, Clock, numbers, symbols

MINUTE_MS: Final = 60_000
RUN_ROWS: Final = 1 << 20  # sorted at once: 55 MB
STEPS_MIN: Final = 5  # distances between bars from which on their step is believed
STRETCH: Final = 20  # equal distances in a row that are no gaps: were half of the bars missing, one in 10^12 such rows
STEP_MAX_MS: Final = 86_400_000  # the scanner's planes are of the day
STEP_NAMES: Final = ((86_400_000, "d"), (3_600_000, "h"), (MINUTE_MS, "m"), (1_000, "s"))

Floats = NDArray[np.float64]
_ROW: Final = np.dtype([(TIME, "i8"), ("symbol", "i4"), ("file", "i4"), ("line", "i8"), *((n, "f8") for n in VALUES)])
_FAR: Final = 1 << 40  # milliseconds: more than any distance between two bars
_symbol_ok = re.compile(SYMBOL_PATTERN).fullmatch


class Minute(NamedTuple):
    """The bars of one minute (or of another step), one entry a symbol, symbols ascending. `ts_ms` is the open time."""

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


class Bars:
    """The bars of some files, read and checked. Iterate for their minutes, oldest first."""

    def __init__(self, paths: Sequence[Path], shape: Shape, step_ms: int = MINUTE_MS) -> None:
        """Read the files.

        Args:
            paths: the files.
            shape: of each of them.
            step_ms: from one bar of a symbol to its next.

        Raises:
            Refusal: a file or a row cannot be right, or the bars have another step.
        """
        self.empty: list[Path] = []  # files without a row
        self.rows = self.first_ms = self.last_ms = 0
        self._paths, self._step_ms, self._passed_over = paths, step_ms, ""
        self._runs: list[NDArray[Any]] = []
        self._held: list[NDArray[Any]] = []
        self._words: dict[int, str] = {}
        self._names: list[str] = []
        self._codes: dict[str, int] = {}
        self._first_file: dict[str, Path] = {}
        self._stretch: tuple[Any, int] | None = None
        self._distances: dict[int, Counter[int]] = {}
        self._orders: dict[bytes, tuple[NDArray[Any], tuple[str, ...]]] = {}
        for number, path in enumerate(paths):
            self._read(number, path, shape)
        if not self.rows and self._passed_over:
            raise Refusal(f"`where` passes over every row: {self._passed_over}; fix: mend it, or give other files")
        if not self.rows:
            raise Refusal(f"{paths[0]} must hold at least one row, was empty; fix: give a file with data")
        if self._held:
            self._runs.append(self._sorted())
        self.first_ms = min(int(run[TIME][0]) for run in self._runs)
        self.last_ms = max(int(run[TIME][-1]) for run in self._runs)
        self._check_step()
        self._check_times()

    def __iter__(self) -> Iterator[Minute]:
        merged = heapq.merge(*map(_parts, self._runs), key=itemgetter(0))
        for ts_ms, parts in groupby(merged, key=itemgetter(0)):
            rows = [part for _, part in parts]
            yield self._minute(ts_ms, rows[0] if len(rows) == 1 else np.concatenate(rows))

    def _read(self, number: int, path: Path, shape: Shape) -> None:
        clock = Clock(shape.units, shape.zone, mixed=shape.mixed)
        before, held = self.rows, sum(map(len, self._held))
        for block in bar_table.blocks(path, shape):
            if block.passed_over:
                self._passed_over = self._passed_over or f"{path} {block.passed_over}"
            self._words[number] = block.word
            table = _Table(path, block)
            rows = np.zeros(len(block.lines), _ROW)
            rows["file"], rows["line"] = number, block.lines
            rows[TIME] = table.converted(TIME, clock)
            names = table.symbols(shape.symbol_of(path.name), shape.symbol_match)
            for name in VALUES:
                rows[name] = table.converted(name, numbers)
            table.check(rows, names)
            rows["symbol"] = [self._code(name, path) for name in names]
            self.rows += len(rows)
            held += len(rows)
            self._held.append(rows)
            if held >= RUN_ROWS:
                self._runs.append(_on_disk(self._sorted()))
                held = 0
        if self.rows == before:
            self.empty.append(path)

    def _code(self, name: str, path: Path) -> int:
        if (code := self._codes.get(name)) is None:
            code = self._codes[name] = len(self._names)
            self._names.append(name)
            self._first_file[name] = path
        return code

    def _sorted(self) -> NDArray[Any]:
        """What is held, by time, symbol and place; it counts how far the bars of each symbol lie apart."""
        rows = np.concatenate(self._held)
        self._held = []
        rows = rows[np.lexsort((rows["line"], rows["file"], rows[TIME], rows["symbol"]))]
        apart, same = np.diff(rows[TIME]), np.diff(rows["symbol"]) == 0
        found, counts = np.unique(rows["symbol"][1:][same].astype(np.int64) * _FAR + apart[same], return_counts=True)
        for key, count in zip(found.tolist(), counts.tolist(), strict=True):
            self._distances.setdefault(key // _FAR, Counter())[key % _FAR] += count
        self._stretch = self._stretch or self._other_stretch(rows, np.where(same, apart, 0))
        return np.asarray(rows[np.argsort(rows[TIME], kind="stable")])

    def _other_stretch(self, rows: NDArray[Any], apart: NDArray[np.int64]) -> tuple[Any, int] | None:
        """The first bar of a part at another step than the rest, and that step.

        apart: from each row to the next, 0 where that is another symbol's.
        """
        edges = np.r_[0, np.flatnonzero(np.diff(apart)) + 1]
        lengths = np.diff(np.r_[edges, len(apart)])
        at = [n for n in edges[lengths >= STRETCH].tolist() if apart[n] not in (0, self._step_ms)]
        return (rows[at[0]], int(apart[at[0]])) if at else None

    def _refuse_step(self, code: int, step: int, where: str = "") -> NoReturn:
        name, ours = self._names[code], duration(self._step_ms)
        own = f", or --step {duration(step)} makes a scan of each bar at its own step" if step <= STEP_MAX_MS else ""
        raise Refusal(
            f"{self._first_file[name]}: the bars of {name} are {duration(step)} apart{where}, must be {ours}; "
            f"fix: give bars of {ours}{own}"
        )

    def _check_step(self) -> None:
        """Refuse bars whose usual distance is another than the step: their scan would bear a wrong time."""
        for code, counts in sorted(self._distances.items()):
            del counts[0]  # the same bar twice, which its minute refuses
            step, count = (counts.most_common(1) or [(0, 0)])[0]
            if counts.total() >= STEPS_MIN and count > counts[self._step_ms]:  # gaps are always rarer than the step
                self._refuse_step(code, step)
        if self._stretch:
            first, step = self._stretch
            self._refuse_step(int(first["symbol"]), step, f", from {self._place(first)} on")

    def _check_times(self) -> None:
        """Refuse a bar that opens between two steps."""
        for run in self._runs:
            if (off := run[TIME] % self._step_ms != 0).any():
                row = run[int(off.argmax())]
                step, name = duration(self._step_ms), self._names[row["symbol"]]
                raise Refusal(
                    f"{self._place(row)}: {TIME} must be a multiple of {step}, was {row[TIME]} for {name}; "
                    f"fix: give the times at which bars of {step} open, or --step of theirs"
                )

    def _place(self, row: Any) -> str:
        return f"{self._paths[row['file']]} {self._words[row['file']]} {row['line']}"

    def _minute(self, ts_ms: int, rows: NDArray[Any]) -> Minute:
        codes = rows["symbol"]
        key = codes.tobytes()
        if key not in self._orders:
            self._refuse_twice(ts_ms, rows)
            names = [self._names[code] for code in codes]
            order = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
            self._orders[key] = order, tuple(names[at] for at in order)
        order, symbols_in = self._orders[key]
        close, high, low, volume = (rows[name][order] for name in ("close", "high", "low", "volume"))
        return Minute(ts_ms, symbols_in, close, high, low, volume)

    def _refuse_twice(self, ts_ms: int, rows: NDArray[Any]) -> None:
        seen: dict[int, Any] = {}
        for row in rows:
            if (other := seen.setdefault(int(row["symbol"]), row)) is not row:
                is_one = other["file"] == row["file"]
                also = "" if is_one else ", or name the files of one step alone, such as '*-1m.*'"
                raise Refusal(
                    f"one bar a symbol and time must be there, was twice for {self._names[row['symbol']]} "
                    f"at {utc(ts_ms)}: {self._place(other)} and {self._place(row)}; fix: drop one of them{also}"
                )


class _Table:
    """A block of a file, with words for what is wrong in it."""

    def __init__(self, path: Path, block: Block) -> None:
        self._path, self._block = path, block

    def refusal(self, at: int, said: str, fix: str = "repair or drop that row") -> Refusal:
        return Refusal(f"{self._path} {self._block.word} {self._block.lines[at]}: {said}; fix: {fix}")

    def converted(self, name: str, convert: Callable[[Any], Any]) -> Any:
        """A column of ours. Raises Refusal where a value of it cannot be right."""
        column = self._block.columns[name]
        try:
            return convert(column)
        except BadCell as bad:
            said, _, fix = str(bad).partition("; fix: ")
            fix = fix or "repair or drop that row"
            value = "" if column[bad.at] is None else f"{str(column[bad.at])[:60]!r} "
            raise self.refusal(bad.at, f"{name} {value}{said}", fix) from None

    def symbols(self, symbol: str | None, match: str | None) -> list[str]:
        """The symbol of each row. Raises Refusal where one cannot be."""
        if symbol is not None:
            names = [symbol] * len(self._block.lines)
        else:
            names = self.converted("symbol", lambda column: symbols(column, match))
        for name in set(names):
            if not _symbol_ok(name):
                said = f"symbol must match {SYMBOL_PATTERN}, was {name!r}"
                raise self.refusal(names.index(name), said, "rename it, or --map bars.toml with the unit pair")
        return names

    def check(self, rows: NDArray[Any], names: list[str]) -> None:
        """Refuse the first row that no scan may be computed from."""
        ts, high, low, close, volume = (rows[name] for name in (TIME, *VALUES))
        rules = (
            ("close must be finite and above 0", ~_positive(close), "close"),
            ("high must be finite and above 0", ~_positive(high), "high"),
            ("low must be finite and above 0", ~_positive(low), "low"),
            ("low <= close must hold", low > close, "close"),
            ("close <= high must hold", close > high, "close"),
            ("volume must be finite and at least 0", ~(np.isfinite(volume) & (volume >= 0.0)), "volume"),
        )
        for rule, broken, name in rules:
            if broken.any():
                at = int(broken.argmax())
                found = str(self._block.columns[name][at])[:60]
                raise self.refusal(at, f"{rule}, was {found} for {names[at]} at {utc(int(ts[at]))}")


def funding(places: Sequence[str]) -> list[Funding]:
    """The rates of the files of some places, oldest first. Raises Refusal where one cannot be right."""
    rates: list[Funding] = []
    for path in bar_table.files(places, "--funding"):
        shape = FUNDING_FILE if re.match(FUNDING_FILE.symbol_file or "", path.name, re.IGNORECASE) else FUNDING
        rates += _funding(path, shape)
    if not rates:
        raise Refusal(f"{places[0]} must hold at least one row, was empty; fix: give a file with data")
    return sorted(rates)


def _funding(path: Path, shape: Shape) -> Iterator[Funding]:
    clock = Clock(shape.units, None, mixed=False)
    for block in bar_table.blocks(path, shape):
        table = _Table(path, block)
        times, names = table.converted("funding_time_ms", clock), table.symbols(shape.symbol_of(path.name), None)
        values = table.converted("funding_rate", numbers)
        if not np.isfinite(values).all():
            at = int(np.isfinite(values).argmin())
            raise table.refusal(at, f"funding_rate must be finite, was {values[at]} for {names[at]}")
        yield from map(Funding, times.tolist(), names, values.tolist())


def _parts(rows: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """The rows of each time."""
    ts = rows[TIME]
    edges = [0, *(np.flatnonzero(np.diff(ts)) + 1).tolist(), len(ts)]
    for start, end in pairwise(edges):
        yield int(ts[start]), rows[start:end]


def _on_disk(rows: NDArray[Any]) -> NDArray[Any]:
    """The rows in an unnamed file, which is gone when the array is."""
    with TemporaryFile() as file:
        rows.tofile(file)
        file.flush()
        return np.memmap(file, _ROW, "r", shape=rows.shape)  # it has the file by a descriptor of its own


def _positive(values: Floats) -> NDArray[np.bool_]:
    return np.isfinite(values) & (values > 0.0)


def duration(ms: int) -> str:
    """A step as --step has it.

    >>> duration(300_000), duration(90_000)
    ('5m', '90s')
    """
    return next((f"{ms // unit}{name}" for unit, name in STEP_NAMES if ms % unit == 0), f"{ms}ms")


def utc(ts_ms: int) -> str:
    """A time for people: ISO 8601, UTC, seconds."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
