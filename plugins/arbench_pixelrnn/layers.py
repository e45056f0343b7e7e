"""The two recurrent layers, over a whole picture at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.masked import MaskedConv, colours_of
from arbench_pixelrnn.state import DiagonalLayerState, RowLayerState


def lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM.

    Args:
        gates: `(..., 4 H)`, pre-activations of input, forget, output and content.
        cell: `(..., H)`.

    Returns:
        Hidden units and cells, `(..., H)` each.

    Source: van den Oord et al., ICML 2016, equation 3.
    """
    inputs, forget, output, content = gates.chunk(4, -1)
    cell = torch.addcmul(forget.sigmoid() * cell, inputs.sigmoid(), content.tanh())
    return output.sigmoid() * cell.tanh(), cell


def input_to_state(hidden: int, num_colours: int, reach: int) -> MaskedConv:
    """From 2 H feature maps to the gates of H units, mask B; forget gates start open."""
    features, gates = colours_of(2 * hidden, num_colours), colours_of(hidden, num_colours, 4)
    convolution = MaskedConv(features, gates, above=0, reach=reach, kind="B", gain=1.0)
    assert convolution.bias is not None
    nn.init.ones_(convolution.bias[hidden : 2 * hidden])
    return convolution


def state_to_state(num_inputs: int, hidden: int) -> nn.Parameter:
    """Weights `(inputs, 4 H)` from units of earlier pixels, which all colours may see."""
    return nn.Parameter(torch.empty(num_inputs, 4 * hidden).uniform_(-1, 1) * num_inputs**-0.5)


def residual(hidden: int, num_colours: int) -> MaskedConv:
    """From H units back to 2 H feature maps, mask B."""
    units, features = colours_of(hidden, num_colours), colours_of(2 * hidden, num_colours)
    return MaskedConv(units, features, above=0, reach=0, kind="B", gain=1.0)


class RowLayer(nn.Module):
    """Row LSTM: computes a row of states at a time, each from three states of the row above.

    Source: van den Oord et al., ICML 2016, section 3.1.

    Args:
        hidden: H.
        num_colours: C.
    """

    def __init__(self, hidden: int, num_colours: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.inputs = input_to_state(hidden, num_colours, 1)
        self.states = state_to_state(3 * hidden, hidden)
        self.residual = residual(hidden, num_colours)

    def forward(self, features: Tensor, values: Tensor) -> Tensor:
        """What the layer adds to features `(B, 2 H, height, W)` of values `(B, C, height, W)`."""
        rows = self.inputs(features).permute(2, 0, 3, 1)
        hidden = cell = rows.new_zeros(*rows.shape[1:3], self.hidden)
        outputs = []
        for gates in rows.unbind(0):
            near = F.pad(hidden, (0, 0, 1, 1))
            around = torch.cat((near[:, :-2], near[:, 1:-1], near[:, 2:]), -1)
            hidden, cell = lstm(gates + around @ self.states, cell)
            outputs.append(hidden)
        maps: Tensor = self.residual(torch.stack(outputs, 2).permute(0, 3, 2, 1))
        return maps

    def make_state(self, batch_size: int, width: int) -> RowLayerState:
        """What it keeps before the first pixel of a batch."""
        return RowLayerState(
            self.inputs.masked[:, :, 0],
            self.inputs.bias,
            self.states,
            self.residual.masked[:, :, 0, 0],
            self.residual.bias,
            batch_size,
            width,
        )


class DiagonalLayer(nn.Module):
    """Diagonal BiLSTM: one LSTM from the left and one from the right, each over all diagonals.

    The state of a pixel comes from its neighbour above and from the one before it on its row. The
    output of the LSTM from the right moves down by a row, so that no site sees a later pixel.
    Source: van den Oord et al., ICML 2016, section 3.2. Deviation: the LSTM from the right also
    reads the pixel at its own position, in all colours, because the row below may see it. The
    features of a pixel do not contain that pixel, so the last one of a row would otherwise be
    hidden from most of the next row.

    Args:
        hidden: H.
        num_colours: C.
    """

    def __init__(self, hidden: int, num_colours: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.inputs = nn.ModuleList(input_to_state(hidden, num_colours, 0) for _ in range(2))
        self.values = nn.Linear(num_colours, 4 * hidden, bias=False)
        # Per direction: from the pixel before on the row, then from the one above.
        self.states = nn.ParameterList(state_to_state(2 * hidden, hidden) for _ in range(2))
        self.residual = residual(hidden, num_colours)

    def forward(self, features: Tensor, values: Tensor) -> Tensor:
        """What the layer adds to features `(B, 2 H, height, W)` of values `(B, C, height, W)`."""
        batch_size, _, height, _ = features.shape
        from_left, from_right = (convolution(features) for convolution in self.inputs)
        from_right = from_right + self.values(values.movedim(1, -1)).movedim(-1, 1)
        gates = skew(torch.stack((from_left, from_right.flip(-1))))
        columns = gates.permute(4, 0, 1, 3, 2).reshape(
            gates.shape[-1], 2, batch_size * height, 4 * self.hidden
        )
        weight = torch.stack(tuple(self.states))
        hidden = cell = columns.new_zeros(2, batch_size * height, self.hidden)
        outputs = []
        for column in columns.unbind(0):
            above = F.pad(hidden.view(2, batch_size, height, -1), (0, 0, 1, 0))[:, :, :-1]
            both = torch.cat((hidden, above.reshape(hidden.shape)), -1)
            hidden, cell = lstm(torch.baddbmm(column, both, weight), cell)
            outputs.append(hidden)
        maps = torch.stack(outputs).view(len(outputs), 2, batch_size, height, self.hidden)
        left, right = unskew(maps.permute(1, 2, 4, 3, 0))
        below = F.pad(right.flip(-1), (0, 0, 1, 0))[..., :-1, :]
        result: Tensor = self.residual(left + below)
        return result

    def make_state(self, batch_size: int, width: int) -> DiagonalLayerState:
        """What it keeps before the first pixel of a batch."""
        left, right = self.inputs
        assert isinstance(left, MaskedConv)
        assert isinstance(right, MaskedConv)
        return DiagonalLayerState(
            (left.masked[:, :, 0, 0], right.masked[:, :, 0, 0]),
            (left.bias, right.bias),
            self.values.weight,
            (self.states[0], self.states[1]),
            self.residual.masked[:, :, 0, 0],
            self.residual.bias,
            batch_size,
            width,
        )


def skew(maps: Tensor) -> Tensor:
    """Maps `(..., H, W)` with row r moved to the right by r, `(..., H, W + H - 1)`; the rest is 0.

    A diagonal becomes a column.
    """
    *outer, height, width = maps.shape
    padded = F.pad(maps, (0, height)).reshape(*outer, -1)
    return padded[..., :-height].view(*outer, height, width + height - 1)


def unskew(maps: Tensor) -> Tensor:
    """Maps `(..., H, W)` from skewed ones `(..., H, W + H - 1)`."""
    *outer, height, length = maps.shape
    padded = F.pad(maps.reshape(*outer, -1), (0, height))
    return padded.view(*outer, height, length + 1)[..., : length - height + 1]
