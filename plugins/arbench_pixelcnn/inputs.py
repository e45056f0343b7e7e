"""Values of dims as the units that the first convolutions read."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.masked import colours_of
from arbench.networks.raster import RasterDims

Encoding = Literal["scalar", "one-hot", "ramps"]


class Inputs(RasterDims):
    """Units of images that are drawn dim by dim in raster order.

    "scalar" is one unit per dim, its number. "one-hot" is one unit per value: it tells neighbouring
    values apart, and knows nothing of values that training has not seen. "ramps" does both: a unit
    per interval between the `knots` of the values is -1 below it, 1 above it, and a straight line
    in it. That is a thermometer code (Buckman et al., "Thermometer encoding: one hot way to resist
    adversarial examples", ICLR 2018), fine at both ends and coarse between them.

    Args:
        layout: of such images.
        encoding: one of these.

    Attributes:
        colours: the colour of every unit of a picture, `(num_colours * E,)`.

    Raises:
        ValueError: for any other layout or encoding.
    """

    def __init__(self, layout: Layout, encoding: Encoding) -> None:
        super().__init__(layout)
        if encoding not in ("scalar", "one-hot", "ramps"):
            raise ValueError(f"encoding must be 'scalar', 'one-hot' or 'ramps', got {encoding!r}")
        self._num_values = layout.alphabet_size if encoding == "one-hot" else 0
        self._ramps: Tensor | None = None
        if encoding == "ramps":
            self._ramps = torch.tensor(knots(layout.alphabet_size), device="cpu")
        num_units = self._num_values or (1 if self._ramps is None else len(self._ramps) - 1)
        self.colours = colours_of(self.num_colours, self.num_colours).repeat_interleave(num_units)

    def encoded(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Units `(..., E)` of values `(..., 1)`."""
        if self._num_values:
            return F.one_hot(values[..., 0], self._num_values).to(dtype)
        if self._ramps is not None:
            self._ramps = ends = self._ramps.to(values.device)  # moved once
            low, high = ends[:-1].to(dtype), ends[1:].to(dtype)
            return ((values.to(dtype) - low) / (high - low)).clamp(0, 1) * 2 - 1
        return self.scaled(values, dtype)


def knots(num_values: int) -> list[int]:
    """Values whose distance from the nearer end doubles: 0, 1, 2, 4, ..., K - 3, K - 2, K - 1."""
    last = num_values - 1
    inner = [1 << power for power in range(num_values.bit_length()) if 4 << power <= num_values]
    return sorted({0, last, *inner, *(last - value for value in inner)})
