"""Computed: what the journal's own SQL makes of rows, for who compares it with the reactor's arithmetic.

The rows are inserted as a soak's are, and the view `decisions` gives what it computes of them. See
docs/design/universe.md.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from journal.ledger.ledger import put_rows
from journal.row import Batch, Rows, row_hash_sql
from journal.store import Store
from lanes.code import Outcome
from lanes.lane import Lane
from lanes.registry import FIVE

_LANES: Final[tuple[Lane, ...]] = tuple(lane for lane in FIVE if lane.factors)  # whose value no column holds
_DTYPES: Final = {"leverage_bits": np.uint64, "row_hash": np.uint64}


def computed(store: Store, run_id: str, block: Rows) -> dict[str, NDArray[Any]]:
    """Columns that SQL computes of rows of decisions, in their order: of the view, and the hash of each row.

    Args:
        store: a journal that may keep them.
        run_id: under which it keeps them; no other rows have it.
        block: rows that the table's constraints let in.
    """
    batch = Batch("universe", 0, 1, int(block.offsets[0]), int(block.offsets[-1]), {})
    put_rows(store, run_id, batch, Outcome.DECISION, block, f"{run_id}|{block.digest()}")
    names = ["raw", *(lane.name for lane in _LANES), "leverage_bits", "notional_fraction"]
    of_hash = f"SELECT log_offset, {row_hash_sql(Outcome.DECISION)} AS row_hash FROM violet_decisions"
    return _read(store, run_id, names, "SELECT * FROM decisions") | _read(store, run_id, ["row_hash"], of_hash)


def _read(store: Store, run_id: str, names: list[str], sql: str) -> dict[str, NDArray[Any]]:
    """Columns of a query's rows of the run, by offset: an array each, which costs least."""
    arrays = ", ".join(f"groupArray({name}) AS {name}" for name in ("log_offset", *names))
    (found,) = store.rows(f"SELECT {arrays} FROM ({sql} WHERE run_id = {{run:String}})", {"run": run_id})
    order = np.argsort(np.array(found["log_offset"], np.int64))
    return {name: np.array(found[name], _DTYPES.get(name, np.float64))[order] for name in names}
