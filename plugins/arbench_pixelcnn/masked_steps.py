"""Masked convolutions one dim at a time, for sampling.

At a dim of colour c, only units of colour c are computed, in every layer. Units of earlier colours
were computed at earlier dims, and what they read has not changed since. So each unit of each pixel
is computed once. States are made for one batch and updated in place.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.networks.masked import MaskedConv


class DimConv:
    """A `MaskedConv`, one dim at a time.

    When the row above is complete, its contribution is computed for a whole row at once. A dim then
    costs one product of a matrix with its own pixel and the pixels at the left.

    Args:
        conv: the convolution; its weights are laid out here as steps need them.
        batch_size: B.
        width: width of the pictures.
        num_colours: number of colours of the pictures.

    Attributes:
        row: `(B, W, I)`, the current row of the input; a view.
        slots: per colour and column a view `(B, I_c)` of `row`, to be filled before the call.
    """

    def __init__(self, conv: MaskedConv, batch_size: int, width: int, num_colours: int) -> None:
        kernel = conv.masked
        reach, num_inputs = conv.reach, conv.in_channels
        # Sorted by colour, the outputs of one colour are neighbours.
        order = conv.output_colours.argsort(stable=True)
        kernel = kernel[order.to(kernel.device)]
        assert conv.bias is not None
        self.bias = conv.bias[order.to(kernel.device)]
        own = kernel[:, :, -1, : reach + 1].permute(2, 1, 0).flatten(0, 1)
        sizes = torch.bincount(conv.output_colours, minlength=num_colours).tolist()
        self.weights = [part.contiguous() for part in torch.split(own, sizes, 1)]
        self.weights_above = [
            kernel[:, :, i].permute(2, 1, 0).flatten(0, 1).contiguous() for i in range(conv.above)
        ]
        padded = width + 2 * reach
        # The rows above, the topmost first, then the current row, in a border of zeros.
        self.rows = kernel.new_zeros(conv.above + 1, batch_size, padded, num_inputs)
        self.row = self.rows[-1, :, reach : reach + width]
        in_sizes = torch.bincount(conv.input_colours, minlength=num_colours).tolist()
        self.slots = [part.unbind(1) for part in torch.split(self.row, in_sizes, 2)]
        # Windows of neighbouring columns overlap, so they are views of the row and cost nothing.
        strides = (padded * num_inputs, num_inputs, 1)
        shape = (batch_size, width, (reach + 1) * num_inputs)
        self.windows = (
            self.rows[-1].as_strided(shape, strides, self.rows[-1].storage_offset()).unbind(1)
        )
        wide = (batch_size, width, (2 * reach + 1) * num_inputs)
        self.wide = [row.as_strided(wide, strides, row.storage_offset()) for row in self.rows[:-1]]
        self.total = kernel.new_zeros(batch_size, width, len(kernel))
        self.totals = [part.unbind(1) for part in torch.split(self.total, sizes, 2)]
        self.order = order.to(kernel.device)

    def start_row(self, term: Tensor | None = None) -> None:
        """Move the current row, which is complete, to the rows above; at first it holds zeros.

        Args:
            term: `(B, W, O)` or `(W, O)`, added to the outputs of the row that starts.
        """
        for index in range(len(self.rows) - 1):
            self.rows[index].copy_(self.rows[index + 1])
        self.total.copy_(self.bias if term is None else term[..., self.order] + self.bias)
        for windows, weight in zip(self.wide, self.weights_above, strict=True):
            self.total += windows @ weight

    def __call__(self, column: int, colour: int, out: Tensor) -> Tensor:
        """Write the outputs `(B, O_c)` of a colour at a column, and return them."""
        return torch.addmm(
            self.totals[colour][column], self.windows[column], self.weights[colour], out=out
        )


class DimLinear:
    """A 1x1 `MaskedConv` of kind "B", one dim at a time.

    Its input has a first column of ones, for the bias.

    Args:
        conv: a convolution with outputs in order of colour.
        batch_size: B.
        num_colours: number of colours of the pictures.

    Attributes:
        inputs: per colour a view `(B, I_c)`, to be filled before the call.
        known: per colour a view `(B, 1 + I_0 + ... + I_c)` of everything that its outputs read.
        weights: per colour, `(1 + I_0 + ... + I_c, O_c)`.
    """

    def __init__(self, conv: MaskedConv, batch_size: int, num_colours: int) -> None:
        assert conv.bias is not None
        matrix = torch.cat((conv.bias.unsqueeze(0), conv.masked[:, :, 0, 0].T))
        sizes = torch.bincount(conv.output_colours, minlength=num_colours).tolist()
        in_sizes = torch.bincount(conv.input_colours, minlength=num_colours)
        ends = (1 + in_sizes.cumsum(0)).tolist()
        buffer = matrix.new_ones(batch_size, len(matrix))
        self.inputs = torch.split(buffer[:, 1:], in_sizes.tolist(), 1)
        self.known = [buffer[:, :end] for end in ends]
        self.weights = [
            part[:end].contiguous()
            for part, end in zip(torch.split(matrix, sizes, 1), ends, strict=True)
        ]

    def __call__(self, colour: int, out: Tensor | None = None) -> Tensor:
        """The outputs `(B, O_c)` of a colour."""
        return torch.mm(self.known[colour], self.weights[colour], out=out)

    def added(self, colour: int, term: Tensor, out: Tensor) -> Tensor:
        """Write a term plus the outputs `(B, O_c)` of a colour, and return it."""
        return torch.addmm(term, self.known[colour], self.weights[colour], out=out)


class DimReadout:
    """The last two 1x1 convolutions, each after a rectifier, one dim at a time.

    Args:
        first: the last but one.
        last: the last, which gives the parameters.
        batch_size: B.
        num_colours: number of colours of the pictures.
    """

    def __init__(
        self, first: MaskedConv, last: MaskedConv, batch_size: int, num_colours: int
    ) -> None:
        self.first = DimLinear(first, batch_size, num_colours)
        self.last = DimLinear(last, batch_size, num_colours)

    def __call__(self, features: Tensor, colour: int) -> Tensor:
        """Parameters `(B, P)` of a colour from its features at the pixel."""
        torch.clamp_min(features, 0, out=self.first.inputs[colour])
        self.first(colour, out=self.last.inputs[colour]).relu_()
        return self.last(colour)
