"""Pairs: which decision stands beside which trade."""

from journal.blue.pairing import Pair, Pairing


def test_a_pairing_that_found_nothing_says_so():
    nothing = Pairing(pairs=(), unpaired=(), ambiguous=0, sensitivity={}, offset_ms=None)
    assert not nothing.pairs
    assert Pair(trade={}, decision={}, by="id", gap_ms=0, candidates=1).by == "id"
