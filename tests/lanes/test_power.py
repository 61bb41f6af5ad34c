"""Whole powers by double-double: libm's bits everywhere, and where it is certain, the exact value rounded."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanes import power
from lanes.kernel import column, kernel
from tests.lanes.bits import identical, same

SMALL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    5e-324,
    2.0**-1022,
    2.0**-300,
    1e-5,
    2.0**-10,
    3.0,
    1e100,
    math.inf,
    -math.inf,
    math.nan,
]
plain = st.floats(2.0**-30, 2.0**30) | st.floats(-(2.0**30), -(2.0**-30))


@kernel
def libm(x: float, y: float) -> float:
    return x**y


def by_powers(x, n):
    out, low = np.empty(len(x)), np.empty(len(x))
    sure = np.empty(-(-len(x) // 8) * 8, np.bool_)
    power.powers(x, n, out, low, sure)
    return out, sure[: len(x)]


def around(values):
    """Values and their neighbours."""
    return np.array([each for v in values for each in (math.nextafter(v, -math.inf), v, math.nextafter(v, math.inf))])


def exact(x, n):
    """x ** n rounded once: Python rounds a quotient of integers correctly."""
    above, below = x.as_integer_ratio()
    return above**n / below**n


def test_a_million_cubes_have_the_bits_of_pythons_pow():
    x = np.random.default_rng(16).random(1_000_000)
    found, sure = by_powers(x, 3)
    assert same(found, np.array([each**3.0 for each in x.tolist()])).all()
    assert 0.95 < sure.mean() < 0.99


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13, power.HIGHEST])
def test_every_power_and_edge_has_the_bits_of_pythons_pow(n):
    random = np.random.default_rng(n)
    edges = around([*SMALL, *(2.0 ** (k / n) for k in (-33, -32, -31, 31, 32, 33, -1022, 1023))])
    x = np.concatenate([edges, random.random(20_000), -random.random(1_000), np.exp(random.uniform(-80, 80, 20_000))])
    found, _ = by_powers(x, n)
    expected = np.array(
        [libm.py_func(each, float(n)) if abs(each) < 1e19 else libm(each, float(n)) for each in x.tolist()]
    )
    assert same(found, expected).all()


@pytest.mark.slow
def test_a_hundred_million_powers_have_libms_bits():
    for n in (3, 3, 3, 2, 5):
        x = np.random.default_rng(100 + n).random(20_000_000)
        found, _ = by_powers(x, n)
        assert same(found, column(libm, 1, 1)(x, float(n))[0]).all()


@pytest.mark.parametrize("n", [2, 3, 7])
def test_what_is_certain_is_the_exact_value_rounded_and_no_midpoint_is_near(n):
    x = np.random.default_rng(n).uniform(0.1, 2.0, 4_000)
    found, sure = by_powers(x, n)
    for each, value, is_sure in zip(x.tolist(), found.tolist(), sure.tolist(), strict=True):
        if not is_sure:
            continue
        assert value == exact(each, n)
        is_above = Fraction(each) ** n > Fraction(value)
        midpoint = (Fraction(value) + Fraction(math.nextafter(value, math.inf if is_above else 0.0))) / 2
        unit = Fraction(2) ** (math.frexp(value)[1] - 53)
        assert abs(Fraction(each) ** n - midpoint) >= unit * Fraction(0.0121)


def test_without_the_margin_libms_bits_are_missed():
    """The test above can fail: the exact cube alone is another number than libm's, about once in a thousand."""
    x = np.random.default_rng(16).random(100_000).tolist()
    assert 20 < sum(exact(each, 3) != each**3.0 for each in x) < 500


@given(plain, plain)
def test_the_error_of_a_product_is_exact_in_both_forms(a, b):
    product = a * b
    wanted = float(Fraction(a) * Fraction(b) - Fraction(product))
    assert identical(power._product_error(a, b, product), wanted)
    assert power.times(a, 0.0, b) == power.times.py_func(a, 0.0, b) == (product, wanted)


@given(plain, plain)
def test_a_certainty_is_the_same_in_both_forms(high, part):
    low = part * 2.0**-84 * abs(high)
    assert power.certain(high, low) == power.certain.py_func(high, low)


def test_this_machines_pow_is_where_its_authors_say():
    assert power.is_libm_close()
