"""PixelSNAIL: residual causal convolutions, and attention over everything that was drawn before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.raster import RasterPictures, to_params
from arbench.networks.shifted import EarlierPixels, GatedBlock
from arbench.probability.layouts import Layout
from arbench_pixelsnail.sampling import SamplingState


class PixelSNAIL(nn.Module):
    """PixelSNAIL.

    Convolutions see well what is near, attention reaches every earlier pixel directly: the two take
    turns, and nothing earlier is hidden.

    Source: Chen, Mishra, Rohaninejad and Abbeel, "PixelSNAIL: An Improved Autoregressive Generative
    Model", ICML 2018, sections 2.2 and 3.1 and figures 3 to 5. Deviations: see `GatedBlock`,
    `EarlierPixels` and `Attention`.

    Args:
        layout: images in raster order, `sites="pixel"` if they have colours.
        num_params: P.
        channels: of the stream.
        num_blocks: how many times convolutions and attention take turns.
        num_layers: residual blocks between two attentions.
        key_size: of the keys and queries of an attention.
        value_size: of its values; kernels are fastest where it equals key_size.
        dropout: probability that a hidden unit of a residual block is left out of a training step.

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
            raise ValueError("channels, blocks, layers and the sizes of attention are at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a probability below 1, got {dropout}")
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
        pictures = self.pictures(sites, self.readout.weight.dtype)
        places = self.places().expand(len(sites), -1, -1, -1)
        x = self.intake(pictures)
        for block in self.blocks:
            x = block(x, pictures, places)
        return to_params(self.readout(F.elu(x)))

    def places(self) -> Tensor:
        """The row and the column of every pixel, from -0.5 to 0.5: `(1, 2, H, W)`."""
        weight = self.readout.weight
        height, width = self.pictures.height, self.pictures.width
        rows = torch.arange(height, device=weight.device).to(weight.dtype) / height - 0.5
        columns = torch.arange(width, device=weight.device).to(weight.dtype) / width - 0.5
        return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).unsqueeze(0)

    @torch.no_grad()
    def init_state(self, batch_size: int) -> SamplingState:
        """Room for all keys and values, and the weights as steps read them."""
        return SamplingState(self, batch_size)

    @torch.no_grad()
    def step(
        self, state: SamplingState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, SamplingState]:
        """Parameters `(B, P)` of a site: its convolutions, and attention over the keys so far.

        See `SteppingNetwork.step`.
        """
        if previous is not None:
            state.take(previous, site - 1)
        return state.readout(F.elu(state.pixel(site))), state


class SnailBlock(nn.Module):
    """Residual causal convolutions, then attention, whose answer a 1x1 residual block takes in.

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

    Keys and values know the pixel itself, so a query may read those of earlier pixels only. Where
    there is no earlier one, the answer is zero.

    Source: Chen et al., section 3.1 and figure 5. Deviation: next to the keys of earlier pixels
    every query finds one key of zeros, whose value is zero, so that it may also answer nothing.
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
        """The answers `(B, value_size, H, W)` to a stream `(B, C, H, W)`."""
        known = self.key_value(self.content(torch.cat((pictures, x, places), 1)))
        # Moved on by one, behind the key of zeros, what a site may read is what lies before it.
        earlier = F.pad(known.flatten(2), (1, -1))
        query = self.query(self.question(torch.cat((x, places), 1))).flatten(2)
        # One head; contiguous vectors are what the fast kernels ask for.
        query, keys, values = (
            part.transpose(1, 2).unsqueeze(1).contiguous()
            for part in (query, *torch.split(earlier, self.sizes, 1))
        )
        answer = F.scaled_dot_product_attention(query, keys, values, is_causal=True)
        return answer.squeeze(1).transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
