"""What PixelSNAIL keeps while it draws one batch: rows of convolutions, keys and values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from arbench.networks.shifted_steps import (
    PixelBlock,
    PixelIntake,
    activate,
    pointwise,
)
from arbench_pixelsnail.blocks import Attention, SnailBlock


class PixelSNAILState:
    """What `PixelSNAIL.step` keeps for one batch; updated in place.

    Args:
        intake: the network's first layer, with the pixels so far.
        blocks: the network's blocks; their weights are laid out here as steps need them.
        readout: from features `(B, C)` to parameters `(B, P)`.
        places: `(H * W, 2)`, the row and the column of every pixel.
        width: W.
        batch_size: B.
    """

    def __init__(
        self,
        intake: PixelIntake,
        blocks: Sequence[SnailBlock],
        readout: Callable[[Tensor], Tensor],
        places: Tensor,
        width: int,
        batch_size: int,
    ) -> None:
        self.intake = intake
        self.readout = readout
        self.width = width
        self.blocks = [
            BlockState(block, batch_size, width, len(places), places) for block in blocks
        ]

    def take(self, values: Tensor, site: int) -> None:
        """Keep the values `(B, site_dim)` of a site, and compute its keys and values."""
        column = site % self.width
        self.intake.take(values, column)
        pixel = self.intake.pixels[column]
        for block in self.blocks:
            block.attention.keep(pixel, site)

    def pixel(self, site: int) -> Tensor:
        """The stream's output `(B, C)` at a site; all earlier ones must be known."""
        column = site % self.width
        if column == 0:
            self.intake.start_row()
            for block in self.blocks:
                block.start_row()
        x = self.intake(column)
        for block in self.blocks:
            x = block(x, site, column)
        return x


class BlockState:
    """One `SnailBlock` of a `PixelSNAILState`."""

    def __init__(
        self, block: SnailBlock, batch_size: int, width: int, num_sites: int, places: Tensor
    ) -> None:
        self.residual = [PixelBlock(layer, batch_size, width) for layer in block.residual]
        self.attention = AttentionState(block.attention, batch_size, num_sites, places)
        self.merge = PixelBlock(block.merge, batch_size, 1)
        self.active = places.new_zeros(batch_size, 2 * block.attention.sizes[1])

    def start_row(self) -> None:
        """Start the next row; the current one is complete."""
        for layer in self.residual:
            layer.start_row()

    def __call__(self, x: Tensor, site: int, column: int) -> Tensor:
        """The stream `(B, C)` at a site after the block."""
        for layer in self.residual:
            x = layer(x, column)
        activate(self.attention(x, site), self.active)
        return self.merge(x, 0, self.active)


class AttentionState:
    """The keys and values of all known sites, after the key of zeros; see `Attention`."""

    def __init__(
        self, attention: Attention, batch_size: int, num_sites: int, places: Tensor
    ) -> None:
        self.key_size, value_size = attention.sizes
        self.content = PixelBlock(attention.content, batch_size, 1)
        self.key_value = pointwise(attention.key_value)
        self.question = PixelBlock(attention.question, batch_size, 1)
        self.query = pointwise(attention.query)
        self.scale = 1 / math.sqrt(self.key_size)
        self.places = places
        self.known = places.new_zeros(batch_size, attention.key_value.in_channels)
        self.asked = self.known[:, -attention.query.in_channels :]
        self.keys = places.new_zeros(batch_size, self.key_size, num_sites)
        self.values = places.new_zeros(batch_size, num_sites, value_size)

    def keep(self, pixel: Tensor, site: int) -> None:
        """Keep the pixel `(B, C)` of the site of the last query."""
        self.known[:, : pixel.shape[1]] = pixel
        known = self.key_value(self.content(self.known, 0))
        self.keys[:, :, site + 1] = known[:, : self.key_size]
        self.values[:, site + 1] = known[:, self.key_size :]

    def __call__(self, x: Tensor, site: int) -> Tensor:
        """The output `(B, value_size)` for the stream `(B, C)` at a site."""
        self.asked[:, :-2] = x
        self.asked[:, -2:] = self.places[site]
        query = self.query(self.question(self.asked, 0)).unsqueeze(1)
        scores = torch.bmm(query, self.keys[:, :, : site + 1]) * self.scale
        return torch.bmm(scores.softmax(-1), self.values[:, : site + 1]).squeeze(1)
