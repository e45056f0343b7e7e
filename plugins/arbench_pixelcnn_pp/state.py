"""What PixelCNN++ keeps while it draws one batch, and how it adds a row or a pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor

from arbench.networks.shifted import concat_elu
from arbench.networks.shifted_steps import (
    PixelBlock,
    PixelConv,
    PixelIntake,
    RowBlock,
    RowConv,
    activate,
)
from arbench_pixelcnn_pp.level import Level


class PixelCNNPPState:
    """Rows and pixels of every convolution that later ones still read; updated in place.

    Args:
        intake: the horizontal stream's first layer.
        vertical_in: the vertical stream's first convolution.
        levels: the network's levels; their weights are laid out here as steps need them.
        readout: from features `(B, C)` to parameters `(B, P)`.
        width: W.
        batch_size: B.
    """

    def __init__(
        self,
        intake: PixelIntake,
        vertical_in: RowConv,
        levels: Sequence[Level],
        readout: Callable[[Tensor], Tensor],
        width: int,
        batch_size: int,
    ) -> None:
        self.intake = intake
        self.vertical_in = vertical_in
        self.readout = readout
        self.levels: list[LevelState] = []
        for level in levels:
            self.levels.append(LevelState(level, batch_size, width))
            width = -(-width // 2)

    def start_row(self, row: int) -> None:
        """Compute this row of the vertical stream; all rows above are complete."""
        self.vertical_in.push(self.intake.start_row())
        vertical = self.vertical_in()
        num_due = self._num_due(row)
        for index, level in enumerate(self.levels[:num_due]):
            if index > 0:
                vertical = self.levels[index - 1].start_smaller_row()
            vertical = level.start_row_up(vertical)
        for index in reversed(range(num_due)):
            level = self.levels[index]
            if index + 1 < num_due:
                level.keep_larger_rows(vertical)
            vertical = level.start_row_down(row >> index)

    def pixel(self, row: int, column: int) -> Tensor:
        """The horizontal stream's output `(B, C)` at a pixel; all earlier ones must be known."""
        x = self.intake(column)
        num_due = self._num_due(row | column)
        for index, level in enumerate(self.levels[:num_due]):
            if index > 0:
                x = self.levels[index - 1].smaller_pixel(column >> index)
            x = level.pixel_up(x, column >> index)
        for index in reversed(range(num_due)):
            level = self.levels[index]
            if level.has_smaller:
                smaller = self.levels[index + 1].outputs[column >> (index + 1)]
                x = level.larger_pixel(smaller, row >> index, column >> index)
            x = level.pixel_down(x, column >> index)
        return x

    def _num_due(self, position: int) -> int:
        """How many levels have a pixel (or row) that starts there: 2^l divides the position."""
        return sum(position % 2**index == 0 for index in range(len(self.levels)))


class LevelState:
    """One resolution of a `PixelCNNPPState`.

    Attributes:
        has_smaller: whether there is a smaller resolution.
        outputs: per column `(B, C)`, the last output of the horizontal stream there.
    """

    def __init__(self, level: Level, batch_size: int, width: int) -> None:
        self.width = width
        self.rows_up = [RowBlock(block, batch_size, width) for block in level.vertical_up]
        self.rows_down = [RowBlock(block, batch_size, width) for block in level.vertical_down]
        self.pixels_up = [PixelBlock(block, batch_size, width) for block in level.horizontal_up]
        self.pixels_down = [PixelBlock(block, batch_size, width) for block in level.horizontal_down]
        self.row_shortcuts: list[Tensor] = []
        self.outputs: list[Tensor] = [torch.empty(0)] * width
        shortcuts = [block.active for block in reversed(self.pixels_up)]
        smaller, larger = level.horizontal_smaller, level.horizontal_larger
        self.has_smaller = smaller is not None and larger is not None
        if smaller is not None and larger is not None:
            assert level.vertical_smaller is not None
            self.smaller_rows = RowConv(level.vertical_smaller, batch_size, width)
            self.smaller_pixels = PixelConv(smaller, batch_size, width)
            self.larger = level.vertical_larger
            self.larger_bias = cast(Tensor, larger.bias)
            # [row parity][column parity], `(C, C)`.
            self.larger_weights = [
                [weight.contiguous() for weight in half.unbind(-1)]
                for half in larger.weight.unbind(2)
            ]
            # No block of this level reads the last block's output, so no block has activated it.
            channels = smaller.in_channels
            self.last_active = larger.weight.new_zeros(batch_size, 2 * channels)
            shortcuts.insert(0, (self.last_active,) * width)
        self.shortcuts = list(zip(*shortcuts, strict=True))

    def start_row_up(self, vertical: Tensor) -> Tensor:
        """The next row `(B, C, 1, W)` of the vertical stream before and after the first blocks."""
        self.row_shortcuts = [vertical]
        for own, other in zip(self.rows_up, self.pixels_up, strict=True):
            vertical = own(vertical)
            other.start_row(concat_elu(vertical))
            self.row_shortcuts.append(vertical)
        if self.has_smaller:
            self.smaller_rows.push(vertical)
        return vertical

    def start_smaller_row(self) -> Tensor:
        """The vertical stream's next row at the next level."""
        self.smaller_pixels.start_row()
        return self.smaller_rows()

    def keep_larger_rows(self, smaller: Tensor) -> None:
        """Keep a complete row of the next level; it stands for two rows here."""
        assert self.larger is not None
        self.larger_rows: Tensor = self.larger(smaller, (2, self.width))

    def start_row_down(self, row: int) -> Tensor:
        """The row of the vertical stream after the blocks on the way back."""
        if self.has_smaller:
            vertical = self.larger_rows.narrow(2, row % 2, 1)
        else:
            vertical = self.row_shortcuts.pop()
        for own, other in zip(self.rows_down, self.pixels_down, strict=True):
            vertical = own(vertical, self.row_shortcuts.pop())
            other.start_row(concat_elu(vertical))
        return vertical

    def pixel_up(self, x: Tensor, column: int) -> Tensor:
        """The horizontal stream `(B, C)` at a pixel after the blocks on the way down."""
        for block in self.pixels_up:
            x = block(x, column)
        if self.has_smaller:
            self.smaller_pixels.slots[column].copy_(x)
            activate(x, self.last_active)
        return x

    def smaller_pixel(self, column: int) -> Tensor:
        """The horizontal stream at a pixel of the next level, in that level's columns."""
        return self.smaller_pixels(column)

    def larger_pixel(self, smaller: Tensor, row: int, column: int) -> Tensor:
        """The contribution of a pixel of the next level to one of the four that it stands for."""
        weight = self.larger_weights[row % 2][column % 2]
        return torch.addmm(self.larger_bias, smaller, weight)

    def pixel_down(self, x: Tensor, column: int) -> Tensor:
        """The horizontal stream at a pixel after the blocks on the way back."""
        for block, shortcut in zip(self.pixels_down, self.shortcuts[column], strict=True):
            x = block(x, column, shortcut)
        self.outputs[column] = x
        return x
