"""`violet soak` of the first house, which sends itself a signal at a step of its ledger.

PYTHONPATH=UNPACKED python -P tests/first_house/soak.py '{"flags": {...}, "step": "after_completion", "at": 3, "signal": 2}'
"""

import json
import os
import sys
from unittest.mock import MagicMock

# What that version imported and this one no longer installs: it compresses markets and writes lines for collectors with
# them, neither of which is asked of it here.
sys.modules |= {name: MagicMock() for name in ("structlog", "zstandard")}

from reactor.settings import load  # noqa: E402 - a module of that version alone

from reactor.cli import soak  # noqa: E402 - behind what stands in for the two packages


def main(flags, step=None, at=0, signal=0):
    """Soak with these flags; the exit code. step, at: where in the ledger it signals itself, and the how-manieth time."""
    left = at

    def seam(name):
        nonlocal left
        left -= name == step
        if name == step and not left:
            os.kill(os.getpid(), signal)

    return soak.run(load(flags, None), as_json=True, seam=seam)


if __name__ == "__main__":
    sys.exit(main(**json.loads(sys.argv[1])))
