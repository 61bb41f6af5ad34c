"""Bar shape: which column of a bar file is which, what the symbol is and which unit the time has; pure.

A preset is a shape by name; a map is one that a TOML file writes down. A column may be named by a header or by its
place. See docs/design/feeds.md.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from journal.refusal import Refusal
from reactor.feed.symbol import PAIR

VALUES: Final = ("high", "low", "close", "volume")
TIME: Final = "open_time_ms"
UNITS: Final = ("s", "ms", "us", "ns")
Unit = Literal["s", "ms", "us", "ns"]

_PAIR: Final = rf"(?i:{PAIR})"
_PLAIN: Final = r"([A-Za-z0-9.]+)"
_UNITS: Final[Mapping[str | None, str]] = {"pair": _PAIR, "upper": rf"\s*{_PLAIN}\s*"}
_STEP: Final = r"-\d+[a-zA-Z]+\b.*"  # of a file's name: -1m.csv, -1m-2025-05.zip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a file of bars, or of funding rates, looks like.

    names: ours -> their names, the first that is there counts; NAME* is the first that begins so.
    columns: their names by place, where a file has no header or rows are arrays; one alternative for each width.
    units: of a time that is a number. mixed: whether one file may hold several of them.
    symbol_const, symbol_file: the symbol, or a pattern of the file's name; without both it is a column.
    symbol_match: pattern of a symbol's text, whose groups together are ours.
    rows: where in a JSON document the rows lie. where: only rows with one of these values.
    """

    names: Mapping[str, tuple[str, ...]]
    columns: tuple[tuple[str, ...], ...] = ()
    units: tuple[str, ...] = ("ms",)
    mixed: bool = False
    zone: str | None = None
    symbol_const: str | None = None
    symbol_file: str | None = None
    symbol_match: str | None = None
    rows: tuple[str, ...] = ()
    delimiter: str | None = None
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def needed(self) -> tuple[str, ...]:
        """Ours that must be a column."""
        free = self.symbol_const is not None or self.symbol_file is not None
        return tuple(name for name in self.names if not (free and name == "symbol"))

    def places(self, header: Sequence[str]) -> tuple[dict[str, int], list[str]]:
        """Ours (and what `where` reads) -> place in a header; and those of ours that it lacks."""
        there = [_plain(name) for name in header]
        wanted = {name: self.names[name] for name in self.needed} | {f"where {n}": (n,) for n in self.where}
        found = {ours: at for ours, theirs in wanted.items() if (at := _find(there, theirs)) is not None}
        return found, [ours for ours in wanted if ours not in found]

    def theirs(self, ours: str) -> str:
        """What a column is called in a message: their first name."""
        return self.names[ours][0] if ours in self.names else ours.removeprefix("where ")

    def by_place(self, width: int) -> tuple[str, ...] | None:
        """The names of the columns of a row of this width that has no header."""
        return next((names for names in self.columns if len(names) == width), None)

    def given(self, *, symbol: str | None, units: Sequence[str], mixed: bool, zone: str | None) -> "Shape":
        """The shape with what the command line says."""
        shape = self if symbol is None else replace(self, symbol_const=symbol, symbol_match=None)
        shape = shape if not units else replace(shape, units=tuple(units), mixed=mixed)
        return shape if zone is None else replace(shape, zone=zone)

    def symbol_of(self, name: str) -> str | None:
        """The symbol of a file that has no column of it; None where there is one. Raises Refusal."""
        if self.symbol_const is not None:
            return self.symbol_const
        if self.symbol_file is None:
            return None
        if (match := re.match(self.symbol_file, name, re.IGNORECASE)) is None:
            raise Refusal(f"{name} must say its symbol in its name, as BTCUSDT-1m.csv does; fix: --symbol BTCUSDT")
        return joined(match)


def joined(match: "re.Match[str]") -> str:
    """A symbol out of what matched.

    >>> joined(re.fullmatch(_PAIR, "btc/usdt:usdt"))
    'BTCUSDT'
    """
    return "".join(part for part in match.groups() if part).upper() or match[0].upper()


def _plain(name: str) -> str:
    return re.sub(r"[ -]+", "_", name.strip().casefold())


def _find(there: Sequence[str], theirs: tuple[str, ...]) -> int | None:
    for name in theirs:
        for at, other in enumerate(there):
            if other == _plain(name) or (name.endswith("*") and other.startswith(_plain(name[:-1]))):
                return at
    return None


def _names(time: str | tuple[str, ...], volume: str | tuple[str, ...] = "volume", symbol: str = "symbol") -> Any:
    every = {"symbol": symbol, TIME: time, "high": "high", "low": "low", "close": "close", "volume": volume}
    return {ours: (theirs,) if isinstance(theirs, str) else theirs for ours, theirs in every.items()}


