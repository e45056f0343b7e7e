"""MATLAB 5's uniform generator, `rand('state', s)`, in many lanes at once.

It subtracts with borrow, `x[n] = x[n-12] - x[n-27] - borrow` modulo `b = 2**53`, and xors a 32-bit
shift register into the result. Both parts can jump: the shift register is linear over GF(2), and
the digits `x[0], x[1], ...` are the b-adic expansion of a fraction `-y / m` with
`m = b**27 - b**12 + 1`, so that dropping n digits multiplies y by `b**-n` modulo m. So the stream
is cut into lanes that are drawn side by side as numpy vectors.

Source: the generator is Marsaglia and Zaman, "A new class of random number generators", Annals of
    Applied Probability 1 (1991), with Moler's "Random thoughts", Cleve's Corner, 1995; the jump
    follows from their section on the period, the code is ours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BITS = 53
_BASE = 2**_BITS
_LONG_LAG = 27
_SHORT_LAG = 12
_MODULUS = _BASE**_LONG_LAG - _BASE**_SHORT_LAG + 1
_STORED = 32  # integers in the seeded state; the 5 oldest are never read


def uniforms(state: int, num_lanes: int, per_lane: int) -> Iterator[NDArray[np.float64]]:
    """The first `num_lanes * per_lane` draws after `rand('state', state)`.

    The t-th vector `(num_lanes,)`, float64 in [0, 1), holds draw `lane * per_lane + t` of each
    lane; it is a fresh array. There are `per_lane` vectors.
    """
    first_register = state or 2**31
    window = _lane_windows(first_register, num_lanes, per_lane)
    register = _lane_registers(first_register, num_lanes, per_lane)
    borrow = np.zeros(num_lanes, np.int64)
    for t in range(per_lane):
        oldest = t % _LONG_LAG
        difference = window[(t - _SHORT_LAG) % _LONG_LAG] - window[oldest] - borrow
        borrow = (difference < 0).astype(np.int64)
        drawn = difference & (_BASE - 1)
        window[oldest] = drawn
        shifted = _shift(register)
        mask = ((shifted & 0xFFFFF).astype(np.uint64) << np.uint64(32)) ^ register
        mask *= drawn != 0
        yield ((drawn * 2.0**-_BITS).view(np.uint64) ^ mask).view(np.float64)
        register = shifted


def _seeded_digits(register: int) -> list[int]:
    """The 32 integers that seeding stores, each from 53 bits of the shift register."""
    digits = []
    for _ in range(_STORED):
        digit = 0
        for _ in range(_BITS):
            register = _shift_once(register)
            digit = digit << 1 | (register >> 19) & 1
        digits.append(digit)
    return digits


def _lane_windows(first_register: int, num_lanes: int, per_lane: int) -> NDArray[np.int64]:
    """The 27 integers before each lane's first draw, `(27, num_lanes)`, oldest first.

    They are not the true ones but have the same future with the borrow 0. With the window read as
    a number `a = h * b**15 + l`, the fraction's numerator is `y = a - h + borrow`, that is
    `h * (b**15 - 1) + l`, so one division gives the window back.
    """
    old = _BASE ** (_LONG_LAG - _SHORT_LAG)
    number = _from_digits(_seeded_digits(first_register)[-_LONG_LAG:])
    numerator = number - number // old
    jump = pow(_BASE, -per_lane, _MODULUS)
    window = np.empty((_LONG_LAG, num_lanes), np.int64)
    for lane in range(num_lanes):
        high, low = divmod(numerator, old - 1)
        window[:, lane] = _to_digits(high * old + low)
        numerator = numerator * jump % _MODULUS
    return window


def _lane_registers(first_register: int, num_lanes: int, per_lane: int) -> NDArray[np.uint32]:
    """The shift register before each lane's first draw, `(num_lanes,)`."""
    power = [_shift_once(1 << bit) for bit in range(32)]  # the images of the unit vectors
    jump = [1 << bit for bit in range(32)]
    exponent = per_lane
    while exponent:
        if exponent & 1:
            jump = [_apply(power, column) for column in jump]
        power = [_apply(power, column) for column in power]
        exponent >>= 1
    registers = [first_register]
    for _ in range(num_lanes - 1):
        registers.append(_apply(jump, registers[-1]))
    return np.array(registers, np.uint32)


def _apply(columns: list[int], vector: int) -> int:
    """A 32 x 32 matrix over GF(2), given by its columns, times a vector."""
    image = 0
    for bit, column in enumerate(columns):
        if vector >> bit & 1:
            image ^= column
    return image


def _shift_once(register: int) -> int:
    return int(_shift(np.array([register], np.uint32))[0])


def _shift(register: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The next value of each shift register."""
    register = register ^ (register << np.uint32(13))
    register = register ^ (register >> np.uint32(17))
    return register ^ (register << np.uint32(5))


def _from_digits(digits: list[int]) -> int:
    return sum(digit << _BITS * place for place, digit in enumerate(digits))


def _to_digits(number: int) -> list[int]:
    return [number >> _BITS * place & (_BASE - 1) for place in range(_LONG_LAG)]
