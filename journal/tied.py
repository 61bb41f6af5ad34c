"""Tied: the first step of a child process, which then dies with the process that started it.

python -m journal.tied PARENT -m MODULE ARGUMENT...    runs a module of ours in this process
python FILE PARENT PROGRAM ARGUMENT...                 becomes another program; FILE is this file

The child asks the kernel itself: code that runs in the parent between fork and exec can deadlock beside threads.
"""

import ctypes
import os
import sys

# `signal` and `typing` are not imported: each costs as much as the rest of the start.
ORPHANED = 4  # exit code of a child whose parent had ended before it began
_SIGKILL = 9
_PR_SET_PDEATHSIG = 1  # sys/prctl.h; kept over exec of a program that is not setuid


def tie(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends. Linux; elsewhere nothing does.

    Args:
        parent: the process that started this one; where it is gone already, this one ends here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(ORPHANED)


def main() -> None:
    """Tie this process, then be what was asked for."""
    parent, *command = sys.argv[1:]
    tie(int(parent))
    if command[0] != "-m":
        os.execvp(command[0], command)  # noqa: S606 - what the parent asks for
    import runpy

    sys.argv = command[1:]
    runpy.run_module(command[1], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
