"""What a log-probability may be (`Kind`), and its nats as bits.

A file of its own, since what shows a record must not wait for torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["exact", "density", "bound"]
NATS_PER_BIT = math.log(2)


def in_bits(nats: float) -> float:
    """Nats as bits."""
    return nats / NATS_PER_BIT


def in_nats(bits: float) -> float:
    """Bits as nats."""
    return bits * NATS_PER_BIT


def bits_of_dims(log_probs: Tensor, bin_width: float | None) -> Tensor:
    """Bits of single dims from their log-probabilities in nats; see `NLL` for the bin width.

    Real data without bins have those of their densities, which may be negative.
    """
    return -log_probs / NATS_PER_BIT - math.log2(bin_width or 1)
