"""PixelSNAIL: residual causal convolutions, and attention over all earlier pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.pooled import pooled
from arbench.networks.raster import RasterPictures, to_params
from arbench.networks.shifted import EarlierPixels
from arbench.networks.shifted_steps import PixelIntake, pointwise
from arbench_pixelsnail.blocks import SnailBlock
from arbench_pixelsnail.state import PixelSNAILState


class PixelSNAIL(nn.Module):
    """PixelSNAIL.

    Convolutions see the neighbourhood of a pixel in detail; attention reaches every earlier pixel
    directly. The two take turns, and there is no blind spot.

    Source: Chen, Mishra, Rohaninejad and Abbeel, "PixelSNAIL: An Improved Autoregressive Generative
    Model", ICML 2018, sections 2.2 and 3.1 and figures 3 to 5. Deviations: see `GatedBlock`,
    `EarlierPixels` and `Attention`.

    Args:
        layout: images in raster order, `sites="pixel"` if they have colours.
        num_params: P.
        channels: width of the stream.
        num_blocks: blocks, each of residual convolutions and then attention.
        num_layers: residual convolutions per block.
        key_size: size of the keys and queries of an attention.
        value_size: size of its values; kernels are fastest if it equals key_size.
        dropout: probability that a training step drops a hidden unit of a residual block.

    Raises:
        ValueError: for any other layout, or for unacceptable settings.
    """

    tiny_hyperparameters: ClassVar[dict[str, int]] = {
        "channels": 6,
        "num_blocks": 2,
        "num_layers": 1,
        "key_size": 3,
        "value_size": 4,
    }

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        channels: int = 32,
        num_blocks: int = 3,
        num_layers: int = 2,
        key_size: int = 16,
        value_size: int = 16,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(channels, num_blocks, num_layers, key_size, value_size) < 1:
            raise ValueError(
                "channels, num_blocks, num_layers, key_size and value_size must be at least 1"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a probability below 1, got {dropout}")
        self.pictures = RasterPictures(layout)
        inputs = self.pictures.num_channels
        self.intake = EarlierPixels(inputs, channels)
        self.blocks = cast(
            Sequence[SnailBlock],
            nn.ModuleList(
                SnailBlock(inputs, channels, num_layers, key_size, value_size, dropout)
                for _ in range(num_blocks)
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
        return to_params(self.readout(F.elu(self._stream(sites, len(self.blocks)))))

    def features(self, sites: Tensor) -> Tensor:
        """Means of the positive parts of the stream after half of the blocks, `(B, 16 I)`.

        See `FeatureNetwork` and `pooled`.
        """
        return pooled(F.relu(self._stream(sites, (len(self.blocks) + 1) // 2)))

    def _stream(self, sites: Tensor, num_blocks: int) -> Tensor:
        """The stream `(B, I, H, W)` after so many blocks."""
        pictures = self.pictures(sites, self.readout.weight.dtype)
        places = self.places().expand(len(sites), -1, -1, -1)
        x: Tensor = self.intake(pictures)
        for block in self.blocks[:num_blocks]:
            x = block(x, pictures, places)
        return x

    def places(self) -> Tensor:
        """The row and the column of every pixel, from -0.5 to 0.5: `(1, 2, H, W)`."""
        weight = self.readout.weight
        height, width = self.pictures.height, self.pictures.width
        rows = torch.arange(height, device=weight.device).to(weight.dtype) / height - 0.5
        columns = torch.arange(width, device=weight.device).to(weight.dtype) / width - 0.5
        return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).unsqueeze(0)

    @torch.no_grad()
    def init_state(self, batch_size: int) -> PixelSNAILState:
        """Memory for all keys and values, and the weights as steps read them."""
        return PixelSNAILState(
            PixelIntake(self.intake, self.pictures, batch_size),
            [*self.blocks],
            pointwise(self.readout),
            self.places()[0].flatten(1).T,
            self.pictures.width,
            batch_size,
        )

    @torch.no_grad()
    def step(
        self, state: PixelSNAILState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, PixelSNAILState]:
        """Parameters `(B, P)` of a site: its convolutions, and attention over the keys so far.

        See `SteppingNetwork.step`.
        """
        if previous is not None:
            state.take(previous, site - 1)
        return state.readout(F.elu(state.pixel(site))), state
