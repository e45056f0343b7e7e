"""What PixelRNN keeps while it draws one batch: pixels, and its layers at the current pixel.

The layers see a pixel once for each of its colours, each time with one more colour known. When the
next pixel arrives, they keep their last result.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Cell:
    """One LSTM, gates to hidden units, with its buffers.

    Attributes:
        hidden: `(B, H)`, the last result.
        cell: `(B, H)`, likewise.
    """

    def __init__(self, like: Tensor, batch_size: int, num_units: int) -> None:
        self.num_units = num_units
        self.hidden = like.new_zeros(batch_size, num_units)
        self.cell = like.new_zeros(batch_size, num_units)

    def __call__(self, gates: Tensor, cell: Tensor) -> Tensor:
        """Hidden units `(B, H)` from gates `(B, 4 H)`, which it overwrites, and the cell before."""
        units = self.num_units
        opened = gates[:, : 3 * units].sigmoid_()
        torch.mul(opened[:, units : 2 * units], cell, out=self.cell)
        self.cell.addcmul_(opened[:, :units], gates[:, 3 * units :].tanh_())
        return torch.mul(opened[:, 2 * units :], self.cell.tanh(), out=self.hidden)


class RowLayerState:
    """`RowLayer`, pixel by pixel.

    Args:
        inputs: `(4 H, 2 H, 2)`, weights from the features of the pixel before and of this one.
        inputs_bias: `(4 H,)`.
        states: `(3 H, 4 H)`.
        residual: `(2 H, H)`.
        residual_bias: `(2 H,)`.
        batch_size: B.
        width: W.
    """

    def __init__(
        self,
        inputs: Tensor,
        inputs_bias: Tensor,
        states: Tensor,
        residual: Tensor,
        residual_bias: Tensor,
        batch_size: int,
        width: int,
    ) -> None:
        self.from_left, self.from_own = (w.T.contiguous() for w in inputs.unbind(-1))
        self.bias, self.residual_bias = inputs_bias, residual_bias
        self.states, self.residual = states, residual.T.contiguous()
        num_units = len(residual.T)
        self.lstm = Cell(inputs, batch_size, num_units)
        self.features = inputs.new_zeros(batch_size, 2 * num_units)
        # A row in a border of zeros, and the contribution of the row above to each of its pixels.
        self.row = inputs.new_zeros(width + 2, batch_size, num_units)
        self.cells = inputs.new_zeros(width, batch_size, num_units)
        self.above = self.bias.expand(width, batch_size, -1).clone()
        self.cells_above = torch.zeros_like(self.cells)
        self.left = torch.zeros_like(self.features)
        self.column = -1

    def arrive(self, row: int, column: int, above: Tensor) -> None:
        """Keep what is known of the pixel before, and go on to the next.

        Args:
            row: of the next pixel.
            column: likewise.
            above: `(W, B, C)`, values of the row above it.
        """
        if self.column >= 0:
            self.row[self.column + 1] = self.lstm.hidden
            self.cells[self.column] = self.lstm.cell
            self.left.copy_(self.features)
        if column == 0 and row > 0:
            self.left.zero_()
            around = torch.cat((self.row[:-2], self.row[1:-1], self.row[2:]), -1)
            torch.matmul(around, self.states, out=self.above)
            self.above += self.bias
            self.cells_above.copy_(self.cells)
        self.column = column

    def see(self, features: Tensor) -> Tensor:
        """What the layer adds to the features `(B, 2 H)` of the pixel at hand."""
        self.features = features
        gates = torch.addmm(self.above[self.column], features, self.from_own)
        if self.column > 0:
            gates.addmm_(self.left, self.from_left)
        hidden = self.lstm(gates, self.cells_above[self.column])
        return torch.addmm(self.residual_bias, hidden, self.residual)


class DiagonalLayerState:
    """`DiagonalLayer`, pixel by pixel; the LSTM from the right runs once a row, over the row above.

    Args:
        inputs: from the left and from the right, `(4 H, 2 H)` each.
        inputs_bias: likewise, `(4 H,)` each.
        values: `(4 H, C)`, weights from the values of a pixel to its LSTM from the right.
        states: likewise, `(2 H, 4 H)` each, from the pixel before and from the one above.
        residual: `(2 H, H)`.
        residual_bias: `(2 H,)`.
        batch_size: B.
        width: W.
    """

    def __init__(
        self,
        inputs: tuple[Tensor, Tensor],
        inputs_bias: tuple[Tensor, Tensor],
        values: Tensor,
        states: tuple[Tensor, Tensor],
        residual: Tensor,
        residual_bias: Tensor,
        batch_size: int,
        width: int,
    ) -> None:
        self.inputs, self.right_inputs = (w.T.contiguous() for w in inputs)
        self.bias, self.right_bias = inputs_bias
        self.right_values = values.T.contiguous()
        num_units = len(residual.T)
        self.before, self.over = states[0][:num_units], states[0][num_units:]
        self.right_before, self.right_over = states[1][:num_units], states[1][num_units:]
        self.residual, self.residual_bias = residual.T.contiguous(), residual_bias
        like = inputs[0]
        self.lstm = Cell(like, batch_size, num_units)
        self.right_lstm = Cell(like, batch_size, num_units)
        # States of the current row up to its pixel, and of the row above from there on.
        self.row = like.new_zeros(width, batch_size, num_units)
        self.right_row = torch.zeros_like(self.row)
        self.features = like.new_zeros(width, batch_size, 2 * num_units)
        self.left = torch.zeros_like(self.row[0])
        self.left_cell = torch.zeros_like(self.left)
        self.column = -1

    def arrive(self, row: int, column: int, above: Tensor) -> None:
        """Keep what is known of the pixel before, and go on to the next.

        Args:
            row: of the next pixel.
            column: likewise.
            above: `(W, B, C)`, values of the row above it.
        """
        if self.column >= 0:
            self.row[self.column] = self.lstm.hidden
            self.left.copy_(self.lstm.hidden)
            self.left_cell.copy_(self.lstm.cell)
        if column == 0 and row > 0:
            self.left.zero_()
            self.left_cell.zero_()
            self._finish_row(above)
        self.column = column

    def see(self, features: Tensor) -> Tensor:
        """What the layer adds to the features `(B, 2 H)` of the pixel at hand."""
        self.features[self.column] = features
        gates = torch.addmm(self.bias, features, self.inputs)
        gates.addmm_(self.left, self.before).addmm_(self.row[self.column], self.over)
        hidden = self.lstm(gates, self.left_cell) + self.right_row[self.column]
        return torch.addmm(self.residual_bias, hidden, self.residual)

    def _finish_row(self, values: Tensor) -> None:
        """Run the LSTM from the right over the row that is now complete."""
        gates = self.features @ self.right_inputs
        gates += values @ self.right_values
        gates += self.right_row @ self.right_over
        gates += self.right_bias
        lstm = self.right_lstm
        lstm.hidden.zero_()
        lstm.cell.zero_()
        for column in reversed(range(len(gates))):
            own = gates[column].addmm_(lstm.hidden, self.right_before)
            self.right_row[column] = lstm(own, lstm.cell)


class PixelRNNState(NamedTuple):
    """What `PixelRNN.step` keeps for one batch.

    Attributes:
        image: `(B, C, H + k // 2, W + k - 1)`, scaled values below and between zeros.
        first: `(C * (k // 2 + 1) * k, F)`, the first convolution as a matrix, and its bias.
        layers: from first to last.
        outputs: the two last convolutions as matrices with their biases.
    """

    image: Tensor
    first: tuple[Tensor, Tensor]
    layers: list[RowLayerState | DiagonalLayerState]
    outputs: list[tuple[Tensor, Tensor]]
