"""The `violet` command: the table of its commands, loaded when they are asked for.

Exit codes: 0 PASS or done, 1 FAIL, 2 HOLD, 3 error, refusal, wrong usage. Only a command that judges exits 1
or 2, so click's own 2 for wrong usage becomes 3 here, as does every exception. See docs/reference.md.
"""

import difflib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, NamedTuple

import click
from click.shell_completion import CompletionItem

from journal.refusal import Refusal, of_machine
from journal.shown import shown
from lanes.unfit import Unfit
from reactor.cli import stream

ERROR: Final = 3


class Entry(NamedTuple):
    """What is known of a command before its module reactor/cli/NAME.py, `-` as `_`, is loaded; it exports `command`."""

    use: str
    help: str


RUN: Final = "Run a soak"
ASK: Final = "Ask the journal"
FEED: Final = "Make and publish scans"
KEEP: Final = "Look after the journal"
COMMANDS: Final = {
    "soak": Entry(RUN, "Evaluate scans as BLUE would, trade nothing, journal all."),
    "demo": Entry(RUN, "Soak a synthetic market at a pace to watch, with its page."),
    "status": Entry(RUN, "Show where each run stands, and whether it is healthy."),
    "lane": Entry(RUN, "Run a lane as a worker of its own, for --topology faust."),
    "web": Entry(RUN, "Show a soak in a browser, while it runs and after."),
    "replay": Entry(RUN, "Evaluate a run's records once more, under other params."),
    "sweep": Entry(RUN, "Size a run's decisions under many sets of params."),
    "end": Entry(RUN, "End a stopped run for good."),
    "sql": Entry(ASK, "Query the journal, while a soak runs and after; read only."),
    "gate": Entry(ASK, "Judge a run: each condition, its figure and its bound."),
    "verify": Entry(ASK, "Compute every outcome again and compare it with the journal."),
    "report": Entry(ASK, "Write a run, alone or beside BLUE, as one HTML file."),
    "bundle": Entry(ASK, "A run's evidence as one file that anybody can check."),
    "explain": Entry(ASK, "Show how one scan's leverage was computed, by factor."),
    "lanes": Entry(ASK, "The lanes: formula, params, kernel, figures of a run."),
    "tap": Entry(ASK, "Show what one lane gave, live or at any scan."),
    "blue": Entry(ASK, "BLUE's trades: import, a first look beside a run."),
    "compare": Entry(ASK, "Compare a run with BLUE under a contract: a verdict."),
    "trust": Entry(ASK, "Where trust stands: what counts, and what is missing."),
    "contract": Entry(ASK, "What a comparison with BLUE holds fixed: make it, show it."),
    "runs": Entry(ASK, "List the runs: other commands take them by id, name, prefix."),
    "compare-runs": Entry(ASK, "What differs between two runs: params, counts, decisions."),
    "mcp": Entry(ASK, "Let an assistant ask the journal, read only, over MCP."),
    "rejects": Entry(ASK, "Records that could not be used, by code, with their bytes."),
    "scan": Entry(FEED, "Turn 1-minute bars into a scan archive."),
    "sequence": Entry(FEED, "Merge scans and planes of other forms into one log."),
    "publish": Entry(FEED, "Fill a topic with a scan archive."),
    "broker": Entry(FEED, "Run a broker to try topics with, in memory, until Ctrl-C."),
    "heal": Entry(KEEP, "Put back what a damaged journal lost, from its source."),
    "snapshot": Entry(KEEP, "Copy the journal as of now into another directory."),
    "state": Entry(KEEP, "Carry a run to another journal: its state as one document."),
    "serve": Entry(KEEP, "Serve the journal to ClickHouse clients of this machine."),
    "migrate": Entry(KEEP, "Bring the journal's tables up to this version."),
    "drill": Entry(KEEP, "Inject faults in a scratch directory, and see what holds."),
    "completion": Entry(KEEP, "Complete commands, options, runs and lanes in your shell."),
    "doctor": Entry(KEEP, "Check this machine, the broker and the journal."),
}


class Commands(click.Group):
    """A group that imports a command when it runs, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"reactor.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" The commands are {', '.join(COMMANDS)}."
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:  # of --help; click would exit 1
            raise SystemExit(ERROR) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # whoever read our output went away; click would exit 1, which means FAIL here
            return ERROR
        return result

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin so, without loading them, and options."""
        found = [CompletionItem(n, help=entry.help) for n, entry in COMMANDS.items() if n.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for use in dict.fromkeys(entry.use for entry in COMMANDS.values()):
            with formatter.section(use):
                formatter.write_dl([(n.ljust(width), e.help) for n, e in COMMANDS.items() if e.use == use])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="violet-reactor", prog_name="violet")
def violet() -> None:
    """VIOLET: the dark shadow of BLUE, a live trading engine.

    It reads BLUE's scans, computes the size of each trade as BLUE would, never trades, and writes each outcome
    exactly once into a journal.

    \b
    violet soak
    violet sql --saved upward_tail
    """  # noqa: D301 - click's mark for lines that are not to be filled


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code, which is what the command returned (None: 0)."""
    try:
        _require_text(sys.argv[1:] if arguments is None else arguments)
        code = violet.main(arguments, prog_name="violet", standalone_mode=False)
    except SystemExit as ended:
        code = ended.code
    except click.UsageError as error:
        code = _refused(_usage(error))
    except (click.ClickException, Refusal) as error:
        code = _refused(str(error))
    except Unfit as error:
        code = _refused(f"{error}; fix: mend the package that brings the lane, or uninstall it")
    except (click.Abort, KeyboardInterrupt):
        code = _refused("interrupted")
    except Exception as error:  # noqa: BLE001 - python's own exit code for it is 1, which means FAIL here
        refusal = of_machine(error)
        code = ERROR if refusal is None else _refused(str(refusal))
        if refusal is None:
            traceback.print_exc()
    code = code if isinstance(code, int) else 0 if code is None else _refused(str(code))
    return code if _flushed() else ERROR


def _refused(words: str) -> int:
    """One line on standard error, whatever stands in a path or in a quoted answer; the exit code."""
    click.echo(f"violet: {shown(words.strip())}", err=True)
    return ERROR


def _usage(error: click.UsageError) -> str:
    """What is wrong with a command line, and where to read what would be right."""
    words = " ".join(error.format_message().split()).rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "violet"
    return f"{words}; fix: `{command} --help` lists what it takes"


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no text: the journal keeps names and paths as text."""
    for each in arguments:
        if not each.isascii() and any("\ud800" <= letter <= "\udfff" for letter in each):
            raise Refusal(f"{each!a} is not UTF-8; fix: give the file or folder another name")


def _flushed() -> bool:
    """Whether standard output took all; else the rest is forgotten: it would fail again at the end, with code 120."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def main() -> None:
    """Entry point of the `violet` script."""
    stream.settle()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts what a script puts into the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run()
    stream.resign()
    sys.exit(code)
