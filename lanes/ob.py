"""OB lane: lean with the order books where enough of them agree.

eff = -eff_imb, the imbalance as a SHORT sees it
ob  = the plane's multiplier, else of its inputs
      1.0 where n_assets < min_assets or not agree > agree_above
      1.0 + (up - 1.0) * min(1.0, (eff - imb_from) / (imb_full - imb_from))     where eff > imb_from
      1.0 - (1.0 - down) * min(1.0, (-eff - imb_from) / (imb_full - imb_from))  where eff < -imb_from
      1.0 otherwise, and before the first plane

Source: seed 004 section 8b (V-083); SPEC section 3 for the exact form; requirements 9.3.
"""
# ruff: noqa: FURB136 (minima are comparisons, see lanes/kernel.py)

from typing import Final

import numpy as np

from lanes.code import PlaneForm
from lanes.kernel import Codes, Counts, Floats, kernel

_MULTIPLIER: Final = int(PlaneForm.MULTIPLIER)
_NEVER_SEEN: Final = int(PlaneForm.NEVER_SEEN)


@kernel
def ob(
    form: int, mult: float, eff_imb: float, agree: float, n_assets: int,
    imb_from: float, imb_full: float, agree_above: float, up: float, down: float, min_assets: int,
) -> float:  # fmt: skip
    """Multiplier of one scan: as it came, or in [down, up]. form: PlaneForm code. A NaN input gives 1.0."""
    if form == _MULTIPLIER:
        return mult
    if form == _NEVER_SEEN or n_assets < min_assets or not agree > agree_above:
        return 1.0
    eff = -eff_imb
    if eff > imb_from:
        weight = (eff - imb_from) / (imb_full - imb_from)
        return 1.0 + (up - 1.0) * (weight if weight < 1.0 else 1.0)
    if eff < -imb_from:
        weight = (-eff - imb_from) / (imb_full - imb_from)
        return 1.0 - (1.0 - down) * (weight if weight < 1.0 else 1.0)
    return 1.0


@kernel
def column(
    form: Codes, mult: Floats, eff_imb: Floats, agree: Floats, n_assets: Counts,
    imb_from: float, imb_full: float, agree_above: float, up: float, down: float, min_assets: int,
) -> Floats:  # fmt: skip
    """Multiplier of every row."""
    n = len(form)
    value = np.empty(n)
    for i in range(n):
        value[i] = ob(
            form[i], mult[i], eff_imb[i], agree[i], n_assets[i],
            imb_from, imb_full, agree_above, up, down, min_assets,
        )  # fmt: skip
    return value
