"""What Mamba-2 keeps while it draws one batch: a state per head, and the last few sites."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.networks.short_convolution import ShortConvolution, ShortMemory


class SelectiveMemory:
    """The states of one block, one site at a time, for one batch; updated in place.

    Args:
        convolution: of the block.
        batch_size: B.
        num_heads: of the block.
        num_states: N.
        head_width: P.
    """

    def __init__(
        self,
        convolution: ShortConvolution,
        batch_size: int,
        num_heads: int,
        num_states: int,
        head_width: int,
    ) -> None:
        self.recent = ShortMemory(convolution, batch_size)
        shape = (batch_size, num_heads, num_states, head_width)
        self.states = convolution.weight.new_zeros(shape)

    def __call__(self, reads: Tensor, writes: Tensor, inputs: Tensor, factors: Tensor) -> Tensor:
        """Outputs `(B, heads, P)` of the next site; see `selective_scan`.

        Args:
            reads: `(B, N)`.
            writes: `(B, N)`.
            inputs: `(B, heads, P)`.
            factors: `(B, heads)`.
        """
        written = writes[:, None, :, None] * inputs.unsqueeze(2)
        self.states.mul_(factors[:, :, None, None]).add_(written)
        return torch.matmul(reads[:, None, None], self.states).squeeze(2)
