"""Whole powers without a call of libm a value, and still libm's bits: double-double, a test of the rounding, pow else.

x ** n is computed as high + low, the sum of two floats, each step with the exact error of its product:

product = high * x; error = (high * x - product) + low * x; high = product + error; low = error - (high - product)

What is left out a step is at most 2^-105 of the value (of low * x and of the sum, each rounded once at 2^-53 of what is
itself below 2^-52 of the value), so for n up to 16 high + low is within 2^-100 of it, relatively.

libm's pow is stated to compute exp(y * log(x)) to 0.509 units in the last place (0.511 without FMA), of which 0.5 is
the last rounding, and its log to 1.3 * 2^-68, relatively (1.5 * 2^-68). So before that rounding its error is at most

0.011 + |ln(x ** n)| * 1.5 * 2^-68 * 2^53 units, and with 2^-32 <= x ** n <= 2^32: 0.011 + 22.2 * 1.5 * 2^-15 < 0.0121

An interval of MARGIN = 0.0125 units on both sides of high + low therefore holds what libm rounds: the exact value is
within 0.0121 of that, and 2^-100 and the sum's own rounding, at most 2^-105, are far below the 0.0004 that are left.
Rounding is monotone. Where both ends of the interval round to one float, libm's value is that float. Where they do not
(one value in forty, where a midpoint of two floats is near), and outside those powers of two, nothing is certain: pow
is asked. Zero and one need no margin: 0 * x and 1 * 1 have no error.

Stated by: the C library's pow, from 2.28 on (docs/design/sources.md). `is_libm_close` asks this machine's.
See docs/design/lanes.md.
"""

from functools import cache, cached_property
from typing import Any, Final

import numpy as np

from lanes.kernel import Flags, Floats, Kernel, kernel

HIGHEST: Final = 16  # n up to which the error above is shown
MARGIN: Final = 0.0125 * 2.0**-52  # of the greatest power of two that is not above the value
_LEAST: Final = 2.0**-32
_GREATEST: Final = 2.0**32
_SPLITTER: Final = 2.0**27 + 1.0
_PHI: Final = 2.0**52 + 1.0
_BELOW_ONE: Final = 1.0 - 2.0**-53
_ALL_SURE: Final = 0x0101010101010101
_PROBES: Final = 32_768
_GOLDEN: Final = 0.618_033_988_749_894_9


class _ByFma(Kernel[[float, float, float], float]):
    """Compiled it is one fused multiply-add, which is exact here too: the same bits in fewer instructions."""

    def __call__(self, a: float, b: float, product: float) -> float:
        return self.py_func(a, b, product)

    @cached_property
    def compiled(self) -> Any:
        from numba import types
        from numba.extending import intrinsic

        three = (types.float64, types.float64, types.float64)

        @intrinsic
        def product_error(_typing: Any, _a: Any, _b: Any, _product: Any) -> Any:
            def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
                a, b, product = args
                return builder.fma(a, b, builder.fneg(product))

            return types.float64(*three), generate

        return product_error


def _product_error(a: float, b: float, product: float) -> float:
    """The error of a product, a * b - product exactly, by Dekker: of halves of 26 bits."""
    t = _SPLITTER * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLITTER * b
    b_high = t - (t - b)
    b_low = b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


product_error: Final = _ByFma(_product_error)


@kernel
def times(high: float, low: float, x: float) -> tuple[float, float]:
    """(high + low) * x as a sum of two floats, the first of which is the sum rounded."""
    product = high * x
    error = product_error(high, x, product) + low * x
    total = product + error if error != 0.0 else product  # a zero keeps its sign
    return total, error - (total - product)


@kernel
def certain(high: float, low: float) -> bool:
    """Whether everything within the margin of high + low rounds to high."""
    t = _PHI * high
    margin = MARGIN * abs(t - _BELOW_ONE * t)  # of the power of two: Rump, Ogita and Oishi
    size = abs(high)
    is_inside = ((size >= _LEAST) & (size <= _GREATEST)) | ((high == 0.0) & (low == 0.0))
    return (high + (low + margin) == high + (low - margin)) & is_inside


@kernel
def powers(x: Floats, n: int, out: Floats, low: Floats, sure: Flags) -> None:
    """Whole powers of a block as libm's pow has them, in `out`.

    Args:
        x: at most so many values as the others have; n: 1 to HIGHEST.
        out: where the powers go. low, sure: room to work in, a multiple of 8 long; their content does not matter.
    """
    count = len(x)
    if n == 3:  # the convexity of every profile: both steps in one pass
        for j in range(count):
            high, rest = times(x[j], 0.0, x[j])
            high, rest = times(high, rest, x[j])
            out[j] = high
            sure[j] = certain(high, rest)
    else:
        for j in range(count):
            out[j] = x[j]
            low[j] = 0.0
        for _ in range(1, n):
            for j in range(count):
                out[j], low[j] = times(out[j], low[j], x[j])
        for j in range(count):
            sure[j] = certain(out[j], low[j])
    for j in range(count, len(sure)):
        sure[j] = True
    exponent, eights = float(n), sure.view(np.int64)
    for k in range(len(eights)):
        if eights[k] != _ALL_SURE:
            for j in range(8 * k, 8 * k + 8):
                if not sure[j]:
                    out[j] = x[j] ** exponent


@cache
def is_libm_close() -> bool:
    """Whether this machine's pow is where its authors say: every probe that is certain has its bits."""
    x: Floats = np.arange(1, _PROBES + 1, dtype=np.float64) * _GOLDEN % 1.0
    found, low, sure = np.empty(_PROBES), np.empty(_PROBES), np.empty(_PROBES, np.bool_)
    powers(x, 3, found, low, sure)
    exact = np.array([value**3.0 for value in x.tolist()])
    return bool(np.array_equal(found.view(np.int64), exact.view(np.int64)))
