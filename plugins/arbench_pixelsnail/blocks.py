"""The blocks of PixelSNAIL: residual causal convolutions, and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.shifted import GatedBlock


class SnailBlock(nn.Module):
    """Residual causal convolutions, then attention; a 1x1 residual block merges its output.

    Source: Chen et al., figures 4 and 5.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        num_layers: int,
        key_size: int,
        value_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.residual = cast(
            Sequence[GatedBlock],
            nn.ModuleList(
                GatedBlock(channels, (2, 2), right=True, dropout=dropout) for _ in range(num_layers)
            ),
        )
        self.attention = Attention(inputs, channels, key_size, value_size, dropout)
        self.merge = GatedBlock(channels, (1, 1), right=True, sides=[value_size], dropout=dropout)

    def forward(self, x: Tensor, pictures: Tensor, places: Tensor) -> Tensor:
        """`(B, C, H, W)` to the same, given the pictures and the places of their pixels."""
        for block in self.residual:
            x = block(x)
        merged: Tensor = self.merge(x, self.attention(x, pictures, places))
        return merged


class Attention(nn.Module):
    """Attention of every pixel over all earlier ones, with one head.

    Keys and values depend on the pixel itself, so a query may read only those of earlier pixels. If
    there is no earlier pixel, the output is zero.

    Source: Chen et al., section 3.1 and figure 5. Deviation: besides the keys of earlier pixels,
    every query sees one key of zeros, whose value is zero, so that it may attend to nothing.
    """

    def __init__(
        self, inputs: int, channels: int, key_size: int, value_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.sizes = [key_size, value_size]
        known, own = inputs + channels + 2, channels + 2
        self.content = GatedBlock(known, (1, 1), right=True, dropout=dropout)
        self.key_value = nn.Conv2d(known, key_size + value_size, 1)
        self.question = GatedBlock(own, (1, 1), right=True, dropout=dropout)
        self.query = nn.Conv2d(own, key_size, 1)

    def forward(self, x: Tensor, pictures: Tensor, places: Tensor) -> Tensor:
        """The output `(B, value_size, H, W)` for a stream `(B, C, H, W)`."""
        known = self.key_value(self.content(torch.cat((pictures, x, places), 1)))
        # Moved on by one, behind the key of zeros: a site reads up to its own index.
        earlier = F.pad(known.flatten(2), (1, -1))
        query = self.query(self.question(torch.cat((x, places), 1))).flatten(2)
        # One head; the fast kernels need contiguous vectors.
        query, keys, values = (
            part.transpose(1, 2).unsqueeze(1).contiguous()
            for part in (query, *torch.split(earlier, self.sizes, 1))
        )
        answer = F.scaled_dot_product_attention(query, keys, values, is_causal=True)
        return answer.squeeze(1).transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
