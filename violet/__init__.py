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
    from collections.abc import Callable
    from os import PathLike

    from violet import lanes
    from violet.access import Journal
    from violet.display import Summary
    from violet.rows import Rows
    from violet.soaking import Progress

__all__ = ["Journal", "Progress", "Refusal", "Rows", "lanes", "open", "soak"]
_LATE = {
    "Journal": "violet.access",
    "Progress": "violet.soaking",
    "Rows": "violet.rows",
}  # loaded when they are asked for


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


def soak(
    scans: "str | PathLike[str] | None" = None, *, data: "str | PathLike[str] | None" = None,
    config: "str | PathLike[str] | None" = None, on_batch: "Callable[[Progress], object] | None" = None,
    stop: "Callable[[], bool] | None" = None, **options: Any,
) -> "Summary":  # fmt: skip
    """Run a dark shadow soak in this process to its end; what is Stopped or was interrupted goes on with the same call.

    An interrupt (Ctrl-C, or that of a notebook) journals what was read and leaves the run Stopped. A second one is a
    KeyboardInterrupt: then the run is left as by a crash, and can be resumed too.

    Args:
        scans: the archive to soak; without one `topic` and `bootstrap_servers` are followed.
        data: the data directory; without one that of `config`, else violet-data.
        config: TOML file of the soak.
        on_batch: called after every batch that was journaled; what it raises ends the soak.
        stop: asked between two batches; where it gives True the run is left Stopped.
        options: flags of `violet soak` with _ for -, such as name, profile, until, speed, new; from_ and for_.

    Returns:
        The summary: run_id, state, verdict, counts, content_hash and more, as `violet soak --json` has it.

    Raises:
        Refusal: nothing can be read or journaled as asked.
    """
    told = import_module("violet.soaking").soak
    return told(scans, data, config, on_batch, stop, options)  # type: ignore[no-any-return]


def __getattr__(name: str) -> Any:
    if name == "lanes":
        return import_module("violet.lanes")
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'violet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
