"""What PixelCNN and Gated PixelCNN keep while they draw one batch: rows of every layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from arbench.networks.masked import MaskedConv
from arbench.networks.shifted_steps import RowConv
from arbench_pixelcnn.blocks import GatedLayer, ResidualBlock, gate
from arbench_pixelcnn.inputs import Inputs
from arbench_pixelcnn.masked_steps import DimConv, DimLinear, DimReadout


class DimwiseState:
    """What a step of either network keeps for one batch.

    Args:
        inputs: turns values into units.
        values: the first convolution, which reads the units.
        readout: the last two convolutions.
    """

    def __init__(self, inputs: Inputs, values: DimConv, readout: DimReadout) -> None:
        self.inputs = inputs
        self.values = values
        self.readout = readout

    def take(self, values: Tensor, site: int) -> None:
        """Keep the values `(B, 1)` of a site."""
        pixel, colour = divmod(site, self.inputs.num_colours)
        slot = self.values.slots[colour][pixel % self.inputs.width]
        slot.copy_(self.inputs.encoded(values, slot.dtype))

    @abstractmethod
    def start_row(self, row: int) -> None:
        """Start a row; the row above it, if any, is complete."""

    @abstractmethod
    def features(self, column: int, colour: int) -> Tensor:
        """The input `(B, I_c)` of the last two convolutions, for a colour at a column."""


class PixelCNNState(DimwiseState):
    """What a step of `PixelCNN` keeps for one batch.

    Args:
        inputs: see `DimwiseState`.
        readout: likewise.
        first: the first convolution.
        blocks: of the network, whose weights are laid out here as steps need them.
        places: `(2 h, H, W)`, or None.
        batch_size: B.
    """

    def __init__(
        self,
        inputs: Inputs,
        readout: DimReadout,
        first: MaskedConv,
        blocks: Sequence[ResidualBlock],
        places: Tensor | None,
        batch_size: int,
    ) -> None:
        width, num_colours = inputs.width, inputs.num_colours
        self.first = DimConv(first, batch_size, width, num_colours)
        super().__init__(inputs, self.first, readout)
        self.blocks = [
            (
                DimLinear(block.reduce, batch_size, num_colours),
                DimConv(block.spread, batch_size, width, num_colours),
                DimLinear(block.expand, batch_size, num_colours),
            )
            for block in blocks
        ]
        self.streams = [torch.empty_like(part[0]) for part in self.first.totals]
        # Per row, `(W, 2 h)`.
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


class GatedPixelCNNState(DimwiseState):
    """What a step of `GatedPixelCNN` keeps for one batch.

    Args:
        inputs: see `DimwiseState`.
        readout: likewise.
        layers: of the network, whose weights are laid out here as steps need them.
        places: `(2 p, H, W)`, or None.
        batch_size: B.
    """

    def __init__(
        self,
        inputs: Inputs,
        readout: DimReadout,
        layers: Sequence[GatedLayer],
        places: Tensor | None,
        batch_size: int,
    ) -> None:
        width, num_colours = inputs.width, inputs.num_colours
        self.layers = [GatedLayerState(layer, batch_size, width, num_colours) for layer in layers]
        super().__init__(inputs, self.layers[0].horizontal, readout)
        # Per row, `(2 p, 1, W)`.
        self.places = () if places is None else places.unsqueeze(2).unbind(1)
        # Per colour, the output of the last layer.
        self.outputs = [torch.empty_like(view) for view in self.layers[-1].residual.inputs]

    def start_row(self, row: int) -> None:
        """See `DimwiseState.start_row`; computes the next row of the vertical stack."""
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


class GatedLayerState:
    """One `GatedLayer` of a `GatedPixelCNNState`."""

    def __init__(self, layer: GatedLayer, batch_size: int, width: int, num_colours: int) -> None:
        self.is_first = layer.is_first
        self.vertical = RowConv(layer.vertical, batch_size, width)
        self.link = layer.link
        self.horizontal = DimConv(layer.horizontal, batch_size, width, num_colours)
        self.residual = DimLinear(layer.residual, batch_size, num_colours)
        # Per colour, the pre-activations of the gates, and their two halves.
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
