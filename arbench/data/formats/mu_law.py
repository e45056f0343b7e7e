"""Mu-law companding: amplitudes to 256 levels and back.

Telephones round the curve to straight pieces, so their 256 codes fall on 239 of these levels: codes
are levels of their own, `from_codes`, and have amplitudes of their own, `decode_codes`.

`F(x) = sign(x) log(1 + mu |x|) / log(1 + mu)` with mu = 255, then 256 equal cells of [-1, 1].

Source: ITU-T G.711 for the curve; van den Oord et al., "WaveNet", 2016, section 2.2 for its use
here. Equal cells as in the S4 repository's audio loader, whose numbers ours stand beside; others
give the two outermost cells half a width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MU = 255
NUM_LEVELS = 256
SILENCE = 128  # the level of amplitude 0
_HALF = NUM_LEVELS // 2


def encode(amplitudes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The level of each amplitude, by its cell: `floor(128 (F(x) + 1))`, at most 255.

    Args:
        amplitudes: any shape, float64 in [-1, 1].

    Returns:
        The same shape, uint8.
    """
    compressed = np.sign(amplitudes) * np.log1p(MU * np.abs(amplitudes)) / np.log1p(MU)
    levels: NDArray[np.float64] = np.floor(_HALF * (compressed + 1))
    return levels.clip(max=NUM_LEVELS - 1).astype(np.uint8)


def decode(levels: NDArray[np.integer]) -> NDArray[np.float64]:
    """The amplitude in the middle of each level's cell of the companded scale.

    Args:
        levels: any shape, integers in [0, 256).

    Returns:
        The same shape, float64 in (-1, 1); `encode` gives the levels back.
    """
    compressed = (levels.astype(np.float64) + 0.5) / _HALF - 1
    amplitudes: NDArray[np.float64] = (
        np.sign(compressed) * np.expm1(np.abs(compressed) * np.log1p(MU)) / MU
    )
    return amplitudes


def from_codes(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The level of each code of ITU-T G.711: its rank by amplitude, 0 the most negative.

    Of the two codes for 0, "minus 0" is 127 and "plus 0" is 128.

    Args:
        codes: any shape, uint8.

    Returns:
        The same shape, uint8; no two codes have one level.
    """
    return np.where(codes < _HALF, codes, 255 + _HALF - codes.astype(np.int64)).astype(np.uint8)


def decode_codes(levels: NDArray[np.integer]) -> NDArray[np.float64]:
    """The amplitude of the code of each level, which a sound of 16 bits holds exactly.

    Source: ITU-T G.711, table 2: of each sign eight pieces of 16 steps, each piece twice as steep.

    Args:
        levels: any shape, integers in [0, 256), as `from_codes` gives them.

    Returns:
        The same shape, float64 in (-1, 1).
    """
    above = levels >= _HALF
    place = np.where(above, levels - _HALF, _HALF - 1 - levels.astype(np.int64)).astype(np.int64)
    piece, step = place >> 4, place & 15
    size = ((2 * step + 33) << (piece + 2)) - 132  # in units of 16 bits
    return np.where(above, size, -size) / 2.0**15
