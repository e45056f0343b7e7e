"""Bits from grey levels: a pixel is 1 with probability grey level / 255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def binarised(grey: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """One fixed draw of the bits, `(N, D)` uint8, for grey levels `(N, D)`.

    A pixel is 1 where `grey / 255 > u`, so 0 stays 0 and 255 becomes 1. The uniforms `u`, row by
    row, are the high 53 bits of numpy's PCG64. We read the raw stream because numpy keeps that the
    same between versions, which it does not promise for the methods of its Generator.
    """
    raw = np.random.PCG64(seed).random_raw(grey.size).reshape(grey.shape)
    uniforms = (raw >> np.uint64(11)) * 2.0**-53
    return (grey / 255 > uniforms).astype(np.uint8)
