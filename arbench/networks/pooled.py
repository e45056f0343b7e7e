"""Means of units over the regions of a picture: what a network sees of it, roughly where."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

_REGIONS = 4  # along each side


def pooled(units: Tensor) -> Tensor:
    """Means over 4 x 4 regions, or as many as a smaller picture has pixels.

    Args:
        units: `(B, C, H, W)`.

    Returns:
        `(B, C * min(4, H) * min(4, W))`; the regions of a unit lie side by side.
    """
    height, width = units.shape[2:]
    regions = (min(_REGIONS, height), min(_REGIONS, width))
    return F.adaptive_avg_pool2d(units, regions).flatten(1)
