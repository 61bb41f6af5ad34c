"""Freeze: the parts of all tables as of one instant, as hard links in the engine's own folder shadow/NAME.

`FREEZE JOURNAL WITH NAME 'x'` is a statement of this engine's, for its writer: each table's own FREEZE, while writes
wait. So what it leaves is what a kill at that instant would have left, of which a resume knows what to make.
See docs/design/weeks.md.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final, Protocol

from journal.engine.reader import quoted

STATEMENT: Final = re.compile(r"\s*FREEZE JOURNAL WITH NAME '(\w{1,64})'[\s;]*")
WAIT_S: Final = 30.0  # for writes that run: a change in place may take long
_TABLES: Final = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree') ORDER BY name"
)


class _Answer(Protocol):
    @property
    def body(self) -> bytes: ...


class _Session(Protocol):
    def run(self, sql: str, form: str, params: Mapping[str, str]) -> _Answer: ...


def freeze(session: _Session, held: Callable[[float], AbstractContextManager[None]], name: str) -> None:
    """Freeze every table under a name. held: no write runs inside it."""
    with held(WAIT_S):
        for table in session.run(_TABLES, "TabSeparated", {}).body.decode().split():
            session.run(f"ALTER TABLE `{table}` FREEZE WITH NAME {quoted(name)}", "TabSeparated", {})
