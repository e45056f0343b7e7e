"""PixelCNN: residual blocks of masked convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.dropout import unit_dropout
from arbench.networks.masked import MaskedConv, colours_of
from arbench_pixelcnn.dimwise import DimwiseNetwork, DimwiseState
from arbench_pixelcnn.stepping import DimConv, DimLinear


class PixelCNN(DimwiseNetwork):
    """PixelCNN with masks A and B.

    A k x k convolution with mask A, residual blocks with mask B, then two 1x1 convolutions. Units
    are divided among the colours: red sees the pixels before, green also red, blue both. What lies
    more than `n + k // 2 - 1` columns to the right, in the n-th row above, is a blind spot.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", ICML
    2016, sections 3.3 to 3.5, figure 5 and table 1. Deviations: sizes by default are smaller; He's
    initialisation, with the last convolution of a block scaled by `num_blocks ** -0.5`; dropout;
    places.

    Args:
        layout: images in raster order, drawn dim by dim.
        num_params: P.
        hidden: h, units inside a block; the stream between blocks has 2 h. At least as many as
            there are colours.
        num_blocks: residual blocks.
        first_kernel: k, odd and at least 3.
        outputs: units before the last convolution; at least as many as there are colours.
        encoding: how a value enters: "scalar", a number in [-1, 1] if discrete, or "one-hot".
        places: add a learned vector per pixel, at first 0, to what the first convolution gives:
            where in the picture it is matters if what it shows is always at the same place.
        dropout: probability that a unit in front of a block's last convolution is left out of a
            training step.

    Raises:
        ValueError: for any other layout, or for unacceptable settings.
    """

    tiny_hyperparameters: ClassVar[dict[str, int]] = {
        "hidden": 6,
        "num_blocks": 2,
        "first_kernel": 3,
        "outputs": 9,
    }
    known_failures: ClassVar[dict[str, str]] = {
        "influence": "masks leave a blind spot above at the right (Gated PixelCNN's figure 1)"
    }

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        hidden: int = 16,
        num_blocks: int = 15,
        first_kernel: int = 7,
        outputs: int = 32,
        encoding: Literal["scalar", "one-hot"] = "scalar",
        places: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            layout,
            encoding,
            units=hidden,
            outputs=outputs,
            first_kernel=first_kernel,
            dropout=dropout,
        )
        if num_blocks < 0:
            raise ValueError(f"num_blocks is not negative, got {num_blocks}")
        num_colours = self.inputs.num_colours
        stream = colours_of(2 * hidden, num_colours)
        reach = first_kernel // 2
        self.first = MaskedConv(
            self.inputs.colours, stream, above=reach, reach=reach, kind="A", gain=1.0
        )
        size = (2 * hidden, self.inputs.height, self.inputs.width)
        self.places = nn.Parameter(torch.zeros(size)) if places else None
        self.blocks = cast(
            Sequence[ResidualBlock],
            nn.ModuleList(
                ResidualBlock(hidden, num_colours, 2 / num_blocks, dropout)
                for _ in range(num_blocks)
            ),
        )
        self.add_readout(stream, outputs, num_params)

    def features(self, pictures: Tensor) -> Tensor:
        """The stream `(B, 2 h, H, W)` after the last block."""
        # Convolutions of few units take half the time where those of a pixel lie side by side.
        x: Tensor = self.first(pictures).contiguous(memory_format=torch.channels_last)
        if self.places is not None:
            x = x + self.places.to(x.dtype)
        for block in self.blocks:
            x = block(x)
        return x

    @torch.no_grad()
    def init_state(self, batch_size: int) -> SamplingState:
        """See `DimwiseNetwork.init_state`."""
        return SamplingState(self, batch_size)


class ResidualBlock(nn.Module):
    """`x + W_3 relu(W_2 relu(W_1 relu(x)))`: 1x1 from 2 h to h, 3x3, and 1x1 back to 2 h.

    Source: van den Oord et al., ICML 2016, figure 5 at the left.
    """

    def __init__(self, hidden: int, num_colours: int, last_gain: float, dropout: float) -> None:
        super().__init__()
        narrow, wide = colours_of(hidden, num_colours), colours_of(2 * hidden, num_colours)
        self.reduce = MaskedConv(wide, narrow, above=0, reach=0, kind="B")
        self.spread = MaskedConv(narrow, narrow, above=1, reach=1, kind="B")
        self.expand = MaskedConv(narrow, wide, above=0, reach=0, kind="B", gain=last_gain)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """`(B, 2 h, H, W)` to the same."""
        hidden = F.relu(self.spread(F.relu(self.reduce(F.relu(x)))))
        out: Tensor = x + self.expand(unit_dropout(hidden, self.dropout, self.training))
        return out


class SamplingState(DimwiseState):
    """What a step of `PixelCNN` keeps for one batch; see `DimwiseState`."""

    def __init__(self, network: PixelCNN, batch_size: int) -> None:
        width, num_colours = network.inputs.width, network.inputs.num_colours
        self.first = DimConv(network.first, batch_size, width, num_colours)
        super().__init__(network, batch_size, self.first)
        self.blocks = [
            (
                DimLinear(block.reduce, batch_size, num_colours),
                DimConv(block.spread, batch_size, width, num_colours),
                DimLinear(block.expand, batch_size, num_colours),
            )
            for block in network.blocks
        ]
        self.streams = [torch.empty_like(part[0]) for part in self.first.totals]
        # Per row, `(W, 2 h)`.
        places = network.places
        self.places = () if places is None else places.permute(1, 2, 0).unbind(0)

    def start_row(self, row: int) -> None:
        """See `DimwiseState.start_row`."""
        self.first.start_row(self.places[row] if self.places else None)
        for _, spread, _ in self.blocks:
            spread.start_row()

    def features(self, column: int, colour: int) -> Tensor:
        """See `DimwiseState.features`."""
        x = self.first(column, colour, self.streams[colour])
        for reduce, spread, expand in self.blocks:
            torch.clamp_min(x, 0, out=reduce.inputs[colour])
            reduce(colour, out=spread.slots[colour][column]).relu_()
            spread(column, colour, expand.inputs[colour]).relu_()
            x.addmm_(expand.known[colour], expand.weights[colour])
        return x
