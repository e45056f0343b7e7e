"""Bits from grey levels: a pixel is 1 with probability grey level / 255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arbench import uniforms


def binarised(grey: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """One fixed draw of the bits, `(N, D)` uint8, for grey levels `(N, D)`.

    A pixel is 1 where `grey / 255 > u`, so 0 stays 0 and 255 becomes 1. The uniforms `u` are drawn
    row by row.
    """
    return (grey / 255 > uniforms(grey.size, seed).reshape(grey.shape)).astype(np.uint8)
