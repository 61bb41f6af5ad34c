"""Noise floor: how far BLUE is from itself, and the planes as they were one scan before.

Where BLUE's rows were imported twice, or it wrote a trade twice, the two records are BLUE against BLUE. What a plane
that acts one scan late would do needs the planes of the scan before: they are the journal's own plane rows.
Source: findings 9. See docs/design/blue.md.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from journal.blue.pairing import Pair
from journal.store import Store

_BLOCK: Final = 1_000  # pairs asked for in one statement, whose text has a bound
_PLANES: Final = """
WITH keys AS (
    SELECT key.1 AS n, toUInt32(key.2) AS partition, key.3 AS stream, toInt64(key.4) AS at
    FROM (SELECT arrayJoin([{keys}]) AS key)
), before AS (
    SELECT k.n AS n, k.partition AS partition, k.stream AS stream, k.at AS at, s.log_offset AS behind
    FROM keys AS k
    ASOF INNER JOIN (
        SELECT partition, toString(stream) AS stream, log_offset FROM violet_decisions WHERE run_id = {{run:String}}
        UNION ALL
        SELECT partition, toString(stream), log_offset FROM violet_evaluations WHERE run_id = {{run:String}}
    ) AS s ON k.partition = s.partition AND k.stream = s.stream AND k.at > s.log_offset
), known AS (
    SELECT partition, toString(stream) AS stream, toString(name) AS name, log_offset, value, ts_ms
    FROM planes WHERE run_id = {{run:String}}
), asked AS (
    SELECT n, partition, stream, name, at, behind
    FROM before INNER JOIN (SELECT DISTINCT partition, stream, name FROM known) AS names USING (partition, stream)
)
SELECT a.n AS n, a.name AS name, p.value AS value, p.ts_ms AS ts_ms, p.log_offset > a.behind AS is_new,
    q.value AS late_value, q.ts_ms AS late_ts_ms
FROM asked AS a
ASOF INNER JOIN known AS p
    ON a.partition = p.partition AND a.stream = p.stream AND a.name = p.name AND a.at > p.log_offset
ASOF LEFT JOIN known AS q
    ON a.partition = q.partition AND a.stream = q.stream AND a.name = q.name AND a.behind > q.log_offset"""


@dataclass(frozen=True, slots=True)
class Seen:
    """The planes of a decision, and of those that came since the scan before what they had been.

    A plane of which the journal has no earlier row is not among the latter: it may have had one that was dropped, or
    that came before the run began.
    """

    planes: Mapping[str, Mapping[str, Any]]
    late: Mapping[str, Mapping[str, Any]]


def of_blue(store: Store, label: str, window: tuple[int, int]) -> dict[str, Any]:
    """BLUE against BLUE: of the trades of a window with several rows that are not the same, how far these lie apart."""
    return store.rows(
        "SELECT count() AS n, countIf(other_pnl) AS other_pnl, countIf(other_lanes) AS other_lanes, "
        "if(n = 0, NULL, avg(pnl_gap)) AS pnl_gap_mean FROM (SELECT uniqExact(pnl) > 1 AS other_pnl, "
        "uniqExact(lanes) > 1 AS other_lanes, ifNull(max(pnl) - min(pnl), 0) AS pnl_gap FROM blue_cleaning "
        "WHERE label = {label:String} AND entry_ts_ms >= {from_ms:Int64} AND entry_ts_ms < {to_ms:Int64} "
        "GROUP BY trade_id HAVING uniqExact(content_hash) > 1)",
        {"label": label, "from_ms": window[0], "to_ms": window[1]},
    )[0]


def seen(store: Store, run_id: str, pairs: Sequence[Pair]) -> Iterator[Seen]:
    """The planes of each pair's decision, out of the journal; one that came before the run began is not among them."""
    for first in range(0, len(pairs), _BLOCK):
        block = pairs[first : first + _BLOCK]
        keys = ", ".join(
            f"({n}, {d['partition']}, '{d['stream']}', {d['log_offset']})"
            for n, d in enumerate(p.decision for p in block)
        )
        planes: list[dict[str, Any]] = [{} for _ in block]
        late: list[dict[str, Any]] = [{} for _ in block]
        for row in store.rows(_PLANES.format(keys=keys), {"run": run_id}):
            if row["name"] == "cadence":
                continue
            planes[row["n"]][row["name"]] = {"value": json.loads(row["value"]), "ts_ms": row["ts_ms"]}
            if row["is_new"] and (was := row["late_value"]):
                late[row["n"]][row["name"]] = {"value": json.loads(was), "ts_ms": row["late_ts_ms"]}
        yield from map(Seen, planes, late)
