"""PixelCNN: residual blocks of masked convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.masked import MaskedConv, colours_of
from arbench.probability.layouts import Layout
from arbench_pixelcnn.inputs import Inputs, sites_of
from arbench_pixelcnn.stepping import DimConv, DimLinear, DimReadout


class PixelCNN(nn.Module):
    """PixelCNN with masks A and B.

    A k x k convolution with mask A, residual blocks with mask B, then two 1x1 convolutions. Units
    are divided among the colours: red sees the pixels before, green also red, blue both. What lies
    above a pixel and to its right, beyond a slope of one column a row, is a blind spot.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", ICML
    2016, sections 3.3 to 3.5, figure 5 and table 1. Deviations: sizes by default are smaller; He's
    initialisation, with the last convolution of a block scaled by `num_blocks ** -0.5`; dropout.

    Args:
        layout: images in raster order, drawn dim by dim.
        num_params: P.
        hidden: h, units inside a block; the stream between blocks has 2 h. At least as many as
            there are colours.
        num_blocks: residual blocks.
        first_kernel: k, odd and at least 3.
        outputs: units before the last convolution; at least as many as there are colours.
        encoding: how a value enters: "scalar", a number in [-1, 1] if discrete, or "one-hot".
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
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs = Inputs(layout, encoding)
        require_sizes(self.inputs.num_colours, hidden, outputs, first_kernel, dropout)
        if num_blocks < 0:
            raise ValueError(f"num_blocks is not negative, got {num_blocks}")
        num_colours = self.inputs.num_colours
        stream, last = colours_of(2 * hidden, num_colours), colours_of(outputs, num_colours)
        reach = first_kernel // 2
        self.first = MaskedConv(
            self.inputs.colours, stream, above=reach, reach=reach, kind="A", gain=1.0
        )
        self.blocks = cast(
            Sequence[ResidualBlock],
            nn.ModuleList(
                ResidualBlock(hidden, num_colours, 2 / num_blocks, dropout)
                for _ in range(num_blocks)
            ),
        )
        params = colours_of(num_colours * num_params, num_colours)
        self.before_last = MaskedConv(stream, last, above=0, reach=0, kind="B")
        self.last = MaskedConv(last, params, above=0, reach=0, kind="B", gain=1.0)

    def forward(self, sites: Tensor) -> Tensor:
        """Parameters of every site in one pass.

        Args:
            sites: `(B, T, 1)` int64 in [0, K), or floating point for real data.

        Returns:
            `(B, T, P)`; entry t depends on sites before t alone.
        """
        x = self.first(self.inputs.pictures(sites, self.last.weight.dtype))
        for block in self.blocks:
            x = block(x)
        x = self.last(F.relu(self.before_last(F.relu(x))))
        return sites_of(x, self.inputs.num_colours)

    @torch.no_grad()
    def init_state(self, batch_size: int) -> SamplingState:
        """Rows of zeros, and the weights as steps need them."""
        return SamplingState(self, batch_size)

    @torch.no_grad()
    def step(
        self, state: SamplingState, previous: Tensor | None, site: int
    ) -> tuple[Tensor, SamplingState]:
        """Parameters of one site; all sites together cost about one forward pass.

        Args:
            state: from `init_state`, updated in place.
            previous: `(B, 1)`, the value of the site before; None at the first.
            site: its number; sites are visited in order, from 0.

        Returns:
            `(B, P)`, and the state.
        """
        pixel, colour = divmod(site, self.inputs.num_colours)
        column = pixel % self.inputs.width
        if previous is not None:
            state.take(previous, site - 1)
        if column == 0 and colour == 0:
            state.start_row()
        return state.params(column, colour), state


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
        out: Tensor = x + self.expand(F.dropout(hidden, self.dropout, self.training))
        return out


class SamplingState:
    """What `PixelCNN.step` keeps for one batch.

    Args:
        network: whose weights are laid out here as steps need them.
        batch_size: B.
    """

    def __init__(self, network: PixelCNN, batch_size: int) -> None:
        self.inputs = network.inputs
        width, num_colours = self.inputs.width, self.inputs.num_colours
        self.first = DimConv(network.first, batch_size, width, num_colours)
        self.blocks = [
            (
                DimLinear(block.reduce, batch_size, num_colours),
                DimConv(block.spread, batch_size, width, num_colours),
                DimLinear(block.expand, batch_size, num_colours),
            )
            for block in network.blocks
        ]
        self.readout = DimReadout(network.before_last, network.last, batch_size, num_colours)
        self.streams = [torch.empty_like(part[0]) for part in self.first.totals]

    def take(self, values: Tensor, site: int) -> None:
        """The values `(B, 1)` of a site."""
        pixel, colour = divmod(site, self.inputs.num_colours)
        slot = self.first.slots[colour][pixel % self.inputs.width]
        slot.copy_(self.inputs.encoded(values, slot.dtype))

    def start_row(self) -> None:
        """A row is complete, or none has begun."""
        self.first.start_row()
        for _, spread, _ in self.blocks:
            spread.start_row()

    def params(self, column: int, colour: int) -> Tensor:
        """Parameters `(B, P)` of a colour at a column of the row."""
        x = self.first(column, colour, self.streams[colour])
        for reduce, spread, expand in self.blocks:
            torch.clamp_min(x, 0, out=reduce.inputs[colour])
            reduce(colour, out=spread.slots[colour][column]).relu_()
            spread(column, colour, expand.inputs[colour]).relu_()
            x.addmm_(expand.known[colour], expand.weights[colour])
        return self.readout(x, colour)


def require_sizes(
    num_colours: int, hidden: int, outputs: int, first_kernel: int, dropout: float
) -> None:
    """Refuse settings that no PixelCNN can have.

    Raises:
        ValueError: saying which.
    """
    if min(hidden, outputs) < num_colours:
        raise ValueError(
            f"needs at least {num_colours} units for as many colours, got {hidden} in the layers "
            f"and outputs={outputs}"
        )
    if first_kernel < 3 or first_kernel % 2 == 0:
        raise ValueError(f"first_kernel is odd and at least 3, got {first_kernel}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is a probability below 1, got {dropout}")
