"""PixelCNN++: a vertical and a horizontal stream, down to small resolutions and up again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.pooled import pooled
from arbench.networks.raster import RasterPictures, to_params
from arbench.networks.shifted import (
    EarlierPixels,
    ShiftedConv,
    shifted_down,
)
from arbench.networks.shifted_steps import PixelIntake, RowConv, pointwise
from arbench_pixelcnn_pp.level import Level
from arbench_pixelcnn_pp.state import PixelCNNPPState


class PixelCNNPP(nn.Module):
    """PixelCNN++.

    The vertical stream sees the rows above a pixel. The horizontal stream also sees the pixels at
    the left, and reads the vertical one. So there is no blind spot. Blocks on the way to smaller
    resolutions (`up`, as in the authors' code) leave their outputs as shortcuts for the blocks on
    the way back (`down`), last in, first out.

    Source: Salimans, Karpathy, Chen and Kingma, "PixelCNN++: Improving the PixelCNN with
    Discretized Logistic Mixture Likelihood and Other Modifications", ICLR 2017, sections 2.2 to
    2.5 and the authors' code. Deviations: see `GatedBlock` and `EarlierPixels`; odd sides are
    rounded up on the way to smaller resolutions and cut on the way back.

    Args:
        layout: images in raster order, `sites="pixel"` if they have colours.
        num_params: P.
        channels: width of both streams.
        num_blocks: blocks per stream and resolution on the way to smaller ones; on the way back
            there is one more, except at the smallest.
        num_levels: number of resolutions, each half of the one before; 1 for tiny images.
        dropout: probability that a training step drops a hidden unit of a block.

    Raises:
        ValueError: for any other layout, for images too small for the levels, or for unacceptable
            settings.
    """

    tiny_hyperparameters: ClassVar[dict[str, int]] = {"channels": 6, "num_blocks": 1}

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        channels: int = 32,
        num_blocks: int = 2,
        num_levels: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.pictures = RasterPictures(layout)
        smallest_side = min(self.pictures.height, self.pictures.width)
        if min(channels, num_blocks, num_levels) < 1:
            raise ValueError("channels, num_blocks and num_levels must be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, got {dropout}")
        if smallest_side < 2 ** (num_levels - 1):
            raise ValueError(
                f"{num_levels} levels need sides of at least {2 ** (num_levels - 1)} pixels, got "
                f"{smallest_side}: set num_levels lower"
            )
        self.vertical_in = ShiftedConv(self.pictures.num_channels, channels, (2, 3), right=False)
        self.horizontal_in = EarlierPixels(self.pictures.num_channels, channels)
        self.levels = cast(
            Sequence[Level],
            nn.ModuleList(
                Level(channels, num_blocks, dropout, is_last=index == num_levels - 1)
                for index in range(num_levels)
            ),
        )
        self.readout = nn.Conv2d(channels, num_params, 1)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, C)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on sites before t alone.
        """
        shortcuts = self._up(sites)
        vertical, horizontal = shortcuts.pop()
        for level in reversed(self.levels):
            if level.vertical_larger is not None and level.horizontal_larger is not None:
                size = shortcuts[-1][0].shape[2:]
                vertical = level.vertical_larger(vertical, size)
                horizontal = level.horizontal_larger(horizontal, size)
            for own, other in zip(level.vertical_down, level.horizontal_down, strict=True):
                vertical_shortcut, horizontal_shortcut = shortcuts.pop()
                vertical = own(vertical, vertical_shortcut)
                horizontal = other(horizontal, vertical, horizontal_shortcut)
        return to_params(self.readout(F.elu(horizontal)))

    def features(self, sites: Tensor) -> Tensor:
        """Means of the positive part of the horizontal stream halfway, `(B, 16 I)`.

        That is where pictures are smallest. See `FeatureNetwork` and `pooled`.
        """
        return pooled(F.relu(self._up(sites)[-1][1]))

    def _up(self, sites: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The vertical and the horizontal stream after every layer of the first half."""
        pictures = self.pictures(sites, self.readout.weight.dtype)
        vertical = self.vertical_in(shifted_down(pictures))
        horizontal = self.horizontal_in(pictures)
        streams = [(vertical, horizontal)]
        for level in self.levels:
            for own, other in zip(level.vertical_up, level.horizontal_up, strict=True):
                vertical = own(vertical)
                horizontal = other(horizontal, vertical)
                streams.append((vertical, horizontal))
            if level.vertical_smaller is not None and level.horizontal_smaller is not None:
                vertical = level.vertical_smaller(vertical)
                horizontal = level.horizontal_smaller(horizontal)
                streams.append((vertical, horizontal))
        return streams

    @torch.no_grad()
    def init_state(self, batch_size: int) -> PixelCNNPPState:
        """Rows of zeros above the image, and the weights as steps need them."""
        return PixelCNNPPState(
            PixelIntake(self.horizontal_in, self.pictures, batch_size),
            RowConv(self.vertical_in, batch_size, self.pictures.width),
            [*self.levels],
            pointwise(self.readout),
            self.pictures.width,
            batch_size,
        )

    @torch.no_grad()
    def step(
        self, state: PixelCNNPPState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, PixelCNNPPState]:
        """Parameters `(B, P)` of a site.

        The vertical stream depends on complete rows, so it is computed a row at a time. A pixel of
        a smaller resolution stands for four and depends on what comes before the first of them. So
        it is computed with that one and then kept: caching is exact at all levels.
        See `SteppingNetwork.step`.
        """
        row, column = divmod(site, self.pictures.width)
        if previous is not None:
            state.intake.take(previous, (column or self.pictures.width) - 1)
        if column == 0:
            state.start_row(row)
        features = state.pixel(row, column)
        return state.readout(F.elu(features)), state
