"""What RNADE keeps while it draws one batch: the running pre-activation, and weights by site."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class RNADEState(NamedTuple):
    """What `RNADE.step` keeps for one batch.

    Attributes:
        pre: `(B, H)`, the running pre-activation, updated in place.
        weight: per site but the last, `(F, H)`, with F features of its value.
        readout: per site, `(H, P)`.
        readout_bias: per site, `(P,)`.
        rescaling: per site, `(1,)`; empty without `rescale`.
    """

    pre: Tensor
    weight: tuple[Tensor, ...]
    readout: tuple[Tensor, ...]
    readout_bias: tuple[Tensor, ...]
    rescaling: tuple[Tensor, ...]
