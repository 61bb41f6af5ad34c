"""Asset choice: drop the pegged symbols, then take the best irp score.

Of the symbols with a price above 0 and an irp entry, pegged ones removed, the highest score with
alignment >= min_alignment; ties go to the smaller symbol. Source: findings 7.
"""

from lanes.profile import SelectParams
from reactor.evaluate.record import Scan


def eligible(scan: Scan, params: SelectParams, excluded: frozenset[str]) -> str | None:
    """Symbol to short, or None where no symbol is eligible."""
    if scan.irp is None:
        return None
    best, best_score, prices = None, 0.0, scan.prices
    for symbol, irp in scan.irp.items():
        score = irp.score
        if best is not None and (score < best_score or (score == best_score and symbol > best)):
            continue
        if symbol not in excluded and irp.alignment >= params.min_alignment and prices.get(symbol, 0.0) > 0.0:
            best, best_score = symbol, score
    return best
