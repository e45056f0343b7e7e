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


def in_bits(nats: float, bin_width: float = 1.0) -> float:
    """Nats as bits.

    A bin of width w and density p has probability about `w p`, so a dim of quantised real data
    costs `-log2 w` bits more than its density says.

    Args:
        nats: of anything; of a dim, where bins are given.
        bin_width: of quantised real data.
    """
    return nats / NATS_PER_BIT - math.log2(bin_width)


def in_nats(bits: float) -> float:
    """Bits as nats."""
    return bits * NATS_PER_BIT


def bits_of_dims(log_probs: Tensor, bin_width: float | None) -> Tensor:
    """Bits of single dims from their log-probabilities in nats; see `NLL` for the bin width.

    Real data without bins have those of their densities, which may be negative.
    """
    return -log_probs / NATS_PER_BIT - math.log2(bin_width or 1)
