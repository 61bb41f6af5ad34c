"""VIOLET in Python: open the journal of a soak, ask it, and use the lanes as functions.

    import violet

    soak = violet.open("my-soak")
    soak.decisions().pandas()
    soak.explain(17)
    violet.lanes.base(vel_div=-0.0337)

No server has to run: what is needed is found or started, and goes with the process. Nothing here can write an outcome
of a run that is there. See docs/python.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from journal.refusal import Refusal

if TYPE_CHECKING:
    from os import PathLike

    from violet import lanes
    from violet.access import Journal
    from violet.rows import Rows

__all__ = ["Journal", "Refusal", "Rows", "lanes", "open"]
_LATE = {"Journal": "violet.access", "Rows": "violet.rows"}  # loaded when they are asked for


def open(  # noqa: A001 - as gzip.open and tarfile.open are named
    data: "str | PathLike[str] | None" = None, *, config: "str | PathLike[str] | None" = None
) -> "Journal":
    """Open the journal of a data directory, while a soak runs in it and after.

    Args:
        data: the directory of a soak; without one that of `config`, else violet-data.
        config: TOML file of a soak; names the directory, or the ClickHouse server that holds the journal.

    Raises:
        Refusal: there is no journal.
    """
    return import_module("violet.access").open_journal(data, config)  # type: ignore[no-any-return]


def __getattr__(name: str) -> Any:
    if name == "lanes":
        return import_module("violet.lanes")
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'violet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
