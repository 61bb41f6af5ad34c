"""Damage: what the journal has lost as a whole: parts that are gone, or that the engine set aside.

The counts of a run's batches tell that outcomes are gone. Of runs, segments, batches, incidents, imports and the rest
nothing tells but the engine's own parts. It is asked of one view, so it costs the same at any age of the journal.
See docs/design/exactly-once.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from journal.refusal import Refusal
from journal.store import Store

NAMED: Final = 5  # parts that are named at most
PARTS: Final = "SELECT table, part, how, reason, rows FROM damage ORDER BY table, part"
FIX: Final = (
    "fix: `violet heal` puts back what the archive or the log gives; else restore DIR/engine from a backup, or give "
    "another --data"
)
# A run is journaled before its first batch.
_NAMELESS: Final = (
    "SELECT DISTINCT partition FROM system.parts WHERE active AND database = currentDatabase() "
    "AND table = 'violet_batches' AND partition NOT IN (SELECT run_id FROM violet_runs) ORDER BY partition"
)


def parts(store: Store) -> list[str]:
    """Each part that is lost or set aside, for people; none in a sound journal."""
    return in_words(store.rows(PARTS))


def in_words(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What PARTS gives, for people: each part with the reason that the engine gives, or LOST, or DETACHED."""
    return [f"{row['table']}/{row['part']} ({(row['reason'] or row['how']).lower()})" for row in rows]


def some(found: Sequence[str]) -> str:
    """The first of many."""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more


def require_whole(store: Store) -> None:
    """Refuse to write into a journal that is damaged: what a run is would be read from what is left.

    Raises:
        Refusal: parts are lost or set aside, or there are batches of a run that is not there.
    """
    if found := parts(store):
        raise Refusal(f"the journal is damaged: parts are gone or were set aside: {some(found)}; {FIX}")
    if found := [row["partition"] for row in store.rows(_NAMELESS)]:
        raise Refusal(f"the journal is damaged: it has batches of runs that it does not have: {some(found)}; {FIX}")
