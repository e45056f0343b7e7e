"""Converts sites in raster order to images and back, for convolutional networks."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.probability.events import Discrete
from arbench.probability.layouts import Layout


class RasterImages:
    """Images in raster order, and their values as numbers.

    Discrete values become numbers at equal distances in [-1, 1], real ones stay as they are.

    Args:
        layout: of such images.

    Attributes:
        height: H.
        width: W.

    Raises:
        ValueError: for any other layout.
    """

    def __init__(self, layout: Layout) -> None:
        grid = layout.grid
        if grid is None or len(layout.spec.shape) != 3:
            raise ValueError(f"needs images in raster order, got {layout}")
        self.height, self.width = grid[:2]
        self._scale, self._offset = 1.0, 0.0
        if isinstance(layout.domain, Discrete):
            self._scale, self._offset = 2.0 / max(layout.alphabet_size - 1, 1), -1.0

    def scaled(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Site values as a network reads them, of any shape."""
        return values.to(dtype) * self._scale + self._offset


class RasterPictures(RasterImages):
    """The pictures that sites in raster order make, one pixel per site.

    A channel of ones comes last: it tells the values of pixels from what a convolution finds beyond
    the border, where that channel is not 1.

    Args:
        layout: images in raster order; by dim only if they have one channel.

    Attributes:
        num_channels: of a picture, the dims of a site and one more.

    Raises:
        ValueError: for any other layout.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        if layout.sites == "dim" and layout.spec.shape[0] > 1:
            raise ValueError(
                f"draws the {layout.spec.shape[0]} channels of a pixel together: set layout.sites "
                "to 'pixel'"
            )
        self.num_channels = layout.site_dim + 1

    def __call__(self, sites: Tensor, dtype: torch.dtype) -> Tensor:
        """Pictures `(B, C + 1, H, W)` of sites `(B, T, C)`, in the given dtype."""
        values = self.scaled(sites, dtype)
        pictures = values.transpose(1, 2).reshape(len(sites), -1, self.height, self.width)
        return torch.cat((pictures, torch.ones_like(pictures[:, :1])), 1)


class RasterDims(RasterImages):
    """The pictures that sites in raster order make, one dim per site: the colours of a pixel.

    Args:
        layout: images in raster order, drawn dim by dim.

    Attributes:
        num_colours: dims per pixel.

    Raises:
        ValueError: for any other layout.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        if layout.site_dim > 1:
            raise ValueError(
                f"draws the {layout.site_dim} channels of a pixel one by one: set layout.sites to "
                "'dim'"
            )
        self.num_colours = layout.spec.shape[0]

    def pictures(self, units: Tensor) -> Tensor:
        """Pictures `(B, num_colours * E, H, W)` of units `(B, T, E)`, E for every dim."""
        by_pixel = units.reshape(len(units), self.height, self.width, -1)
        return by_pixel.permute(0, 3, 1, 2)

    def to_params(self, pictures: Tensor) -> Tensor:
        """Parameters `(B, T, P)` of pictures `(B, num_colours * P, H, W)`, colours slowest."""
        flat = pictures.permute(0, 2, 3, 1)
        return flat.reshape(len(pictures), -1, pictures.shape[1] // self.num_colours)


def to_params(pictures: Tensor) -> Tensor:
    """Parameters `(B, T, P)` of pictures `(B, P, H, W)`."""
    return pictures.flatten(2).transpose(1, 2)
