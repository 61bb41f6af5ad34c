"""Grouped: the help of a command with many options, which shows them in groups."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

_EITHER: Final = re.compile(r"^--(\S+) / --no-\1$")


class Grouped(click.Command):
    """A command whose help has groups of options; what is in no group comes last."""

    def __init__(self, *args: Any, groups: Mapping[str, Sequence[str]], **more: Any) -> None:
        """groups: title to the names of its parameters."""
        super().__init__(*args, **more)
        self.groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of each group under its title."""
        records = {param.name: param.get_help_record(ctx) for param in self.get_params(ctx)}
        named = [[records.pop(name) for name in names] for names in self.groups.values()]
        for title, found in zip([*self.groups, "Also"], [*named, [*records.values()]], strict=True):
            with formatter.section(title):
                formatter.write_dl([(_EITHER.sub(r"--[no-]\1", names), words) for names, words in filter(None, found)])
