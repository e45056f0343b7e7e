"""What Gated DeltaNet keeps while it draws one batch: a memory per head, and the last few sites."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.networks.short_convolution import ShortConvolution, ShortMemory


class DeltaMemory:
    """The memories of one block, one site at a time, for one batch; updated in place.

    Args:
        convolution: of the block.
        batch_size: B.
        num_heads: of the block.
        key_width: K.
        value_width: V.
    """

    def __init__(
        self,
        convolution: ShortConvolution,
        batch_size: int,
        num_heads: int,
        key_width: int,
        value_width: int,
    ) -> None:
        self.recent = ShortMemory(convolution, batch_size)
        shape = (batch_size * num_heads, key_width, value_width)
        self.matrices = convolution.weight.new_zeros(shape)

    def __call__(
        self, queries: Tensor, keys: Tensor, values: Tensor, strengths: Tensor, factors: Tensor
    ) -> Tensor:
        """Outputs `(B, heads, V)` of the next site; see `delta_rule`.

        Args:
            queries: `(B, heads, K)`.
            keys: `(B, heads, K)`.
            values: `(B, heads, V)`.
            strengths: `(B, heads)`.
            factors: `(B, heads)`.
        """
        query, key, value = (x.flatten(0, 1).unsqueeze(1) for x in (queries, keys, values))
        self.matrices.mul_(factors.reshape(-1, 1, 1))
        written = (value - key @ self.matrices).mul_(strengths.reshape(-1, 1, 1))
        self.matrices.baddbmm_(key.mT, written)
        return torch.bmm(query, self.matrices).view_as(values)
