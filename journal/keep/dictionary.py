"""Dictionary: what every table, view and column holds, as comments of the schema.

The texts stand in sql/comments.toml; what a view answers is the head of its file. `comment` brings the comments of a
journal up to them, so that DESCRIBE shows them, and docs/dictionary.md is made of the same texts.
"""

import tomllib
from functools import cache
from typing import Any, Final

from journal.engine.reader import quoted
from journal.store import Store
from journal.template import head, sql, texts
from lanes.registry import MORE

_REPLAYED: Final = "_replayed"
_NAMES: Final = (
    "SELECT t.name AS table, t.comment AS said, c.name AS column, c.type AS type, c.comment AS comment "
    "FROM system.tables AS t INNER JOIN system.columns AS c ON c.database = t.database AND c.table = t.name "
    "WHERE t.database = currentDatabase() ORDER BY startsWith(t.name, 'violet_'), t.name, c.position"
)


def about() -> dict[str, str]:
    """What each table and view answers, by name."""
    heads = {name: head(sql).partition(" Source: ")[0] for name, sql in texts("views").items()}
    return {**heads, **_texts()["tables"]}


def text(table: str, column: str) -> str:
    """What a column of a table or view holds; empty where nothing is written of it.

    >>> text("decisions", "leverage_fanin")
    'Conviction: max(min_lev, min(raw, cap)).'
    """
    own = _texts()["columns"]
    for place in (own.get(table, {}), own.get(table.removeprefix("violet_"), {}), _texts()["shared"]):
        if column in place:
            return str(place[column])
    for lane in MORE:
        if column in (*lane.components, lane.name):
            of = f"Component of lane {lane.name}" if column in lane.components else f"Lane {lane.name}"
            return f"{of}, {lane.title}: {lane.formula}. NULL where the lane was off."
    if column.endswith(_REPLAYED):
        return f"The same in the replay: {text(table, column.removesuffix(_REPLAYED))}"
    return ""


def columns(store: Store) -> list[dict[str, Any]]:
    """Every column of every view, then table, of a journal: table, said (of the table), column, type, comment."""
    return store.rows(_NAMES)


def comment(store: Store) -> None:
    """Bring the comments of a journal's tables, views and columns up to the dictionary. What agrees is left alone."""
    heads = about()
    due: dict[str, list[str]] = {}
    for row in columns(store):
        table = row["table"]
        changes = due.setdefault(table, [])
        if not changes and row["said"] != (answer := heads.get(table, row["said"])):
            changes.append(f"MODIFY COMMENT {quoted(answer)}")
        if row["comment"] != (words := text(table, row["column"]) or row["comment"]):
            changes.append(f"COMMENT COLUMN `{row['column']}` {quoted(words)}")
    for table, changes in due.items():
        if changes:
            store.command(f"ALTER TABLE `{table}` {', '.join(changes)}")


@cache
def _texts() -> dict[str, Any]:
    return tomllib.loads((sql() / "comments.toml").read_text("utf-8"))
