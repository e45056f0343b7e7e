"""Mu-law companding against its formula, digit by digit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from arbench.data.formats.mu_law import (
    NUM_LEVELS,
    SILENCE,
    decode,
    decode_codes,
    encode,
    from_codes,
)

EVERY_16_BIT = np.arange(-(2**15), 2**15) / 2**15


def level(amplitude: float) -> int:
    """The formula with mu = 255, one number at a time."""
    companded = math.copysign(math.log(1 + 255 * abs(amplitude)) / math.log(256), amplitude)
    return min(math.floor(256 * (companded + 1) / 2), 255)


def test_every_16_bit_sample_has_the_level_of_the_formula() -> None:
    expected = [level(x) for x in EVERY_16_BIT.tolist()]
    np.testing.assert_array_equal(encode(EVERY_16_BIT), expected)


def test_no_16_bit_sample_is_near_an_edge_where_rounding_could_move_it() -> None:
    """Other machines round logarithms differently in the last bits; the levels must not care."""
    companded = np.sign(EVERY_16_BIT) * np.log1p(255 * np.abs(EVERY_16_BIT)) / np.log(256)
    place = 128 * (companded + 1)
    inner = np.flatnonzero((EVERY_16_BIT != 0) & (EVERY_16_BIT != -1))
    assert np.abs(place - np.round(place))[inner].min() > 1e-9


@pytest.mark.parametrize(
    ("amplitude", "expected"), [(-1.0, 0), (-1e-9, 127), (0.0, SILENCE), (1e-9, 128), (1.0, 255)]
)
def test_ends_and_middle(amplitude: float, expected: int) -> None:
    assert encode(np.array(amplitude)) == expected


def test_levels_rise_with_the_amplitude_and_all_are_used() -> None:
    levels = encode(EVERY_16_BIT).astype(int)
    assert set(np.diff(levels)) == {0, 1}
    assert set(levels) == set(range(NUM_LEVELS))


def test_round_trips() -> None:
    levels = np.arange(NUM_LEVELS, dtype=np.uint8)
    amplitudes = decode(levels)
    np.testing.assert_array_equal(encode(amplitudes), levels)
    assert (np.diff(amplitudes) > 0).all()
    np.testing.assert_allclose(amplitudes, -amplitudes[::-1], atol=1e-15)
    # Half a cell is at most log(256) / 256 of the size, or of 1 / 255 near zero.
    error = np.abs(decode(encode(EVERY_16_BIT)) - EVERY_16_BIT)
    allowed = (np.abs(EVERY_16_BIT) + 1 / 255) * math.expm1(math.log(256) / 256)
    assert (error <= allowed).all()


def test_decoding_is_the_inverse_formula() -> None:
    expected = [
        math.copysign((256 ** abs(y) - 1) / 255, y)
        for y in ((k + 0.5) / 128 - 1 for k in range(NUM_LEVELS))
    ]
    np.testing.assert_allclose(decode(np.arange(NUM_LEVELS)), expected, rtol=1e-12)


def telephone(code: int) -> int:
    """The amplitude of a code in 16 bits, as the recommendation describes its expansion."""
    inverted = code ^ 0xFF
    exponent, mantissa = inverted >> 4 & 7, inverted & 15
    size = ((mantissa << 3) + 0x84 << exponent) - 0x84
    return -size if inverted & 0x80 else size


def test_telephone_codes_are_levels_in_the_order_of_their_amplitudes() -> None:
    codes = np.arange(NUM_LEVELS, dtype=np.uint8)
    levels = from_codes(codes)
    assert sorted(levels) == list(range(NUM_LEVELS))
    amplitudes = decode_codes(levels) * 2**15
    assert amplitudes.tolist() == [telephone(code) for code in range(NUM_LEVELS)]
    assert (np.diff(decode_codes(np.arange(NUM_LEVELS))) >= 0).all()
    assert (amplitudes == np.round(amplitudes)).all()
    assert decode_codes(np.array([127, SILENCE])).tolist() == [0, 0]
    assert from_codes(np.array([0x7F, 0xFF], np.uint8)).tolist() == [127, SILENCE]
