"""Value: what a shell may complete an argument or an option with: runs, profiles, lanes, saved queries.

Each loads what it needs when it is asked. A value that cannot be looked up is none: a shell shows no error.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Completing = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _begin_so(values: Callable[[click.Context], dict[str, str]]) -> Completing:
    """Of all values, with a word to each, those that begin as what was typed."""

    @wraps(values)
    def complete(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
        with suppress(Exception):
            return [CompletionItem(value, help=word) for value, word in values(ctx).items() if value.startswith(typed)]
        return []

    return complete


@_begin_so
def runs(ctx: click.Context) -> dict[str, str]:
    """Ids and names of the runs of --data, and `latest`."""
    from journal.keep import question
    from journal.ledger.naming import KNOWN, LATEST

    data = Path(ctx.params.get("data") or "violet-data")
    with question.answering(data, None, lambda words: None) as answering:
        known = question.rows(answering, KNOWN)
    names = {row["name"]: "the latest run of this name" for row in known}
    return {LATEST: "the newest run"} | names | {row["run_id"]: row["name"] for row in known}


@_begin_so
def profiles(_: click.Context) -> dict[str, str]:
    """Names of the profiles."""
    from lanes.profile import PROFILES

    return dict.fromkeys(PROFILES, "")


@_begin_so
def lanes(_: click.Context) -> dict[str, str]:
    """Names of the lanes."""
    from lanes.registry import LANES

    return {lane.name: lane.formula for lane in LANES}


@_begin_so
def queries(_: click.Context) -> dict[str, str]:
    """Names of the saved queries, with the question of each."""
    from journal.query import saved

    return {name: query.question for name, query in saved().items()}