OURS: Final = Shape(names=_names(TIME))
# Ours; Binance's answers; its dumps, BTCUSDT-fundingRate-2025-05.zip, which say their symbol in their names alone.
FUNDING: Final = Shape(names={
    "symbol": ("symbol",), "funding_time_ms": ("funding_time_ms", "fundingtime", "calc_time"),
    "funding_rate": ("funding_rate", "fundingrate", "last_funding_rate"),
})  # fmt: skip
FUNDING_FILE: Final = replace(FUNDING, symbol_file=r"([A-Z0-9_]+)-fundingRate\b.*")
_OHLCV: Final = ("open", "high", "low", "close", "volume")
_BINANCE: Final = Shape(
    names=_names(("open_time", "opentime")),
    columns=(("open_time", *_OHLCV, "close_time", "quote_volume", "count", "taker_volume", "taker_quote", "ignore"),),
    units=("ms", "us"), mixed=True, symbol_file=rf"([A-Z0-9_]+){_STEP}",
)  # fmt: skip
_OKX: Final = Shape(
    names=_names(("open_time", "ts"), "vol", "instrument_name"),
    columns=(("ts", "open", "high", "low", "close", "vol", "vol_ccy", "vol_quote", "confirm"),),
    symbol_match=r"([A-Z0-9]+)-([A-Z0-9]+)", rows=("data",), where={"confirm": frozenset({"1"})},
)  # fmt: skip
PRESETS: Final[Mapping[str, Shape]] = {
    "binance-spot": _BINANCE,
    "binance-futures": _BINANCE,
    "ccxt": Shape(
        names=_names(("timestamp", "date", "time")), columns=(("timestamp", *_OHLCV),), units=("ms",),
        symbol_file=rf"([A-Z0-9.]+)[_-]?([A-Z0-9]*)(?:[_-][A-Z0-9]+)?{_STEP}",
    ),
    "cryptodatadownload": Shape(
        names=_names(("unix", "unix_timestamp", "timestamp"), ("volume", "volume*")), symbol_match=f"{_PAIR}|{_PLAIN}",
        units=("s", "ms"), mixed=True,
    ),
    "freqtrade": Shape(
        names=_names("date"), columns=(("date", *_OHLCV),),
        symbol_file=rf"([A-Z0-9.]+)_([A-Z0-9]+)(?:_[A-Z0-9]+)?{_STEP}",
    ),
    "kraken": Shape(
        names=_names("time"), columns=(("time", *_OHLCV, "trades"),), units=("s",),
        symbol_file=r"([A-Z0-9.]+)_\d+\b.*",
    ),
    "okx": _OKX,
    "okx-swap": replace(_OKX, names=_names(("open_time", "ts"), "vol_ccy", "instrument_name"),
                        symbol_match=r"([A-Z0-9]+)-([A-Z0-9]+)-SWAP"),
}  # fmt: skip
"""By name. Of OKX the volume is that in the base currency: `vol` of spot, `vol_ccy` of swaps, which count contracts."""


def near(header: Sequence[str]) -> list[str]:
    """The presets that a header would fit; or a row of numbers, which stands without one."""
    bare = all(cell.strip()[:1].isdigit() for cell in header)
    return [
        name
        for name, shape in PRESETS.items()
        if not shape.places(header)[1] or (bare and shape.by_place(len(header)) is not None)
    ]


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


_Pattern = Annotated[str, AfterValidator(_pattern)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Time(_Strict):
    path: str
    unit: Unit | Literal["auto", "iso"] | tuple[Unit, ...] = "ms"
    zone: str | None = None


class _Symbol(_Strict):
    path: str | None = None
    const: str | None = None
    file: _Pattern | None = None
    unit: Literal["pair", "upper"] | None = None


class _Fields(_Strict):
    symbol: str | _Symbol = "symbol"
    open_time_ms: str | _Time = TIME
    open: str = "open"
    high: str = "high"
    low: str = "low"
    close: str = "close"
    volume: str = "volume"


class _Map(_Strict):
    columns: tuple[str, ...] = ()
    rows: str = ""
    delimiter: str | None = None
    where: dict[str, str | int | tuple[str | int, ...]] = {}
    fields: _Fields = _Fields()


def parse(toml: str) -> Shape:
    """The shape that a map writes down.

    >>> shape = parse('''
    ... columns = ["at", "o", "high", "low", "close", "volume"]
    ... [fields]
    ... symbol = { const = "BTCUSDT" }
    ... open_time_ms = { path = "at", unit = "s" }
    ... ''')
    >>> shape.places(shape.by_place(6))
    ({'open_time_ms': 0, 'high': 2, 'low': 3, 'close': 4, 'volume': 5}, [])

    Raises:
        Refusal: it is no TOML, or a key or a value of it cannot be.
    """
    try:
        found = _Map.model_validate(tomllib.loads(toml))
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"the map must be TOML: {error}; fix: repair that line") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        keys = _Map if len(first["loc"]) == 1 else _Fields
        fix = f"use one of {', '.join(keys.model_fields)}" if first["type"] == "extra_forbidden" else "mend that value"
        raise Refusal(f"the map's {where}: {first['msg']}, was {first['input']!r:.80}; fix: {fix}") from None
    return _shape(found)


def _shape(found: _Map) -> Shape:
    fields = found.fields
    time = fields.open_time_ms if isinstance(fields.open_time_ms, _Time) else _Time(path=fields.open_time_ms)
    symbol = fields.symbol if isinstance(fields.symbol, _Symbol) else _Symbol(path=fields.symbol)
    if sum(each is not None for each in (symbol.path, symbol.const, symbol.file)) != 1:
        raise Refusal("the map's fields.symbol must have one of path, const and file; fix: keep one of them")
    if found.delimiter is not None and len(found.delimiter) != 1:
        raise Refusal(f"the map's delimiter must be one character, was {found.delimiter!r}; fix: give one")
    units = UNITS if time.unit in ("auto", "iso") else (time.unit,) if isinstance(time.unit, str) else time.unit
    return Shape(
        names={"symbol": (symbol.path or "",), TIME: (time.path,)} | {n: (getattr(fields, n),) for n in VALUES},
        columns=(found.columns,) if found.columns else (),
        units=units, mixed=not isinstance(time.unit, str), zone=time.zone,
        symbol_const=symbol.const, symbol_file=symbol.file,
        symbol_match=_UNITS.get(symbol.unit),
        rows=tuple(filter(None, found.rows.split("."))), delimiter=found.delimiter,
        where={n: frozenset(map(str, v if isinstance(v, tuple) else (v,))) for n, v in found.where.items()},
    )  # fmt: skip
