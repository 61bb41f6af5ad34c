"""DC lane: lever up when direction-confirm agrees with the signal.

dc = boost if status is CONFIRM else 1.0

CONTRADICT and NEUTRAL do not reduce, and an unknown status takes the else-branch, as BLUE's does.
Source: seed 004 section 8b, line 2 of the composition (V-081); requirements 9.4.
"""

from typing import Final

import numpy as np

from lanes.code import DcStatus
from lanes.kernel import Codes, Floats, kernel

_CONFIRM: Final = int(DcStatus.CONFIRM)


@kernel
def dc(status: int, boost: float) -> float:
    """Multiplier of one scan. status: DcStatus code."""
    return boost if status == _CONFIRM else 1.0


@kernel
def column(status: Codes, boost: float) -> Floats:
    """Multiplier of every row."""
    n = len(status)
    value = np.empty(n)
    for i in range(n):
        value[i] = dc(status[i], boost)
    return value
