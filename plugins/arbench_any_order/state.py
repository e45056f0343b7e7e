"""What deep NADE keeps while it draws one batch: a sum over the sites so far."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class AnyOrderState(NamedTuple):
    """What `AnyOrder.step` keeps for one batch.

    Attributes:
        total: `(B, H)`, what the known sites add up to, with the bias; updated in place.
        numbers: canonical number of every position.
        readouts: per position `(H, P)`.
        biases: per position `(P,)`.
    """

    total: Tensor
    numbers: tuple[Tensor, ...]
    readouts: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
