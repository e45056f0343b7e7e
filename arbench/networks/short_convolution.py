"""A convolution over the last few sites, of each channel for itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ShortConvolution(nn.Module):
    """`y_t = b + sum over k of w_k x_{t-k}`, for each channel, with x = 0 before the first site.

    Weights and biases start uniform in +- 1 / sqrt(width), as torch's convolutions do.

    Args:
        channels: C.
        width: W, sites that an output sees: its own and W - 1 before it.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(bound * (2 * torch.rand(width, channels) - 1))
        self.bias = nn.Parameter(bound * (2 * torch.rand(channels) - 1))

    def forward(self, values: Tensor) -> Tensor:
        """`(B, T, C)` to the same."""
        length, width = values.shape[1], len(self.weight)
        padded = F.pad(values, (0, 0, width - 1, 0))
        total: Tensor = self.bias
        for back, weight in enumerate(self.weight):
            first = width - 1 - back
            total = torch.addcmul(total, padded[:, first : first + length], weight)
        return total


class ShortMemory:
    """A `ShortConvolution`, one site at a time, for one batch; updated in place.

    Args:
        convolution: what it walks.
        batch_size: B.
    """

    @torch.no_grad()
    def __init__(self, convolution: ShortConvolution, batch_size: int) -> None:
        weight = convolution.weight
        self.weight, self.bias = weight.detach(), convolution.bias.detach()
        # What came W - 1, ..., 1 sites before, in a ring: no site moves.
        self.recent = weight.new_zeros(len(weight), batch_size, weight.shape[1])
        self.newest = 0

    def __call__(self, values: Tensor) -> Tensor:
        """Outputs `(B, C)` of inputs `(B, C)` at the next site."""
        width = len(self.weight)
        self.newest = (self.newest + 1) % width
        self.recent[self.newest] = values
        total = self.bias
        for back in range(width):
            place = (self.newest - back) % width
            total = torch.addcmul(total, self.recent[place], self.weight[back])
        return total
