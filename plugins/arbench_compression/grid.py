"""The odds that the coder knows: a grid over log-odds, and whole numbers for each of its points.

Both sides of a file compute log-odds, and from one processor to the next these differ in their last
digits. So they are rounded to a grid, and what the coder sees are whole numbers from a table. Only
where log-odds lie close to the middle between two grid points could the sides round apart. There
the writer says which way it went.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEP_NATS = 1 / 64
"""From one grid point to the next. Rounding costs a bit `p (1 - p) STEP^2 / 24` nats, on average
over where its log-odds fall: 4e-6 bits at most."""

MARGIN_NATS = 1e-9
"""Where log-odds are closer than this to the middle between two points, the choice is written
down: one in eight million, by chance."""

TOTAL = 1 << 24
"""Of the frequencies of 0 and 1."""

LAST = 1064
"""The grid goes from -LAST to LAST; there a frequency is 1, the smallest that can be coded."""


def _frequencies() -> NDArray[np.int64]:
    """How often a 1 comes in TOTAL at every grid point, from -LAST on."""
    upper = [round(TOTAL / (1 + math.exp(-point * STEP_NATS))) for point in range(LAST + 1)]
    ones = np.minimum(np.array(upper), TOTAL - 1)
    return np.concatenate((TOTAL - ones[:0:-1], ones))


_ONES = _frequencies()
_BOTH = np.stack((TOTAL - _ONES, _ONES), 1)
# constriction gives a value 1 and its share of what is left of TOTAL. Of weights that are whole
# numbers and sum to all that is left, the share is the weight itself: nothing is rounded.
_WEIGHTS = np.ascontiguousarray(_BOTH - 1, dtype=np.float64)
_NATS = -np.log(_BOTH / TOTAL)


def weights(points: NDArray[np.int64]) -> NDArray[np.float64]:
    """What constriction is given for decisions at these points, `(N, 2)`, row by row in memory."""
    return np.ascontiguousarray(_WEIGHTS[points + LAST])


def cost(points: NDArray[np.int64], bits: NDArray[np.int64]) -> NDArray[np.float64]:
    """What it costs to code these bits at these points, `(N,)` nats."""
    nats: NDArray[np.float64] = _NATS[points + LAST, bits]
    return nats


def rounded(log_odds: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The grid points that log-odds lie at.

    Args:
        log_odds: of a 1, `(N,)` nats, float64. What is no number counts as even odds.

    Returns:
        The nearest points, the nearest points below, and where the middle between two points is so
        close that the other side of a file may round the other way; `(N,)` each.
    """
    scaled = torch.nan_to_num(log_odds / STEP_NATS, nan=0.0).clamp(-LAST, LAST).numpy()
    below = np.floor(scaled)
    beyond_middle = scaled - below - 0.5
    nearest = below + (beyond_middle >= 0)
    is_close = np.abs(beyond_middle) * STEP_NATS < MARGIN_NATS
    return nearest.astype(np.int64), below.astype(np.int64), is_close
