"""Values of dims as the units that the first convolutions read."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from arbench.networks.masked import colours_of
from arbench.probability.events import Discrete
from arbench.probability.layouts import Layout


class Inputs:
    """Pictures of images that are drawn dim by dim in raster order.

    Args:
        layout: of such images.
        encoding: "scalar" is one unit per dim, discrete values at equal distances in [-1, 1] and
            real ones as they are; "one-hot" is one unit per value.

    Attributes:
        height: H.
        width: W.
        num_colours: dims per pixel.
        units_per_dim: E.
        colours: the colour of every unit of a picture, `(num_colours * E,)`.

    Raises:
        ValueError: for any other layout or encoding.
    """

    def __init__(self, layout: Layout, encoding: Literal["scalar", "one-hot"]) -> None:
        grid = layout.grid
        if grid is None or len(layout.spec.shape) != 3:
            raise ValueError(f"needs images in raster order, got {layout}")
        if layout.site_dim > 1:
            raise ValueError(
                f"draws the {layout.site_dim} channels of a pixel one by one: set layout.sites to "
                "'dim'"
            )
        if encoding not in ("scalar", "one-hot"):
            raise ValueError(f"encoding is 'scalar' or 'one-hot', got {encoding!r}")
        self.height, self.width = grid[:2]
        self.num_colours = layout.spec.shape[0]
        self._num_values = layout.alphabet_size if encoding == "one-hot" else 0
        self.units_per_dim = self._num_values or 1
        self.colours = colours_of(self.num_colours, self.num_colours).repeat_interleave(
            self.units_per_dim
        )
        self._scale, self._offset = 1.0, 0.0
        if isinstance(layout.domain, Discrete):
            self._scale, self._offset = 2.0 / (layout.alphabet_size - 1), -1.0

    def encoded(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Units `(..., E)` of values `(..., 1)`."""
        if self._num_values:
            return F.one_hot(values[..., 0], self._num_values).to(dtype)
        return values.to(dtype) * self._scale + self._offset

    def pictures(self, sites: Tensor, dtype: torch.dtype) -> Tensor:
        """Pictures `(B, num_colours * E, H, W)` of sites `(B, T, 1)`."""
        units = self.encoded(sites, dtype).reshape(len(sites), self.height, self.width, -1)
        return units.permute(0, 3, 1, 2)


def sites_of(pictures: Tensor, num_colours: int) -> Tensor:
    """Parameters `(B, T, P)` of pictures `(B, num_colours * P, H, W)`, colours slowest."""
    flat = pictures.permute(0, 2, 3, 1)
    return flat.reshape(len(pictures), -1, pictures.shape[1] // num_colours)
