"""Gated PixelCNN: a vertical stack for the rows above, a horizontal one for the row itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.dropout import unit_dropout
from arbench.networks.masked import MaskedConv, colours_of
from arbench.networks.shifted import ShiftedConv
from arbench.networks.shifted_steps import RowConv
from arbench_pixelcnn.dimwise import DimwiseNetwork, DimwiseState
from arbench_pixelcnn.stepping import DimConv, DimLinear


def gate(features: Tensor) -> Tensor:
    """`tanh(a) * sigmoid(b)` of the two halves a and b of dim 1."""
    content, opening = features.chunk(2, 1)
    return content.tanh() * opening.sigmoid()


class GatedPixelCNN(DimwiseNetwork):
    """PixelCNN of gated units in two stacks, which see all earlier pixels within reach.

    The vertical stack sees the rows above a pixel, a rectangle that grows with every layer; the
    horizontal one sees what is at the left, and listens to the vertical one. Units of the
    horizontal stack are divided among the colours: red sees the pixels before, green also red, blue
    both; the vertical stack knows all colours of the rows above.

    Source: van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves and Kavukcuoglu, "Conditional
    image generation with PixelCNN decoders", NeurIPS 2016, sections 2.1 and 2.2, equation 2 and
    figure 2. Deviations: it is the picture that is moved down by a row, not every layer's output;
    no conditioning; the output layers are those of PixelCNN; He's initialisation where a rectifier
    follows, with residual convolutions scaled by `num_layers ** -0.5`; dropout.

    Args:
        layout: images in raster order, drawn dim by dim.
        num_params: P.
        channels: p, units of either stack after the gates; at least as many as there are colours.
        num_layers: gated layers after the first one.
        first_kernel: width of the first layer's kernels, odd and at least 3.
        outputs: units before the last convolution; at least as many as there are colours.
        encoding: how a value enters: "scalar", a number in [-1, 1] if discrete, or "one-hot".
        places: add a learned vector per pixel, at first 0, to what the first vertical convolution
            gives: a picture's content depends on where in it one is, and borders alone tell that to
            the convolutions only as far as they reach.
        dropout: probability that a gated unit of the horizontal stack is left out of a training
            step.

    Raises:
        ValueError: for any other layout, or for unacceptable settings.
    """

    tiny_hyperparameters: ClassVar[dict[str, int]] = {
        "channels": 6,
        "num_layers": 2,
        "first_kernel": 3,
        "outputs": 9,
    }

    def __init__(
        self,
        layout: Layout,
        num_params: int,
        *,
        channels: int = 32,
        num_layers: int = 10,
        first_kernel: int = 7,
        outputs: int = 32,
        encoding: Literal["scalar", "one-hot"] = "scalar",
        places: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            layout,
            encoding,
            units=channels,
            outputs=outputs,
            first_kernel=first_kernel,
            dropout=dropout,
        )
        if num_layers < 1:
            raise ValueError(f"num_layers is at least 1, got {num_layers}")
        num_colours = self.inputs.num_colours
        stream = colours_of(channels, num_colours)
        self.layers = cast(
            Sequence[GatedLayer],
            nn.ModuleList(
                GatedLayer(
                    stream if index else self.inputs.colours,
                    stream,
                    num_colours,
                    kernel=3 if index else first_kernel,
                    is_first=index == 0,
                    gain=1 / num_layers if index else 1.0,
                    dropout=dropout,
                )
                for index in range(num_layers + 1)
            ),
        )
        size = (2 * channels, self.inputs.height, self.inputs.width)
        self.places = nn.Parameter(torch.zeros(size)) if places else None
        self.add_readout(stream, outputs, num_params)

    def features(self, pictures: Tensor) -> Tensor:
        """The horizontal stack `(B, p, H, W)` after the last layer."""
        horizontal, places = pictures, self.places
        # Moved down by a row: what is in a row of the vertical stack knows the rows before only.
        vertical = F.pad(pictures, (0, 0, 1, -1))
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal, places)
            places = None  # Told once.
        return horizontal

    @torch.no_grad()
    def init_state(self, batch_size: int) -> SamplingState:
        """See `DimwiseNetwork.init_state`."""
        return SamplingState(self, batch_size)


class GatedLayer(nn.Module):
    """One layer of both stacks.

    Source: van den Oord et al., NeurIPS 2016, figure 2. The first layer reads the values, with mask
    A and without a residual connection.

    Args:
        inputs: the colour of every unit that the horizontal stack reads.
        stream: of every unit of the stacks after the gates.
        num_colours: of the pictures.
        kernel: width of both convolutions.
        is_first: see above.
        gain: of the horizontal stack's residual convolution; see `MaskedConv`.
        dropout: see `GatedPixelCNN`.
    """

    def __init__(
        self,
        inputs: Tensor,
        stream: Tensor,
        num_colours: int,
        *,
        kernel: int,
        is_first: bool,
        gain: float,
        dropout: float,
    ) -> None:
        super().__init__()
        channels, reach = len(stream), kernel // 2
        halves = colours_of(channels, num_colours, repeats=2)
        # The values of the own row are not among what the first layer reads: they were moved down.
        rows = reach if is_first else reach + 1
        self.vertical = ShiftedConv(len(inputs), 2 * channels, (rows, kernel), right=False)
        self.link = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.horizontal = MaskedConv(
            inputs, halves, above=0, reach=reach, kind="A" if is_first else "B", gain=1.0
        )
        self.residual = MaskedConv(stream, stream, above=0, reach=0, kind="B", gain=gain)
        self.is_first = is_first
        self.dropout = dropout

    def forward(
        self, vertical: Tensor, horizontal: Tensor, places: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Both stacks, `(B, I, H, W)` each, to `(B, p, H, W)` each; places are `(2 p, H, W)`."""
        above = self.vertical(vertical)
        if places is not None:
            above = above + places.to(above.dtype)
        gated = gate(self.link(above) + self.horizontal(horizontal))
        out = self.residual(unit_dropout(gated, self.dropout, self.training))
        return gate(above), out if self.is_first else horizontal + out


