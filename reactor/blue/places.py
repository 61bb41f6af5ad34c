"""Trade source: where BLUE's rows lie (a file, a table, a topic), and the mapping that makes them ours.

A place is the path of a file (.csv, .jsonl, each also .zst; .parquet; .json with one array), `table:DB.NAME` on a
ClickHouse server, or `topic:NAME` on a broker, read to its end as of now. Without a mapping the columns must bear our
names. See docs/design/blue.md.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from journal.blue import intake
from journal.refusal import Refusal
from reactor.feed import table
from reactor.feed.convert import BadRow
from reactor.feed.mapping import Field, MappedSource, Target, parse
from reactor.feed.table import Row
from reactor.log.container import Kind, opened
from reactor.log.kafka import KafkaLog

SHOWN: Final = 3  # bad rows named in a refusal
TRADE: Final = Target({
    "trade_id": Field("text", required=True), "entry_ts_ms": Field("time", required=True),
    "asset": Field("symbol", required=True), "side": Field("text"), "scan_stream": Field("text"),
    "exit_ts_ms": Field("time"), "leverage": Field("number"), "vel_div": Field("number"),
    "entry_price": Field("number"), "exit_price": Field("number"), "quantity": Field("number"),
    "capital_before": Field("number"), "notional_usd": Field("number"), "pnl": Field("number"),
    "bars_held": Field("integer"), "exit_reason": Field("text"),
})  # fmt: skip
LEG: Final = Target({
    "trade_id": Field("text", required=True), "exit_ts_ms": Field("time", required=True), "leg": Field("integer"),
    "exit_price": Field("number"), "quantity": Field("number"), "pnl": Field("number"), "exit_reason": Field("text"),
})  # fmt: skip
TARGETS: Final[Mapping[str, Target]] = {"trade": TRADE, "leg": LEG}
_MAKE: Final = {"trade": intake.trade, "leg": intake.leg}
_TABLE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")


def plain() -> str:
    """The mapping of rows that bear our names."""
    return "\n".join(
        f'[[source]]\nfeeds = "{feeds}"\n[source.fields]\n' + "\n".join(f'{name} = "{name}"' for name in target.fields)
        for feeds, target in TARGETS.items()
    )


def mappings(toml: str) -> dict[str, MappedSource]:
    """The mapping of each kind of row. Raises Refusal, naming the key and the fix."""
    sources = parse(toml, TARGETS, placed=False)
    if len({source.feeds for source in sources}) != len(sources):
        raise Refusal("the mapping must hold one [[source]] a kind; fix: keep one that feeds trade, and one leg")
    return {source.feeds: source for source in sources}


def mapped(
    found: Iterable[Row], source: MappedSource, where: str, clock_offset_ms: int, *, strict: bool
) -> list[intake.BlueRow]:
    """All rows of a place as ours, or a Refusal that names the first that do not fit.

    strict: a mapped field that no row has is refused; without it, as where columns bear our names, it is absent.
    """
    rows: list[intake.BlueRow] = []
    bad: list[str] = []
    make = _MAKE[source.feeds]
    for row in found:
        if not row.fault and not source.takes(row.fields):
            continue
        try:
            if row.fault:
                raise BadRow(row.fault)
            rows.append(make(row.line, source(row.fields), row.raw, clock_offset_ms))
        except ValueError as error:
            bad.append(f"line {row.line}: {error}")
    if bad:
        more = f"; and {len(bad) - SHOWN} more rows" if len(bad) > SHOWN else ""
        fix = "" if "fix: " in bad[:SHOWN][-1] else "; fix: mend the rows, or the mapping"
        raise Refusal(f"{where}: {'; '.join(bad[:SHOWN])}{more}; nothing was imported{fix}")
    if not rows:
        raise Refusal(
            f"{where}: must hold at least one row that the mapping takes; nothing was imported; fix: see `where`"
        )
    if strict and (absent := source.never_found()):
        raise Refusal(
            f"{where}: no row has what {absent[0]} is mapped to; nothing was imported; "
            f"fix: mend the path of {absent[0]} in the mapping, or take the line out"
        )
    return rows


def file_rows(path: Path) -> Iterator[Row]:
    """The rows of a file."""
    kind = path.name.removesuffix(".zst").rpartition(".")[2]
    if kind == "json" and path.is_file() and _is_array(path):
        return _array(path)
    kinds = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl", "parquet": "parquet"}
    if kind not in kinds:
        raise Refusal(f"{path} must end in .csv, .jsonl, .json or .parquet (.zst of text); fix: rename the file")
    return table.rows(path, kinds[kind])


def table_rows(name: str, blocks: Callable[[str], Iterator[dict[str, Any]]]) -> Iterator[Row]:
    """The rows of a ClickHouse table, read and never written."""
    if not _TABLE.fullmatch(name):
        raise Refusal(f"a table must be NAME or DB.NAME, was {name!r}; fix: table:dolphin.trade_events")
    for number, raw in enumerate(intake.of_table(blocks, name), 1):
        yield table.object_row(number, raw)


def topic_rows(log: KafkaLog) -> Iterator[Row]:
    """The records of a topic up to its end as of now, one JSON object each."""
    partitions = range(log.describe().partitions)
    lows, ends = log.lows(partitions), log.ends(partitions)
    chunks = chain.from_iterable(log.range(p, lows[p], ends[p]) for p in partitions)
    for count, value in enumerate(chain.from_iterable(chunk.values for chunk in chunks), 1):
        yield table.object_row(count, value or b"")


def _is_array(path: Path) -> bool:
    with opened(path) as found:
        return found.kind is Kind.ARRAY


def _array(path: Path) -> Iterator[Row]:
    with opened(path) as found:
        text = found.stream.read()
    try:
        items = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal(f"{path} must be one JSON array of objects: {error}; fix: give a whole file") from None
    for line, raw in enumerate(items, 1):
        yield table.object_row(line, bytes(raw))
