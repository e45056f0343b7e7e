"""What FVSBN keeps while it draws one batch: its matrix, written out, and the values so far."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class FVSBNState(NamedTuple):
    """What `FVSBN.step` keeps for one batch; the features are updated in place.

    Attributes:
        matrix: W, `(T * P, T * F)`.
        features: `(B, T * F)`, centred; sites to come hold zeros.
    """

    matrix: Tensor
    features: Tensor
