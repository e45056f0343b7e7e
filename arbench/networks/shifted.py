"""Shifted causal convolutions and gated residual blocks (PixelCNN++, PixelSNAIL)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arbench.networks.dropout import unit_dropout


def concat_elu(values: Tensor) -> Tensor:
    """`elu` of the values and of their negatives, one after the other along dim 1.

    Source: Salimans et al., "PixelCNN++", ICLR 2017, their code; after Shang et al., "Understanding
    and improving convolutional neural networks via concatenated rectified linear units", ICML 2016.
    """
    return F.elu(torch.cat((values, -values), 1))


class ShiftedConv(nn.Conv2d):
    """A convolution that reads, of a picture, only what is above or at the left of its output.

    Output (r, c) reads rows r - h + 1 to r. With `right` it reads columns c - w + 1 to c, nothing
    after (r, c) in raster order ("down-right shifted"); without, columns c - w // 2 to c + w // 2,
    of its own row all that the kernel reaches ("down shifted"). With a stride s, output (i, j) lies
    at (s i, s j).

    Source: Salimans et al., ICLR 2017, section 2.3 and figure 2.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: height h and width w; w is odd without `right`.
        right: see above.
        stride: s.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], *, right: bool, stride: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        height, width = kernel
        self.left = width - 1 if right else width // 2
        self.pads = (self.left, width - 1 - self.left, height - 1, 0)

    def forward(self, pictures: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, C', ceil(H / s), ceil(W / s))`."""
        return super().forward(F.pad(pictures, self.pads))


class ShiftedDeconv(nn.ConvTranspose2d):
    """The way back from a `ShiftedConv` of stride 2: output (r, c) reads row r // 2 alone.

    With `right` the kernel is 2 x 2, and it reads column c // 2 alone; without, it is 2 x 3, and it
    reads the columns around that.

    Source: Salimans et al., ICLR 2017, section 2.4.

    Args:
        channels: in and out.
        right: see above.
    """

    def __init__(self, channels: int, *, right: bool) -> None:
        super().__init__(channels, channels, (2, 2) if right else (2, 3), stride=2)
        self.left = 0 if right else 1

    def forward(self, pictures: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """`(B, C, H', W')` to `(B, C, H, W)`; output_size is (H, W), by default twice as large."""
        out = super().forward(pictures)
        height, width = output_size or (out.shape[2], out.shape[3] - self.left)
        return out[:, :, :height, self.left : self.left + width]


class GatedBlock(nn.Module):
    """A residual block of two shifted convolutions, the second one gated; it may listen to others.

    `x + a * sigmoid(b)`, where `(a, b)` is the second convolution of
    `concat_elu(first(concat_elu(x)) + sum_i side_i(concat_elu(s_i)))`, and sides are 1x1.

    Source: Salimans et al., ICLR 2017, their code. Deviations: no weight normalisation with its
    initialisation from data; the usual one of torch, and a tenth of it for the second convolution,
    so that a block starts close to the identity (the authors' scale).

    Args:
        channels: of x, in and out.
        kernel: of both convolutions.
        right: of both convolutions.
        sides: channels of each side input.
        dropout: probability that a hidden unit is left out of a training step.
    """

    def __init__(
        self,
        channels: int,
        kernel: tuple[int, int],
        *,
        right: bool,
        sides: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = ShiftedConv(2 * channels, channels, kernel, right=right)
        self.sides = cast(
            Sequence[nn.Conv2d],
            nn.ModuleList(nn.Conv2d(2 * side, channels, 1, bias=False) for side in sides),
        )
        self.second = ShiftedConv(2 * channels, 2 * channels, kernel, right=right)
        self.dropout = dropout
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor, *sides: Tensor) -> Tensor:
        """`(B, C, H, W)`, with side inputs of the same H and W, to `(B, C, H, W)`."""
        hidden = self.first(concat_elu(x))
        for layer, side in zip(self.sides, sides, strict=True):
            hidden = hidden + layer(concat_elu(side))
        hidden = unit_dropout(concat_elu(hidden), self.dropout, self.training)
        return x + F.glu(self.second(hidden), 1)


class EarlierPixels(nn.Module):
    """The first layer of a stream: of a picture, the three pixels above and two at the left.

    Source: Salimans et al., ICLR 2017, their code. Deviation: it is the input that is shifted, not
    the output, and above the first row are values of -1, where they have zeros.

    Args:
        inputs: channels in.
        outputs: channels out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.above = ShiftedConv(inputs, outputs, (1, 3), right=False)
        self.left = ShiftedConv(inputs, outputs, (2, 1), right=True)

    def forward(self, pictures: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, C', H, W)`; (r, c) depends on pixels before (r, c) alone."""
        out: Tensor = self.above(shifted_down(pictures)) + self.left(F.pad(pictures, (1, -1)))
        return out


def shifted_down(pictures: Tensor) -> Tensor:
    """Every row moved down by one, the last one lost; above the first are values of -1 only."""
    return F.pad(pictures, (0, 0, 1, -1), value=-1.0)
