"""Functions of one number, several at a time in vector units. Importing this imports Numba.

Numba's own `exp` and `erf` are calls, one number at a time, in which a recurrent network spends a
third of its step. These are arithmetic without branches, always in float64: that is no slower than
branches between types would be, and exact to 1e-14 for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from arbench.networks.native.vectors import compiled

_LOG2_E = 1.4426950408889634
# The logarithm of 2, of which the first part has zeros as its last digits.
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_BITS_OF_ONE = 4607182418800017408
_ROUNDS = 6755399441055744.0  # 1.5 * 2^52: a whole number that is added fills the last bits


@compiled
def exp(x: Any) -> Any:
    """`e^x`, float64, of which powers below -708 and above 709 are those of -708 and 709.

    `e^x = 2^n e^r` with `|r| < 0.35`, where Taylor's series ends after `r^12 / 12!`.
    """
    x = min(max(np.float64(x), -708.0), 709.0)
    n = np.floor(x * _LOG2_E + 0.5)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    power = 1 / 479001600
    power = power * r + 1 / 39916800
    power = power * r + 1 / 3628800
    power = power * r + 1 / 362880
    power = power * r + 1 / 40320
    power = power * r + 1 / 5040
    power = power * r + 1 / 720
    power = power * r + 1 / 120
    power = power * r + 1 / 24
    power = power * r + 1 / 6
    power = power * r + 1 / 2
    power = (power * r + 1) * r + 1
    bits = (np.float64(n + _ROUNDS).view(np.int64) << 52) + _BITS_OF_ONE
    return power * np.int64(bits).view(np.float64)


@compiled
def erf(x: Any) -> Any:
    """The error function, float64.

    Source: Moshier, "Cephes mathematical library", `ndtr.c`, for both fractions. Deviation: both
    are computed, and one is taken.
    """
    x = np.float64(x)
    size = min(abs(x), 6.0)  # from there on it is 1
    z = min(size * size, 1.0)
    above = z * 9.60497373987051638749 + 90.0260197203842689217
    above = (above * z + 2232.00534594684319226) * z + 7003.32514112805075473
    above = above * z + 55592.3013010394962768
    below = (z + 33.5617141647503099647) * z + 521.357949780152679795
    below = (below * z + 4594.32382970980127987) * z + 22629.0000613890934246
    below = below * z + 49267.3942608635921086
    near = size * above / below
    above = size * 2.46196981473530512524e-10 + 0.564189564831068821977
    above = (above * size + 7.46321056442269912687) * size + 48.6371970985681366614
    above = (above * size + 196.520832956077098242) * size + 526.445194995477358631
    above = (above * size + 934.528527171957607540) * size + 1027.55188689515710272
    above = above * size + 557.535335369399327526
    below = (size + 13.2281951154744992508) * size + 86.7072140885989742329
    below = (below * size + 354.937778887819891062) * size + 975.708501743205489753
    below = (below * size + 1823.90916687909736289) * size + 2246.33760818710981792
    below = (below * size + 1656.66309194161350182) * size + 557.535340817727675546
    far = 1 - exp(-size * size) * above / below
    found = near if size < 1 else far
    return found if x >= 0 else -found


@compiled
def sigmoid(x: Any) -> Any:
    """`1 / (1 + exp(-x))`, float64."""
    return 1 / (1 + exp(-x))


@compiled
def tanh(x: Any) -> Any:
    """The hyperbolic tangent, float64."""
    return 1 - 2 / (1 + exp(2 * x))


@compiled
def gelu(x: Any) -> Any:
    """`x` times the share of a standard normal that lies below it, float64."""
    return 0.5 * x * (1 + erf(x * 0.7071067811865476))


# In float32 a vector holds twice as many numbers, and half as many terms are enough. What follows
# takes that way for float32, and the one above for float64. Python reads the way for float64.


def near_exp(x: Any) -> Any:
    """`e^x` in the type of x; in float32 within 4e-7 of it, powers from -87 to 87 alone."""
    return exp(x)


def near_gelu(x: Any) -> Any:
    """`gelu` in the type of x; in float32 within 2e-7 of x."""
    return gelu(x)


def near_sigmoid(x: Any) -> Any:
    """`sigmoid` in the type of x; in float32 within 1e-7."""
    return sigmoid(x)


@compiled
def _short_exp(x: Any) -> Any:
    """Source: Moshier, "Cephes mathematical library", `expf.c`."""
    one = np.float32(1)
    x = min(max(x, np.float32(-87)), np.float32(87))
    n = np.floor(x * np.float32(_LOG2_E) + np.float32(0.5))
    r = (x - n * np.float32(0.693359375)) - n * np.float32(-2.12194440e-4)
    power = np.float32(1.9875691500e-4)
    power = power * r + np.float32(1.3981999507e-3)
    power = power * r + np.float32(8.3334519073e-3)
    power = power * r + np.float32(4.1665795894e-2)
    power = power * r + np.float32(1.6666665459e-1)
    power = power * r + np.float32(5.0000001201e-1)
    power = (power * r + one) * r + one
    return power * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled
def _short_sigmoid(x: Any) -> Any:
    return np.float32(1) / (np.float32(1) + _short_exp(-x))


@compiled
def _short_gelu(x: Any) -> Any:
    """Source: Abramowitz and Stegun, "Handbook of mathematical functions", 7.1.26, for `erf`."""
    one = np.float32(1)
    size = abs(x) * np.float32(0.7071067811865476)
    t = one / (one + np.float32(0.3275911) * size)
    power = np.float32(1.061405429) * t - np.float32(1.453152027)
    power = power * t + np.float32(1.421413741)
    power = power * t - np.float32(0.284496736)
    power = power * t + np.float32(0.254829592)
    beyond = power * t * _short_exp(-size * size)  # 1 - erf of the size
    share = np.float32(0.5) * beyond
    return x * (one - share if x >= 0 else share)


def _compile_by(name: Any, short: Any, long: Any) -> None:
    """Have a compiler take one function for float32, and another one for float64."""

    @overload(name)
    def _(x):  # type: ignore[no-untyped-def]
        chosen = short if x == types.float32 else long
        return lambda x: chosen(x)


_compile_by(near_exp, _short_exp, exp)
_compile_by(near_gelu, _short_gelu, gelu)
_compile_by(near_sigmoid, _short_sigmoid, sigmoid)
