"""`violet completion`: what makes a shell complete commands, options and values."""

from typing import Final

import click
from click.shell_completion import get_completion_class

SHELLS: Final = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
def command(shell: str) -> None:
    """Print the lines that make a shell complete commands, options, runs, profiles, lanes and saved queries.

    Put `eval "$(violet completion bash)"` into ~/.bashrc, the same with zsh into ~/.zshrc; of fish, write them to
    ~/.config/fish/completions/violet.fish. The runs are those of --data.

    \b
    violet completion bash
    violet completion fish > ~/.config/fish/completions/violet.fish
    """  # noqa: D301 - click's mark for lines that are not to be filled
    root = click.get_current_context().find_root()
    found = get_completion_class(shell)
    if found is None:
        raise AssertionError("must be one of click's shells")
    click.echo(found(root.command, {}, "violet", "_VIOLET_COMPLETE").source())
