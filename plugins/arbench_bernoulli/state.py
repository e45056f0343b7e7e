"""What independent dims keep while one batch is drawn: their parameters, no values."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class IndependentState(NamedTuple):
    """What `Independent.step` reads.

    Attributes:
        params: `(B, T, P)`, of all sites, one row for all events.
    """

    params: Tensor
