"""The same shifted convolutions one row or one pixel at a time, for sampling.

Each of these holds the weights as a step needs them, and just those inputs of earlier rows and
pixels that its convolution still reads. They are states of sampling: made for one batch, updated
in place, without gradients.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.raster import RasterPictures
from arbench.networks.shifted import EarlierPixels, GatedBlock, ShiftedConv, concat_elu


class RowConv:
    """A down-shifted convolution, a row at a time.

    Args:
        conv: whose kernel is centred.
        batch_size: B.
        width: of its input.
    """

    def __init__(self, conv: ShiftedConv, batch_size: int, width: int) -> None:
        self.conv = conv
        height, kernel_width = conv.kernel_size
        padded = width + kernel_width - 1
        self.rows = conv.weight.new_zeros(batch_size, conv.in_channels, height, padded)
        self.newest = self.rows[:, :, -1:, conv.left : conv.left + width]

    def push(self, row: Tensor) -> None:
        """The next row of the input, `(B, C, 1, W)`."""
        if self.rows.shape[2] > 1:
            self.rows[:, :, :-1] = self.rows[:, :, 1:].clone()
        self.newest.copy_(row)

    def __call__(self) -> Tensor:
        """The output `(B, C', 1, W')` at the last row that was pushed."""
        return F.conv2d(self.rows, self.conv.weight, self.conv.bias, (1, self.conv.stride[1]))


class RowBlock:
    """A `GatedBlock` of down-shifted convolutions, a row at a time."""

    def __init__(self, block: GatedBlock, batch_size: int, width: int) -> None:
        self.first = RowConv(block.first, batch_size, width)
        self.second = RowConv(block.second, batch_size, width)
        self.sides = block.sides

    def __call__(self, row: Tensor, *sides: Tensor) -> Tensor:
        """The output `(B, C, 1, W)` for the next row; side inputs are rows too."""
        self.first.push(concat_elu(row))
        hidden = self.first()
        for layer, side in zip(self.sides, sides, strict=True):
            hidden = hidden + layer(concat_elu(side))
        self.second.push(concat_elu(hidden))
        return row + F.glu(self.second(), 1)


class PixelConv:
    """A down-right-shifted convolution of at most two rows, a pixel at a time.

    What it reads of the row above is computed for a whole row at once, when that row is complete;
    a pixel then costs one product of a matrix with the last few pixels.

    Args:
        conv: of kernel height 1 or 2.
        batch_size: B.
        width: of its input.

    Attributes:
        row: `(B, w - 1 + W, C)`, the newest row of the input, after as many zeros as it is padded.
        slots: per column of the input a view `(B, C)` of it, to be filled before it is read.
    """

    def __init__(self, conv: ShiftedConv, batch_size: int, width: int) -> None:
        height, reach = conv.kernel_size
        channels = conv.in_channels
        by_row = conv.weight.permute(2, 3, 1, 0).reshape(height, reach * channels, -1)
        self.weight = by_row[-1].contiguous()
        self.weight_above = by_row[0].contiguous() if height > 1 else None
        self.bias = conv.weight.new_zeros(len(conv.weight)) if conv.bias is None else conv.bias
        padded = width + reach - 1
        self.row = conv.weight.new_zeros(batch_size, padded, channels)
        self.slots = self.row[:, reach - 1 :].unbind(1)
        stride = conv.stride[1]
        # Windows of neighbouring columns overlap, so they are views of the row and cost nothing.
        shape = (batch_size, -(-width // stride), reach * channels)
        self.windows = self.row.as_strided(shape, (padded * channels, stride * channels, 1))
        self.window = self.windows.unbind(1)
        self.above: tuple[Tensor, ...] = ()
        self.start_row()

    def start_row(self, *terms: Tensor) -> None:
        """The row in the slots is complete and becomes the row above.

        Args:
            terms: `(B, W', C')`, added to the outputs of the row that starts.
        """
        if self.weight_above is None:
            total = self.bias.expand(*self.windows.shape[:2], -1)
        else:
            total = self.windows @ self.weight_above + self.bias
        for term in terms:
            total = total + term
        self.above = total.unbind(1)

    def __call__(self, column: int) -> Tensor:
        """The output `(B, C')` at a column of the output."""
        return torch.addmm(self.above[column], self.window[column], self.weight)


class PixelBlock:
    """A `GatedBlock` of down-right-shifted convolutions, a pixel at a time.

    Its first side inputs may be known for a whole row at once: they are given to `start_row`.

    Attributes:
        active: per column a view `(B, 2 C)`, `concat_elu` of the block's input once it was called.
    """

    def __init__(self, block: GatedBlock, batch_size: int, width: int) -> None:
        self.first = PixelConv(block.first, batch_size, width)
        self.second = PixelConv(block.second, batch_size, width)
        self.sides = [side.weight[:, :, 0, 0].T.contiguous() for side in block.sides]
        self.num_row_sides = 0
        self.active = self.first.slots

    def start_row(self, *active_rows: Tensor) -> None:
        """A row starts; `concat_elu` of the first side inputs in it, `(B, 2 C, 1, W)` each."""
        self.num_row_sides = len(active_rows)
        terms = [
            active.squeeze(2).transpose(1, 2) @ weight
            for active, weight in zip(active_rows, self.sides, strict=False)
        ]
        self.first.start_row(*terms)
        self.second.start_row()

    def __call__(self, x: Tensor, column: int, *active: Tensor) -> Tensor:
        """The output `(B, C)` at a column from the input there, and `concat_elu` of other sides."""
        activate(x, self.first.slots[column])
        hidden = self.first(column)
        for side, weight in zip(active, self.sides[self.num_row_sides :], strict=True):
            hidden.addmm_(side, weight)
        activate(hidden, self.second.slots[column])
        return x + F.glu(self.second(column), 1)


class PixelIntake:
    """An `EarlierPixels` a pixel at a time; it also keeps the row that was drawn last.

    Args:
        layer: what it walks.
        pictures: how values become numbers.
        batch_size: B.
    """

    def __init__(self, layer: EarlierPixels, pictures: RasterPictures, batch_size: int) -> None:
        self.scaled, self.width = pictures.scaled, pictures.width
        self.above = RowConv(layer.above, batch_size, pictures.width)
        # It reads the pixel before its own, so its row begins one pixel early.
        self.left = PixelConv(layer.left, batch_size, pictures.width + 1)
        self.pixels = self.left.slots[1:]
        self.values = self.left.row[:, 1:, :-1].unbind(1)
        self._row = self.left.row[:, 1:].transpose(1, 2).unsqueeze(2)
        self._complete = torch.full_like(self._row, -1)  # what is above the first row

    def take(self, values: Tensor, column: int) -> None:
        """The values `(B, site_dim)` of the pixel at a column of the row."""
        target = self.values[column]
        target.copy_(self.scaled(values, target.dtype))

    def start_row(self) -> Tensor:
        """The row is complete; returns it as a picture `(B, C, 1, W)`, at first what is above."""
        complete, self._complete = self._complete, self._row
        self.above.push(complete)
        self.left.start_row(F.pad(self.above().squeeze(2).transpose(1, 2), (0, 0, 0, 1)))
        self.left.row[:, 1:, -1] = 1  # the channel of ones
        return complete

    def __call__(self, column: int) -> Tensor:
        """The output `(B, C')` at a column, once the pixel before it was taken."""
        return self.left(column)


def pointwise(conv: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    """A 1x1 convolution as a function of one pixel, `(B, C)` to `(B, C')`."""
    weight = conv.weight[:, :, 0, 0].T.contiguous()
    bias = weight.new_zeros(weight.shape[1]) if conv.bias is None else conv.bias
    return functools.partial(_affine, bias=bias, weight=weight)


def _affine(values: Tensor, *, bias: Tensor, weight: Tensor) -> Tensor:
    return torch.addmm(bias, values, weight)


def activate(values: Tensor, out: Tensor) -> None:
    """`concat_elu` of `(B, C)`, written into `(B, 2 C)`."""
    torch.cat((values, -values), 1, out=out)
    F.elu_(out)
