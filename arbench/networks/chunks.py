"""Chunks of a sequence, for recurrences that are linear in their state (Gated DeltaNet, Mamba-2).

Within a chunk such a recurrence is a product of matrices; only from chunk to chunk it is a loop.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 64  # sites; all lengths give the same numbers, up to rounding


def in_chunks(values: Tensor, length: int) -> Tensor:
    """Sites in chunks, `(..., T, D)` to `(..., N, length, D)`; zeros fill up the last one."""
    missing = -values.shape[-2] % length
    padded = F.pad(values, (0, 0, 0, missing))
    return padded.view(*values.shape[:-2], -1, length, values.shape[-1])


def decays(log_factors: Tensor) -> Tensor:
    """How much of site j is left at site i: the product of the factors of j + 1 to i.

    Args:
        log_factors: `(..., L)`, logarithms of factors in [0, 1].

    Returns:
        `(..., L, L)`, entry (i, j); 0 where j is later than i.
    """
    sums = log_factors.cumsum(-1)
    between = sums.unsqueeze(-1) - sums.unsqueeze(-2)
    # Masked before the exponential: what is above the diagonal may be too large for it.
    return between.masked_fill(~_earlier(between), -torch.inf).exp()


def _earlier(square: Tensor) -> Tensor:
    """`(L, L)` boolean, whether site j is not later than site i."""
    length = square.shape[-1]
    return torch.ones(length, length, dtype=torch.bool, device=square.device).tril()
