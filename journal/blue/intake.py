"""Intake: BLUE's trade rows and exit legs into the journal, whole or not at all, each content once.

Rows are stored as they came, duplicates and all; cleaning is SQL (the views blue_cleaning, blue_trades, blue_dropped).
Rows go in first and count only once the import's manifest row is there, so a crash leaves nothing half imported. The id
of an import is a hash of what it adds: the same again is a no-op.
A trade is known by its entry: rows of one trade_id may have different exits (1.7 % of the recorded
duplicates do), never the entry. Source: findings 4.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from journal.blue.recorded import NOTHING, RECORDED, recorded
from journal.ledger.run import now
from journal.refusal import Refusal
from journal.store import Store
from lanes.code import END_MS, FIRST_MS

REAL: Final = "REAL"
STANDIN: Final = "STAND-IN"
LABELS: Final = (REAL, STANDIN)
BLOCK_ROWS: Final = 50_000
MOST: Final = 1e18  # of any number: no price or size is larger, and no sum or product of such leaves a float
LEAST_USD: Final = 1e-6  # of a capital: a share of less says nothing
_AS_JSON: Final = (
    "output_format_json_quote_64bit_integers = 0, output_format_json_quote_decimals = 0, "
    "date_time_output_format = 'iso'"
)

TRADE: Final = {
    "asset": "LowCardinality(String)", "side": "LowCardinality(String)", "scan_stream": "LowCardinality(String)",
    "entry_ts_ms": "Int64", "exit_ts_ms": "Nullable(Int64)", "leverage": "Nullable(Float64)",
    "vel_div": "Nullable(Float64)", "entry_price": "Nullable(Float64)", "exit_price": "Nullable(Float64)",
    "quantity": "Nullable(Float64)", "capital_before": "Nullable(Float64)", "notional_usd": "Nullable(Float64)",
    "pnl": "Nullable(Float64)", "bars_held": "Nullable(Int64)", "exit_reason": "String", **RECORDED,
}  # fmt: skip
LEG: Final = {
    "leg": "Nullable(Int64)", "exit_ts_ms": "Int64", "exit_price": "Nullable(Float64)",
    "quantity": "Nullable(Float64)", "pnl": "Nullable(Float64)", "exit_reason": "String",
}  # fmt: skip
_PLAIN: Final = {name: kind for name, kind in TRADE.items() if name not in RECORDED}
ENTRY: Final = ("asset", "side", "entry_ts_ms", "leverage", "vel_div", "entry_price")
"""What makes a trade; two rows of one trade_id that differ here are two trades."""
_symbol_ok: Final = re.compile(r"[A-Z0-9._-]{1,32}").fullmatch  # as in every record
_DEFAULTS: Final = {"side": "SHORT", "scan_stream": "", "exit_reason": ""}


@dataclass(frozen=True, slots=True)
class BlueRow:
    """One source row: its number from 1, our fields, and the row as it came, as JSON."""

    number: int
    trade_id: str
    fields: Mapping[str, Any]
    raw: bytes

    @property
    def hash(self) -> str:
        """Equal for equal content, whatever the format that it came in."""
        plain = [value for name, value in self.fields.items() if name not in RECORDED]
        beside = {name: self.fields[name] for name in RECORDED if self.fields.get(name, NOTHING[name]) != NOTHING[name]}
        content = [self.trade_id, *plain, *([beside] if beside else [])]
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What is to be brought in. clock_offset_ms was taken off the times already."""

    label: str
    source: str
    mapping: str
    clock_offset_ms: int
    trades: Sequence[BlueRow]
    legs: Sequence[BlueRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What an import did. import_id: empty where everything was there already."""

    import_id: str
    label: str
    trades_read: int
    trades_new: int
    trades_there: int
    legs_read: int
    legs_new: int
    legs_there: int


def trade(number: int, row: Mapping[str, Any], raw: bytes, clock_offset_ms: int = 0) -> BlueRow:
    """A trade of a mapped row. Raises ValueError with what must be otherwise."""
    fields = _fields(row, _PLAIN, clock_offset_ms) | recorded(row)
    if fields["side"] not in ("SHORT", "LONG"):
        raise ValueError(f"side must be SHORT or LONG, was {fields['side']!r}")
    if not _symbol_ok(fields["asset"]):
        raise ValueError(
            f'asset must be a symbol such as BTCUSDT, was {fields["asset"]!r}; fix: unit = "pair" of BTC/USDT'
        )
    if fields["leverage"] is not None and fields["leverage"] <= 0.0:
        raise ValueError(f"leverage must be above 0, was {fields['leverage']!r}")
    if fields["capital_before"] is not None and fields["capital_before"] < LEAST_USD:
        raise ValueError(
            f"capital_before must be at least {LEAST_USD} USD, was {fields['capital_before']!r}; "
            "fix: leave it empty where BLUE did not record it"
        )
    return BlueRow(number, _id(row), fields, raw)


def leg(number: int, row: Mapping[str, Any], raw: bytes, clock_offset_ms: int = 0) -> BlueRow:
    """A leg of a mapped row. Raises ValueError with what must be otherwise."""
    return BlueRow(number, _id(row), _fields(row, LEG, clock_offset_ms), raw)


def bring(store: Store, intake: Intake, require: Callable[[], None] = lambda: None) -> Brought:
    """Store what is not there yet.

    Args:
        store: the journal.
        intake: what is brought.
        require: raises a Refusal where another import began meanwhile, which may have brought the same.

    Raises:
        Refusal: a trade_id is used for two trades, or what `require` raises; no row of this import counts.
    """
    label = intake.label
    known = _known(store, label)
    _one_entry(intake.trades, known)
    trades = _new(intake.trades, {(i, h) for i, h, _ in known})
    legs = _new(intake.legs, _known_legs(store, label))
    added = [(kind, row.number, row.hash) for kind, rows in (("trade", trades), ("leg", legs)) for row in rows]
    import_id = hashlib.sha256(msgspec.json.encode([label, added])).hexdigest()[:16] if added else ""
    brought = Brought(
        import_id=import_id, label=label,
        trades_read=len(intake.trades), trades_new=len(trades), trades_there=len(intake.trades) - len(trades),
        legs_read=len(intake.legs), legs_new=len(legs), legs_there=len(intake.legs) - len(legs),
    )  # fmt: skip
    if added:
        _insert(store, "violet_blue_trades", TRADE, import_id, trades)
        _insert(store, "violet_blue_legs", LEG, import_id, legs)
        counts = {n: v for n, v in asdict(brought).items() if n.endswith(("_read", "_there"))}
        manifest = {
            "import_id": import_id, "state": "COMPLETE", "label": label, "source": intake.source,
            "mapping": intake.mapping, "clock_offset_ms": intake.clock_offset_ms, **counts, "reason": "",
            "imported_at": now(),
        }  # fmt: skip
        require()
        _save(store, manifest)
        try:
            require()  # it may have waited for ever between the look before and the row
        except Refusal:
            forget(store, import_id, "another import began meanwhile")
            raise
    return brought


def forget(store: Store, import_id: str, reason: str) -> None:
    """Let an import's rows count no longer; they stay in the tables. Raises Refusal where there is none."""
    rows = store.rows("SELECT * FROM violet_blue_imports FINAL WHERE state = 'COMPLETE' ORDER BY imported_at")
    found = [row for row in rows if row["import_id"] == import_id]
    if not found:
        known = ", ".join(row["import_id"] for row in rows) or "(none)"
        raise Refusal(f"no import {import_id!r}; fix: name one of: {known}")
    _save(store, {**found[0], "state": "FORGOTTEN", "reason": reason})


def of_table(blocks: Callable[[str], Iterator[Mapping[str, Any]]], name: str) -> Iterator[bytes]:
    """The rows of a ClickHouse table, one JSON object each; it is read and never written.

    Args:
        blocks: asks the table's server a question, and gives the answer in blocks: column name to values.
        name: NAME or DB.NAME, checked by the caller.
    """
    for block in blocks(f"SELECT formatRowNoNewline('JSONEachRow', *) AS r FROM {name} SETTINGS {_AS_JSON}"):
        for text in block["r"]:
            yield text.encode()


def _id(row: Mapping[str, Any]) -> str:
    trade_id = str(row.get("trade_id", ""))
    if not trade_id:
        raise ValueError("trade_id must not be empty")
    return trade_id


def _fields(row: Mapping[str, Any], types: Mapping[str, str], clock_offset_ms: int) -> dict[str, Any]:
    """Our fields in their order and types: every number finite, every time UTC milliseconds."""
    fields: dict[str, Any] = {}
    for name, kind in types.items():
        value = row.get(name, _DEFAULTS.get(name))
        if value is None and not kind.startswith("Nullable"):
            raise ValueError(f"{name} must be there")
        if value is not None and name.endswith("_ts_ms"):
            value = int(value) - clock_offset_ms
            if not FIRST_MS <= value < END_MS:
                raise ValueError(f"{name} must be UTC milliseconds between 2009 and 2100, was {value}")
        elif value is not None and "Float64" in kind:
            value = float(value)
            if not math.isfinite(value):
                raise ValueError(f"{name} must be finite, was {value!r}")
            if abs(value) > MOST:
                raise ValueError(f"{name} must be at most 10^18 in size, was {value!r}")
        fields[name] = value
    return fields


def _known(store: Store, label: str) -> list[tuple[str, str, dict[str, Any]]]:
    """trade_id, content hash and entry of every row that counts."""
    rows = store.rows(
        f"SELECT DISTINCT trade_id, content_hash, {', '.join(ENTRY)} FROM blue_cleaning WHERE label = {{label:String}}",
        {"label": label},
    )
    return [(row["trade_id"], row["content_hash"], {n: row[n] for n in ENTRY}) for row in rows]


def _known_legs(store: Store, label: str) -> set[tuple[str, str]]:
    rows = store.rows(
        "SELECT DISTINCT trade_id, content_hash FROM violet_blue_legs FINAL WHERE import_id IN "
        "(SELECT import_id FROM blue_imports WHERE state = 'COMPLETE' AND label = {label:String})",
        {"label": label},
    )
    return {(row["trade_id"], row["content_hash"]) for row in rows}


def _one_entry(rows: Iterable[BlueRow], known: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
    """Refuse a trade_id that stands for two trades."""
    entries = {trade_id: (entry, "the journal") for trade_id, _, entry in known}
    for row in rows:
        entry = {name: row.fields[name] for name in ENTRY}
        was, where = entries.setdefault(row.trade_id, (entry, f"row {row.number}"))
        if was != entry:
            name = next(n for n in ENTRY if was[n] != entry[n])
            raise Refusal(
                f"trade_id {row.trade_id!r} is used for two trades: {name} is {entry[name]!r} in row {row.number}, "
                f"was {was[name]!r} in {where}; nothing was imported; fix: give each trade an id of its own, or "
                "`violet blue forget` the import that is wrong"
            )


def _new(rows: Sequence[BlueRow], known: set[tuple[str, str]]) -> list[BlueRow]:
    return [row for row in rows if (row.trade_id, row.hash) not in known]


def _insert(store: Store, table: str, types: Mapping[str, str], import_id: str, rows: Sequence[BlueRow]) -> None:
    for first in range(0, len(rows), BLOCK_ROWS):
        block = rows[first : first + BLOCK_ROWS]
        columns: dict[str, Any] = {
            "import_id": [import_id] * len(block),
            "row_number": [row.number for row in block],
            "trade_id": [row.trade_id for row in block],
            "content_hash": [row.hash for row in block],
            **{name: [row.fields[name] for row in block] for name in types},
            "raw": [row.raw for row in block],
        }
        store.put(table, columns, f"{import_id}|{table}|{first}")


def _save(store: Store, manifest: Mapping[str, Any]) -> None:
    """Write the manifest as a new revision: it is what makes rows count, or count no longer."""
    asked = {"id": manifest["import_id"]}
    sql = "SELECT max(revision) AS last FROM violet_blue_imports WHERE import_id = {id:String}"
    row = {**manifest, "revision": store.rows(sql, asked)[0]["last"] + 1}
    store.put_row("violet_blue_imports", row, f"{row['import_id']}|{row['revision']}")


def label_of(rows: Iterable[BlueRow]) -> str:
    """The label of an intake: what the stand-in made is STAND-IN, by its ids, and never mixed with others."""
    made = {row.trade_id.startswith(STANDIN) for row in rows}
    if len(made) > 1:
        raise Refusal("trades of the stand-in and others must not be in one import; fix: import them apart")
    return STANDIN if made == {True} else REAL
