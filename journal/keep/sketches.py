"""Sketches of what each lane said, as they are stored: distributions in constant space, beside the outcomes.

See docs/design/weeks.md.
"""

from collections.abc import Mapping
from typing import Any

from journal.store import Store


def write(store: Store, columns: Mapping[str, Any], token: str) -> None:
    """Insert sketches, given as columns by name; the newest of a place, lane and asset counts."""
    store.put("violet_sketches", columns, token)


def read(store: Store, run_id: str) -> list[dict[str, Any]]:
    """All sketches of a run: place, slot (Unix seconds), lane, asset, samples, weights."""
    return store.rows(
        "SELECT place, toUnixTimestamp(slot) AS slot, lane, asset, samples, weights FROM violet_sketches FINAL "
        "WHERE run_id = {run:String} ORDER BY place, slot, lane, asset",
        {"run": run_id},
    )
