"""Trade source: where BLUE's rows lie (a file, a table, a topic), and the mapping that makes them ours.

A place is the path of a file of any form that `violet sequence` reads, `table:DB.NAME` on a ClickHouse server, or
`topic:NAME` on a broker, read to its end as of now. Without a mapping the columns must bear our names.
See docs/design/blue.md.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from journal.blue import intake
from journal.blue.recorded import LANE_NAMES, TEXTS
from journal.refusal import Refusal
from reactor.feed import table
from reactor.feed.convert import BadRow
from reactor.feed.mapped import MappedSource
from reactor.feed.mapping import Field, Target, parse
from reactor.feed.table import Row
from reactor.log.kafka import KafkaLog

SHOWN: Final = 3  # bad rows named in a refusal
TRADE: Final = Target({
    "trade_id": Field("text", required=True), "entry_ts_ms": Field("time", required=True),
    "asset": Field("symbol", required=True), "side": Field("text"), "scan_stream": Field("text"),
    "exit_ts_ms": Field("time"), "leverage": Field("number"), "vel_div": Field("number"),
    "entry_price": Field("number"), "exit_price": Field("number"), "quantity": Field("number"),
    "capital_before": Field("number"), "notional_usd": Field("number"), "pnl": Field("number"),
    "bars_held": Field("integer"), "exit_reason": Field("text"),
    "scan_id": Field("integer"), **dict.fromkeys(LANE_NAMES, Field("number")), "planes": Field("any"),
    **dict.fromkeys(TEXTS, Field("text")), "marks": Field("any"),
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
    found: Iterable[Row], source: MappedSource, where: str, clock_offset_ms: int, passed: Counter[str], *, strict: bool
) -> list[intake.BlueRow]:
    """All rows of a place as ours.

    Args:
        found: the rows.
        source: the mapping of their kind.
        where: the place, for messages.
        clock_offset_ms: how far their clock is ahead.
        passed: counts the rows that are passed over, by why.
        strict: a mapped field that no row has is refused; without it, as where columns bear our names, it is absent.

    Raises:
        Refusal: rows do not fit; the first of them are named.
    """
    rows: list[intake.BlueRow] = []
    bad: list[str] = []
    make = _MAKE[source.feeds]
    for row in found:
        try:
            if row.fault:
                raise BadRow(row.fault)
            if not source.takes(row.fields):
                passed["passed over by the mapping"] += 1
                continue
            rows.append(make(row.line, source(row.fields) or {}, row.raw, clock_offset_ms))
        except ValueError as error:
            bad.append(f"{row.place}: {error}")
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


def table_rows(name: str, blocks: Callable[[str], Iterator[dict[str, Any]]]) -> Iterator[Row]:
    """The rows of a ClickHouse table, read and never written."""
    if not _TABLE.fullmatch(name):
        raise Refusal(f"a table must be NAME or DB.NAME, was {name!r}; fix: table:dolphin.trade_events")
    for number, raw in enumerate(intake.of_table(blocks, name), 1):
        yield table.object_row(number, raw, "row")


def topic_rows(log: KafkaLog, passed: Counter[str]) -> Iterator[Row]:
    """The records of a topic up to its end as of now, one JSON object each.

    A record without a value says of a compacted topic that a key is gone; nobody can mend it, so `passed` counts it.
    """
    partitions = range(log.describe().partitions)
    lows, ends = log.lows(partitions), log.ends(partitions)
    chunks = chain.from_iterable(log.range(p, lows[p], ends[p]) for p in partitions)
    for count, value in enumerate(chain.from_iterable(chunk.values for chunk in chunks), 1):
        if value is None:
            passed["without a value (tombstones)"] += 1
        else:
            yield table.object_row(count, value, "record")
