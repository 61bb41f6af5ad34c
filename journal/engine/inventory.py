"""Inventory: which parts the journal's tables have, kept in a file beside them, so that one that is gone is missed.

The engine misses none: a part whose folder is gone leaves no trace. So the parts are listed in DIR/engine every few
seconds, and compared once, when an engine starts. What is gone then stands in `violet_damage` until it is mended. The
cost is that of the parts that are there now, whatever the age of the journal. See docs/design/exactly-once.md.
"""

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

from journal.engine.reader import QueryError, quoted
from journal.engine.server import EngineSession
from journal.refusal import Refusal

FILE: Final = "violet-parts.json"
EVERY_S: Final = 5.0  # a part that came and went within this time is not missed
_PARTS: Final = (
    "SELECT table, partition_id, min_block_number, max_block_number, rows FROM system.parts WHERE active "
    "AND database = 'default' AND startsWith(table, 'violet_') ORDER BY table, partition_id, min_block_number"
)
_CHANGES: Final = (
    "SELECT table, max(arrayMax(block_numbers.number)) FROM system.mutations WHERE database = 'default' GROUP BY table"
)


class Part(NamedTuple):
    """An active part: the blocks of inserts that it holds, and how many rows."""

    table: str
    partition: str
    first: int
    last: int
    rows: int


def missing(was: Sequence[Part], now: Sequence[Part], changed: Mapping[str, int]) -> list[Part]:
    """Parts whose rows are no longer there.

    A part is there if one holds all its blocks, or if those that hold some of them have as many rows: after a power
    loss the engine takes the parts that a merge was made of.

    Args:
        was: the parts that were active.
        now: those that are.
        changed: table -> block of the last change in place, which may leave nothing of the parts before it.
    """
    here: dict[tuple[str, str], list[Part]] = {}
    for part in now:
        here.setdefault((part.table, part.partition), []).append(part)

    def is_there(part: Part) -> bool:
        others = here.get((part.table, part.partition), ())
        if whole := [other for other in others if other.first <= part.first and part.last <= other.last]:
            return all(other.rows <= part.rows for other in whole if other[:4] == part[:4])  # a merge adds none
        return sum(other.rows for other in others if part.first <= other.first <= part.last) >= part.rows

    return [part for part in was if part.last >= changed.get(part.table, 0) and not is_there(part)]


def require_links(engine: Path) -> None:
    """Refuse a folder that was copied without its links: the engine would begin an empty journal in it."""
    if (engine / "store").is_dir() and any((engine / "store").iterdir()) and not (engine / "metadata/default").exists():
        raise Refusal(
            f"{engine} holds data, but {engine / 'metadata/default'} leads to none: the folder was copied without its "
            "links; fix: copy it again with links (cp -a, rsync -a), or move DIR/backups/NAME here"
        )


def _read(file: Path) -> list[Part] | None:
    """The parts that were listed; None where no list can be read."""
    try:
        return [Part(*each) for each in json.loads(file.read_text("utf-8"))]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        print(f"the list of parts in {file} cannot be read, so none is missed: {error}", file=sys.stderr, flush=True)
        return None


class Inventory:
    """Keeps the list of an engine's parts."""

    def __init__(
        self, engine: Path, session: Callable[[Mapping[str, str]], AbstractContextManager[EngineSession]]
    ) -> None:
        """engine: the engine's folder. session: opens a session of the engine with settings."""
        self._file, self._session = engine / FILE, session
        self._kept = _read(self._file)
        self._lost: list[Part] = []

    def check(self) -> None:
        """Compare what is there with what was, before anything is written, and journal what is gone."""
        if self._kept is not None:
            rows = self._ask(_CHANGES)
            self._lost = missing(self._kept, self._parts(), {table: int(block) for table, block in rows})
        self.keep()

    def keep(self) -> None:
        """Write down what is there, once what was gone is journaled. A disk that takes nothing is no fault here."""
        try:
            self._journal()
            if (parts := self._parts()) != self._kept:
                part = self._file.with_suffix(".part")
                part.write_text(json.dumps(parts), "utf-8")
                part.replace(self._file)
                self._kept = parts
        except (QueryError, OSError) as error:
            print(f"the list of parts was not written: {error}"[:300], file=sys.stderr, flush=True)

    def watch(self, stop: threading.Event) -> None:
        """Keep it until the end."""
        while not stop.wait(EVERY_S):
            self.keep()

    def _journal(self) -> None:
        if not self._lost:
            return
        names = [f"{part.partition}_{part.first}_{part.last}" for part in self._lost]
        rows = ", ".join(
            f"({quoted(part.table)}, {quoted(name)}, {part.rows}, now64(3), '', 0)"
            for part, name in zip(self._lost, names, strict=True)
        )
        with self._session({}) as session:
            session.run(f"INSERT INTO violet_damage VALUES {rows}", "TabSeparated", {})
        lost = ", ".join(f"{part.table}/{name}" for part, name in zip(self._lost, names, strict=True))
        print(f"parts of the journal are gone: {lost}", file=sys.stderr, flush=True)
        self._lost = []

    def _parts(self) -> list[Part]:
        return [
            Part(table, partition, int(first), int(last), int(rows))
            for table, partition, first, last, rows in self._ask(_PARTS)
        ]

    def _ask(self, sql: str) -> list[list[str]]:
        with self._session({}) as session:
            body = session.run(sql, "TabSeparated", {}).body.decode()
        return [line.split("\t") for line in body.splitlines()]
