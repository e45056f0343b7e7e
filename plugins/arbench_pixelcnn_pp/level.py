"""The blocks of PixelCNN++ at one resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import nn

from arbench.networks.shifted import (
    GatedBlock,
    ShiftedConv,
    ShiftedDeconv,
)


class Level(nn.Module):
    """All blocks of both streams at one resolution, and the layers to and from the next smaller."""

    def __init__(self, channels: int, num_blocks: int, dropout: float, *, is_last: bool) -> None:
        super().__init__()

        def blocks(count: int, right: bool, num_sides: int) -> Sequence[GatedBlock]:
            kernel = (2, 2) if right else (2, 3)
            sides = [channels] * num_sides
            made = nn.ModuleList(
                GatedBlock(channels, kernel, right=right, sides=sides, dropout=dropout)
                for _ in range(count)
            )
            return cast(Sequence[GatedBlock], made)

        self.vertical_up = blocks(num_blocks, False, 0)
        self.horizontal_up = blocks(num_blocks, True, 1)
        num_down = num_blocks if is_last else num_blocks + 1
        self.vertical_down = blocks(num_down, False, 1)
        self.horizontal_down = blocks(num_down, True, 2)
        self.vertical_smaller: ShiftedConv | None = None
        self.horizontal_smaller: ShiftedConv | None = None
        self.vertical_larger: ShiftedDeconv | None = None
        self.horizontal_larger: ShiftedDeconv | None = None
        if not is_last:
            self.vertical_smaller = ShiftedConv(channels, channels, (2, 3), right=False, stride=2)
            self.horizontal_smaller = ShiftedConv(channels, channels, (2, 2), right=True, stride=2)
            self.vertical_larger = ShiftedDeconv(channels, right=False)
            self.horizontal_larger = ShiftedDeconv(channels, right=True)
