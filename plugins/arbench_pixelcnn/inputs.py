"""Values of dims as the units that the first convolutions read."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from arbench import Layout
from arbench.networks.masked import colours_of
from arbench.networks.raster import RasterDims


class Inputs(RasterDims):
    """Units of images that are drawn dim by dim in raster order.

    Args:
        layout: of such images.
        encoding: "scalar" is one unit per dim, its number; "one-hot" is one unit per value.

    Attributes:
        colours: the colour of every unit of a picture, `(num_colours * E,)`.

    Raises:
        ValueError: for any other layout or encoding.
    """

    def __init__(self, layout: Layout, encoding: Literal["scalar", "one-hot"]) -> None:
        super().__init__(layout)
        if encoding not in ("scalar", "one-hot"):
            raise ValueError(f"encoding must be 'scalar' or 'one-hot', got {encoding!r}")
        self._num_values = layout.alphabet_size if encoding == "one-hot" else 0
        self.colours = colours_of(self.num_colours, self.num_colours).repeat_interleave(
            self._num_values or 1
        )

    def encoded(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Units `(..., E)` of values `(..., 1)`."""
        if self._num_values:
            return F.one_hot(values[..., 0], self._num_values).to(dtype)
        return self.scaled(values, dtype)
