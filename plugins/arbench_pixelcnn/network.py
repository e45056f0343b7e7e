"""PixelCNN: residual blocks of masked convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from arbench import Layout, NativeStep
from arbench.networks.masked import MaskedConv, colours_of
from arbench.networks.native import is_eager, numba_is_there
from arbench_pixelcnn.base import DimwiseNetwork
from arbench_pixelcnn.blocks import ResidualBlock
from arbench_pixelcnn.inputs import Encoding
from arbench_pixelcnn.state import PixelCNNState

# From so many units in all blocks on it pays to compile them. With so many values a run needs its
# memory for the softmax, and Numba takes 130 MB of it for a fifth of the time.
MANY_UNITS, MANY_VALUES = 64, 256


class PixelCNN(DimwiseNetwork):
    """PixelCNN with masks A and B.

    A k x k convolution with mask A, residual blocks with mask B, then two 1x1 convolutions. Units
    are divided among the colours: red sees the pixels before, green also sees red, and blue sees
    both. In the n-th row above, pixels more than `n + k // 2 - 1` columns to the right are a blind
    spot.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", ICML
    2016, sections 3.3 to 3.5, figure 5 and table 1. Deviations: the default sizes are smaller; He's
    initialisation, with the last convolution of a block scaled by `num_blocks ** -0.5`; dropout;
    places.

    Args:
        layout: images in raster order, drawn dim by dim.
        num_params: P.
        hidden: h, units inside a block; the stream between blocks has 2 h. At least one per
            colour.
        num_blocks: residual blocks.
        first_kernel: k, odd and at least 3.
        outputs: units before the last convolution; at least one per colour.
        encoding: how a value enters: "scalar", "one-hot" or "ramps"; see `Inputs`.
        knots: of "ramps", the levels between; None has more of them near both ends.
        places: add a learned vector per pixel, at first 0, to the output of the first convolution;
            this helps if pictures show their content always at the same place.
        dropout: probability that a training step drops a unit before a block's last convolution.
        input_noise: share of the range by which values that the network reads move at most, in
            half of the events of training: so the density stays sensible near what it has seen.

    Attributes:
        forward_kernel: how the blocks are computed on a CPU: by torch's "convolutions", or
            "compiled", in loops of their own.
        forward_kernels: their names; "compiled" where Numba is installed.

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
        encoding: Encoding = "scalar",
        knots: Sequence[int] | None = None,
        places: bool = False,
        dropout: float = 0.0,
        input_noise: float = 0.0,
    ) -> None:
        super().__init__(
            layout,
            encoding,
            knots,
            units=hidden,
            outputs=outputs,
            first_kernel=first_kernel,
            dropout=dropout,
            input_noise=input_noise,
        )
        if num_blocks < 0:
            raise ValueError(f"num_blocks must be at least 0, got {num_blocks}")
        num_colours = self.inputs.num_colours
        self.units_per_site = -(-2 * hidden // num_colours)
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
        may_compile = num_blocks > 0 and numba_is_there()
        self.forward_kernels = ("convolutions",) + ("compiled",) * may_compile
        is_large = hidden * num_blocks >= MANY_UNITS and self.inputs.num_values < MANY_VALUES
        self.forward_kernel = self.forward_kernels[-1 if is_large else 0]

    def stream(self, pictures: Tensor, *, half: bool = False) -> Tensor:
        """The stream `(B, 2 h, H, W)` after the last block, or after half of them."""
        # Convolutions of few units take half the time if the units of a pixel lie side by side.
        x: Tensor = self.first(pictures).contiguous(memory_format=torch.channels_last)
        if self.places is not None:
            x = x + self.places.to(x.dtype)
        blocks = self.blocks[: len(self.blocks) // 2 if half else None]
        if self.forward_kernel == "compiled" and len(blocks) > 0 and is_eager(x):
            from arbench_pixelcnn.compiled import blocks_compiled

            return blocks_compiled(x, blocks)
        for block in blocks:
            x = block(x)
        return x

    @torch.no_grad()
    def native_step(self, batch_size: int) -> NativeStep | None:
        """See `NativeSteppingNetwork`."""
        if not self.blocks:
            return None
        from arbench_pixelcnn.native import step

        inputs, bias = self.inputs, self.first.bias[None]
        if self.places is not None:
            bias = bias + self.places.flatten(1).T
        values = torch.arange(inputs.num_values, device=bias.device)[:, None]
        block = self.blocks[0]
        colours = (block.reduce, block.expand, self.before_last, self.last)
        starts = [_starts(conv.output_colours, inputs.num_colours) for conv in colours]
        weights = (
            inputs.encoded(values, bias.dtype),
            inputs.width,
            torch.stack(starts),
            (bias, *self.first.matrices),
            tuple(torch.stack(each) for each in zip(*map(_weights, self.blocks), strict=True)),
            (self.before_last.matrices[0], self.before_last.bias),
            (self.last.matrices[0], self.last.bias),
        )
        num_units, first, num_blocks = block.reduce.out_channels, self.first, len(self.blocks)
        state = (
            (first.above + 1, inputs.width + 2 * first.reach, first.in_channels),
            (num_blocks, 2, inputs.width + 2, num_units),
            (2 * num_units,),
            (num_blocks, 2 * num_units),
            (num_blocks, num_units),
            (2 * num_units,),
            (self.last.in_channels,),
        )
        return NativeStep(step, weights, state)

    @torch.no_grad()
    def init_state(self, batch_size: int) -> PixelCNNState:
        """See `DimwiseNetwork.init_state`."""
        return PixelCNNState(
            self.inputs,
            self.readout(batch_size),
            self.first,
            [*self.blocks],
            self.places,
            batch_size,
        )


def _starts(colours: Tensor, num_colours: int) -> Tensor:
    """Where the units of each colour begin, and where they end, `(num_colours + 1,)`."""
    return torch.searchsorted(colours, torch.arange(num_colours + 1))


def _weights(block: ResidualBlock) -> tuple[Tensor, ...]:
    """A block's matrices and biases as `native.step` takes them."""
    own, above = block.spread.matrices
    return (
        block.reduce.matrices[0],
        block.reduce.bias,
        own,
        above[0],
        block.spread.bias,
        block.expand.matrices[0],
        block.expand.bias,
    )
