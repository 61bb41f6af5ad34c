"""A soak that kills or stops itself when its ledger comes to a step for the n-th time.

python -m tests.fault.soak_until SEAM N FLAGS-OF-VIOLET-SOAK...
"""

import os
import signal
import sys

import click

from reactor.cli import soak
from reactor.run.settings import load

SEAMS = (
    "before_intent", "after_intent", "after_decisions", "after_evaluations", "after_planes", "after_rejects",
    "before_completion", "after_completion", "after_commit",
)  # fmt: skip


def soak_until(arguments, seam, at, number=signal.SIGKILL):
    """`violet soak` with these flags, up to a step of its ledger; its exit code where it never comes there."""
    left = at

    def hear(step):
        nonlocal left
        left -= step == seam
        if step == seam and not left:
            os.kill(os.getpid(), number)

    with soak.command.make_context("soak", [str(each) for each in arguments]) as context:
        given = {name: value for name, value in context.params.items() if value is not None and value is not False}
    as_json, config = given.pop("as_json", False), given.pop("config", None)
    return soak.run(load(given, config), as_json, hear)


if __name__ == "__main__":
    try:
        sys.exit(soak_until(sys.argv[3:], sys.argv[1], int(sys.argv[2])))
    except click.ClickException as error:
        error.show()
        sys.exit(3)
