"""Asset choice against a naive oracle."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lanes.profile import PROFILES
from reactor.evaluate.asset import eligible
from reactor.evaluate.record import Decoder
from tests import oracle
from tests.strategies import PEGGED, SYMBOLS, encode, scan

PARAMS = PROFILES["blue_8b"].select
EXCLUDED = frozenset(PARAMS.excluded)


def chosen(prices, irp):
    """irp: score, or (score, alignment), by symbol."""
    ranks = {
        symbol: dict(zip(("score", "alignment"), rank if isinstance(rank, tuple) else (rank, 0.5), strict=True))
        for symbol, rank in irp.items()
    }
    return eligible(Decoder().decode(encode(scan(prices=prices, irp=ranks))), PARAMS, EXCLUDED)


def test_the_highest_score_is_taken():
    assert chosen({"A": 1.0, "B": 1.0, "C": 1.0}, {"A": 0.1, "B": 0.3, "C": 0.2}) == "B"
    assert chosen({"A": 1.0, "B": 1.0}, {"A": -5.0, "B": -4.0}) == "B"
    assert chosen({"A": 1.0, "B": 1.0}, {"A": 0.0, "B": -0.0}) == "A"


@pytest.mark.parametrize("symbol", PEGGED)
def test_each_of_the_ten_pegged_symbols_is_removed(symbol):
    assert len(PEGGED) == 10
    assert set(PEGGED) == EXCLUDED
    assert chosen({symbol: 1.0, "A": 1.0}, {symbol: 9.0, "A": 0.1}) == "A"
    assert chosen({symbol: 1.0}, {symbol: 9.0}) is None


def test_a_symbol_that_only_resembles_a_pegged_one_stays():
    assert chosen({"USDCUSDT2": 1.0, "A": 1.0}, {"USDCUSDT2": 9.0, "A": 0.1}) == "USDCUSDT2"


@pytest.mark.parametrize("price", [0.0, -0.0, -1e-300, -1.0])
def test_a_price_of_zero_or_less_drops_only_its_symbol(price):
    assert chosen({"A": price, "B": 1.0}, {"A": 9.0, "B": 0.1}) == "B"
    assert chosen({"A": price}, {"A": 9.0}) is None
    assert chosen({"A": 5e-324, "B": 1.0}, {"A": 9.0, "B": 0.1}) == "A"


@pytest.mark.parametrize(("alignment", "eligible"), [(0.0, True), (-0.0, True), (5e-324, True), (-5e-324, False)])
def test_alignment_is_at_least_zero(alignment, eligible):
    assert chosen({"A": 1.0}, {"A": (9.0, alignment)}) == ("A" if eligible else None)


def test_ties_go_to_the_smaller_symbol_in_whatever_order_they_come():
    prices = {"A": 1.0, "B": 1.0, "C": 1.0}
    assert chosen(prices, {"C": 0.5, "B": 0.5, "A": 0.4}) == "B"
    assert chosen(prices, {"A": 0.4, "B": 0.5, "C": 0.5}) == "B"


def test_a_symbol_must_be_in_both_prices_and_irp():
    assert chosen({"A": 1.0, "B": 1.0}, {"B": 0.1, "C": 9.0}) == "B"
    assert chosen({"A": 1.0}, {"B": 0.1}) is None


@pytest.mark.parametrize("irp", [..., None, {}])
def test_without_irp_there_is_no_asset(irp):
    assert eligible(Decoder().decode(encode(scan(irp=irp))), PARAMS, EXCLUDED) is None


NAMES = (*SYMBOLS, *PEGGED[:3], "A", "AA")
SCORES = st.sampled_from([-1.0, 0.0, -0.0, 0.5]) | st.floats(-2.0, 2.0)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([-1.0, 0.0, -0.0, 5e-324, 1.0]), min_size=1),
    st.dictionaries(st.sampled_from(NAMES), st.fixed_dictionaries({"score": SCORES, "alignment": SCORES})),
)
def test_the_choice_is_the_naive_one(prices, irp):
    record = scan(prices=prices, irp=irp)
    got = eligible(Decoder().decode(encode(record)), PARAMS, EXCLUDED)
    assert got == (oracle.choose(record) or None)