class SamplingState(DimwiseState):
    """What a step of `GatedPixelCNN` keeps for one batch; see `DimwiseState`."""

    def __init__(self, network: GatedPixelCNN, batch_size: int) -> None:
        width, num_colours = network.inputs.width, network.inputs.num_colours
        self.layers = [
            LayerState(layer, batch_size, width, num_colours) for layer in network.layers
        ]
        super().__init__(network, batch_size, self.layers[0].horizontal)
        # Per row, `(2 p, 1, W)`.
        places = network.places
        self.places = () if places is None else places.unsqueeze(2).unbind(1)
        # Per colour, where the last layer's output goes.
        self.outputs = [torch.empty_like(view) for view in self.layers[-1].residual.inputs]

    def start_row(self, row: int) -> None:
        """See `DimwiseState.start_row`; the vertical stack goes on by a row, all at once."""
        vertical = self.values.row.transpose(1, 2).unsqueeze(2)
        places = self.places[row] if self.places else None
        for layer in self.layers:
            vertical = layer.start_row(vertical, places)
            places = None

    def features(self, column: int, colour: int) -> Tensor:
        """See `DimwiseState.features`."""
        below = (*(layer.horizontal.slots[colour][column] for layer in self.layers[1:]),)
        for layer, out in zip(self.layers, (*below, self.outputs[colour]), strict=True):
            layer(column, colour, out)
        return self.outputs[colour]


class LayerState:
    """One `GatedLayer` of a `SamplingState`."""

    def __init__(self, layer: GatedLayer, batch_size: int, width: int, num_colours: int) -> None:
        self.is_first = layer.is_first
        self.vertical = RowConv(layer.vertical, batch_size, width)
        self.link = layer.link
        self.horizontal = DimConv(layer.horizontal, batch_size, width, num_colours)
        self.residual = DimLinear(layer.residual, batch_size, num_colours)
        # Per colour, the two halves of what the gates read.
        self.gates = [torch.empty_like(part[0]) for part in self.horizontal.totals]
        self.halves = [gates.chunk(2, 1) for gates in self.gates]

    def start_row(self, vertical: Tensor, places: Tensor | None) -> Tensor:
        """The vertical stack's next row, `(B, I, 1, W)` to `(B, p, 1, W)`; see `GatedLayer`."""
        self.vertical.push(vertical)
        above = self.vertical()
        if places is not None:
            above = above + places
        self.horizontal.start_row(self.link(above).squeeze(2).transpose(1, 2))
        return gate(above)

    def __call__(self, column: int, colour: int, out: Tensor) -> None:
        """Write the horizontal stack's output `(B, p_c)` at a column."""
        self.horizontal(column, colour, self.gates[colour])
        content, opening = self.halves[colour]
        torch.mul(content.tanh_(), opening.sigmoid_(), out=self.residual.inputs[colour])
        if self.is_first:
            self.residual(colour, out)
        else:
            self.residual.added(colour, self.horizontal.slots[colour][column], out)
