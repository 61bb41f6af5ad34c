"""`violet mcp`: lets an assistant ask a journal, read only, over the Model Context Protocol."""

import importlib.util
from pathlib import Path

import click

from journal.refusal import Refusal
from reactor.cli.assist.answers import Answers
from reactor.cli.common import data_option, require_journal, server


@click.command("mcp")
@data_option
def command(data: Path) -> None:
    """Serve the Model Context Protocol on standard input and output, for an assistant that starts this command.

    The assistant can ask what status, runs, gate, sql, explain and tap say, and see kept comparisons with BLUE. Nothing
    writes: queries pass the gate of `violet sql`. It needs the extra mcp.

    \b
    violet mcp --data my-soak
    """  # noqa: D301 - click's mark for lines that are not to be filled
    if importlib.util.find_spec("mcp") is None:
        raise Refusal("violet mcp needs the extra mcp, which is not installed; fix: pip install 'violet-reactor[mcp]'")
    require_journal(data)
    from reactor.cli.assist.protocol import serve

    serve(Answers(data, server()))
