"""Convolutions that see earlier pixels, and of their own pixel the earlier colours."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def groups(num_units: int, num_colours: int, repeats: int = 1) -> Tensor:
    """The colour that each unit belongs to, `(repeats * num_units,)` int64 on the CPU.

    A unit of colour c may know the colours up to c of its own pixel that come before, as mask A
    says, or what mask B lets it read from units of colours up to c.
    """
    units = torch.arange(num_units, device="cpu") * num_colours // num_units
    return units.repeat(repeats)


class MaskedConv(nn.Conv2d):
    """A convolution of odd kernel size whose masked weights are never read.

    An output reads all units of the kernel's positions that come before its own pixel in raster
    order; of its own pixel, with mask A the units of earlier colours, with mask B those of its own
    colour as well.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu, ICML 2016, section 3.4 and figure 2.

    Args:
        inputs: the colour of every input unit, `(I,)`.
        outputs: the colour of every output unit, `(O,)`.
        kernel: height and width.
        kind: "A" or "B".
    """

    mask: Tensor
    bias: Tensor

    def __init__(
        self, inputs: Tensor, outputs: Tensor, kernel: tuple[int, int], kind: Literal["A", "B"]
    ) -> None:
        height, width = kernel
        super().__init__(len(inputs), len(outputs), kernel, padding=(height // 2, width // 2))
        own = outputs[:, None] > inputs if kind == "A" else outputs[:, None] >= inputs
        mask = torch.zeros(len(outputs), len(inputs), height, width, device="cpu")
        mask[:, :, : height // 2] = 1
        mask[:, :, height // 2, : width // 2] = 1
        mask[:, :, height // 2, width // 2] = own.float()
        self.register_buffer("mask", mask, persistent=False)
        fan_in = mask.sum((1, 2, 3)).clamp(min=1)
        with torch.no_grad():
            bound = (3 / fan_in).sqrt()[:, None, None, None].to(self.weight)
            self.weight.uniform_(-1, 1).mul_(bound)
        nn.init.zeros_(self.bias)

    @property
    def masked(self) -> Tensor:
        """The weights with zeros where the mask is; `(O, I, height, width)`."""
        return self.weight * self.mask

    def forward(self, pictures: Tensor) -> Tensor:
        """`(B, I, H, W)` to `(B, O, H, W)`."""
        return F.conv2d(pictures, self.masked, self.bias, padding=self.padding)
