"""Screen: a console that shows text of records without obeying it, and ends as a command should."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from journal.shown import shown


class Screen(Console):
    """Rich's console, whose own colours alone reach the terminal: what a text says to one is spelled out."""

    def on_broken_pipe(self) -> None:
        """A reader that went away is the command's to handle: rich would exit 1, which means FAIL here."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed, however it was made."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control or text.isprintable() else Segment(shown(text, keep="\n"), style)
