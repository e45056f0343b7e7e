"""Sites of images in raster order as pictures, for networks that convolve."""

from __future__ import annotations

import torch
from torch import Tensor

from arbench.probability.events import Discrete
from arbench.probability.layouts import Layout


class RasterPictures:
    """The pictures that sites in raster order make, one pixel per site.

    Discrete values become numbers at equal distances in [-1, 1], real ones stay as they are. A
    channel of ones comes last: it tells the values of pixels from what a convolution finds beyond
    the border, where that channel is not 1.

    Args:
        layout: images in raster order; by dim only if they have one channel.

    Attributes:
        height: H.
        width: W.
        num_channels: of a picture, the dims of a site and one more.

    Raises:
        ValueError: for any other layout.
    """

    def __init__(self, layout: Layout) -> None:
        grid = layout.grid
        if grid is None or len(layout.spec.shape) != 3:
            raise ValueError(f"needs images in raster order, got {layout}")
        if len(grid) == 3 and grid[2] > 1:
            raise ValueError(
                f"draws the {grid[2]} channels of a pixel together: set layout.sites to 'pixel'"
            )
        self.height, self.width = grid[:2]
        self.num_channels = layout.site_dim + 1
        self._scale, self._offset = 1.0, 0.0
        if isinstance(layout.domain, Discrete):
            self._scale, self._offset = 2.0 / max(layout.alphabet_size - 1, 1), -1.0

    def scaled(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Site values as a network reads them: any shape, discrete ones in [-1, 1]."""
        return values.to(dtype) * self._scale + self._offset

    def __call__(self, sites: Tensor, dtype: torch.dtype) -> Tensor:
        """Pictures `(B, C + 1, H, W)` of sites `(B, T, C)`, in the given dtype."""
        values = self.scaled(sites, dtype)
        pictures = values.transpose(1, 2).reshape(len(sites), -1, self.height, self.width)
        return torch.cat((pictures, torch.ones_like(pictures[:, :1])), 1)


def to_params(pictures: Tensor) -> Tensor:
    """Parameters `(B, T, P)` of pictures `(B, P, H, W)`."""
    return pictures.flatten(2).transpose(1, 2)
