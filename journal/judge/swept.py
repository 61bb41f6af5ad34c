"""Swept: what sweeps left in the journal, beside their run.

A sweep is named by a hash of all that its rows follow from, so the same question is the same sweep, and one that was
killed goes on. Rows are in chunks; a chunk is there as a whole or is made again, with the same rows.
See docs/design/lanes.md.
"""

from collections.abc import Mapping
from typing import Any, Final

from journal.store import Store

FIGURES: Final = (
    "decisions", "non_finite", "product", "cap", "abs", "stalker", "floor",
    "leverage_sum", "leverage_min", "leverage_max", "leverage_p05", "leverage_p50", "leverage_p95", "leverage_p99",
    "notional_sum_usd", "notional_max_usd",
)  # fmt: skip
_WORDS: Final = ", ".join([
    "binding", "arrayMap(x -> reinterpretAsUInt64(x), param_values)",
    *(f"reinterpretAsUInt64({name})" for name in FIGURES), "histogram",
])  # fmt: skip


def put(store: Store, sweep: Mapping[str, Any]) -> None:
    """A row of `violet_sweeps`; the greatest revision counts."""
    store.put_row("violet_sweeps", sweep, f"{sweep['sweep_id']}|{sweep['revision']}")


def put_bindings(store: Store, sweep_id: str, columns: Mapping[str, Any]) -> None:
    """Rows of `violet_sweep_bindings`, given as columns."""
    some = columns["binding"]
    whole = {"sweep_id": [sweep_id] * len(some), **columns}
    store.put("violet_sweep_bindings", whole, f"{sweep_id}|{some[0]}-{some[-1]}")


def chunks(store: Store, sweep_id: str, size: int) -> dict[int, int]:
    """How many bindings each chunk of `size` has, by its number."""
    rows = store.rows(
        "SELECT intDiv(binding, {size:UInt64}) AS chunk, uniqExact(binding) AS n FROM violet_sweep_bindings "
        "WHERE sweep_id = {id:String} GROUP BY chunk",
        {"id": sweep_id, "size": size},
    )
    return {row["chunk"]: row["n"] for row in rows}


def hash_of(store: Store, sweep_id: str) -> int:
    """A sum over all bindings that does not depend on their order: the same for any number of workers and restarts."""
    return store.count(
        f"SELECT sum(sipHash64({_WORDS})) FROM violet_sweep_bindings FINAL WHERE sweep_id = {{id:String}}",
        {"id": sweep_id},
    )


def some(store: Store, sweep_id: str, order: str, most: int) -> list[dict[str, Any]]:
    """The run's own binding, then those with the most of a figure, `most` of them at most."""
    return store.rows(
        "SELECT binding, params, decisions, leverage_mean, leverage_p50, leverage_p95, leverage_max, "
        "(cap + abs + stalker) / decisions AS capped, floor / decisions AS floored, notional_sum_usd, non_finite "
        "FROM sweep_bindings WHERE sweep_id = {id:String} "
        f"ORDER BY binding > 0, {order} DESC, binding LIMIT {{most:UInt64}}",
        {"id": sweep_id, "most": most + 1},
    )
