"""Masked convolutions: causal over pixels and over the colours of a pixel.

How to use them: give every unit of every layer a colour (`colours_of`); the first layer, which
reads the values themselves, is of kind "A", all others of kind "B". What a unit of colour c at a
pixel then depends on comes before dim c of that pixel, provided that the outputs meant for dim c
have colour c. Pictures of one channel have one colour, 0. The kernel has no rows below its own, so
nothing is spent on them; `masked` is the kernel as it acts, for samplers that cut it to pieces.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def colours_of(num_units: int, num_colours: int, repeats: int = 1) -> Tensor:
    """The colour of every unit, `(repeats * num_units,)` int64 on the CPU.

    Colours get equal shares in ascending order; with `repeats` all of that comes several times, for
    layers whose output is cut into as many parts (the two halves of a gated unit, say).
    """
    units = torch.arange(num_units, device="cpu") * num_colours // num_units
    return units.repeat(repeats)


class MaskedConv(nn.Conv2d):
    """A convolution that reads what comes before its output; masked weights are never read.

    Output (r, c) reads rows r - above to r - 1 at columns c - reach to c + reach, its own row at
    columns c - reach to c - 1, and of its own pixel the units of earlier colours (kind "A") or
    also those of its own colour ("B"). With `above = 0` the kernel has no columns at the right.

    Weights start normal with variance `gain / n`, n being what the mask leaves of a unit's inputs
    (He's initialisation for a gain of 2); biases start at 0. The mask is not state.

    Source: van den Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", ICML
    2016, section 3.4 and figure 2.

    Args:
        inputs: the colour of every input unit, `(I,)`.
        outputs: the colour of every output unit, `(O,)`.
        above: rows above the own one; k // 2 for the paper's k x k.
        reach: columns to either side; k // 2 likewise.
        kind: "A" or "B".
        gain: see above.
    """

    mask: Tensor
    bias: Tensor

    def __init__(
        self,
        inputs: Tensor,
        outputs: Tensor,
        *,
        above: int,
        reach: int,
        kind: Literal["A", "B"],
        gain: float = 2.0,
    ) -> None:
        right = reach if above else 0
        super().__init__(len(inputs), len(outputs), (above + 1, reach + 1 + right))
        self.input_colours, self.output_colours = inputs, outputs
        self.above, self.reach = above, reach
        self.pads = (reach, right, above, 0)
        own = outputs[:, None] > inputs if kind == "A" else outputs[:, None] >= inputs
        mask = torch.ones(self.weight.shape, device="cpu")
        mask[:, :, -1, reach] = own.float()
        mask[:, :, -1, reach + 1 :] = 0
        self.register_buffer("mask", mask, persistent=False)
        self.hides_nothing = bool(mask.all())
        num_read = mask.sum((1, 2, 3), keepdim=True).clamp(min=1)
        with torch.no_grad():
            self.weight.normal_().mul_((gain / num_read).sqrt().to(self.weight))
            assert self.bias is not None
            self.bias.zero_()

    @property
    def masked(self) -> Tensor:
        """The weights with zeros where the mask is, `(O, I, above + 1, width)`."""
        return self.weight if self.hides_nothing else self.weight * self.mask

    @property
    def matrices(self) -> tuple[Tensor, Tensor]:
        """What acts of the kernel, for a window of pixels that lie side by side, units fastest.

        Returns:
            The own row `(O, (reach + 1) I)`, and the rows above `(above, O, (2 reach + 1) I)`, the
            topmost first.
        """
        by_row = self.masked.permute(2, 0, 3, 1)
        return by_row[-1, :, : self.reach + 1].flatten(1), by_row[:-1].flatten(2)

    def forward(self, pictures: Tensor) -> Tensor:
        """`(B, I, H, W)` to `(B, O, H, W)`."""
        if any(self.pads):
            pictures = F.pad(pictures, self.pads)
        return F.conv2d(pictures, self.masked, self.bias)
